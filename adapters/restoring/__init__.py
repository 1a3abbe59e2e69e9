"""Takes answers out of what they were asked for in, piece by piece.

Some providers constrain answers to a changed schema only: to an object around the answer, or to one whose optional
members are required and may be null. https://platform.openai.com/docs/guides/structured-outputs has both,
https://docs.cohere.com/docs/structured-outputs the first.
"""

import re
from typing import Any, Literal, Protocol

from msgspec import Struct

from adapters.restoring.members import Members
from adapters.restoring.texts import Text
from adapters.restoring.tokens import SPACED, end_of

OPENING = '{"answer":'
SPACES = frozenset({0, 1, len(OPENING) - 1, len(OPENING)})
"""Where white space may stand in the opening."""

VALUES = frozenset('{["-0123456789tfn')
"""How values begin."""

NUMERIC = tuple("-0123456789")
IN_NUMBER = re.compile(r"[-+.0-9eE]*")


class Restore(Struct, frozen=True):
    """What was done to a schema, and is to be undone to its answers.

    ``wrapped``: the answer was asked for as the property ``answer`` of an object, and is JSON or the text of a string.
    ``optional``: the decoded schema of the unwrapped answer, whose optional members may be null for being absent; None
    if no member is to be taken out.
    """

    wrapped: Literal["no", "json", "text"] = "no"
    optional: Any = None


class Reader(Protocol):
    def feed(self, text: str) -> str: ...

    def close(self) -> str: ...


class Restorer:
    """Takes one answer out of its text, as that comes. What is not taken away stays as it is written.

    What is in no such object stays as it is; so does what is no JSON, from where it is none any more. Of an answer that
    was cut off, what there is of it is told, if it is no number. Nothing behind a wrapped answer is told. A member goes
    with the comma and the white space before it; an object's first member with the comma behind it.
    """

    __slots__ = ("_is_text", "_opening", "_reader")

    def __init__(self, restore: Restore) -> None:
        is_whole = restore.wrapped == "no"
        self._is_text = restore.wrapped == "text"
        self._opening = None if is_whole else Opening()
        self._reader: Reader = Passing()
        if not is_whole or restore.optional is not None:
            self._reader = Members(restore.optional, tells_rest=is_whole)

    def feed(self, text: str) -> str:
        """What can be told by now."""
        if self._opening is None:
            return self._reader.feed(text)
        decided = self._opening.feed(text)
        return "" if decided is None else self._begin(*decided)

    def close(self) -> str:
        """The rest, when the text has ended. What is only the beginning of an object around an answer is none."""
        return self._reader.close()

    def _begin(self, is_wrapped: bool, text: str) -> str:
        self._opening = None
        if not is_wrapped:
            self._reader = Passing()
        elif self._is_text and text.startswith('"'):
            self._reader, text = Text(), text[1:]
        elif text.startswith(NUMERIC):
            self._reader = Number(self._reader)
        return self._reader.feed(text)


def restored(text: str, restore: Restore) -> str:
    """The answer in a text that has ended."""
    if restore.wrapped == "no" and restore.optional is None:
        return text
    restorer = Restorer(restore)
    return restorer.feed(text) + restorer.close()


class Opening:
    """Holds a text back until it is known whether it is an object around an answer."""

    __slots__ = ("_held", "_seen")

    def __init__(self) -> None:
        self._held: list[str] = []
        self._seen = 0  # characters of the opening

    def feed(self, text: str) -> tuple[bool, str] | None:
        """True and what there is from the answer on, False and all of the text, or None if this is not known yet."""
        self._held.append(text)
        at = 0
        while True:
            if self._seen in SPACES:
                at = end_of(SPACED, text, at)
            if at == len(text):
                return None
            if self._seen == len(OPENING) and text[at] in VALUES:
                return True, text[at:]
            if not OPENING.startswith(text[at], self._seen):
                return False, "".join(self._held)
            at += 1
            self._seen += 1


class Number:
    """Holds a number back until something follows it: of one that breaks off nobody knows how it would have gone on."""

    __slots__ = ("_held", "_reader")

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._held: list[str] | None = []

    def feed(self, text: str) -> str:
        if self._held is None:
            return self._reader.feed(text)
        self._held.append(text)
        if end_of(IN_NUMBER, text, 0) == len(text):
            return ""
        text, self._held = "".join(self._held), None
        return self._reader.feed(text)

    def close(self) -> str:
        return self._reader.close() if self._held is None else ""


class Passing:
    """Tells everything at once."""

    __slots__ = ()

    def feed(self, text: str) -> str:
        return text

    def close(self) -> str:
        return ""
