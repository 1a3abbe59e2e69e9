"""Template literals to regular expressions, in what ECMAScript, Rust and Python read alike."""

import re

from gateway.typescript.alternatives import Unions
from gateway.typescript.kinds import described
from gateway.typescript.syntax import Bound, Keyword, Literal, Scalar, Template

MAX_LENGTH = 10_000

SPECIAL = re.compile(r"[\\^$.*+?()\[\]{}|/]")
HOLES = {
    "any": ".*",
    "bigint": "-?[0-9]+",
    "boolean": "(true|false)",
    "number": r"-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?",
    "string": ".*",
}
WORDS: dict[Scalar, str] = {None: "null", True: "true", False: "false"}


def pattern(bound: Bound, template: Template, unions: Unions) -> str:
    """For the whole text."""
    return f"^{_pattern(bound, template, unions)}$"


def _pattern(bound: Bound, template: Template, unions: Unions) -> str:
    made = ""
    for part in template.parts:
        made += _escaped(part) if isinstance(part, str) else _hole(Bound(part, bound.scope), unions)
        if len(made) > MAX_LENGTH:
            raise unions.source.error(bound.at, f"the template comes to more than {MAX_LENGTH} characters")
    return made


def _hole(bound: Bound, unions: Unions) -> str:
    made: dict[str, None] = {}
    for part in unions.alternatives(bound, whole=False):
        unions.budget.spend(1, bound.at)
        made[_one(part, unions)] = None
    return next(iter(made)) if len(made) == 1 else f"({'|'.join(made)})"


def _one(part: Bound, unions: Unions) -> str:
    kind = part.type
    if isinstance(kind, Keyword) and kind.name in HOLES:
        return HOLES[kind.name]
    if isinstance(kind, Literal):
        return _escaped(_word(kind.value))
    if isinstance(kind, Template):
        unions.budget.enter(part.at)
        made = _pattern(part, kind, unions)
        unions.budget.leave()
        return made
    raise unions.source.error(part.at, f"a template can hold texts, numbers and booleans, not {described(part)}")


def _word(value: Scalar) -> str:
    return WORDS[value] if value is None or isinstance(value, bool) else str(value)


def _escaped(text: str) -> str:
    return SPECIAL.sub(r"\\\g<0>", text)
