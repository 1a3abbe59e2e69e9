"""A pattern's beginnings, as a pattern: what a text may be that has not been finished.

Patterns are read by Python's own parser (``re._parser``), which is as old as ``re`` but not documented.

Of a concatenation AB the beginnings are those of A, or A and then one of B's; of a repetition, some whole ones and then
a beginning of one more. A long concatenation is halved, so that the result stays small and shallow.
"""

import re
import re._constants as sre  # type: ignore[import-not-found]
import re._parser as parser  # type: ignore[import-not-found]
from typing import Any

from gateway.constraints.patterns import whole_match
from gateway.constraints.problems import ConstraintError

Node = tuple[Any, Any]


def prefix_of(pattern: str, text: str) -> bool:
    """Whether a match of the whole pattern can begin with the text. What cannot be told is taken for granted."""
    try:
        tree = parser.parse(pattern)
        if tree.state.flags & ~re.UNICODE:
            return True
        return whole_match(beginning(list(tree)))(text)
    except (Unknown, ConstraintError, re.error, RecursionError):
        return True


class Unknown(Exception):
    """A piece of a pattern that is not read here."""


def beginning(nodes: list[Node]) -> str:
    if not nodes:
        return ""
    if len(nodes) == 1:
        return beginning_of(nodes[0])
    half = len(nodes) // 2
    first, rest = nodes[:half], nodes[half:]
    return f"(?:{beginning(first)}|{written(first)}{beginning(rest)})"


def beginning_of(node: Node) -> str:
    kind, value = node
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        _, most, inner = value
        if most == 0:
            return ""
        before = f"(?:{written(list(inner))})" + ("*" if most == sre.MAXREPEAT else f"{{0,{most - 1}}}")
        return f"{before}(?:{beginning(list(inner))})"
    if kind is sre.SUBPATTERN:
        return f"(?:{beginning(inside(value))})"
    if kind is sre.BRANCH:
        return "(?:" + "|".join(beginning(list(branch)) for branch in value[1]) + ")"
    if kind is sre.AT:
        return ""
    return f"(?:{written([node])})?"


def inside(group: Any) -> list[Node]:
    """What a group holds. Raises ``Unknown`` where it changes flags, such as ``(?i:yes)``: they would be lost."""
    _, added, removed, inner = group
    if added or removed:
        raise Unknown
    return list(inner)


def written(nodes: list[Node]) -> str:
    return "".join(map(written_one, nodes))


def written_one(node: Node) -> str:
    """A node as a pattern again, in the words that the linear engine shares with Python."""
    kind, value = node
    if kind is sre.LITERAL:
        return escaped(value)
    if kind is sre.NOT_LITERAL:
        return f"[^{escaped(value)}]"
    if kind is sre.ANY:
        return "."
    if kind is sre.IN:
        return "[" + "".join(map(member, value)) + "]"
    if kind in (sre.MAX_REPEAT, sre.MIN_REPEAT, sre.POSSESSIVE_REPEAT):
        least, most, inner = value
        return f"(?:{written(list(inner))})" + (f"{{{least},}}" if most == sre.MAXREPEAT else f"{{{least},{most}}}")
    if kind is sre.SUBPATTERN:
        return f"(?:{written(inside(value))})"
    if kind is sre.BRANCH:
        return "(?:" + "|".join(written(list(branch)) for branch in value[1]) + ")"
    if kind is sre.AT:
        return ""
    raise Unknown


CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\d",
    sre.CATEGORY_NOT_DIGIT: r"\D",
    sre.CATEGORY_SPACE: r"\s",
    sre.CATEGORY_NOT_SPACE: r"\S",
    sre.CATEGORY_WORD: r"\w",
    sre.CATEGORY_NOT_WORD: r"\W",
}


def member(node: Node) -> str:
    kind, value = node
    if kind is sre.NEGATE:
        return "^"
    if kind is sre.LITERAL:
        return escaped(value)
    if kind is sre.RANGE:
        return f"{escaped(value[0])}-{escaped(value[1])}"
    if kind is sre.CATEGORY and value in CATEGORIES:
        return CATEGORIES[value]
    raise Unknown


def escaped(code: int) -> str:
    """A character that means itself, inside and outside of brackets."""
    return chr(code) if chr(code).isalnum() else f"\\x{{{code:x}}}"
