"""What is said of a constraint that cannot be kept, and of an answer that does not keep it."""

from collections.abc import Sequence

import msgspec
from msgspec import Struct

SHOWN = 60
"""Characters of a value that a message repeats."""

to_json = msgspec.json.Encoder().encode


class ConstraintError(Exception):
    """The constraint itself is wrong. The message says how, and is fit for the caller's eyes."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


class Verdict(Struct, frozen=True):
    """An answer's text, freed of what surrounds it where that sufficed, and why it does not keep the constraint: None
    if it does. ``path`` is the JSON pointer to the first violation, where the text is JSON that breaks a schema."""

    text: str
    problem: str | None = None
    path: str | None = None


class Problem(Struct, frozen=True):
    """What is wrong with a JSON value, in words that name the place, and the place by itself as a JSON pointer."""

    words: str
    path: str | None = None


def shown(value: object) -> str:
    """A value as JSON, short enough to be repeated."""
    try:
        text = to_json(value).decode()
    except (TypeError, ValueError, OverflowError, RecursionError):
        text = type(value).__name__
    return cut(text)


def cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def place(path: Sequence[str | int]) -> str:
    """``at /a/0: ``, a JSON pointer; nothing at the top."""
    return f"at {cut(pointer(path))}: " if path else ""


def pointer(path: Sequence[str | int]) -> str:
    """https://www.rfc-editor.org/rfc/rfc6901"""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)
