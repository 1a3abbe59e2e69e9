"""Regular expressions, read so that they can be written in another's words.

The common part of the dialects of Python and of the constrained decoders: literals, classes, groups, alternatives and
repetitions. What a context-free grammar cannot say, look-around and back references, is refused by name.
"""

import re
from typing import ClassVar

from msgspec import Struct

from adapters.errors import Rejected, inexpressible

LARGEST = 2000
"""Characters that a bounded repetition may come to: llama.cpp writes them out one by one."""

CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}

HEX = {"x": 2, "u": 4, "U": 8}
"""How many digits follow a letter that stands for a character by its number."""

AHEAD = ("(?=", "(?!", "(?<=", "(?<!")
PLAIN_GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z_]\w*>)?")
BOUNDS = re.compile(r"\{(\d*)(,?)(\d*)\}")


class Part(Struct, frozen=True):
    """A piece of what is written, and how many characters it may come to if it is written out."""

    text: str
    size: int = 1


def written(char: str, special: str) -> str:
    """A character of a literal or of a class; by its number where it could mean something or not be seen."""
    if char.isprintable() and char not in special:
        return char
    code = ord(char)
    return f"\\x{code:02X}" if code < 0x80 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def in_class(char: str) -> str:
    return written(char, '[]\\^-"')


