"""``cohere``: Cohere's chat, version 2. https://docs.cohere.com/reference/chat and .../chat-stream.

Its own wire rather than its imitation of OpenAI's, which reports neither cached tokens nor what went wrong.
"""

import msgspec
from msgspec import Struct, field

from adapters.errors import (
    ProviderError,
    Rule,
    TimedOut,
    Unavailable,
    inexpressible,
    read,
    require,
)
from adapters.openai import headers, url
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import (
    Call,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Message,
    Mode,
    Reply,
    Usage,
    count,
)

FINISH: dict[str, Finish] = {
    "COMPLETE": "stop",
    "STOP_SEQUENCE": "stop",
    "MAX_TOKENS": "length",
    "TOOL_CALL": "tool_calls",
    "ERROR_TOXIC": "filtered",
}

FAILED: dict[str, tuple[type[ProviderError], str]] = {
    "ERROR": (Unavailable, "the provider failed while it was answering"),
    "ERROR_LIMIT": (Unavailable, "the provider stopped at a limit of its own"),
    "USER_CANCEL": (Unavailable, "the provider says that the request was cancelled"),
    "TIMEOUT": (TimedOut, "the provider ran out of time while it was answering"),
}
"""Finish reasons that are no answers, though they come with status 200 and perhaps with some text."""

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "Cohere gives one choice a request: ask for n = 1"),
    (
        "temperature",
        lambda p: p.temperature is None or 0 <= p.temperature <= 1,
        "Cohere's temperature goes from 0 to 1",
    ),
    (
        "top_p",
        lambda p: p.top_p is None or p.top_p == 1 or 0.01 <= p.top_p <= 0.99,
        "Cohere's top_p goes from 0.01 to 0.99",
    ),
    ("stop", lambda p: len(p.stop) <= 5, "Cohere takes 5 stop sequences at most"),
    (
        "seed",
        lambda p: p.seed is None or 0 <= p.seed < 2**64,
        "Cohere's seed is a positive number of 64 bits",
    ),
    (
        "presence_penalty",
        lambda p: 0 <= (p.presence_penalty or 0) <= 1,
        "Cohere's presence_penalty goes from 0 to 1",
    ),
    (
        "frequency_penalty",
        lambda p: 0 <= (p.frequency_penalty or 0) <= 1,
        "Cohere's frequency_penalty goes from 0 to 1",
    ),
    (
        "presence_penalty",
        lambda p: not (p.presence_penalty and p.frequency_penalty),
        "Cohere takes presence_penalty or frequency_penalty, not both: leave one of them out",
    ),
)


class Request(Struct, omit_defaults=True):
    """Cohere's names for what is asked."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = field(default=None, name="p")
    stop: tuple[str, ...] = field(default=(), name="stop_sequences")
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stream: bool = False


class Part(Struct):
    """Of a message: a text, or something else (thinking, for one) that has no ``text``."""

    text: str | None = None


class Whole(Struct):
    content: tuple[Part, ...] | None = None


class Piece(Struct):
    content: Part | None = None


class Tokens(Struct):
    input_tokens: float
    output_tokens: float


class WireUsage(Struct):
    """``tokens`` is what the model read and wrote; ``billed_units`` leaves out what Cohere itself put in front."""

    tokens: Tokens | None = None
    cached_tokens: float | None = None

    def canonical(self) -> Usage | None:
        if self.tokens is None:
            return None
        read, written = count(self.tokens.input_tokens), count(self.tokens.output_tokens)
        if read is None or written is None:
            return None
        return Usage(read, written, cached=count(self.cached_tokens))


class Answer(Struct):
    message: Whole
    finish_reason: str = ""
    usage: WireUsage | None = None


class Event(Struct):
    """What ``delta`` is depends on ``type``; types that are not read here, and new ones, are passed over."""

    type: str = ""
    delta: msgspec.Raw = msgspec.Raw(b"{}")


class ContentDelta(Struct):
    message: Piece | None = None


class EndDelta(Struct):
    finish_reason: str | None = None
    usage: WireUsage | None = None
    error: str | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_event = msgspec.json.Decoder(Event).decode
decode_content = msgspec.json.Decoder(ContentDelta).decode
decode_end = msgspec.json.Decoder(EndDelta).decode


class Cohere:
    """The adapter."""

    modes: tuple[Mode, ...] = ("chat",)
    max_n: int | None = 1

    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/v2/chat", ""), headers(host))

    def encode(self, call: Call) -> HttpRequest:
        return HttpRequest(self._endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read(response, decode_answer)
        text = "".join(part.text or "" for part in answer.message.content or ())
        choice = Choice(0, text, finish_of(answer.finish_reason))
        return Reply((choice,), answer.usage.canonical() if answer.usage else None)

    def decoder(self, call: Call) -> Decoder:
        return CohereDecoder()


class CohereDecoder(StreamDecoder):
    """Complete when ``message-end`` came."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Events())

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        event = decode_event(payload)
        if event.type in ("content-delta", "content-start"):
            message = decode_content(event.delta).message
            if message is not None and message.content is not None and message.content.text:
                deltas.append(Delta(0, message.content.text))
        elif event.type == "message-end":
            self._end(decode_end(event.delta), deltas)

    def _end(self, end: EndDelta, deltas: list[Delta]) -> None:
        if end.usage is not None:
            self.usage = end.usage.canonical()
        if end.error is not None:
            raise Unavailable("the provider failed while it was answering")
        deltas.append(Delta(0, finish=finish_of(end.finish_reason or "")))
        self.done = True


def request(call: Call) -> Request:
    """The call in Cohere's words. A ``top_p`` of 1 is left out, for Cohere has no word for it; a penalty of 0 is, for
    it is the default and only one of the two may be said."""
    if isinstance(call.input, str):
        raise inexpressible("prompt", "Cohere is asked by chat: send messages")
    asked = call.params
    require(asked, RULES)
    return Request(
        model=call.model,
        messages=call.input,
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=None if asked.top_p == 1 else asked.top_p,
        stop=asked.stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty or None,
        frequency_penalty=asked.frequency_penalty or None,
        stream=call.stream,
    )


def finish_of(reason: str) -> Finish:
    """Raises for a reason that stands for a failure."""
    if reason in FAILED:
        kind, why = FAILED[reason]
        raise kind(why)
    return FINISH.get(reason, "other")
