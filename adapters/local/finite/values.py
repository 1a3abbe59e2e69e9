"""Values that a schema lists: those that all that is said beside it allows for certain."""

from math import isfinite
from typing import Any

import msgspec

from adapters.local.finite.documents import counts, listing
from adapters.local.finite.numbers import exact, range_of
from adapters.local.finite.sentences import Sentence, literal

Schema = dict[str, Any]

WORDS: dict[type, tuple[str, ...]] = {
    str: ("pattern", "format"),
    dict: ("properties", "required", "additionalProperties", "minProperties", "maxProperties")
    + ("patternProperties", "propertyNames", "unevaluatedProperties"),
    list: ("items", "prefixItems", "additionalItems", "minItems", "maxItems", "uniqueItems"),
}
"""What is said of values of a kind beyond their length, and is not looked into here."""

KINDS: dict[type, tuple[str, ...]] = {
    bool: ("boolean",),
    int: ("integer", "number"),
    str: ("string",),
    dict: ("object",),
    list: ("array",),
    type(None): ("null",),
}


MAX_VALUES = 1000


def listed(schemas: list[Schema]) -> list[Any] | None:
    """The values that one of these lists and all allow; None where none lists any."""
    lists = [[schema["const"]] for schema in schemas if "const" in schema]
    lists += [listing(schema, "enum") for schema in schemas if "enum" in schema]
    if not lists:
        return None
    allowed = set.intersection(*[set(map(key, values)) for values in lists])
    found = {key(value): value for value in lists[0] if finite(value) and key(value) in allowed}
    return [value for value in list(found.values())[:MAX_VALUES] if all(allows(schema, value) for schema in schemas)]


def choices(schema: Schema) -> list[Any]:
    """The values of which it allows no other."""
    if "const" in schema:
        return [schema["const"]]
    return listing(schema, "enum")


def sentence(value: Any) -> Sentence:
    return literal(msgspec.json.format(msgspec.json.encode(value), indent=0).decode())


def allows(schema: Schema, value: Any) -> bool:
    """Whether what it says beside its list allows the value for certain."""
    kinds = types(schema)
    if kinds is not None and not any(kind in kinds for kind in kinds_of(value)):
        return False
    if any(name in schema for name in WORDS.get(type(value), ())):
        return False
    if isinstance(value, str) and not within_length(schema, value):
        return False
    return isinstance(value, bool) or not isinstance(value, int | float) or within_range(schema, value)


def types(schema: Schema) -> list[str] | None:
    """The types it allows; None where it does not say."""
    said = schema.get("type")
    return [said] if isinstance(said, str) else said if isinstance(said, list) else None


def kinds_of(value: Any) -> tuple[str, ...]:
    if isinstance(value, float):
        return ("integer", "number") if value.is_integer() else ("number",)
    return KINDS[type(value)]


def within_length(schema: Schema, value: str) -> bool:
    least, most = counts([schema], "minLength"), counts([schema], "maxLength")
    return all(bound <= len(value) for bound in least) and all(len(value) <= bound for bound in most)


def within_range(schema: Schema, value: float) -> bool:
    said = range_of([schema])
    number = exact(value)
    return said is not None and number is not None and said.holds(number)


def key(value: Any) -> Any:
    """The same for values that are equal as JSON has it: true is not 1, and 1.0 is."""
    if isinstance(value, bool | dict | list):
        return written(value)
    return value


def written(value: Any) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def finite(value: Any) -> bool:
    return not isinstance(value, float) or isfinite(value)
