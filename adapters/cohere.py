"""``cohere``: Cohere's chat, version 2. https://docs.cohere.com/reference/chat and .../chat-stream.

Its own wire rather than its imitation of OpenAI's, which reports neither cached tokens nor what went wrong.
``cohere_request`` and ``cohere_chat`` say what is asked; this is what is answered.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters import chat
from adapters.cohere_request import body, restore_of
from adapters.complaints import read_answer
from adapters.errors import Garbled, ProviderError, TimedOut, Unavailable
from adapters.openai import headers, url
from adapters.restoring import restored
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import (
    Call,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Fields,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Mode,
    Path,
    Reply,
    Usage,
    count,
)
from adapters.undoing import undoing

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


class Part(Struct):
    """Of a message: a text, or what the model thought before it spoke."""

    text: str | None = None
    thinking: str | None = None


class Said(Struct):
    """A message, whole. ``tool_plan`` is what the model thought before it called tools."""

    content: tuple[Part, ...] | None = None
    tool_calls: tuple[chat.AnswerCall, ...] | None = None
    tool_plan: str | None = None
    citations: tuple[Any, ...] | None = None


class Piece(Struct):
    """What one event adds to a message: one thing of one kind."""

    content: Part | None = None
    tool_calls: chat.AnswerCall | None = None
    tool_plan: str | None = None
    citations: Any = None


class Logprobs(Struct):
    """Of a piece of text, which may be more than one token: then ``logprobs`` has one for each."""

    text: str | None = None
    logprobs: tuple[float, ...] | None = None


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
    message: Said
    finish_reason: str = ""
    usage: WireUsage | None = None
    logprobs: tuple[Logprobs, ...] | None = None


class Event(Struct):
    """What ``delta`` is depends on ``type``; types that are not read here, and new ones, are passed over. ``index``
    counts a message's parts, or its tool calls."""

    type: str = ""
    index: int | None = None
    delta: Raw = Raw(b"{}")
    logprobs: Logprobs | None = None


class PieceDelta(Struct):
    message: Piece | None = None


class EndDelta(Struct):
    finish_reason: str | None = None
    usage: WireUsage | None = None
    error: str | None = None


PIECES = frozenset({"content-start", "content-delta", "tool-plan-delta", "citation-start"})
CALLS = frozenset({"tool-call-start", "tool-call-delta"})

encode = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_event = msgspec.json.Decoder(Event).decode
decode_piece = msgspec.json.Decoder(PieceDelta).decode
decode_end = msgspec.json.Decoder(EndDelta).decode


class Cohere:
    """The adapter."""

    modes: tuple[Mode, ...] = ("chat",)
    plain = False
    takes: frozenset[str] = frozenset()

    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/v2/chat", ""), headers(host))

    def path(self, call: Call) -> Path | None:
        return "native"

    def most(self, call: Call) -> int | None:
        return 1

    def encode(self, call: Call) -> HttpRequest:
        return HttpRequest(self._endpoint, body(call), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read_answer(call, response, decode_answer)
        text = "".join(part.text or "" for part in answer.message.content or ())
        if call.constraint is not None:
            text = restored(text, restore_of(call))
        raw = None if call.fields is None else raw_of(answer, text)
        choice = Choice(0, text, finish_of(answer.finish_reason), None, raw)
        return Reply((choice,), answer.usage.canonical() if answer.usage else None)

    def decoder(self, call: Call) -> Decoder:
        return undoing(CohereDecoder(rich=call.fields is not None), restore_of(call))


class CohereDecoder(StreamDecoder):
    """Complete when ``message-end`` came, whether or not ``[DONE]`` follows. ``rich``: what is more than text is told,
    too."""

    __slots__ = ("_calls", "_rich")

    def __init__(self, rich: bool = False) -> None:
        super().__init__(Events())
        self._calls: list[int | None] = []  # Cohere's indexes of the tool calls, in their order
        self._rich = rich

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        if payload == b"[DONE]":
            return
        event = decode_event(payload)
        if event.type in PIECES:
            self._piece(event, decode_piece(event.delta).message or Piece(), deltas)
        elif event.type in CALLS and self._rich:
            self._call(event, decode_piece(event.delta).message or Piece(), deltas)
        elif event.type == "message-end":
            self._end(decode_end(event.delta), deltas)

    def _piece(self, event: Event, piece: Piece, deltas: list[Delta]) -> None:
        part = piece.content or Part()
        text = part.text or ""
        if not self._rich:
            if text:
                deltas.append(Delta(0, text))
            return
        logprobs = entries((event.logprobs,)) if event.logprobs else []
        thought = part.thinking or piece.tool_plan
        said: dict[str, Any] = {"content": text} if text or logprobs else {}
        if thought:
            said["reasoning_content"] = thought
        if piece.citations is not None:
            said["citations"] = [piece.citations]
        if said:
            more: dict[str, Any] = {"logprobs": {"content": logprobs}} if logprobs else {}
            bare = said.keys() == {"content"} and not more
            deltas.append(Delta(0, text, None, None if bare else chat.piece(0, said, **more)))

    def _call(self, event: Event, piece: Piece, deltas: list[Delta]) -> None:
        """OpenAI counts the tool calls from 0, whatever came before them."""
        call = piece.tool_calls
        if call is None:
            return
        if event.type == "tool-call-start":
            self._calls.append(event.index)
            call.type = "function"
        if event.index not in self._calls:
            raise Garbled("a piece of the provider's stream belongs to a tool call that has not begun")
        call.index = self._calls.index(event.index)
        deltas.append(Delta(0, raw=chat.piece(0, {"tool_calls": [call]})))

    def _end(self, end: EndDelta, deltas: list[Delta]) -> None:
        if end.usage is not None:
            self.usage = end.usage.canonical()
        if end.error is not None:
            raise Unavailable("the provider failed while it was answering")
        deltas.append(Delta(0, finish=finish_of(end.finish_reason or "")))
        self.done = True


def raw_of(answer: Answer, text: str) -> Fields | None:
    """The choice in OpenAI's form; None if it is just its text. ``reasoning_content``, as reasoning models' servers
    call it, and ``citations``, which are Cohere's own, are more than OpenAI's message has."""
    said = answer.message
    thought = "".join([part.thinking or "" for part in said.content or ()]) + (said.tool_plan or "")
    calls, logprobs = list(said.tool_calls or ()), entries(answer.logprobs or ())
    for call in calls:
        call.type = "function"
    if not (thought or calls or logprobs or said.citations):
        return None
    raw = chat.message(text or None, calls, reasoning_content=thought, citations=said.citations)
    if logprobs:
        raw["logprobs"] = Raw(encode({"content": logprobs, "refusal": None}))
    return raw


def entries(logprobs: tuple[Logprobs, ...]) -> list[dict[str, Any]]:
    """OpenAI's form. Of several tokens in one text, the probability is that of all of them together."""
    return [chat.logprob(one.text or "", sum(one.logprobs)) for one in logprobs if one.logprobs]


def finish_of(reason: str) -> Finish:
    """Raises for a reason that stands for a failure."""
    if reason in FAILED:
        kind, why = FAILED[reason]
        raise kind(why)
    return FINISH.get(reason, "other")
