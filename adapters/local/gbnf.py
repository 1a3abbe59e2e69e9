"""Regular expressions and choices as llama.cpp's grammars. https://github.com/ggml-org/llama.cpp/blob/master/grammars

The common part of the dialects of Python and of the constrained decoders: literals, classes, groups, alternatives and
repetitions. The whole answer matches, so anchors at the ends say nothing and are left out. What a context-free grammar
cannot say, look-around and back references, is refused by name.
"""

import re

from msgspec import Struct

from adapters.errors import Rejected, inexpressible

LARGEST = 2000
"""Characters that a bounded repetition may come to: llama.cpp writes them out one by one."""

SHORTHAND = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\r\\x0C\\x0B"}
"""The insides of the classes that a letter stands for."""

CONTROL = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a", "0": "\0"}

HEX = {"x": 2, "u": 4, "U": 8}
"""How many digits follow a letter that stands for a character by its number."""

AHEAD = ("(?=", "(?!", "(?<=", "(?<!")
PLAIN_GROUP = re.compile(r"\((?:\?:|\?P?<[A-Za-z_]\w*>)?")
BOUNDS = re.compile(r"\{(\d*)(,?)(\d*)\}")


class Part(Struct, frozen=True):
    """A piece of a grammar, and how many characters it may come to if it is written out."""

    text: str
    size: int = 1


def from_regex(pattern: str) -> str:
    """A grammar whose sentences match the whole pattern. Raises ``Rejected`` for what it has no words for."""
    return f"root ::= {expression(pattern, 'guided_regex')}"


def from_choices(choices: tuple[str, ...]) -> str:
    """A grammar of these texts."""
    return "root ::= " + " | ".join([quoted(choice) for choice in choices])


def one_of_pattern(choices: tuple[str, ...]) -> str:
    """A regular expression that matches these texts and no other."""
    return "(" + "|".join([escaped(choice) for choice in choices]) + ")"


def escaped(text: str) -> str:
    """A text as a regular expression. Only what has a meaning is escaped: not all engines know Python's escapes of
    what has none."""
    return re.sub(r"[\\^$.|?*+()\[\]{}]", lambda found: "\\" + found[0], text)


def expression(pattern: str, param: str) -> str:
    """A regular expression as the right side of a rule. ``param`` is what a refusal names."""
    return Reader(pattern, param).whole()


def quoted(text: str) -> str:
    """A literal."""
    return '"' + "".join([written(char, '"\\') for char in text]) + '"'


def written(char: str, special: str) -> str:
    """A character of a literal or of a class; by its number where it could mean something or not be seen."""
    if char.isprintable() and char not in special:
        return char
    code = ord(char)
    return f"\\x{code:02X}" if code < 0x80 else f"\\u{code:04X}" if code < 0x10000 else f"\\U{code:08X}"


def in_class(char: str) -> str:
    return written(char, '[]\\^-"')


