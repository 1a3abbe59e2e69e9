"""Regular expressions and choices as llama.cpp's grammars. https://github.com/ggml-org/llama.cpp/blob/master/grammars

The whole answer matches, so anchors at the ends say nothing and are left out.
"""

import re

from adapters.regex import Reader, in_class, written

SHORTHAND = {"d": "0-9", "w": "a-zA-Z0-9_", "s": " \\t\\n\\r\\x0C\\x0B"}


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
    return Rule(pattern, param).whole()


def quoted(text: str) -> str:
    """A literal."""
    return '"' + "".join([written(char, '"\\') for char in text]) + '"'


class Rule(Reader):
    """Writes the right side of a rule."""

    either, beside, nothing, anything = " | ", " ", '""', "[^\\n]"
    shorthand = SHORTHAND

    def literal(self, char: str) -> str:
        return quoted(char)

    def span(self, first: str, last: str) -> str:
        return in_class(first) if first == last else f"{in_class(first)}-{in_class(last)}"
