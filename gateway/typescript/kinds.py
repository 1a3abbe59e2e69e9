"""Small questions about a type, whatever the names in it mean."""

from collections.abc import Sequence

from gateway.typescript.errors import shown
from gateway.typescript.syntax import (
    Array,
    Bound,
    Intersection,
    Keyword,
    Literal,
    Object,
    Reference,
    Scalar,
    Schema,
    Template,
    Tuple,
)

SCHEMAS: dict[str, Schema] = {
    "any": {},
    "bigint": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "object": {"type": "object"},
    "string": {"type": "string"},
    "unknown": {},
}
"""Of the keywords that have one. The same wherever they stand, so nothing is ever added to them."""
KEYWORDS = frozenset({*SCHEMAS, "undefined"})
CONSTANTS: dict[str, Scalar] = {"null": None, "true": True, "false": False}

SCALAR_OF: dict[type, str] = {str: "string", int: "number", float: "number", bool: "boolean"}
TYPE_OF = {**SCALAR_OF, type(None): "null"}
SCALARS = (Keyword, Literal, Template)
LITERALS = frozenset({Literal})
SOLID = frozenset({Array, Object, Tuple})
PLAIN = frozenset({Keyword, Literal, Template, Object, Array, Tuple})
"""What is no name and no union, whatever is inside."""


def is_undefined(bound: Bound) -> bool:
    return type(bound.type) is Keyword and bound.type.name == "undefined"


def is_nothing(bound: Bound) -> bool:
    return is_undefined(bound) or (type(bound.type) is Literal and bound.type.value is None)


def is_scalar(bound: Bound) -> bool:
    return isinstance(bound.type, SCALARS)


def is_empty(bound: Bound) -> bool:
    """``{}``, which is any value but null; an interface without members is something else."""
    kind = bound.type
    return type(kind) is Object and not kind.members and kind.index is None


def described(bound: Bound) -> str:
    """A type in the words of a message."""
    kind = bound.type
    if type(kind) is Keyword:
        return f"'{kind.name}'"
    if type(kind) is Reference:
        return f"'{shown(kind.name)}'"
    if isinstance(kind, (Array, Tuple)):
        return "a list"
    if isinstance(kind, (Literal, Template)):
        return "a literal"
    return "an object" if isinstance(kind, (Object, Intersection)) else "a union"


def enum(values: Sequence[Scalar]) -> Schema:
    """Literals, each once."""
    types = list(dict.fromkeys(map(TYPE_OF.__getitem__, map(type, values))))
    if len(values) == 1:
        return {"type": types[0]} if values[0] is None else {"type": types[0], "const": values[0]}
    if types == ["boolean"]:
        return {"type": "boolean"}
    return {"type": types if len(types) > 1 else types[0], "enum": values}