class Reader:
    """Reads one pattern from left to right, writing what it means. Relatives say in which words."""

    either: ClassVar[str]
    """What stands between alternatives."""
    beside: ClassVar[str]
    """What stands between the parts of a sequence."""
    nothing: ClassVar[str]
    """The empty sequence."""
    anything: ClassVar[str]
    """One character, whichever it is."""
    shorthand: ClassVar[dict[str, str]]
    """The insides of the classes that a letter stands for."""

    def __init__(self, pattern: str, param: str) -> None:
        self._pattern = pattern
        self._param = param
        self._at = 0
        self._depth = 0

    def literal(self, char: str) -> str:
        """One character that stands for itself."""
        raise NotImplementedError

    def span(self, first: str, last: str) -> str:
        """A range of a class, or one member of it."""
        raise NotImplementedError

    def of_class(self, inside: str, negated: bool) -> str:
        """A class with these insides."""
        return f"[{'^' if negated else ''}{inside}]"

    def framed(self, text: str, begins: bool, ends: bool) -> str:
        """An outermost alternative; whether anchors stand at its ends."""
        return text

    def whole(self) -> str:
        part = self._alternatives()
        if self._at < len(self._pattern):
            raise self.refusal("a bracket is closed that was not opened")
        return part.text

    def refusal(self, why: str) -> Rejected:
        return inexpressible(self._param, f"this regular expression cannot be sent to this engine: {why}")

    def _next(self, text: str) -> bool:
        """Passes over a text if it comes next."""
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _take(self) -> str:
        if self._at == len(self._pattern):
            raise self.refusal("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _alternatives(self) -> Part:
        parts = [self._sequence()]
        while self._next("|"):
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        return Part(f"({self.either.join([part.text for part in parts])})", max([part.size for part in parts]))

    def _sequence(self) -> Part:
        parts: list[Part] = []
        begins = not self._depth and (self._next("^") or self._next("\\A"))
        ends = False
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            ends = self._ended()
            if ends:
                break
            parts.append(self._repeated(self._atom()))
        text = self.beside.join([part.text for part in parts]) or self.nothing
        return Part(text if self._depth else self.framed(text, begins, ends), sum([part.size for part in parts]))

    def _ended(self) -> bool:
        """Whether an anchor stands here, at the end of an outermost alternative; anywhere else it is refused."""
        for anchor in ("$", "\\Z", "\\z"):
            if self._next(anchor):
                if self._depth or self._pattern[self._at : self._at + 1] not in ("", "|"):
                    raise self.refusal("anchors can stand at its ends only")
                return True
        return False

    def _atom(self) -> Part:
        if self._pattern[self._at] == "(":
            return self._group()
        char = self._take()
        if char == "[":
            return self._class()
        if char == ".":
            return Part(self.anything)
        if char == "^":
            raise self.refusal("anchors can stand at its ends only")
        if char in "*+?":
            raise self.refusal(f"there is nothing to repeat before {char}")
        if char == "\\":
            return self._escape()
        return Part(self.literal(char))

    def _group(self) -> Part:
        if self._pattern.startswith(AHEAD, self._at):
            raise self.refusal("it has look-around")
        if self._pattern.startswith("(?P=", self._at):
            raise self.refusal("it has a back reference")
        opening = PLAIN_GROUP.match(self._pattern, self._at)
        assert opening is not None
        self._at = opening.end()
        if self._pattern.startswith("?", self._at):
            raise self.refusal("it has a group with flags or conditions")
        self._depth += 1
        if self._depth > 50:
            raise self.refusal("its groups are nested more than 50 deep")
        part = self._alternatives()
        if not self._next(")"):
            raise self.refusal("a bracket is not closed")
        self._depth -= 1
        return Part(f"({part.text})", part.size)

    def _escape(self) -> Part:
        letter = self._take()
        if letter.lower() in self.shorthand:
            return Part(self.of_class(self.shorthand[letter.lower()], letter.isupper()))
        return Part(self.literal(self._character(letter)))

    def _character(self, letter: str) -> str:
        """The character that an escape stands for."""
        if letter in CONTROL:
            return CONTROL[letter]
        if letter in HEX:
            digits = self._pattern[self._at : self._at + HEX[letter]]
            if not re.fullmatch(f"[0-9A-Fa-f]{{{HEX[letter]}}}", digits) or int(digits, 16) > 0x10FFFF:
                raise self.refusal(f"\\{letter} is followed by {HEX[letter]} hexadecimal digits")
            self._at += HEX[letter]
            return chr(int(digits, 16))
        if letter.isdigit():
            raise self.refusal("it has a back reference")
        if letter.isalpha():
            raise self.refusal(f"it has \\{letter}")
        return letter

    def _class(self) -> Part:
        negated, inside = self._next("^"), ""
        first = True
        while first or not self._next("]"):
            inside += self._range()
            first = False
        return Part(self.of_class(inside, negated))

    def _range(self) -> str:
        """One member of a class, or a range."""
        char = self._take()
        if char == "\\":
            char = self._take()
            if char in self.shorthand:
                return self.shorthand[char]
            char = "\b" if char == "b" else self._character(char)
        if self._pattern.startswith("-", self._at) and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
            self._at += 1
            last = self._take()
            if last == "\\":
                last = self._character(self._take())
            if last < char:
                raise self.refusal("a class has a range whose end comes before its beginning")
            return self.span(char, last)
        return self.span(char, char)

    def _repeated(self, part: Part) -> Part:
        """The part with the repetition that follows it, if one does."""
        for sign in "*+?":
            if self._next(sign):
                return self._ungreedy(Part(part.text + sign, part.size))
        found = BOUNDS.match(self._pattern, self._at)
        if found is None or not (found[1] or found[2] and found[3]):
            return part  # what looks like a repetition and is none stands for itself
        self._at = found.end()
        least = int(found[1] or 0)
        most = least if not found[2] else int(found[3]) if found[3] else None
        if most is not None and most < least:
            raise self.refusal("a repetition's upper bound is below its lower one")
        size = part.size * max(least, most or 1)
        if size > LARGEST:
            raise self.refusal(f"its repetitions come to more than {LARGEST} characters")
        bounds = f"{least}" if most == least else f"{least},{'' if most is None else most}"
        return self._ungreedy(Part(f"{part.text}{{{bounds}}}", size))

    def _ungreedy(self, part: Part) -> Part:
        """How much a repetition takes first changes nothing in what matches; that it gives nothing back does."""
        if self._next("+"):
            raise self.refusal("it has a possessive repetition")
        self._next("?")
        if self._pattern[self._at : self._at + 1] in ("*", "+", "?"):
            raise self.refusal("a repetition is repeated: put the inner one in brackets")
        return part
