"""``gpt``: the OpenAI wire, chat completions and legacy completions, and what its many speakers have in common.

https://platform.openai.com/docs/api-reference/chat and .../completions. Hosts that differ only in data (Azure, most
llama hosts) are rows of configuration; see ``Host``.
"""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from adapters.errors import (
    UNREADABLE,
    Filtered,
    Garbled,
    ProviderError,
    TooLong,
    Unauthorized,
    Unavailable,
    class_of,
    failure,
    inexpressible,
    read,
)
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
    "stop": "stop",
    "eos": "stop",  # Together's word for it
    "length": "length",
    "content_filter": "filtered",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}

BROKEN = frozenset({"abort", "error"})
"""Finish reasons that are failures: SGLang's and vLLM's word for it, and OpenRouter's."""

CODES: dict[str, type[ProviderError]] = {
    "context_length_exceeded": TooLong,
    "exceed_context_size_error": TooLong,
    "content_filter": Filtered,
    "content_policy_violation": Filtered,
    "insufficient_quota": Unauthorized,  # a spent account is told as 429, and waiting does not help
}
"""Error codes that say more than the status does; each is a documented value, never a phrase of a message."""


class StreamOptions(Struct, frozen=True):
    include_usage: bool = True


WITH_USAGE = StreamOptions()


class Request(Struct, omit_defaults=True):
    """Both routes' requests: ``messages`` on the one, ``prompt`` on the other."""

    model: str
    messages: tuple[Message, ...] | None = None
    prompt: str | None = None
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None


class Content(Struct, gc=False):
    """A message, or the part of one that a chunk brings."""

    content: str | None = None


class WireChoice(Struct, gc=False):
    """A choice of either route, whole or in pieces. One is made for each event of a stream, so that even the garbage
    collector's eye on it costs; nothing in it can refer back to it."""

    index: int = 0
    message: Content | None = None
    delta: Content | None = None
    text: str | None = None
    finish_reason: str | None = None


class InputDetails(Struct):
    cached_tokens: float | None = None


class OutputDetails(Struct):
    reasoning_tokens: float | None = None


