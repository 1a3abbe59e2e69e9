"""Holds an answer to the constraint it was asked under: engines that pass over constraints do so without a word.

What is complete must keep it; what was cut off at its limit of tokens must have been on the way. A tool call, a refusal
and what a content filter stopped are held to nothing, where the caller's dialect can tell them.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from adapters.chat import is_no_text
from adapters.errors import Invalid
from adapters.types import Choice, Constraint, Fields, Finish
from gateway.constraints import Checker, begun

to_json = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(Fields | None).decode


Free = Literal["filtered", "messages"]


class Keeping(Struct, frozen=True, eq=False):
    """One call's constraint, with what checks it. ``free`` says what else its caller's dialect has a place for, and is
    held to nothing: an answer that a content filter stopped, and tool calls or refusals."""

    checker: Checker
    constraint: Constraint
    free: frozenset[Free] = frozenset()

    def whole(self, choices: tuple[Choice, ...]) -> tuple[Choice, ...]:
        """The choices, freed of what surrounds a good answer. Raises Invalid for the first that is none."""
        return tuple([self._choice(choice) for choice in choices])

    def streamed(self, text: str, finish: Finish) -> None:
        """The text of a streamed choice at its end. Raises Invalid also where only its surroundings are wrong: they
        have been read by now."""
        if finish == "filtered" and "filtered" in self.free:
            return
        if self._kept(text, finish) != text:
            raise Invalid("the answer holds more than what was asked for")

    def _choice(self, choice: Choice) -> Choice:
        if choice.finish == "filtered" and "filtered" in self.free:
            return choice
        if "messages" in self.free and answers_otherwise(choice.raw):
            return choice
        text = self._kept(choice.text, choice.finish)
        if text == choice.text:
            return choice
        return Choice(choice.index, text, choice.finish, choice.usage, said(choice.raw, text))

    def _kept(self, text: str, finish: Finish) -> str:
        if finish == "length":
            if not begun(self.constraint, text):
                raise Invalid("the answer does not keep the constraint, and was cut off at its limit of tokens")
            return text
        verdict = self.checker.check(self.constraint, text)
        if verdict.problem is not None:
            raise Invalid(f"the answer does not keep the constraint: {verdict.problem}")
        return verdict.text


def answers_otherwise(raw: Fields | None) -> bool:
    """Whether the provider wrote a refusal or a tool call."""
    message = (raw or {}).get("message")
    return message is not None and is_no_text(decode_message(message) or {})


def said(raw: Fields | None, text: str) -> Fields | None:
    """A choice as its provider wrote it, with another text."""
    if raw is None:
        return None
    if "message" not in raw:
        return {**raw, "text": Raw(to_json(text))} if "text" in raw else raw
    message: dict[str, Any] = {**(decode_message(raw["message"]) or {}), "content": text}
    return {**raw, "message": Raw(to_json(message))}
