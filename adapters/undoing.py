"""Undoes to answers what was done to the schema that they were asked for by: to whole ones, and to streams."""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import UNREADABLE, inexpressible
from adapters.restoring import Restore, Restorer, restored
from adapters.stream import Outer
from adapters.types import Call, Choice, Decoder, Delta, Fields, Reply

UNCHANGED = Restore()

THOUGHT = "</think>"
"""What ends a model's own considerations, if its host does not take them off."""

encode = msgspec.json.Encoder().encode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_message = msgspec.json.Decoder(Fields | None).decode


def refuse_logprobs(call: Call, restore: Restore, who: str) -> None:
    """Raises ``Rejected`` where the tokens that are told would be those of an object around the answer."""
    if call.params.logprobs is not None and restore.wrapped != "no":
        raise inexpressible("logprobs", f"{who} gives this answer inside of an object: ask for it without logprobs")


def undone(reply: Reply, restore: Restore) -> Reply:
    """The answers themselves, in both of their forms."""
    if restore == UNCHANGED:
        return reply
    choices = tuple([with_text(choice, inner(choice.text, restore)) for choice in reply.choices])
    return Reply(choices, reply.usage, reply.raw)


def inner(text: str, restore: Restore) -> str:
    """What a whole answer is taken out of may have words or a fence in front of it: these stay. An object that has more
    than the answer is not what was asked for, and stays as well."""
    start = text.find("{", max(text.rfind(THOUGHT), 0))
    if start < 0:
        return restored(text, restore)
    if restore.wrapped != "no" and is_more(text[start:]):
        return text
    found = restored(text[start:], restore)
    return text if found == text[start:] else text[:start].lstrip() + found


def is_more(text: str) -> bool:
    """Whether a text is an object with other members than the answer."""
    try:
        return len(decode_fields(text)) > 1
    except UNREADABLE:
        return False


def with_text(choice: Choice, text: str) -> Choice:
    if text == choice.text:
        return choice
    raw = choice.raw
    if raw is not None and "message" in raw:
        message: dict[str, Any] = {**(decode_message(raw["message"]) or {}), "content": text}
        raw = {**raw, "message": Raw(encode(message))}
    elif raw is not None and "text" in raw:
        raw = {**raw, "text": Raw(encode(text))}
    return Choice(choice.index, text, choice.finish, choice.usage, raw)


class Undoing(Outer):
    """Reads a stream, and tells of each choice what there is of the answer. A piece whose text changes is told without
    its ``raw``."""

    __slots__ = ("_restore", "_restorers")

    def __init__(self, decoder: Decoder, restore: Restore) -> None:
        super().__init__(decoder)
        self._restore = restore
        self._restorers: dict[int, Restorer] = {}

    def told(self, delta: Delta) -> list[Delta]:
        if not delta.text and delta.finish is None:
            return [delta]
        restorer = self._restorers.get(delta.index)
        if restorer is None:
            restorer = self._restorers[delta.index] = Restorer(self._restore)
        text = restorer.feed(delta.text)
        if delta.finish is not None:
            text += restorer.close()
            del self._restorers[delta.index]
        if text == delta.text:
            return [delta]
        if delta.finish is None:
            return [Delta(delta.index, text, None, None, delta.more)] if text else []
        raw = None if delta.text else delta.raw
        end = Delta(delta.index, "", delta.finish, raw, delta.more)
        return [Delta(delta.index, text, None, None, delta.more), end] if text else [end]


def undoing(decoder: Decoder, restore: Restore) -> Decoder:
    """The decoder, with what undoes to its answers what is to be undone."""
    return decoder if restore == UNCHANGED else Undoing(decoder, restore)