class WireUsage(Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None

    def canonical(self) -> Usage | None:
        """None where the host says too little; vLLM's type leaves ``completion_tokens`` out where it is nothing."""
        into, out = self.prompt_tokens_details, self.completion_tokens_details
        prompt = count(self.prompt_tokens)
        completion = 0 if self.completion_tokens is None else count(self.completion_tokens)
        if prompt is None or completion is None:
            return None
        return Usage(
            prompt,
            completion,
            cached=count(into.cached_tokens) if into else None,
            reasoning=count(out.reasoning_tokens) if out else None,
        )


NULL = msgspec.Raw(b"null")


class Answer(Struct, gc=False):
    """A whole answer, or one chunk. ``error`` comes with status 200 from several hosts."""

    choices: tuple[WireChoice, ...] = ()
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL


class ErrorDetail(Struct):
    code: str | int | None = None
    type: str | None = None


class ErrorBody(Struct):
    """``error`` is an object, or a string; some speakers send its keys without it."""

    error: ErrorDetail | str | None = None
    code: str | int | None = None
    type: str | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_error = msgspec.json.Decoder(ErrorBody).decode
decode_detail = msgspec.json.Decoder(ErrorDetail | str).decode


class OpenAI:
    """The adapter. Relatives override ``body`` for what they say differently."""

    modes: tuple[Mode, ...] = ("chat", "completion")
    max_n: int | None = None
    chat_limit = "max_completion_tokens"

    def __init__(self, host: Host) -> None:
        self._host = host
        self._headers = headers(host)
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        # Without [DONE], a stream that is cut between two choices cannot be told from one that has ended.
        self.max_n = host.max_n or (self.max_n if host.done_marker else 1)
        self.chat_limit = host.max_tokens_field or self.chat_limit

    def encode(self, call: Call) -> HttpRequest:
        if self.max_n is not None and call.params.n > self.max_n:
            raise inexpressible("n", f"this provider gives n = {self.max_n} at most")
        route = "/completions" if isinstance(call.input, str) else "/chat/completions"
        return HttpRequest(self._endpoint(route, call.model), encode_request(self.body(call)), call.stream)

    def body(self, call: Call) -> Any:
        """The request in the host's words: a Struct to be sent as JSON."""
        asked, text = call.params, call.input
        prompt = text if isinstance(text, str) else None
        messages = None if isinstance(text, str) else text
        limit = self.chat_limit if prompt is None else "max_tokens"
        return Request(
            model=call.model,
            prompt=prompt,
            messages=messages,
            n=asked.n,
            max_tokens=asked.max_tokens if limit == "max_tokens" else None,
            max_completion_tokens=asked.max_tokens if limit != "max_tokens" else None,
            temperature=asked.temperature,
            top_p=asked.top_p,
            stop=asked.stop,
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            stream=call.stream,
            stream_options=WITH_USAGE if call.stream and self._host.stream_usage else None,
        )

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read(response, decode_answer, kind_of)
        if answer.error != NULL:
            raise reported(answer.error)
        if not answer.choices:
            raise Garbled("the provider's answer holds no choices", status=200)
        return Reply(
            tuple([Choice(c.index, text_of(c), finish_of(c.finish_reason)) for c in answer.choices]),
            answer.usage.canonical() if answer.usage else None,
        )

    def decoder(self, call: Call) -> Decoder:
        return OpenAIDecoder(self._host.done_marker)

    def _endpoint(self, route: str, model: str) -> Endpoint:
        found = self._endpoints.get((route, model))
        if found is None:
            found = self._endpoints[route, model] = Endpoint(url(self._host, route, model), self._headers)
        return found


class OpenAIDecoder(StreamDecoder):
    """Complete when ``[DONE]`` came, or, from hosts without it, when every choice has ended."""

    __slots__ = ("_ended", "_marker", "_open", "_over")

    def __init__(self, marker: bool = True) -> None:
        super().__init__(Events())
        self._marker = marker
        self._ended: set[int] = set()
        self._over = False  # [DONE] has come
        self._open: set[int] = set()

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        if payload == b"[DONE]":
            self.done = bool(self._ended) and not self._open
            self._over = True
        if self._over:
            return  # whatever follows is no part of the answer
        chunk = decode_answer(payload)
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical() or self.usage
        if chunk.error is not NULL and chunk.error != NULL:  # before the choices, which may say "error" too
            raise reported(chunk.error)
        for choice in chunk.choices:
            index, piece, reason = choice.index, choice.delta, choice.finish_reason
            text = (choice.text if piece is None else piece.content) or ""
            if not text and index in self._ended:
                continue  # OpenRouter's usage rides on an empty piece behind the end, and some say the end twice
            if reason:
                deltas.append(Delta(index, text, finish_of(reason)))
                self._end(index)
                continue
            self._open.add(index)
            self.done = False  # without a marker, one choice may end before the next begins
            if text:
                deltas.append(Delta(index, text))

    def _end(self, index: int) -> None:
        self._open.discard(index)
        self._ended.add(index)
        self.done = not (self._marker or self._open)


def text_of(choice: WireChoice) -> str:
    return (choice.message.content if choice.message else choice.text) or ""


def finish_of(reason: str | None) -> Finish:
    """Raises for a reason that stands for a failure."""
    if reason in BROKEN:
        raise Unavailable("the provider failed while it was answering")
    return FINISH.get(reason or "", "other")


def headers(host: Host) -> tuple[tuple[str, str], ...]:
    """What every request to this host carries."""
    lines = [("content-type", "application/json"), *host.headers.items()]
    if host.key is not None:
        lines.append(("authorization", f"Bearer {host.key}") if host.auth == "bearer" else ("api-key", host.key))
    return tuple(lines)


def url(host: Host, route: str, model: str) -> str:
    """The address of a route. A model's name cannot leave its place in the path: it is quoted, slashes and all."""
    base = host.base_url.rstrip("/").replace("{model}", quote(model, safe=""))
    return base + route + ("?" + urlencode(host.query) if host.query else "")


def kind_of(response: HttpResponse) -> type[ProviderError] | None:
    """What the error body's code says beyond the status; None if nothing, or if there is no such body."""
    try:
        body = decode_error(response.body)
    except UNREADABLE:
        return None
    detail = body.error if isinstance(body.error, ErrorDetail) else body
    return CODES.get(str(detail.code)) or CODES.get(str(detail.type))


def reported(error: msgspec.Raw) -> ProviderError:
    """An error that came under status 200: by its code if that is a known word or a status, else an outage."""
    try:
        detail = decode_detail(error)
    except UNREADABLE:
        detail = ErrorDetail()
    if isinstance(detail, str):
        detail = ErrorDetail()
    kind = CODES.get(str(detail.code)) or CODES.get(str(detail.type))
    status = detail.code if isinstance(detail.code, int) and 400 <= detail.code < 600 else None
    return failure(HttpResponse(status or 500, []), kind or (class_of(status) if status else Unavailable))
