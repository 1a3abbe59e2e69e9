"""Regular expressions as finite grammars of what stands between the quotes of a JSON string.

They are read in what ECMAScript, Rust and Python have in common. Whatever cannot be read so gives None: anchors within,
look-around, back references, flags. A sentence matches the whole expression, so a search for it finds it, too.
"""

import re
from bisect import bisect_left

import msgspec
from msgspec import Struct

from adapters.local.finite.sentences import Ranges, Sentence, chars, choice, literal, repeat, sequence

MAX_PATTERN = 2000
MAX_GROUPS = 40
MAX_COUNT = 1000
MAX_LENGTH = 4000
"""Characters that an expression may come to."""

LAST = 0x10FFFF
DIGITS: Ranges = ((48, 57),)
WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
SPACE: Ranges = ((9, 13), (32, 32))
SHORTHAND = {"d": DIGITS, "w": WORD, "s": SPACE}
CATEGORIES: dict[str, Ranges] = {
    "L": ((65, 90), (97, 122)),
    "Lu": ((65, 90),),
    "Ll": ((97, 122),),
    "N": DIGITS,
    "Nd": DIGITS,
}
CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
HEX = {"x": 2, "u": 4}

PLAIN: Ranges = ((0x20, 0x21), (0x23, 0x5B), (0x5D, 0x7E))
"""Characters that stand for themselves in JSON, and that the model knows."""
WORDING: Ranges = ((0x20, 0x21), (0x23, 0x5A), (0x5E, 0x7A), (0x7C, 0x7C), (0x7E, 0x7E))
"""The same without brackets: the model takes those for the end of the whole."""
FOREIGN: Ranges = ((0xA1, 0x2FF), (0x370, 0x1FFF), (0x3000, 0xD7FF), (0xF900, 0xFDCF), (0x10000, 0x1FFFD))

GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z_]\w*>)?")
COUNTS = re.compile(r"\{(\d{1,6})(?:(,)(\d{0,6}))?\}")


class One(Struct, frozen=True):
    """One character of these."""

    ranges: Ranges


class Row(Struct, frozen=True):
    """One after the other."""

    parts: tuple["Part", ...]


class Fork(Struct, frozen=True):
    """One of these."""

    options: tuple["Part", ...]


class Loop(Struct, frozen=True):
    """The part again and again; without an end where ``most`` is None."""

    part: "Part"
    least: int
    most: int | None


Part = One | Row | Fork | Loop

ANYTHING = Loop(One(WORDING), 0, None)


class Unreadable(Exception):
    """The expression holds what is not read here."""


def expression(pattern: str, shortest: int, longest: int | None, freedom: int) -> Sentence | None:
    """Texts that match, of so many characters. ``freedom`` is how often what has no end is repeated
    beyond what it must. None where there is none that is certain."""
    try:
        part = _Reader(pattern).whole()
    except Unreadable:
        return None
    return within(part, shortest, longest, freedom)


def within(part: Part, shortest: int, longest: int | None, freedom: int) -> Sentence | None:
    """Repetitions are lengthened together until the shortest text is long enough, then bounded until the longest is
    short enough."""
    more = bisect_left(range(shortest + 1), True, key=lambda count: length(part, count, shorter=True) >= shortest)
    if length(part, more, shorter=True) < shortest:
        return None
    limit = MAX_LENGTH if longest is None else min(longest, MAX_LENGTH)
    room = range(more, max(more, freedom) + 1)
    fits = bisect_left(room, True, key=lambda count: length(part, count, shorter=False) > limit)
    return None if fits == 0 else built(part, more, more + fits - 1)


def length(part: Part, extra: int, shorter: bool) -> int:
    """Of the shortest or of the longest text, when repetitions have so many more than they must."""
    match part:
        case One():
            return 1
        case Row():
            return sum([length(one, extra, shorter) for one in part.parts])
        case Fork():
            return (min if shorter else max)([length(one, extra, shorter) for one in part.options])
        case Loop():
            return count(part, extra) * length(part.part, extra, shorter)


def count(loop: Loop, extra: int) -> int:
    return loop.least + extra if loop.most is None else min(loop.least + extra, loop.most)


def built(part: Part, more: int, most: int) -> Sentence | None:
    match part:
        case One():
            return in_string(part.ranges)
        case Row():
            parts = [built(one, more, most) for one in part.parts]
            known = [one for one in parts if one is not None]
            return sequence(*known) if len(known) == len(parts) else None
        case Fork():
            found = [built(one, more, most) for one in part.options]
            return choice([one for one in found if one is not None])
        case Loop():
            inner = built(part.part, more, most)
            if inner is None:
                return None if part.least else literal("")
            return repeat(inner, count(part, more), count(part, most))


def in_string(ranges: Ranges) -> Sentence | None:
    """Characters as JSON: those that need no escape, where there are any."""
    if len(ranges) == 1 and ranges[0][0] == ranges[0][1]:
        return escaped(ranges[0][0])
    for wanted in (PLAIN, FOREIGN):
        found = shared(ranges, wanted)
        if found:
            return chars(found)
    return escaped(ranges[0][0]) if ranges else None


def escaped(code: int) -> Sentence | None:
    return None if 0xD800 <= code <= 0xDFFF else literal(msgspec.json.encode(chr(code))[1:-1].decode())


def shared(these: Ranges, those: Ranges) -> Ranges:
    """What is in both."""
    return tuple(
        [
            (max(first, begin), min(last, end))
            for first, last in these
            for begin, end in those
            if max(first, begin) <= min(last, end)
        ]
    )


