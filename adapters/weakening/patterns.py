"""Regular expressions of JSON Schema, as targets want them."""

from adapters.errors import Rejected
from adapters.regex import Reader, in_class, written
from adapters.weakening.table import Knows

SPECIAL = r"\^$.|?*+()[]{}"
"""Characters that mean something outside of a class."""

ESCAPED = ('"', "\\")
"""What JSON escapes in a text, beside what comes before the space."""


def pattern_of(pattern: str, knows: Knows) -> str | None:
    """A pattern in the target's words; None if it has none for it."""
    if not pattern or knows.patterns is None:
        return None
    try:
        plain = Plain(pattern, "pattern")
        whole = plain.whole()
        if knows.patterns in ("whole", "unescaped"):
            unescaped = Unescaped(pattern, "pattern").whole()
            whole = unescaped if knows.patterns == "unescaped" else whole
    except Rejected:
        return None
    if knows.patterns == "as written" or (knows.patterns == "whole" and plain.is_whole):
        return pattern
    return None if not whole else whole if knows.patterns == "bare" else f"^{whole}$"


class Plain(Reader):
    """Writes what a whole text matches that holds a match of the pattern. ``is_whole``: whether that is the pattern."""

    either, beside, nothing, anything = "|", "", "", "."
    shorthand = {"d": "0-9", "w": "a-zA-Z0-9_", "s": r" \t\n\r\f\v"}

    is_whole = True

    def literal(self, char: str) -> str:
        return f"\\{char}" if char in SPECIAL else written(char, "")

    def span(self, first: str, last: str) -> str:
        ends = [f"\\{char}" if char in r"\^-[]" else written(char, "") for char in (first, last)]
        return ends[0] if first == last else "-".join(ends)

    def framed(self, text: str, begins: bool, ends: bool) -> str:
        self.is_whole &= begins and ends
        return ("" if begins else f"{self.anything}*") + text + ("" if ends else f"{self.anything}*")


class Unescaped(Plain):
    """The same for texts without a character that JSON escapes: some decoders match what is written between the quotes,
    so that a quote within it would end the text. Single characters that mean something stand in a class: llama.cpp
    takes those before them for a part of what is repeated."""

    anything = r'[^"\\\x00-\x1F]'
    shorthand = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " "}

    def literal(self, char: str) -> str:
        is_plain = char.isascii() and char.isprintable() and char not in SPECIAL and char not in ESCAPED
        return char if is_plain else self.of_class(self.span(char, char), False)

    def span(self, first: str, last: str) -> str:
        spans = [(in_class(one), in_class(other)) for one, other in without_escaped(first, last)]
        return "".join([one if one == other else f"{one}-{other}" for one, other in spans])

    def of_class(self, inside: str, negated: bool) -> str:
        if negated:
            return f'[^"\\\\\\x00-\\x1F{inside}]'
        if not inside:
            raise self.refusal("JSON escapes its characters")
        return f"[{inside}]"


def without_escaped(first: str, last: str) -> list[tuple[str, str]]:
    """A range without the characters that JSON escapes."""
    found = []
    first = max(first, " ")
    for char in ESCAPED:
        if first <= char <= last:
            if first < char:
                found.append((first, chr(ord(char) - 1)))
            first = chr(ord(char) + 1)
    return [*found, (first, last)] if first <= last else found
