"""A conversation in OpenAI's form, read and written for the wires that say it otherwise.

https://platform.openai.com/docs/api-reference/chat/create. What is read here is what other wires have words for;
whatever else a message holds is refused by name.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from adapters.errors import UNREADABLE, inexpressible
from adapters.types import Call, Chat, Delta, Fields, Prompts

NULL = Raw(b"null")
USER = Raw(b'"user"')


class Part(Struct):
    """A piece of a message: ``text``, or something that is not text, which ``type`` names."""

    type: str = "text"
    text: str | None = None
    image_url: Any = None
    input_audio: Any = None
    file: Any = None
    refusal: str | None = None


class FunctionCall(Struct):
    name: str
    arguments: str = "{}"


class ToolCall(Struct):
    """A tool's use that a model has asked for. ``arguments`` is JSON, as text."""

    id: str
    function: FunctionCall
    type: str = "function"


class Turn(Struct):
    """One message. ``content`` is a text, or parts."""

    role: str
    content: str | tuple[Part, ...] | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    reasoning_content: str | None = None
    reasoning: Any = None
    audio: Any = None
    function_call: Any = None

    @property
    def parts(self) -> tuple[Part, ...]:
        if self.content is None:
            return ()
        return (Part(text=self.content),) if isinstance(self.content, str) else self.content


class Function(Struct):
    name: str
    description: str | None = None
    parameters: Raw = Raw(b"{}")
    strict: bool | None = None


class Tool(Struct):
    function: Function
    type: str = "function"


class Named(Struct):
    name: str


class NamedTool(Struct):
    function: Named
    type: str = "function"


class AnswerFunction(Struct):
    name: str | UnsetType = UNSET
    arguments: str = ""


class AnswerCall(Struct, omit_defaults=True):
    """A tool call in an answer. ``index`` is for pieces of a stream only; the first piece of a call has id and name."""

    function: AnswerFunction = field(default_factory=AnswerFunction)
    id: str | UnsetType = UNSET
    type: str | UnsetType = UNSET
    index: int | UnsetType = UNSET


encode = msgspec.json.Encoder().encode
decode_turns = msgspec.json.Decoder(tuple[Turn, ...]).decode
decode_messages = msgspec.json.Decoder(tuple[Raw, ...]).decode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_content = msgspec.json.Decoder(str | tuple[Raw, ...] | None).decode
decode_tools = msgspec.json.Decoder(tuple[Tool, ...] | None).decode
decode_choice = msgspec.json.Decoder(str | NamedTool | None).decode


def said_by_user(text: str) -> Chat:
    """A text as a conversation of one message."""
    return Chat(Raw(b'[{"role":"user","content":' + encode(text) + b"}]"))


def followed(chat: Chat, *turns: tuple[str, str]) -> Chat:
    """The conversation, and then these messages: each a role and a text. Raises ``Rejected`` if it is no list."""
    try:
        messages = decode_messages(chat.messages)
    except UNREADABLE as exc:
        raise inexpressible("messages", "messages: must be a list of messages") from exc
    return Chat(Raw(encode([*messages, *({"role": role, "content": text} for role, text in turns)])))


def with_words(chat: Chat, words: str) -> Chat:
    """The conversation with these words at the end of its last message, if that is a user's, else behind it. Raises
    ``Rejected`` if it is none."""
    try:
        messages = decode_messages(chat.messages)
        last = decode_fields(messages[-1]) if messages else {}
        content = decode_content(last.get("content", NULL))
    except UNREADABLE as exc:
        raise inexpressible("messages", "messages: must be a list of messages") from exc
    if last.get("role") != USER or content is None:
        return followed(chat, ("user", words))
    said: Any = f"{content}\n\n{words}" if isinstance(content, str) else [*content, {"type": "text", "text": words}]
    return Chat(Raw(encode([*messages[:-1], {**last, "content": said}])))


def turns(chat: Chat) -> tuple[Turn, ...]:
    """The messages. Raises ``Rejected`` if they are not what OpenAI's reference says."""
    try:
        return decode_turns(chat.messages)
    except UNREADABLE as exc:
        raise inexpressible("messages", f"messages: {str(exc).replace('`', '')}") from None


def text_of(turn: Turn, who: str) -> str:
    """The message's text. Raises ``Rejected`` if it holds something else, naming it."""
    if isinstance(turn.content, str):
        return turn.content
    for part in turn.parts:
        if part.type != "text" or part.text is None:
            raise inexpressible("messages", f"{who} takes texts only, and a message holds {part.type[:40]}")
    return "".join([part.text or "" for part in turn.parts])


