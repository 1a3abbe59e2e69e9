"""Messages and tools in the words of Cohere's chat, version 2. https://docs.cohere.com/reference/chat.

They are almost OpenAI's. What Cohere has no word for is refused by name.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters import chat
from adapters.errors import UNREADABLE, inexpressible
from adapters.types import Call, Fields

WHO = "Cohere"

ROLES = {"developer": "system", "system": "system", "user": "user", "assistant": "assistant", "tool": "tool"}

EVERYWHERE = ("audio", "function_call", "refusal")
ELSEWHERE = {
    "system": (*EVERYWHERE, "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning"),
    "user": (*EVERYWHERE, "name", "tool_calls", "tool_call_id", "reasoning_content", "reasoning"),
    "assistant": (*EVERYWHERE, "name", "tool_call_id"),
    "tool": (*EVERYWHERE, "tool_calls", "reasoning_content", "reasoning"),
}
"""By Cohere's roles, what their messages have no word for. The ``name`` of a tool's answer repeats that of its call."""

NO_PARAMETERS = Raw(b'{"type":"object","properties":{}}')
"""Cohere wants to be told the parameters of every tool, OpenAI does not."""


class ImageUrl(Struct):
    url: str
    detail: str | None = None


class Part(Struct, omit_defaults=True):
    type: str
    text: str | None = None
    image_url: Any = None
    thinking: str | None = None


class Message(Struct, omit_defaults=True):
    role: str
    content: str | tuple[Part, ...] | None = None
    tool_calls: tuple[chat.ToolCall, ...] = ()
    tool_plan: str | None = None
    tool_call_id: str | None = None


class Function(Struct, omit_defaults=True):
    name: str
    parameters: Raw
    description: str | None = None


class Tool(Struct):
    type: str
    function: Function


decode_object = msgspec.json.Decoder(Fields | None).decode


def is_strict(tools: tuple[chat.Tool, ...]) -> bool:
    """Whether the tools' arguments must keep their schemas, which Cohere can be told of all tools together only."""
    strict = {bool(tool.function.strict) for tool in tools}
    if len(strict) == 2:
        raise inexpressible("tools", "Cohere is strict with all tools or with none: give all the same strict")
    return True in strict


def tools_of(call: Call) -> tuple[tuple[Tool, ...], str | None]:
    """The tools and whether they have to be used. One that is chosen by name is the only one that is offered."""
    tools, choice = chat.tools_of(call), chat.tool_choice_of(call)
    if isinstance(choice, chat.NamedTool):
        name = choice.function.name
        tools = tuple([tool for tool in tools if tool.function.name == name])
        if not tools or choice.type != "function":
            raise inexpressible("tool_choice", "tool_choice names a function that is not among the tools")
        choice = "required"
    if choice not in (None, "auto", "none", "required"):
        raise inexpressible("tool_choice", "tool_choice is auto, none, required, or a function by its name")
    if choice == "required" and not tools:
        raise inexpressible("tool_choice", "tool_choice is required, and there are no tools")
    said = {"none": "NONE", "required": "REQUIRED"}.get(choice or "") if tools else None
    return tuple([tool_of(tool) for tool in tools]), said


def tool_of(tool: chat.Tool) -> Tool:
    if tool.type != "function":
        raise inexpressible("tools", f"Cohere's tools are functions, and one of the tools is {tool.type[:40]}")
    asked = tool.function
    try:
        parameters = decode_object(asked.parameters)
    except UNREADABLE:
        raise inexpressible("tools", "tools: a function's parameters are a JSON Schema, an object") from None
    return Tool("function", Function(asked.name, asked.parameters if parameters else NO_PARAMETERS, asked.description))


def message(turn: chat.Turn) -> Message:
    """One message in Cohere's form."""
    role = ROLES.get(turn.role)
    if role is None:
        raise inexpressible("messages", f"Cohere's roles are system, user, assistant and tool, not {turn.role[:40]}")
    chat.refuse_keys(turn, WHO, *ELSEWHERE[role])
    if role == "assistant":
        return answer(turn)
    if turn.content is None:
        raise inexpressible("messages", f"a message of role {turn.role} holds no content")
    if role == "tool" and turn.tool_call_id is None:
        raise inexpressible("messages", "a message of role tool holds no tool_call_id")
    return Message(role, content(turn), tool_call_id=turn.tool_call_id)


def answer(turn: chat.Turn) -> Message:
    """A message of the model. What it thought before it called a tool is its plan."""
    calls = turn.tool_calls or ()
    if any(call.type != "function" for call in calls):
        raise inexpressible("messages", "Cohere's tool calls are calls of functions")
    thought = turn.reasoning if turn.reasoning_content is None else turn.reasoning_content
    if not isinstance(thought, str | None):
        raise inexpressible("messages", "messages: reasoning is a text")
    said = content(turn)
    if calls:
        return Message("assistant", said or None, calls, thought or None)
    if said is None and not thought:
        raise inexpressible("messages", "a message of role assistant holds neither content nor tool_calls")
    if thought:
        texts = (Part("text", said),) if isinstance(said, str) else said or ()
        said = (Part("thinking", thinking=thought), *texts)
    return Message("assistant", said)


def content(turn: chat.Turn) -> str | tuple[Part, ...] | None:
    """Texts everywhere, and images where a user speaks."""
    if turn.content is None or isinstance(turn.content, str):
        return turn.content
    return tuple([part_of(part, turn.role) for part in turn.content])


def part_of(part: chat.Part, role: str) -> Part:
    if part.type == "text" and part.text is not None:
        return Part("text", part.text)
    if part.type == "image_url" and role == "user":
        try:
            msgspec.convert(part.image_url, ImageUrl)
        except msgspec.ValidationError:
            raise inexpressible("messages", "messages: an image_url is an object with a url") from None
        return Part("image_url", image_url=part.image_url)
    raise inexpressible("messages", f"Cohere takes no {part.type[:40]} in a message of role {role}")
