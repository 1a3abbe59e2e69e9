"""Whether a text that was cut off could have become an answer that keeps its constraint.

An answer that ends at its limit of tokens is told as it is, for its caller asked for the limit as well; but it must
have been on the way. An engine that passes over constraints without a word is seen here.
"""

import re

from adapters.types import AnyJson, Constraint, JsonSchema, OneOf, Regex
from gateway.constraints.documents import is_json
from gateway.constraints.prefixes import prefix_of

TOKEN = re.compile(
    r"(?P<space>[ \t\r\n]+)|(?P<open>[\[{])|(?P<close>[\]}])|(?P<colon>:)|(?P<comma>,)"
    r'|(?P<string>"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*")'
    r"|(?P<atom>true|false|null|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)"
)
CUT = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*(?:\\(?:u[0-9a-fA-F]{0,3})?)?'
    r"|t(?:ru?)?|f(?:a(?:ls?)?)?|n(?:ul?)?|-?(?:(?:0|[1-9][0-9]*)(?:\.|(?:\.[0-9]+)?(?:[eE][+-]?[0-9]*)?))?"
)
"""A token whose end is missing."""


def begun(constraint: Constraint, text: str) -> bool:
    """Whether the text could go on to keep the constraint. Of a grammar this is not known, and taken for granted; of a
    schema only that it is JSON which has not ended, and of an object's that it is one."""
    match constraint:
        case OneOf():
            return any(choice.startswith(text) for choice in constraint.choices)
        case Regex():
            return prefix_of(constraint.pattern, text)
        case AnyJson():
            return json_open(text) and text.lstrip(" \t\r\n")[:1] in ("", "{")
        case JsonSchema():
            return json_open(text)
        case _:
            return True


def json_open(text: str) -> bool:
    """Whether the text is the beginning of one JSON value, and not all of it. A number may always go on."""
    return json_begun(text) and (text.rstrip(" \t\r\n")[-1:] not in ENDS or not is_json(text))


ENDS = frozenset('}]"el')
"""The last characters of values that cannot go on."""


def json_begun(text: str) -> bool:
    """Whether the text is the beginning of one JSON value."""
    stack: list[str] = []
    wants = "value"  # value, key, colon, next, end; with "first" where an empty list or object may still close
    at = 0
    while at < len(text):
        token = TOKEN.match(text, at)
        if token is None:
            return wants in ("value", "first value", "key", "first key") and cut_short(text, at, wants)
        kind, at = token.lastgroup, token.end()
        if kind == "space":
            continue
        if kind == "atom" and at < len(text) and text[at] not in " \t\r\n,]}":
            return cut_short(text, token.start(), wants)
        after = step(kind or "", token[0], wants, stack)
        if after is None:
            return False
        wants = after
    return True


def cut_short(text: str, at: int, wants: str) -> bool:
    if CUT.fullmatch(text, at) is None or at == len(text):
        return False
    return "value" in wants or text[at] == '"'


def step(kind: str, token: str, wants: str, stack: list[str]) -> str | None:
    """What may follow after this token; None if it may not stand here."""
    if kind == "close":
        return close(token, wants, stack)
    if kind == "open" and "value" in wants:
        stack.append(token)
        return "first key" if token == "{" else "first value"
    if kind == "string" and "key" in wants:
        return "colon"
    if kind in ("string", "atom") and "value" in wants:
        return "next" if stack else "end"
    if kind == "colon" and wants == "colon":
        return "value"
    if kind == "comma" and wants == "next":
        return "key" if stack[-1] == "{" else "value"
    return None


def close(token: str, wants: str, stack: list[str]) -> str | None:
    opened = {"}": "{", "]": "["}[token]
    allowed = ("next", "first key") if token == "}" else ("next", "first value")
    if not stack or stack[-1] != opened or wants not in allowed:
        return None
    stack.pop()
    return "next" if stack else "end"
