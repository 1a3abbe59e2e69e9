"""Lists and tuples as finite grammars."""

from typing import Any

from adapters.local.finite.documents import counts, listing
from adapters.local.finite.members import COMMA, Member, chain
from adapters.local.finite.objects import Building
from adapters.local.finite.sentences import EMPTY, Sentence, choice, literal, sequence
from adapters.local.finite.values import listed, sentence

Schema = dict[str, Any]

MAX_ITEMS = 200
OPENING, CLOSING = literal("["), literal("]")


def array(schemas: list[Schema], depth: int, building: Building) -> Sentence | None:
    """A list that keeps all of these."""
    least = max(counts(schemas, "minItems"), default=0)
    width = max([len(places(schema)) for schema in schemas], default=0)
    most = longest(schemas, least, width, building)
    if least > MAX_ITEMS or most > MAX_ITEMS:
        return None
    if any(schema.get("uniqueItems") for schema in schemas):
        values = None if width else each(schemas, building)
        if values is not None:
            least = max(least, min(begun(building), most, len(values)))
            inside = chain([Member(one, False) for one in values], least, most, building.bounds.free)
            return None if inside is None else sequence(OPENING, inside, CLOSING)
        most = min(most, 1)
    return bracketed(schemas, least, most, width, depth, building)


def longest(schemas: list[Schema], least: int, width: int, building: Building) -> int:
    """How many items there may be."""
    most = max(least, width)
    if not width or any(has_rest(schema) for schema in schemas):
        most = max(least, width + building.bounds.items)
    return min([most, *counts(schemas, "maxItems")])


def begun(building: Building) -> int:
    """How many items there are at least, if nothing speaks against it: the model would sooner close what it has just
    opened."""
    return min(1, building.bounds.items)


def has_rest(schema: Schema) -> bool:
    """Whether it says what comes after a tuple's places."""
    return "additionalItems" in schema if isinstance(schema.get("items"), list) else "items" in schema


def places(schema: Schema) -> list[Any]:
    return listing(schema, "items") if isinstance(schema.get("items"), list) else listing(schema, "prefixItems")


def asked_of(place: int, schemas: list[Schema]) -> list[Any]:
    """What the schemas ask of the item at this place."""
    asked = []
    for schema in schemas:
        mine = places(schema)
        if place < len(mine):
            asked.append(mine[place])
        elif has_rest(schema):
            asked.append(schema["additionalItems" if isinstance(schema.get("items"), list) else "items"])
    return asked


def each(schemas: list[Schema], building: Building) -> list[Sentence] | None:
    """The values that an item can have, where they are listed."""
    asked = [schema for schema in asked_of(0, schemas) if schema is not True]
    if not asked or not all(isinstance(schema, dict) for schema in asked):
        return None
    if any("$ref" in schema or "allOf" in schema or "anyOf" in schema or "oneOf" in schema for schema in asked):
        return None
    values = listed(asked)
    if values is None:
        return None
    return [sentence(value) for value in values[:MAX_ITEMS]]


def bracketed(
    schemas: list[Schema], least: int, most: int, width: int, depth: int, building: Building
) -> Sentence | None:
    items: list[Sentence] = []
    for place in range(most):
        item = items[-1] if place > width else building.every(asked_of(place, schemas), depth)
        if item is None:
            break
        items.append(item)
    if len(items) < least:
        return None
    least = max(least, min(begun(building), len(items)))
    if not building.bounds.free:
        items = items[:least]
    tail: Sentence = EMPTY
    for place in range(len(items) - 1, -1, -1):
        here = sequence(COMMA, items[place], tail) if place else sequence(items[place], tail)
        made = here if place < least else choice([here, EMPTY])
        assert made is not None
        tail = made
    return sequence(OPENING, tail, CLOSING)
