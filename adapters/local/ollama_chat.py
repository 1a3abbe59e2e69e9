"""Ollama's chats, by its native route. https://github.com/ollama/ollama/blob/main/docs/api.md

Its OpenAI wire has no word for ``top_k``, ``min_p`` and ``repeat_penalty``, which come from the model's file unless
they are said, nor for ``truncate`` and ``shift``, which keep it from forgetting a part of the chat.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from adapters.chat import (
    AnswerCall,
    AnswerFunction,
    Part,
    Turn,
    message,
    piece,
    tool_choice_of,
    tools_of,
    turns,
)
from adapters.complaints import read_answer
from adapters.errors import UNREADABLE, Garbled, Rejected, inexpressible
from adapters.fields import NULL, refuse_rest
from adapters.local.ollama_words import (
    FINISH,
    HANDLED,
    Counts,
    Options,
    check,
    failed,
    format_of,
    kind_of,
    options,
    restore_of,
)
from adapters.openai import headers, url
from adapters.restoring import restored
from adapters.stream import Lines, StreamDecoder
from adapters.types import (
    Call,
    Chat,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Fields,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Reply,
)

KNOWN = HANDLED | {"max_completion_tokens", "reasoning_effort", "tool_choice", "tools"}

ROLES = {"developer": "system", "function": "tool"}
"""OpenAI's roles that Ollama calls otherwise."""

EFFORTS: dict[str, bool | str] = {"none": False, "low": "low", "medium": "medium", "high": "high"}
"""``reasoning_effort`` as Ollama's ``think``."""


class CalledFunction(Struct, omit_defaults=True):
    """``arguments`` is a JSON object."""

    name: str
    arguments: Raw = Raw(b"{}")


class Called(Struct, omit_defaults=True):
    function: CalledFunction
    id: str = ""


class Message(Struct, omit_defaults=True):
    """``images`` are base64, without a media type. ``tool_name`` is whose result it is."""

    role: str
    content: str = ""
    thinking: str = ""
    images: tuple[str, ...] = ()
    tool_calls: tuple[Called, ...] = ()
    tool_name: str = ""


class Request(Struct):
    """As for a text: see there for ``stream``, ``truncate`` and ``shift``."""

    model: str
    messages: tuple[dict[str, Any], ...]
    options: Options
    stream: bool
    truncate: bool = False
    shift: bool = False
    tools: Raw | UnsetType = UNSET
    think: bool | str | UnsetType = UNSET
    format: object = UNSET


class Answer(Counts):
    """A whole answer, or one line, of which the last is ``done``."""

    message: Message | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None

    def finish(self) -> Finish:
        return FINISH.get(self.done_reason or "", "other")


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_object = msgspec.json.Decoder(dict[str, Raw]).decode


class OllamaChat:
    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/api/chat", ""), headers(host))

    def encode(self, call: Call) -> HttpRequest:
        return HttpRequest(self._endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read_answer(call, response, decode_answer, kind_of)
        if answer.error is not None:
            raise failed()
        if answer.message is None or not answer.done:
            raise Garbled("the provider's answer is not finished", status=200)
        said = answer.message
        text = restored(said.content, restore_of(call.constraint))
        finish: Finish = "tool_calls" if said.tool_calls else answer.finish()
        raw = told(said, text, finish) if call.fields is not None and more_than_text(said) else None
        return Reply((Choice(0, text, finish, raw=raw),), answer.usage())

    def decoder(self, call: Call) -> Decoder:
        return OllamaChatDecoder(call.fields is not None)


class OllamaChatDecoder(StreamDecoder):
    """Complete when a line was ``done``. Each tool call comes whole."""

    __slots__ = ("_called", "_rich")

    def __init__(self, rich: bool) -> None:
        super().__init__(Lines())
        self._rich = rich
        self._called = 0

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        line = decode_answer(payload)
        if line.error is not None:
            raise failed()
        said, raw = line.message or Message("assistant"), None
        first, finish = self._called, None
        self._called += len(said.tool_calls)
        if line.done:
            self.usage = line.usage()
            self.done = True
            finish = "tool_calls" if self._called else line.finish()
        if self._rich and more_than_text(said):
            raw = piece(0, delta(said, first), WIRE.get(finish) if finish else None)
        if said.content or raw is not None or finish is not None:
            deltas.append(Delta(0, said.content, finish, raw))


WIRE: dict[Finish, str] = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "other": "stop"}
"""OpenAI's words for how an answer ended."""


def more_than_text(said: Message) -> bool:
    return bool(said.tool_calls or said.thinking)


