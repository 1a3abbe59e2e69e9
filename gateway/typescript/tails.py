"""Members as most of them are written, each read from two tokens: its name, and a tail.

A tail is all that stands behind the name, up to the end of the member, where the type is plain: `?: string;`,
`: Place[];` or `: "open" | "paid";`. Keywords and texts even have their schema as soon as they are read.
"""

from collections.abc import Callable
from itertools import permutations
from typing import cast

from msgspec import Struct

from gateway.typescript.budget import CHARACTERS_PER_PART
from gateway.typescript.cursor import is_name
from gateway.typescript.kinds import CONSTANTS, KEYWORDS, SCHEMAS
from gateway.typescript.refusals import OPERATORS
from gateway.typescript.syntax import Array, Keyword, KeywordName, Literal, Made, Reference, Type, Union

BEGINNINGS = frozenset({": ", "?:"})
"""Of tails, and of no other tokens."""
ENDS = frozenset({";", ","})
MAX_DIGITS = 15
"""How long a number may be to be exact in any case."""

MADE = {
    " | ".join(names): Made({"type": list(names)}, size=count, steps=1 + 2 * count)
    for count in (2, 3, 4)
    for names in permutations(("boolean", "null", "number", "string"), count)
}


class Tail(Struct, frozen=True, eq=False):
    optional: bool
    type: Type
    made: Made | None = None


COMMON = {
    f"{mark}: {name}{end}": Tail(bool(mark), Keyword(0, name), Made(SCHEMAS[name]))
    for name in ("any", "boolean", "number", "string", "unknown")
    for mark in ("", "?")
    for end in ("", *ENDS)
}


def tail(text: str, at: int, mention: Callable[[int, str], None]) -> Tail | None:
    """What a tail says; None if its type is not plain after all. Calls ``mention`` for names of types."""
    optional = text[0] == "?"
    text = text[3 if optional else 2 : -1 if text[-1] in ENDS else None]
    if text[0] == '"':
        return _texts(text[1:-1].split('" | "'), optional, at)
    if " " not in text:
        type_ = _word(text, at, mention)
        return None if type_ is None else Tail(optional, type_)
    parts = [part for word in text.split(" | ") if (part := _word(word, at, mention))]
    whole = len(parts) == text.count("|") + 1
    return Tail(optional, Union(at, tuple(parts)), MADE.get(text)) if whole else None


def _texts(values: list[str], optional: bool, at: int) -> Tail | None:
    count = len(values)
    size = count + len("".join(values)) // CHARACTERS_PER_PART
    if count == 1:
        return Tail(optional, Literal(at, values[0]), Made({"type": "string", "const": values[0]}, size, size))
    if len(set(values)) < count:
        return None
    made = Made({"type": "string", "enum": values}, size, steps=size + 1 + count)
    return Tail(optional, Union(at, tuple([Literal(at, value) for value in values])), made)


def _word(text: str, at: int, mention: Callable[[int, str], None]) -> Type | None:
    """A name, a constant or a whole number, perhaps with ``[]``."""
    name = text[:-2] if text[-1] == "]" else text
    part: Type
    if name in KEYWORDS:
        part = Keyword(at, cast(KeywordName, name))
    elif name in CONSTANTS:
        part = Literal(at, CONSTANTS[name])
    elif name.isdecimal() and len(name) <= MAX_DIGITS:
        part = Literal(at, int(name))
    elif name in OPERATORS or not is_name(name):
        return None
    else:
        mention(at, name)
        part = Reference(at, name)
    return part if name is text else Array(at, part)
