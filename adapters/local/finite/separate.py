"""Which alternatives exclude each other, so that an answer that keeps one of them keeps exactly one."""

from typing import Any

from adapters.local.finite.documents import Document, listing, mapping
from adapters.local.finite.values import choices, key, kinds_of, types

MAX_OPTIONS = 60
STEPS = 8


def apart(options: list[Any], document: Document) -> list[Any]:
    """Those that for certain exclude all others."""
    if len(options) > MAX_OPTIONS:
        return []
    known = [followed(option, document) for option in options]
    document.work.spend(len(options) ** 2)
    return [
        option
        for place, option in enumerate(options)
        if all(other == place or exclude(known[place], known[other], document) for other in range(len(options)))
    ]


def followed(schema: Any, document: Document) -> Any:
    """What a schema that is nothing but a reference stands for."""
    for _ in range(STEPS):
        if not isinstance(schema, dict) or "$ref" not in schema:
            break
        schema = document.target(str(schema["$ref"]))
    return schema


def exclude(one: Any, other: Any, document: Document) -> bool:
    """Whether it is certain that no value keeps both."""
    if one is False or other is False:
        return True
    if not isinstance(one, dict) or not isinstance(other, dict):
        return False
    if different_values(one, other):
        return True
    mine, theirs = kinds_allowed(one), kinds_allowed(other)
    if mine is None or theirs is None:
        return False
    if not mine & theirs:
        return True
    return mine == theirs == {"object"} and different_members(one, other, document)


def kinds_allowed(schema: dict[str, Any]) -> set[str] | None:
    if "const" in schema or "enum" in schema:
        return {kind for value in choices(schema) for kind in kinds_of(value)}
    said = types(schema)
    if said is None:
        return None
    return {*map(str, said), "integer"} if "number" in said else set(map(str, said))


def different_values(one: dict[str, Any], other: dict[str, Any]) -> bool:
    if not all("const" in schema or "enum" in schema for schema in (one, other)):
        return False
    if max(len(choices(one)), len(choices(other))) > MAX_OPTIONS:
        return False
    return set(map(key, choices(one))).isdisjoint(map(key, choices(other)))


def different_members(one: dict[str, Any], other: dict[str, Any], document: Document) -> bool:
    """Whether a member that one needs is another thing in the other, or must not be there."""
    return needs_what_fails(one, other, document) or needs_what_fails(other, one, document)


def needs_what_fails(one: dict[str, Any], other: dict[str, Any], document: Document) -> bool:
    mine, theirs = mapping(one, "properties"), mapping(other, "properties")
    for name in listing(one, "required"):
        if not isinstance(name, str):
            return False
        if name in theirs:
            schemas = followed(mine.get(name), document), followed(theirs[name], document)
            if all(isinstance(schema, dict) for schema in schemas) and differ(*schemas):
                return True
        elif other.get("additionalProperties") is False and "patternProperties" not in other:
            return True
    return False


def differ(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Whether two members' schemas share no value."""
    if different_values(one, other):
        return True
    mine, theirs = kinds_allowed(one), kinds_allowed(other)
    return mine is not None and theirs is not None and not mine & theirs