def told(said: Message, text: str, finish: Finish) -> Fields:
    """A choice in OpenAI's form."""
    content = text or None if said.tool_calls else text
    raw = message(content, called(said, 0), reasoning=said.thinking)
    return {**raw, "finish_reason": Raw(encode_request(WIRE[finish]))}


def delta(said: Message, first: int) -> dict[str, Any]:
    """A piece of a message in OpenAI's form."""
    found: dict[str, Any] = {"content": said.content} if said.content else {}
    if said.thinking:
        found["reasoning"] = said.thinking
    if said.tool_calls:
        calls = called(said, first)
        found["tool_calls"] = [msgspec.structs.replace(one, index=first + at) for at, one in enumerate(calls)]
    return found


def called(said: Message, first: int) -> list[AnswerCall]:
    """The tool calls in OpenAI's form. Older versions give them no ids, so their places stand for them."""
    return [
        AnswerCall(
            AnswerFunction(one.function.name, bytes(one.function.arguments).decode()),
            id=one.id or f"call_{first + at}",
            type="function",
        )
        for at, one in enumerate(said.tool_calls)
    ]


def request(call: Call) -> Request:
    assert isinstance(call.input, Chat)
    check(call.params)
    refuse_rest(call, KNOWN, "Ollama")
    if call.params.suffix:
        raise inexpressible("suffix", "Ollama's chats have no suffix: leave it out")
    return Request(
        call.model,
        messages(turns(call.input)),
        options(call.params),
        call.stream,
        tools=tools(call),
        think=think((call.fields or {}).get("reasoning_effort", NULL)),
        format=format_of(call.constraint),
    )


def tools(call: Call) -> Raw | UnsetType:
    """The tools, whose form is OpenAI's. Ollama lets the model choose among them, or none."""
    choice, found = tool_choice_of(call), tools_of(call)
    if choice == "none" or not found:
        return UNSET
    if choice not in (None, "auto"):
        raise inexpressible("tool_choice", "Ollama's tool_choice is auto or none")
    return (call.fields or {})["tools"]


def think(effort: Raw) -> bool | str | UnsetType:
    if effort == NULL:
        return UNSET
    try:
        return EFFORTS[msgspec.json.decode(effort, type=str)]
    except (KeyError, *UNREADABLE):
        raise inexpressible("reasoning_effort", f"Ollama's reasoning_effort is {', '.join(EFFORTS)}") from None


def messages(said: tuple[Turn, ...]) -> tuple[dict[str, Any], ...]:
    """The messages. A tool's result is told apart by the tool's name, which stands with the call that it answers."""
    tools: dict[str, str] = {}
    found = []
    for turn in said:
        tools |= {one.id: one.function.name for one in turn.tool_calls or ()}
        found.append(msgspec.to_builtins(translated(turn, tools), builtin_types=(Raw,)) | {"content": text_of(turn)})
    return tuple(found)


def translated(turn: Turn, tools: dict[str, str]) -> Message:
    role = ROLES.get(turn.role, turn.role)
    if role == "tool":
        name = turn.name or tools.get(turn.tool_call_id or "")
        if name is None:
            raise refusal("a tool's result answers no call that stands before it")
        return Message(role, tool_name=name)
    if turn.name is not None:
        raise refusal("Ollama has no word for a speaker's name")
    thought = turn.reasoning_content or turn.reasoning
    calls = [one.function for one in turn.tool_calls or ()]
    return Message(
        role,
        thinking=thought if isinstance(thought, str) else "",
        images=tuple([image(part) for part in turn.parts if part.type == "image_url"]),
        tool_calls=tuple([Called(function(one.name, one.arguments)) for one in calls]),
    )


def text_of(turn: Turn) -> str:
    """The message's texts, one after the other."""
    for part in turn.parts:
        if part.type not in ("text", "image_url"):
            raise refusal(f"Ollama takes texts and images only, and a message holds {part.type[:40]}")
    return "".join([part.text or "" for part in turn.parts]) or turn.refusal or ""


def function(name: str, arguments: str) -> CalledFunction:
    try:
        return CalledFunction(name, Raw(encode_request(decode_object(arguments or "{}"))))
    except UNREADABLE:
        raise refusal("a tool call's arguments are no JSON object") from None


def image(part: Part) -> str:
    """The image's base64. Ollama fetches nothing."""
    source = part.image_url.get("url") if isinstance(part.image_url, dict) else part.image_url
    head, _, data = source.partition(",") if isinstance(source, str) else ("", "", "")
    if not (head.startswith("data:image/") and head.endswith(";base64") and data):
        raise refusal("Ollama takes images as data URLs in base64 only, since it fetches none")
    return data


def refusal(why: str) -> Rejected:
    return inexpressible("messages", why)
