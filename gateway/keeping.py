"""Holds an answer to the constraint it was asked under: engines that pass over constraints do so without a word.

What is complete must keep it; what was cut off at its limit of tokens must have been on the way, where the caller's
dialect can tell that it was. A tool call, a refusal and what a content filter stopped are held to nothing, where it can
tell those.
"""

from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from adapters.chat import is_no_text
from adapters.errors import CutOff, Invalid, Withheld
from adapters.types import AnyJson, Choice, Constraint, Fields, Finish, JsonSchema
from gateway.constraints import Checker, begun, holds_json

to_json = msgspec.json.Encoder().encode
decode_message = msgspec.json.Decoder(Fields | None).decode

Free = Literal["cut", "filtered", "messages"]

ROUNDS = 2

CUT_OFF = (
    "the answer reached the limit of tokens before its JSON was complete: raise max_tokens (without it the model's "
    "own default holds), or bound the type's texts and lists"
)


class Keeping(Struct, frozen=True, eq=False):
    """One call's constraint, with what checks it. ``free`` says what else its caller's dialect has a place for: an
    answer that was cut off, one that a content filter stopped, and tool calls or refusals. ``rounds`` is how often a
    model is shown what is wrong with its answer; ``hint`` shows the constraint to a model, in better words than the
    constraint's own if there are any."""

    checker: Checker
    constraint: Constraint
    free: frozenset[Free] = frozenset()
    rounds: int = ROUNDS
    hint: str | None = None

    def kept(self, choice: Choice) -> Choice:
        """The choice, freed of what surrounds a good answer. Raises Invalid if it is none."""
        if self._is_free(choice):
            return choice
        text = self._kept(choice.text, choice.finish)
        if text == choice.text:
            return choice
        return Choice(choice.index, text, choice.finish, choice.usage, said(choice.raw, text))

    def is_good(self, choice: Choice) -> bool:
        """Whether a kept choice keeps the constraint, and is not one that is held to nothing."""
        return not self._is_free(choice) and self._is_whole(choice.text, choice.finish)

    def streamed(self, text: str, finish: Finish) -> None:
        """The text of a streamed choice at its end. Raises Invalid also where only its surroundings are wrong: they
        have been read by now."""
        if finish == "filtered" and "filtered" in self.free:
            return
        if self._kept(text, finish) != text:
            raise Invalid("the answer holds more than what was asked for")

    def _is_free(self, choice: Choice) -> bool:
        if choice.finish == "filtered" and "filtered" in self.free:
            return True
        return "messages" in self.free and answers_otherwise(choice.raw)

    def _kept(self, text: str, finish: Finish) -> str:
        verdict = self.checker.check(self.constraint, text)
        if verdict.problem is None and (finish != "length" or not may_go_on(verdict.text)):
            return verdict.text
        if finish == "length" and begun(self.constraint, text) and "cut" in self.free:
            return text
        if finish == "length" and (begun(self.constraint, text) or self._breaks_off(text)):
            raise CutOff(CUT_OFF, param="max_tokens")
        if finish == "filtered":
            raise Withheld("the provider's content policy stopped the answer")
        raise Invalid(f"the answer does not keep the constraint: {verdict.problem}", path=verdict.path)

    def _breaks_off(self, text: str) -> bool:
        """Whether there is no whole JSON value in an answer that should be one: it may yet have come."""
        return isinstance(self.constraint, JsonSchema | AnyJson) and not holds_json(text)

    def _is_whole(self, text: str, finish: Finish) -> bool:
        whole = self.checker.check(self.constraint, text).problem is None
        return whole and (finish != "length" or not may_go_on(text))


def may_go_on(text: str) -> bool:
    """Whether a complete answer that ended at its limit of tokens may have been meant to be longer, as numbers are."""
    return text[-1:].isdigit()


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
