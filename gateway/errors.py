"""What we say no with.

    GatewayError
    ├─ BadRequest         400   the request is wrong; the message says where and what would be right
    ├─ Unauthenticated    401   no key, or one that we do not know
    ├─ Exhausted          402   a budget is used up (429 for OpenAI's clients)
    ├─ Forbidden          403   the key may not do that
    ├─ UnknownModel       404   no model of that name
    ├─ NoSuchRoute        404   no such path
    ├─ MethodNotAllowed   405
    ├─ TooLarge           413   the body is over the limit
    ├─ UnsupportedMedia   415   the body is not said to be JSON
    ├─ OverLimit          429   a limit is reached; says which, and when to come back
    ├─ HeadTooLarge       431   the headers are over the limit
    ├─ Internal           500   a bug of ours
    ├─ Unanswered         4xx/5xx   no model answered, or too few; names each leg
    ├─ Unverified         503   the token's issuer cannot be asked for its keys
    ├─ NotOffered         503   the model is configured, but its provider's key is not set
    ├─ Overloaded         503   more calls than this worker can take
    ├─ Stopping           503   the gateway is being stopped
    └─ Unrecorded         503   what the call uses could not be counted or noted, so it is not let in

Each is rendered once, by the dialect of the caller. Messages are fit for the caller's eyes.
"""

from msgspec import Struct


class LegFailure(Struct, frozen=True, omit_defaults=True):
    """Why one model of a call did not answer; ``index`` is where its first choice would have stood, ``path`` the JSON
    pointer to what breaks the type in an answer that does."""

    index: int
    model: str
    code: str
    message: str
    path: str | None = None


class GatewayError(Exception):
    """``param`` names the field of the request that is wrong, ``retry_after`` the seconds after which to try again;
    ``headers`` go with the answer."""

    status: int = 500
    code: str = "internal_error"
    final: bool = False

    def __init__(self, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after = retry_after
        self.legs: tuple[LegFailure, ...] = ()
        self.headers: list[tuple[bytes, bytes]] = []


class BadRequest(GatewayError):
    status = 400
    code = "invalid_request"


class Unauthenticated(GatewayError):
    status = 401
    code = "invalid_api_key"


class Exhausted(GatewayError):
    """A budget has no room for the call. Trying again does not help before the day or month ends."""

    status = 402
    code = "insufficient_quota"
    final = True


class Forbidden(GatewayError):
    status = 403
    code = "forbidden"


class OverLimit(GatewayError):
    """``final`` where waiting a little does not help. ``kind`` is what OpenAI calls it: ``requests`` or ``tokens``."""

    status = 429
    code = "rate_limit_exceeded"
    kind = "requests"


class UnknownModel(GatewayError):
    status = 404
    code = "model_not_found"


class NoSuchRoute(GatewayError):
    status = 404
    code = "not_found"


class MethodNotAllowed(GatewayError):
    status = 405
    code = "method_not_allowed"


class TooLarge(GatewayError):
    status = 413
    code = "request_too_large"


class UnsupportedMedia(GatewayError):
    status = 415
    code = "unsupported_media_type"


class HeadTooLarge(GatewayError):
    status = 431
    code = "request_head_too_large"


class Internal(GatewayError):
    status = 500
    code = "internal_error"


class Unverified(GatewayError):
    status = 503
    code = "issuer_unavailable"


class NotOffered(GatewayError):
    status = 503
    code = "model_not_offered"
    final = True


class Overloaded(GatewayError):
    status = 503
    code = "overloaded"


class Stopping(GatewayError):
    status = 503
    code = "shutting_down"


class Unrecorded(GatewayError):
    status = 503
    code = "unrecorded"


class Unanswered(GatewayError):
    """The call as a whole failed at its providers. ``status`` says what the caller can do about it, ``final`` that they
    should not try again by themselves: other targets were tried already, or the request itself is refused."""

    code = "no_answer"

    def __init__(
        self,
        message: str,
        status: int,
        legs: tuple[LegFailure, ...],
        retry_after: float | None = None,
        final: bool = False,
        param: str | None = None,
    ) -> None:
        super().__init__(message, param=param, retry_after=retry_after)
        self.final = final
        self.status = status
        self.legs = legs
        if len(legs) == 1:  # of one model alone, why it did not answer is why there is no answer
            self.code = legs[0].code
