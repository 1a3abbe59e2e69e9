"""Schemas that hold together, as one: what ``allOf`` says, where that is simple."""

from collections.abc import Callable
from typing import Any

import msgspec

from adapters.weakening.document import listed, mapped

Schema = dict[str, Any]

NOTES = ("title", "description")

encode = msgspec.json.Encoder(order="sorted").encode
ASSERTIONS = frozenset(
    {"$ref", "additionalItems", "additionalProperties", "allOf", "anyOf", "const", "enum", "exclusiveMaximum", "format"}
    | {"exclusiveMinimum", "items", "maxItems", "maxLength", "maxProperties", "maximum", "minItems", "minLength"}
    | {"minProperties", "minimum", "multipleOf", "oneOf", "pattern", "patternProperties", "prefixItems", "properties"}
    | {"propertyNames", "required", "type", "unevaluatedProperties", "uniqueItems"}
)
"""Keywords that forbid something, of which targets know some. Of the others none says anything to any of them."""

MOST = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties"})
LEAST = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties"})
OBJECTS = frozenset({"properties", "required", "additionalProperties"})
TUPLES = frozenset({"prefixItems", "additionalItems"})


def asserts(schema: Schema) -> bool:
    """Whether it forbids anything that can be said."""
    return not ASSERTIONS.isdisjoint(schema)


def merged(first: Any, second: Any) -> Any:
    """One schema for what keeps both; False if nothing can, and None where it is not simple to say. The first one's
    notes are kept, and the order of its members. Neither is changed."""
    if first is False or second is False:
        return False
    if not isinstance(first, dict) or not asserts(first):
        return {**mapping(second), **notes(first)}
    if not isinstance(second, dict) or not asserts(second):
        return {**notes(second), **first}
    if "$ref" in first or "$ref" in second:
        return first if first == second else None
    if is_tuple(first) or is_tuple(second):
        return first if first == second else None
    found = {**second, **first}
    for keyword in first.keys() & second.keys() & ASSERTIONS - OBJECTS:
        if first[keyword] != second[keyword]:
            found[keyword] = merged_keyword(keyword, first[keyword], second[keyword])
            if found[keyword] is None:
                return None
    if found.get("type") == [] or found.get("enum") == []:
        return False
    return with_members(found, first, second) if OBJECTS & found.keys() else found


def is_tuple(schema: Schema) -> bool:
    return bool(TUPLES & schema.keys()) or isinstance(schema.get("items"), list)


def merged_keyword(keyword: str, one: Any, other: Any) -> Any:
    """The value of a keyword that both schemas have, of two; None where that is not simple."""
    if keyword in RULES:
        return RULES[keyword](one, other)
    if keyword in MOST | LEAST and isinstance(one, int | float) and isinstance(other, int | float):
        return max(one, other) if keyword in MOST else min(one, other)
    return None


def with_members(found: Schema, first: Schema, second: Schema) -> Schema | None:
    """The merged schema, with the members that both of two objects allow."""
    members, others = mapped(first, "properties"), mapped(second, "properties")
    rest, other_rest = first.get("additionalProperties", True), second.get("additionalProperties", True)
    properties = {name: merged(one, others.get(name, other_rest)) for name, one in members.items()}
    properties |= {name: merged(rest, other) for name, other in others.items() if name not in members}
    open_to = merged(rest, other_rest)
    if open_to is None or None in properties.values():
        return None
    required = list(dict.fromkeys([*listed(first, "required"), *listed(second, "required")]))
    found = {keyword: value for keyword, value in found.items() if keyword not in OBJECTS}
    said = {"properties": properties, "required": required, "additionalProperties": open_to}
    return found | {
        keyword: value for keyword, value in said.items() if value != {} and value != [] and value is not True
    }


def mapping(schema: Any) -> Schema:
    return schema if isinstance(schema, dict) else {}


def notes(schema: Any) -> Schema:
    """What is said of a schema beside what it asks for."""
    return {name: schema[name] for name in NOTES if isinstance(mapping(schema).get(name), str)}


def both_types(one: Any, other: Any) -> Any:
    """The types that are in both. A whole number is a number."""
    first, second = (value if isinstance(value, list) else [value] for value in (one, other))
    found = [kind for kind in first if kind in second or (kind == "integer" and "number" in second)]
    found += [kind for kind in second if kind == "integer" and kind not in first and "number" in first]
    return found[0] if len(found) == 1 else found


def in_both(one: Any, other: Any) -> list[Any]:
    """The values that are in both lists."""
    known = set(map(encode, other))
    return [value for value in one if encode(value) in known]


RULES: dict[str, Callable[[Any, Any], Any]] = {
    "type": both_types,
    "enum": in_both,
    "items": merged,
}
