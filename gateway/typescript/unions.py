"""Unions in JSON Schema: an enum where all parts are literals, a list of types where all are plain, else `anyOf`."""

from gateway.typescript.alternatives import Alternatives
from gateway.typescript.comments import Schema
from gateway.typescript.kinds import SCALAR_OF
from gateway.typescript.syntax import Bound, Keyword, Literal, Scalar, Template

TYPE_OF = {**SCALAR_OF, type(None): "null"}


def uncovered(parts: Alternatives) -> Alternatives:
    """Without the parts that a wider one beside them allows anyway; nothing if one of them allows everything."""
    plain = {part.type.name for part in parts if isinstance(part.type, Keyword)}
    if "any" in plain or "unknown" in plain:
        return ()
    return tuple(part for part in parts if _wider(part) not in plain) if plain else parts


def _wider(part: Bound) -> str | None:
    """The plain type of which a part is a special case."""
    kind = part.type
    if isinstance(kind, Literal):
        return TYPE_OF[type(kind.value)]
    if isinstance(kind, Template):
        return "string"
    return "number" if isinstance(kind, Keyword) and kind.name == "bigint" else None


def enum(values: list[Scalar]) -> Schema:
    """Literals, each once."""
    if len(values) == 2 and all(isinstance(value, bool) for value in values):
        return {"type": "boolean"}
    types = list(dict.fromkeys(TYPE_OF[type(value)] for value in values))
    made: Schema = {"type": types if len(types) > 1 else types[0]}
    if values == [None]:
        return made
    return made | ({"const": values[0]} if len(values) == 1 else {"enum": values})


def any_of(parts: list[Schema]) -> Schema:
    if all(part.keys() == {"type"} and isinstance(part["type"], str) for part in parts):
        names = [part["type"] for part in parts]
        return {"type": names if len(names) > 1 else names[0]}
    return {"anyOf": parts} if len(parts) > 1 else parts[0]