class Reader:
    """Reads one pattern from left to right, writing what it means."""

    def __init__(self, pattern: str, param: str) -> None:
        self._pattern = pattern
        self._param = param
        self._at = 0
        self._depth = 0

    def whole(self) -> str:
        part = self._alternatives()
        if self._at < len(self._pattern):
            raise self._refusal("a bracket is closed that was not opened")
        return part.text

    def _refusal(self, why: str) -> Rejected:
        return inexpressible(self._param, f"this regular expression cannot be sent to llama.cpp: {why}")

    def _next(self, text: str) -> bool:
        """Passes over a text if it comes next."""
        found = self._pattern.startswith(text, self._at)
        self._at += len(text) if found else 0
        return found

    def _take(self) -> str:
        if self._at == len(self._pattern):
            raise self._refusal("it ends too early")
        self._at += 1
        return self._pattern[self._at - 1]

    def _alternatives(self) -> Part:
        parts = [self._sequence()]
        while self._next("|"):
            parts.append(self._sequence())
        if len(parts) == 1:
            return parts[0]
        return Part("(" + " | ".join([part.text for part in parts]) + ")", max([part.size for part in parts]))

    def _sequence(self) -> Part:
        parts: list[Part] = []
        if not self._depth:
            _ = self._next("^") or self._next("\\A")
        while self._at < len(self._pattern) and self._pattern[self._at] not in "|)":
            if self._ended():
                break
            parts.append(self._repeated(self._atom()))
        return Part(" ".join([part.text for part in parts]) or '""', sum([part.size for part in parts]))

    def _ended(self) -> bool:
        """Whether an anchor stands here, at the end of an outermost alternative; anywhere else it is refused."""
        for anchor in ("$", "\\Z", "\\z"):
            if self._next(anchor):
                if self._depth or self._pattern[self._at : self._at + 1] not in ("", "|"):
                    raise self._refusal("anchors can stand at its ends only")
                return True
        return False

    def _atom(self) -> Part:
        if self._pattern[self._at] == "(":
            return self._group()
        char = self._take()
        if char == "[":
            return self._class()
        if char == ".":
            return Part("[^\\n]")
        if char == "^":
            raise self._refusal("anchors can stand at its ends only")
        if char in "*+?":
            raise self._refusal(f"there is nothing to repeat before {char}")
        if char == "\\":
            return self._escape()
        return Part(quoted(char))

    def _group(self) -> Part:
        if self._pattern.startswith(AHEAD, self._at):
            raise self._refusal("it has look-around")
        if self._pattern.startswith("(?P=", self._at):
            raise self._refusal("it has a back reference")
        opening = PLAIN_GROUP.match(self._pattern, self._at)
        assert opening is not None
        self._at = opening.end()
        if self._pattern.startswith("?", self._at):
            raise self._refusal("it has a group with flags or conditions")
        self._depth += 1
        if self._depth > 50:
            raise self._refusal("its groups are nested more than 50 deep")
        part = self._alternatives()
        if not self._next(")"):
            raise self._refusal("a bracket is not closed")
        self._depth -= 1
        return Part(f"({part.text})", part.size)

    def _escape(self) -> Part:
        letter = self._take()
        if letter.lower() in SHORTHAND:
            return Part(f"[{'^' if letter.isupper() else ''}{SHORTHAND[letter.lower()]}]")
        return Part(quoted(self._character(letter)))

    def _character(self, letter: str) -> str:
        """The character that an escape stands for."""
        if letter in CONTROL:
            return CONTROL[letter]
        if letter in HEX:
            digits = self._pattern[self._at : self._at + HEX[letter]]
            if not re.fullmatch(f"[0-9A-Fa-f]{{{HEX[letter]}}}", digits) or int(digits, 16) > 0x10FFFF:
                raise self._refusal(f"\\{letter} is followed by {HEX[letter]} hexadecimal digits")
            self._at += HEX[letter]
            return chr(int(digits, 16))
        if letter.isdigit():
            raise self._refusal("it has a back reference")
        if letter.isalpha():
            raise self._refusal(f"it has \\{letter}")
        return letter

    def _class(self) -> Part:
        inside = "^" if self._next("^") else ""
        first = True
        while first or not self._next("]"):
            inside += self._range()
            first = False
        return Part(f"[{inside}]")

    def _range(self) -> str:
        """One member of a class, or a range."""
        char = self._take()
        if char == "\\":
            char = self._take()
            if char in SHORTHAND:
                return SHORTHAND[char]
            char = "\b" if char == "b" else self._character(char)
        if self._pattern.startswith("-", self._at) and self._pattern[self._at + 1 : self._at + 2] not in ("]", ""):
            self._at += 1
            last = self._take()
            if last == "\\":
                last = self._character(self._take())
            if last < char:
                raise self._refusal("a class has a range whose end comes before its beginning")
            return f"{in_class(char)}-{in_class(last)}"
        return in_class(char)

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
            raise self._refusal("a repetition's upper bound is below its lower one")
        size = part.size * max(least, most or 1)
        if size > LARGEST:
            raise self._refusal(f"its repetitions come to more than {LARGEST} characters")
        bounds = f"{least}" if most == least else f"{least},{'' if most is None else most}"
        return self._ungreedy(Part(f"{part.text}{{{bounds}}}", size))

    def _ungreedy(self, part: Part) -> Part:
        """How much a repetition takes first changes nothing in what matches; that it gives nothing back does."""
        if self._next("+"):
            raise self._refusal("it has a possessive repetition")
        self._next("?")
        if self._pattern[self._at : self._at + 1] in ("*", "+", "?"):
            raise self._refusal("a repetition is repeated: put the inner one in brackets")
        return part