def refuse_keys(turn: Turn, who: str, *names: str) -> None:
    """Raises ``Rejected`` for the first of these keys of a message that has a value."""
    for name in names:
        if getattr(turn, name) is not None:
            raise inexpressible("messages", f"{who} has no word for {name} in a message of role {turn.role[:40]}")


def tools_of(call: Call) -> tuple[Tool, ...]:
    """The tools that may be called; raises ``Rejected`` if the list is not what OpenAI's reference says."""
    return read_field(call, "tools", decode_tools) or ()


def tool_choice_of(call: Call) -> str | NamedTool | None:
    """``auto``, ``none``, ``required``, a tool by its name, or None if the caller did not say."""
    choice = read_field(call, "tool_choice", decode_choice)
    return choice if isinstance(choice, str | NamedTool) else None


def read_field(call: Call, name: str, decode: Any) -> Any:
    """One field of the call by its decoder; None if the caller did not write it."""
    raw = (call.fields or {}).get(name, NULL)
    try:
        return decode(raw)
    except UNREADABLE as exc:
        raise inexpressible(name, f"{name}: {str(exc).replace('`', '')}") from None


def logprob(token: str, value: float) -> dict[str, Any]:
    """An entry of a choice's ``logprobs.content``, without alternatives."""
    return {"token": token, "logprob": value, "bytes": list(token.encode()), "top_logprobs": []}


def message(text: str | None, calls: list[AnswerCall] | None = None, **more: Any) -> Fields:
    """The ``raw`` of a whole choice: its message. ``more`` are further keys of the message that have a value."""
    said: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
    if calls:
        said["tool_calls"] = calls
    said |= {name: value for name, value in more.items() if value}
    return {"message": Raw(encode(said))}


def piece(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> Raw:
    """The ``raw`` of a piece of a stream."""
    return Raw(encode({"index": index, "delta": delta, **more, "finish_reason": finish}))


def as_chat(call: Call) -> Call:
    """A call of the completions route as one of the chat route: its text said by a user, its fields by their names
    there. Raises ``Rejected`` for what has no counterpart.

    https://platform.openai.com/docs/api-reference/completions/create against .../chat/create.
    """
    if isinstance(call.input, Chat):
        return call
    if isinstance(call.input, Prompts):
        raise inexpressible("prompt", "a model that is asked by chat takes texts, not token ids")
    chat = said_by_user(call.input)
    if call.fields is None:
        return Call(call.model, chat, call.params, call.stream, None, call.constraint)
    if call.params.suffix:
        raise inexpressible("suffix", "a model that is asked by chat has no suffix: leave it out")
    fields = {name: value for name, value in call.fields.items() if name not in COMPLETION_ONLY}
    if call.params.logprobs is not None:
        if not 0 <= call.params.logprobs <= 20:
            raise inexpressible("logprobs", "a model that is asked by chat tells 0 to 20 alternatives")
        fields["logprobs"] = Raw(b"true")
        fields["top_logprobs"] = Raw(b"%d" % call.params.logprobs)
    return msgspec.structs.replace(call, input=chat, fields=fields)


COMPLETION_ONLY = frozenset({"best_of", "echo", "logprobs", "max_tokens", "suffix"})
"""What a chat has no word for (``echo`` and ``best_of`` are then the gateway's to do), or another one: ``logprobs`` is
a flag there, and the limit of tokens is written by the adapter under the name that its host has for it."""


EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})
"""Values of a piece's keys that say nothing."""

ANSWERED_OTHERWISE = ("tool_calls", "function_call", "refusal")
"""Keys of a message, or of a piece of one, that stand in place of a text."""


class Piece(Struct):
    delta: Fields | None = None


decode_piece = msgspec.json.Decoder(Piece).decode


def delta_of(raw: Raw) -> Fields:
    """What a piece brings of its message, by its keys; nothing if it has no delta."""
    return decode_piece(raw).delta or {}


def weight(delta: Delta) -> int:
    """About how many characters a piece of a stream brings; 0 if it only opens or ends its choice."""
    if delta.text or delta.raw is None:
        return len(delta.text)
    said = delta_of(delta.raw)
    size = sum([len(value) for name, value in said.items() if name != "role" and bytes(value) not in EMPTY])
    return size // 8 + 1 if size else 0


def is_no_text(message: Fields) -> bool:
    """Whether a message, or a piece of one, is a tool call or a refusal."""
    return any(bytes(message.get(name, NULL)) not in EMPTY for name in ANSWERED_OTHERWISE)
