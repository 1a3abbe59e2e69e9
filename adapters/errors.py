"""Why a provider gave no answer.

    ProviderError
    ├─ Rejected       the request is wrong; asking elsewhere will not help
    │  ├─ TooLong     ... because it does not fit into the model's context
    │  └─ Filtered    ... because the provider's content policy refuses it
    ├─ Unauthorized   our credentials are wrong or spent; the operator's concern, so ask elsewhere
    ├─ Throttled      too many requests; ask elsewhere, or again after ``retry_after``
    ├─ Unavailable    down, unreachable, or failing inside
    │  └─ Unknown     ... or up, but without this model or route
    ├─ TimedOut       no answer within the time allowed
    │  └─ NotConnected ... since not even a connection came about: nothing was asked
    ├─ Garbled        an answer that cannot be read
    └─ Invalid        an answer that does not keep the constraint it was asked under
       ├─ CutOff      ... since it reached its limit of tokens first
       └─ Withheld    ... since the provider's content policy stopped it

The message is ours, short, and fit for the caller's eyes: it never holds a provider's body, a URL, a key or the
prompt. Policy is a class attribute, so nobody tests types to decide what to do next.
"""

import re
from collections.abc import Callable
from email.utils import mktime_tz, parsedate_tz
from typing import ClassVar, TypeVar

import msgspec

from adapters.types import Call, HttpResponse, Params

T = TypeVar("T")


class ProviderError(Exception):
    """A provider's failure, as a value: returned by the fan-out, raised only inside adapters and clients.

    ``status`` is the provider's HTTP status if there was one, ``retry_after`` its advice in seconds, ``param`` the
    name of the parameter that a wire cannot express.
    """

    code: ClassVar[str] = "provider_error"
    fall_back: ClassVar[bool] = True

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        param: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.retry_after = retry_after
        self.param = param


class Rejected(ProviderError):
    code = "rejected"
    fall_back = False


class TooLong(Rejected):
    code = "context_length_exceeded"


class Filtered(Rejected):
    code = "content_filter"


class Unauthorized(ProviderError):
    code = "provider_unauthorized"


class Throttled(ProviderError):
    code = "throttled"


class Unavailable(ProviderError):
    code = "unavailable"


class Unknown(Unavailable):
    code = "not_found_at_provider"


class TimedOut(ProviderError):
    code = "timed_out"


class NotConnected(TimedOut):
    """To whoever is told, it is late like any other. What sets it apart is that asking again cannot cost twice."""


class Garbled(ProviderError):
    code = "garbled"


class Invalid(ProviderError):
    """``path`` is the JSON pointer to the first violation, where there is one."""

    code = "constraint_violated"

    def __init__(self, message: str, *, path: str | None = None, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.path = path


class CutOff(Invalid):
    code = "cut_off"
    fall_back = False


class Withheld(Invalid):
    code = "content_filter"


def path_of(error: ProviderError) -> str | None:
    """Where an answer breaks its constraint, if that is why there is none."""
    return error.path if isinstance(error, Invalid) else None


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What a decoder raises at bytes that are not the JSON that was promised: also at strings that are not UTF-8, and at
ten thousand opening brackets."""

BY_STATUS: dict[int, type[ProviderError]] = {
    401: Unauthorized,
    402: Unauthorized,
    403: Unauthorized,
    404: Unknown,
    408: TimedOut,
    429: Throttled,
    498: Unauthorized,  # Cohere: blocked or invalid token
    504: TimedOut,
    529: Throttled,  # overloaded, as some hosts say it
}

MEANING: dict[type[ProviderError], str] = {
    Rejected: "the provider rejected the request",
    TooLong: "the request does not fit into the model's context",
    Filtered: "the provider's content policy refused the request",
    Unauthorized: "the provider refused the gateway's credentials",
    Throttled: "the provider is throttling requests",
    Unavailable: "the provider is not available",
    Unknown: "the provider does not know this model or route",
    TimedOut: "the provider did not answer in time",
    Garbled: "the provider's answer could not be read",
}


OVERFLOW = re.compile(
    rb"maximum context length|context length is only|too many tokens|exceeds? the (?:\w+ ){0,3}context"
    rb"|longer than the (?:maximum model|model(?:'|\\u0027)s context) length"
    rb"|tokens\) exceeds the maximum allowed length|max_new_tokens` must be <=|`inputs` must have less than"
    rb"|maximum prompt length is"
)
"""How vLLM, SGLang, Cohere, Ollama, TGI and their like say that a request does not fit; they have no code for it."""


def class_of(status: int) -> type[ProviderError]:
    """The class a status stands for."""
    return BY_STATUS.get(status) or (Rejected if 400 <= status < 500 else Unavailable)


def failure(response: HttpResponse, kind: type[ProviderError] | None = None) -> ProviderError:
    """The error that a response other than 200 stands for; an adapter that knows better names the kind."""
    kind = kind or class_of(response.status)
    if kind is Rejected and OVERFLOW.search(response.body):
        kind = TooLong
    return kind(f"{MEANING[kind]} (HTTP {response.status})", status=response.status, retry_after=retry_after(response))


def read(
    response: HttpResponse,
    decode: Callable[[bytes], T],
    kind_of: Callable[[HttpResponse], type[ProviderError] | None] | None = None,
) -> T:
    """A whole answer's body as a Struct. Raises what another status than 200 means, of the kind that ``kind_of`` finds
    in the body if it finds one, and ``Garbled`` for what is not the JSON that was promised."""
    if response.status != 200:
        raise failure(response, kind_of(response) if kind_of else None)
    try:
        return decode(response.body)
    except UNREADABLE as exc:
        raise garbled() from exc


def garbled() -> Garbled:
    return Garbled("the provider's answer is not what its interface promises", status=200)


def inexpressible(param: str, why: str) -> Rejected:
    """A parameter that a provider's wire has no word for: the caller's to change."""
    return Rejected(why, param=param)


Rule = tuple[str, Callable[[Params], bool], str]
"""One limit of a wire: a parameter, whether the wire can say what is asked of it, and the sentence if it cannot."""


def require(asked: Params, rules: tuple[Rule, ...]) -> None:
    """Raises for the first rule that is not kept."""
    for param, kept, why in rules:
        if not kept(asked):
            raise inexpressible(param, why)


def bare(call: Call) -> str:
    """The text to be continued. Raises for a chat, which an engine's own route for texts has no words for."""
    if not isinstance(call.input, str):
        raise inexpressible("messages", "this engine continues a text: send a prompt")
    return call.input


def retry_after(response: HttpResponse) -> float | None:
    """Seconds to wait as the provider advises, in any spelling. A date is taken against the one at which the provider
    says that it has answered, since clocks differ; without that it is ignored."""
    for name, scale in ((b"retry-after-ms", 0.001), (b"retry-after", 1.0)):
        value = response.header(name)
        if value is not None:
            try:
                seconds = float(value) * scale
            except ValueError:
                continue
            if 0 <= seconds < float("inf"):
                return seconds
    until, now = moment(response.header(b"retry-after")), moment(response.header(b"date"))
    return None if until is None or now is None else max(0.0, until - now)


def moment(date: bytes | None) -> float | None:
    """Seconds since 1970 of a header's date; None of what is none."""
    parts = None if date is None else parsedate_tz(date.decode("latin-1"))
    try:
        return None if parts is None or parts[9] is None else float(mktime_tz(parts))
    except (ValueError, OverflowError):
        return None
