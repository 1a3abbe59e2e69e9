"""Small questions about a type, whatever the names in it mean."""

from gateway.typescript.errors import shown
from gateway.typescript.syntax import Array, Bound, Intersection, Keyword, Literal, Object, Reference, Template, Tuple

SCALAR_OF: dict[type, str] = {str: "string", int: "number", float: "number", bool: "boolean"}
SCALARS = (Keyword, Literal, Template)
PLAIN = frozenset({Keyword, Literal, Template, Object, Array, Tuple})
"""What is no name and no union, whatever is inside."""


def is_undefined(bound: Bound) -> bool:
    return isinstance(bound.type, Keyword) and bound.type.name == "undefined"


def is_constant(bound: Bound) -> bool:
    """Whether it is a literal other than null."""
    return isinstance(bound.type, Literal) and bound.type.value is not None


def is_nothing(bound: Bound) -> bool:
    return is_undefined(bound) or (isinstance(bound.type, Literal) and bound.type.value is None)


def is_scalar(bound: Bound) -> bool:
    return isinstance(bound.type, SCALARS)


def is_empty(bound: Bound) -> bool:
    """``{}``, which is any value but null; an interface without members is something else."""
    kind = bound.type
    return isinstance(kind, Object) and not kind.members and kind.index is None


def described(bound: Bound) -> str:
    """A type in the words of a message."""
    kind = bound.type
    if isinstance(kind, Keyword):
        return f"'{kind.name}'"
    if isinstance(kind, Reference):
        return f"'{shown(kind.name)}'"
    if isinstance(kind, (Array, Tuple)):
        return "a list"
    if isinstance(kind, (Literal, Template)):
        return "a literal"
    return "an object" if isinstance(kind, (Object, Intersection)) else "a union"
