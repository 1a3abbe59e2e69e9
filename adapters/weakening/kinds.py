"""The types that schemas speak of, and which keywords speak of which."""

from math import ceil, floor
from typing import Any

Schema = dict[str, Any]

KINDS = {
    "object": ("properties", "required", "additionalProperties", "patternProperties", "propertyNames")
    + ("minProperties", "maxProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems", "contains"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""What shows which type is meant where none is named."""

TYPES = ("object", "array", "string", "number", "boolean", "null")
CONTAINERS = frozenset({"object", "array"})
TYPE_OF = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null", list: "array"}

NUMBERS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
TEXTS = ("pattern", "format", "minLength", "maxLength")
COUNTS = ("minItems", "maxItems")

OWN_ENDS: dict[str, frozenset[str]] = {
    "integer": frozenset(NUMBERS),
    "number": frozenset(NUMBERS),
    "string": frozenset(TEXTS),
    "array": frozenset({*COUNTS, "prefixItems"}),
}
"""Keywords by which a schema bounds these values itself."""


def without(schema: Schema, *keywords: str) -> Schema:
    return {keyword: value for keyword, value in schema.items() if keyword not in keywords}


def only(flat: Schema, kind: str) -> Schema:
    """One type of several, with what holds for it."""
    others = {keyword for name, keywords in KINDS.items() if name != kind for keyword in keywords}
    others -= {*KINDS["number"]} if kind == "integer" else set()
    return without(flat, "title", "description", *others) | {"type": kind}


def kinds_of(schema: Schema) -> list[str]:
    """The types that are named, or else the one that is meant; none if anything may stand."""
    meant = next(([kind] for kind, keywords in KINDS.items() if not schema.keys().isdisjoint(keywords)), [])
    return named_types(schema) if "type" in schema else meant


def named_types(schema: Schema) -> list[str]:
    named = schema.get("type")
    return [kind for kind in (named if isinstance(named, list) else [named]) if isinstance(kind, str)]


def number(value: Any) -> int | None:
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def whole_bounds(schema: Schema) -> Schema:
    """The same for whole numbers: without fractions in their ends, nor ends that no reader of JSON can hold."""
    ends = {name: schema[name] for name in NUMBERS[:4] if isinstance(schema.get(name), int | float)}
    near = {name: end for name, end in ends.items() if abs(end) <= 2**53 and not isinstance(end, bool)}
    up = ("minimum", "exclusiveMaximum")
    return without(schema, *ends) | {name: ceil(end) if name in up else floor(end) for name, end in near.items()}


def type_of(value: Any) -> str:
    return TYPE_OF.get(type(value), "object")


def is_one_of(value: Any, kinds: list[str]) -> bool:
    kind = type_of(value)
    return kind in kinds or (kind == "integer" and "number" in kinds) or (kind == "number" and "integer" in kinds)
