"""Sees, cheaply, that a JSON Schema allows no value at all: no model can answer that, however often it is asked.

What is found is certain; not everything that is so is found. References are not followed.
"""

from collections.abc import Iterator
from typing import Any

from gateway.constraints.problems import shown

Schema = dict[str, Any] | bool
Types = frozenset[str]

TYPES: Types = frozenset({"array", "boolean", "null", "number", "object", "string"})
NONE: Types = frozenset()
TOP = "the top"

BOUNDS = (
    ("number", "minimum", "maximum"),
    ("string", "minLength", "maxLength"),
    ("array", "minItems", "maxItems"),
    ("object", "minProperties", "maxProperties"),
)
EXCLUSIVE = (
    ("exclusiveMinimum", "maximum"),
    ("minimum", "exclusiveMaximum"),
    ("exclusiveMinimum", "exclusiveMaximum"),
)


def contradiction(schema: Schema) -> str | None:
    """Why no value is allowed; None if some may be."""
    types, reason = room(schema, "")
    return None if types else reason


def room(schema: Schema, at: str) -> tuple[Types, str]:
    """The types of which values may be allowed, and why one of the others is not."""
    if isinstance(schema, bool):
        return (TYPES, "") if schema else (NONE, f"the schema at {at or TOP} is false")
    if "$ref" in schema:  # in older drafts its neighbours mean nothing
        return TYPES, ""
    types, reason = declared(schema), f"the parts of the schema at {at or TOP} contradict each other"
    for lost, why in contradictions(schema, at):
        if lost & types:
            types, reason = types - lost, why
    return types, reason


def declared(schema: dict[str, Any]) -> Types:
    names = schema.get("type", TYPES)
    return frozenset("number" if name == "integer" else name for name in ([names] if isinstance(names, str) else names))


def contradictions(schema: dict[str, Any], at: str) -> Iterator[tuple[Types, str]]:
    """Types that are not possible after all, each with the reason."""
    yield from bounds(schema, at)
    yield from values(schema, at)
    yield from members(schema, at)
    for index, part in enumerate(schema.get("allOf", ())):
        left, why = room(part, f"{at}/allOf/{index}")
        yield TYPES - left, why
    for union in ("anyOf", "oneOf"):
        if union in schema:
            rooms = [room(part, f"{at}/{union}/{index}") for index, part in enumerate(schema[union])]
            yield TYPES - frozenset().union(*[left for left, _ in rooms]), rooms[0][1]


def bounds(schema: dict[str, Any], at: str) -> Iterator[tuple[Types, str]]:
    for kind, low, high in BOUNDS:
        if low in schema and high in schema and schema[low] > schema[high]:
            yield frozenset({kind}), f"at {at or TOP}, {low} is above {high}"
    for low, high in EXCLUSIVE:
        least, most = number(schema.get(low)), number(schema.get(high))
        if least is not None and most is not None and least >= most:
            yield frozenset({"number"}), f"at {at or TOP}, no number lies between {low} and {high}"


def number(bound: Any) -> int | float | None:
    """In draft 4, the exclusive bounds are booleans."""
    return bound if isinstance(bound, int | float) and not isinstance(bound, bool) else None


def values(schema: dict[str, Any], at: str) -> Iterator[tuple[Types, str]]:
    if "const" in schema and "enum" in schema and schema["const"] not in schema["enum"]:
        yield TYPES, f"at {at or TOP}, const is not among the values of enum"
    listed: list[tuple[str, list[Any]]] = [("const", [schema["const"]])] if "const" in schema else []
    listed += [("enum", schema["enum"])] if "enum" in schema else []
    for keyword, allowed in listed:
        why = f"has no value of type {shown(schema['type'])}" if allowed and "type" in schema else "has no values"
        yield TYPES - {kind(value) for value in allowed}, f"at {at or TOP}, {keyword} {why}"


def members(schema: dict[str, Any], at: str) -> Iterator[tuple[Types, str]]:
    known = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
    required = schema.get("required", ())
    for name in required if isinstance(required, list) else ():  # a boolean in the oldest drafts
        if name in known:
            left, why = room(known[name], f"{at}/properties/{name}")
            if not left:
                yield frozenset({"object"}), why
        elif closed:
            yield frozenset({"object"}), f"at {at or TOP}, {shown(name)} is required but not allowed"
    items = schema.get("items", True)
    if schema.get("minItems", 0) > 0 and not schema.get("prefixItems") and isinstance(items, dict | bool):
        left, why = room(items, f"{at}/items")
        if not left:
            yield frozenset({"array"}), why


def kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
        case _:
            return "object"
