"""What went wrong at litellm, in OpenAI's form and in our words: litellm's own quote addresses, keys and prompts."""

from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from gateway.longtail.asked import Refused

encode = msgspec.json.Encoder().encode


class Failure(Struct, frozen=True):
    """``retry_after`` is the provider's advice in seconds, as it was written."""

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after: str | None = None


MEANING: dict[str, Failure] = {
    "ContextWindowExceededError": Failure(
        400, "context_length_exceeded", "the request does not fit into the model's context"
    ),
    "ContentPolicyViolationError": Failure(400, "content_filter", "the provider's content policy refused the request"),
    "ImageFetchError": Failure(400, "invalid_request", "an image could not be read", "messages"),
    "UnsupportedParamsError": Failure(400, "unsupported_parameter", "the provider has no word for a parameter"),
    "LiteLLMUnknownProvider": Failure(404, "model_not_found", "litellm does not know this provider"),
    "PaymentRequiredError": Failure(402, "insufficient_quota", "the provider's account is spent"),
    "AuthenticationError": Failure(401, "invalid_api_key", "the provider refused the key"),
    "PermissionDeniedError": Failure(403, "permission_denied", "the provider refused the key"),
    "NotFoundError": Failure(404, "model_not_found", "the provider does not know this model"),
    "RateLimitError": Failure(429, "rate_limit_exceeded", "the provider is throttling requests"),
    "Timeout": Failure(504, "timeout", "the provider did not answer in time"),
    "APITimeoutError": Failure(504, "timeout", "the provider did not answer in time"),
    "ServiceUnavailableError": Failure(503, "unavailable", "the provider is not available"),
    "BadGatewayError": Failure(503, "unavailable", "the provider is not available"),
    "InternalServerError": Failure(503, "unavailable", "the provider failed"),
    "APIResponseValidationError": Failure(502, "unreadable", "the provider's answer could not be read"),
    "APIConnectionError": Failure(503, "unavailable", "the provider cannot be reached"),
    "BadRequestError": Failure(400, "invalid_request", "the provider rejected the request"),
    "UnprocessableEntityError": Failure(400, "invalid_request", "the provider rejected the request"),
}
"""By the name of the exception's class or of the nearest one that it inherits from."""

OTHER = Failure(500, "internal_error", "litellm failed")

BY_STATUS: dict[int, Failure] = {
    401: MEANING["AuthenticationError"],
    402: MEANING["PaymentRequiredError"],
    403: MEANING["PermissionDeniedError"],
    404: MEANING["NotFoundError"],
    408: MEANING["Timeout"],
    429: MEANING["RateLimitError"],
    500: MEANING["InternalServerError"],
    502: MEANING["BadGatewayError"],
    503: MEANING["ServiceUnavailableError"],
    504: MEANING["Timeout"],
    529: MEANING["ServiceUnavailableError"],
}
"""What a provider's own status says. It goes before the class, which litellm often finds by looking for numbers in the
provider's words; but not before what no status says."""

WORDS_ONLY = frozenset({"content_filter", "context_length_exceeded", "unsupported_parameter"})


def failure(error: BaseException) -> Failure:
    """What an exception says."""
    if isinstance(error, Refused):
        return Failure(400, "invalid_request", error.message, error.param)
    chain = list(causes(error))
    names = [kind.__name__ for one in chain for kind in type(one).__mro__]
    found = next((MEANING[name] for name in names if name in MEANING), OTHER)
    if found.code not in WORDS_ONLY:
        found = next((BY_STATUS[status] for status in map(status_of, reversed(chain)) if status in BY_STATUS), found)
    if found.status not in (429, 503):
        return found
    return msgspec.structs.replace(found, retry_after=next(filter(None, map(advice, chain)), None))


def causes(error: BaseException) -> Iterator[BaseException]:
    """The exception, and those that it was made of; the last is nearest to the provider. What litellm throws when a
    stream fails hides the exception that it stands for."""
    found: BaseException | None = getattr(error, "original_exception", None) or error
    seen: set[int] = set()
    while isinstance(found, BaseException) and id(found) not in seen:
        seen.add(id(found))
        yield found
        found = found.__cause__ or found.__context__


def status_of(error: BaseException) -> int | None:
    status = getattr(error, "status_code", None) or getattr(getattr(error, "response", None), "status_code", None)
    return status if isinstance(status, int) else None


def advice(error: BaseException) -> str | None:
    """The provider's ``Retry-After``, if it is a number of seconds."""
    for headers in (getattr(error, "litellm_response_headers", None), headers_of(error)):
        value = headers.get("retry-after") if headers is not None else None
        if isinstance(value, str) and value.replace(".", "", 1).isdigit() and value.isascii():
            return value
    return None


def headers_of(error: BaseException) -> Any:
    return getattr(getattr(error, "response", None), "headers", None)


def rendered(failure: Failure) -> bytes:
    """The body in OpenAI's form."""
    kind = "invalid_request_error" if failure.status < 500 else "api_error"
    detail = {"message": failure.message, "type": kind, "param": failure.param, "code": failure.code}
    return encode({"error": detail})


def within(failure: Failure) -> bytes:
    """The same as an event of a stream that has begun: its code is then the status, which says most to a reader, unless
    a word says more."""
    code: int | str = failure.code if failure.code in ("context_length_exceeded", "content_filter") else failure.status
    detail = {"message": failure.message, "type": "api_error", "param": failure.param, "code": code}
    return b"data: " + encode({"error": detail}) + b"\n\n"
