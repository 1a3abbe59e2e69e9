"""Unions in JSON Schema: an enum where all parts are literals, a list of types where all are plain, else `anyOf`."""

from gateway.typescript.alternatives import Alternatives
from gateway.typescript.kinds import TYPE_OF
from gateway.typescript.syntax import Bound, Keyword, Literal, Schema, Template


def uncovered(parts: Alternatives) -> Alternatives:
    """Without the parts that a wider one beside them allows anyway; nothing if one of them allows everything."""
    plain = {kind.name for part in parts if type(kind := part.type) is Keyword}
    if "any" in plain or "unknown" in plain:
        return ()
    return tuple([part for part in parts if _wider(part) not in plain]) if plain else parts


def _wider(part: Bound) -> str | None:
    """The plain type of which a part is a special case."""
    kind = part.type
    if type(kind) is Literal:
        return TYPE_OF[type(kind.value)]
    if type(kind) is Template:
        return "string"
    return "number" if type(kind) is Keyword and kind.name == "bigint" else None


def any_of(parts: list[Schema]) -> Schema:
    names = [part["type"] for part in parts if len(part) == 1 and type(part.get("type")) is str]
    if len(names) == len(parts):
        names = list(dict.fromkeys(names))
        return {"type": names if len(names) > 1 else names[0]}
    return {"anyOf": parts} if len(parts) > 1 else parts[0]
