"""Choices of one leg's answers: in their places, joined from several requests, told in pieces. Pure."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import Garbled
from adapters.types import Choice, Delta, Fields, Reply, Usage, summed

ENDING = ("finish_reason", "index", "message", "stop_reason")
"""Fields of a choice that are not told in a piece of it."""

to_json = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(dict[str, Raw]).decode
decode_calls = msgspec.json.Decoder(tuple[dict[str, Raw], ...] | None).decode


def placed(choices: tuple[Choice, ...], n: int, shift: int) -> tuple[Choice, ...]:
    """The choices in order and at their places in the leg: just those that were asked for, each of them once."""
    if n == 1 and len(choices) == 1 and choices[0].index == 0 and shift == 0:
        return choices
    ordered = sorted(choices, key=lambda choice: choice.index)
    if [choice.index for choice in ordered] != list(range(n)):
        raise Garbled(f"the provider answered with other choices than the {n} it was asked for")
    return tuple([Choice(shift + c.index, c.text, c.finish, c.usage, c.raw) for c in ordered])


def behind_echo(choices: tuple[Choice, ...], echo: str) -> tuple[Choice, ...]:
    """The choices behind their prompt."""
    return tuple([Choice(c.index, echo + c.text, c.finish, c.usage, echoed(c.raw)) for c in choices])


def echoed(raw: Fields | None) -> Fields | None:
    """A choice as the provider wrote it, without its text, which the gateway has put the prompt in front of."""
    return raw and {name: value for name, value in raw.items() if name not in ("text", "message")}


def joined(replies: list[Reply]) -> Reply:
    """One reply of several, each of which was asked for by itself."""
    usage = summed([reply.usage for reply in replies if reply.usage is not None])
    return Reply(tuple(choice for reply in replies for choice in priced(reply)), usage, replies[0].raw)


def priced(reply: Reply) -> tuple[Choice, ...]:
    """The choices; one that was asked for by itself takes the call's usage with it."""
    if len(reply.choices) != 1:
        return reply.choices
    [choice] = reply.choices
    return (Choice(choice.index, choice.text, choice.finish, reply.usage, choice.raw),)


def paid(reply: Reply, used: Sequence[Usage]) -> Reply:
    """The answer with the usage of all that were given until it was good, which goes with its first choice."""
    usage, first = summed(used), reply.choices[0]
    if first.usage is None or reply.usage is None or len(reply.choices) == 1:
        return Reply(reply.choices, usage, reply.raw)
    more_in, more_out = usage.input - reply.usage.input, usage.output - reply.usage.output
    own = Usage(first.usage.input + more_in, first.usage.output + more_out, estimated=usage.estimated)
    return Reply((Choice(first.index, first.text, first.finish, own, first.raw), *reply.choices[1:]), usage, reply.raw)


def pieces(index: int, text: str, raw: Fields | None, more: Fields | None) -> list[Delta]:
    """A whole choice as the pieces of a stream, but for its end."""
    if raw is None:
        return [Delta(index, text)] if text else []
    said: dict[str, Any] = {name: value for name, value in raw.items() if name not in ENDING}
    if "message" in raw:
        said["delta"] = delta_of(decode_message(raw["message"]))
    piece = Raw(to_json({"index": index, **said, "finish_reason": None}))
    return [Delta(index, text, None, piece, more)]


def delta_of(message: Fields) -> dict[str, Any]:
    """A message as the one piece of a stream: its tool calls are counted there."""
    said: dict[str, Any] = {name: value for name, value in message.items() if name != "tool_calls"}
    calls = decode_calls(message.get("tool_calls", Raw(b"null")))
    if calls:
        said["tool_calls"] = [{"index": i, **one} for i, one in enumerate(calls)]
    return said
