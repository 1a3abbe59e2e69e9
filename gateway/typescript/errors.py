"""What is wrong with a schema, and where."""

from collections.abc import Iterable
from difflib import get_close_matches
from itertools import islice
from typing import Literal

Param = Literal["schema", "type_name"]


class TypeScriptError(Exception):
    """The text is not of the subset, or has no such type.

    ``message`` says what is wrong and what would be right, ``line`` and ``column`` count from 1 (columns in
    characters) and are None where the complaint is about no place in the text. ``param`` is the field of the request
    to blame. ``str()`` is the whole sentence with the place in front.
    """

    def __init__(self, message: str, line: int | None, column: int | None, param: Param) -> None:
        super().__init__(message if line is None else f"line {line}, column {column}: {message}")
        self.message = message
        self.line = line
        self.column = column
        self.param = param


def shown(text: str) -> str:
    """What was written, as far as a message should repeat it: short, and harmless in a log."""
    short = text if len(text) <= 48 else text[:48] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]


def listed(names: Iterable[str]) -> str:
    """A few names for a message."""
    some = list(islice(names, 9))
    return ", ".join(map(shown, some[:8])) + (", ..." if len(some) > 8 else "")


def meant(word: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?``, or nothing. Bounded, since comparing is slow."""
    found = get_close_matches(word, list(islice(known, 200)), n=1) if len(word) <= 48 else []
    return f"; did you mean '{shown(found[0])}'?" if found else ""