def ordered(ranges: list[tuple[int, int]]) -> Ranges:
    """The same without overlaps, in order."""
    made: list[tuple[int, int]] = []
    for first, last in sorted(ranges):
        if made and first <= made[-1][1] + 1:
            made[-1] = (made[-1][0], max(made[-1][1], last))
        else:
            made.append((first, last))
    return tuple(made)


def others(ranges: Ranges) -> Ranges:
    """All other characters."""
    made = []
    begin = 0
    for first, last in ranges:
        if begin < first:
            made.append((begin, first - 1))
        begin = last + 1
    return tuple(made) if begin > LAST else (*made, (begin, LAST))


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise Unreadable
        self._pattern = pattern
        self._at = 0
        self._depth = 0

    def whole(self) -> Part:
        part = self._alternatives()
        if self._at < len(self._pattern):
            raise Unreadable
        return part

    def _next(self, text: str) -> bool:
        """Passes over a text if it comes next."""
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _take(self) -> str:
        if self._at >= len(self._pattern):
            raise Unreadable
        self._at += 1
        return self._pattern[self._at - 1]

    def _ends(self) -> bool:
        return self._at == len(self._pattern) or self._pattern[self._at] in "|)"

    def _alternatives(self) -> Part:
        options = [self._sequence()]
        while self._next("|"):
            options.append(self._sequence())
        return options[0] if len(options) == 1 else Fork(tuple(options))

    def _sequence(self) -> Part:
        """Where no anchor stands at its end, more may follow."""
        parts: list[Part] = []
        begins = not self._depth and self._next("^")
        while not self._ends():
            if not self._depth and self._next("$"):
                if not self._ends():
                    raise Unreadable
                return Row(tuple(parts)) if begins else Row((ANYTHING, *parts))
            parts.append(self._repeated(self._atom()))
        return Row(tuple(parts)) if self._depth else Row((*parts, ANYTHING))

    def _atom(self) -> Part:
        char = self._take()
        if char == "(":
            return self._group()
        if char == "[":
            return One(self._class())
        if char == ".":
            return One(WORDING)
        if char == "\\":
            return One(self._escape(within_class=False))
        if char in "^$*+?{}]":
            raise Unreadable
        return One(((ord(char), ord(char)),))

    def _group(self) -> Part:
        opening = GROUP.match(self._pattern, self._at - 1)
        assert opening is not None
        self._at = opening.end()
        self._depth += 1
        if self._depth > MAX_GROUPS or self._pattern.startswith("?", self._at):
            raise Unreadable
        part = self._alternatives()
        if not self._next(")"):
            raise Unreadable
        self._depth -= 1
        return part

    def _escape(self, within_class: bool) -> Ranges:
        letter = self._take()
        if letter.lower() in SHORTHAND:
            found = SHORTHAND[letter.lower()]
            # What is no digit of ASCII may be a digit elsewhere.
            return shared(others(found), PLAIN) if letter.isupper() else found
        if letter == "p":
            return self._category()
        if letter in CONTROL and not (letter == "0" and self._pattern[self._at : self._at + 1].isdigit()):
            code = ord(CONTROL[letter])
        elif letter in HEX:
            digits = self._pattern[self._at : self._at + HEX[letter]]
            if not re.fullmatch(f"[0-9A-Fa-f]{{{HEX[letter]}}}", digits):
                raise Unreadable
            self._at += HEX[letter]
            code = int(digits, 16)
        elif within_class and letter == "b":
            code = 8
        elif letter.isalnum():
            raise Unreadable
        else:
            code = ord(letter)
        return ((code, code),)

    def _category(self) -> Ranges:
        end = self._pattern.find("}", self._at)
        name = self._pattern[self._at + 1 : end]
        if not self._next("{") or name not in CATEGORIES:
            raise Unreadable
        self._at = end + 1
        return CATEGORIES[name]

    def _class(self) -> Ranges:
        negated = self._next("^")
        found: list[tuple[int, int]] = []
        while not self._next("]"):
            found.extend(self._range())
        made = ordered(found)
        return shared(others(made), PLAIN) or others(made) if negated else made

    def _range(self) -> Ranges:
        """One member of a class, or a range."""
        first = self._member()
        if self._pattern[self._at : self._at + 1] != "-" or self._pattern[self._at + 1 : self._at + 2] in ("]", ""):
            return first
        self._at += 1
        last = self._member()
        if len(first) > 1 or len(last) > 1 or first[0][0] > last[0][1] or first[0][0] != first[0][1]:
            raise Unreadable
        return ((first[0][0], last[0][1]),)

    def _member(self) -> Ranges:
        char = self._take()
        if char == "\\":
            return self._escape(within_class=True)
        if char == "[" or char in "&~-" and self._pattern.startswith(char, self._at):
            raise Unreadable  # the set operations of some dialects
        return ((ord(char), ord(char)),)

    def _repeated(self, part: Part) -> Part:
        """The part with the repetition that follows it, if one does."""
        if self._next("*"):
            made = Loop(part, 0, None)
        elif self._next("+"):
            made = Loop(part, 1, None)
        elif self._next("?"):
            made = Loop(part, 0, 1)
        else:
            found = COUNTS.match(self._pattern, self._at)
            if found is None:
                return part
            self._at = found.end()
            least = int(found[1])
            most = least if not found[2] else int(found[3]) if found[3] else None
            if least > MAX_COUNT or most is not None and most < least:
                raise Unreadable
            made = Loop(part, least, most)
        self._next("?")
        if self._pattern[self._at : self._at + 1] in ("*", "+", "?", "{"):
            raise Unreadable
        return made
