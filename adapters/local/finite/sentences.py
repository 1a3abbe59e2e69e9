"""Finite grammars: what a sentence is made of, and how long it can get."""

from collections.abc import Iterable

from msgspec import Struct

Ranges = tuple[tuple[int, int], ...]
"""Characters by their numbers: the first and the last of each range, in order."""


class Literal(Struct, frozen=True, eq=False):
    """This text. ``longest``, here and below, counts the bytes of the longest sentence: a token is at least one."""

    text: str
    longest: int


class Chars(Struct, frozen=True, eq=False):
    """One character of these."""

    ranges: Ranges
    longest: int


class Sequence(Struct, frozen=True, eq=False):
    """One after the other."""

    parts: tuple["Sentence", ...]
    longest: int


class Choice(Struct, frozen=True, eq=False):
    """One of these."""

    options: tuple["Sentence", ...]
    longest: int


class Repeat(Struct, frozen=True, eq=False):
    """The part, so many times."""

    part: "Sentence"
    least: int
    most: int
    longest: int


Sentence = Literal | Chars | Sequence | Choice | Repeat

EMPTY = Literal("", 0)

SHORT = 200
"""Bytes of a text that is made of others. Without an end it would double with each level of what is used twice."""


def literal(text: str) -> Literal:
    return Literal(text, len(text.encode()))


def chars(ranges: Ranges) -> Chars:
    return Chars(ranges, len(chr(ranges[-1][1]).encode()))


def sequence(*parts: Sentence) -> Sentence:
    """Short texts that stand beside each other become one."""
    made: list[Sentence] = []
    for part in parts:
        last = made[-1] if made else None
        if isinstance(part, Literal) and isinstance(last, Literal) and part.longest + last.longest <= SHORT:
            made[-1] = Literal(last.text + part.text, last.longest + part.longest)
        elif part is not EMPTY:
            made.append(part)
    if len(made) == 1:
        return made[0]
    return Sequence(tuple(made), sum([part.longest for part in made])) if made else EMPTY


def choice(options: Iterable[Sentence]) -> Sentence | None:
    """None where there is nothing to choose from."""
    made = tuple(options)
    if len(made) < 2:
        return made[0] if made else None
    return Choice(made, max([option.longest for option in made]))


def repeat(part: Sentence, least: int, most: int) -> Sentence:
    if not most or not part.longest:
        return EMPTY
    if isinstance(part, Repeat) and not part.least:  # one loop within another, each of which may be empty
        return repeat(part.part, 0, part.most * most)
    return part if least == most == 1 else Repeat(part, least, most, part.longest * most)


def optional(part: Sentence) -> Sentence:
    return repeat(part, 0, 1)


def inner(sentence: Sentence) -> tuple[Sentence, ...]:
    match sentence:
        case Sequence():
            return sentence.parts
        case Choice():
            return sentence.options
        case Repeat():
            return (sentence.part,)
    return ()
