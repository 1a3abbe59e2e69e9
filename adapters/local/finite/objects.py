"""Objects and maps as finite grammars."""

from typing import Any, Protocol

import msgspec
from msgspec import Struct

from adapters.local.finite.documents import Unsuited, counts, listing, mapping
from adapters.local.finite.expressions import expression
from adapters.local.finite.members import Member, chain
from adapters.local.finite.sentences import Ranges, Sentence, chars, literal, repeat, sequence

Schema = dict[str, Any]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
NAME: Ranges = ((0x20, 0x20), (0x2D, 0x2D), (0x30, 0x39), (0x41, 0x5A), (0x5F, 0x5F), (0x61, 0x7A))
MAX_ENTRIES = 13
OPENING, CLOSING = literal("{"), literal("}")


class Limits(Protocol):
    """What is left to the grammar."""

    @property
    def text(self) -> int: ...
    @property
    def items(self) -> int: ...
    @property
    def free(self) -> bool: ...


class Building(Protocol):
    """Builds what stands inside."""

    @property
    def bounds(self) -> Limits: ...
    def every(self, schemas: list[Any], depth: int) -> Sentence | None: ...


class Names(Struct):
    """The names of an object's members: those that are declared, with whether they are required, and a pattern for
    others. Where others are not ``open``, there are none."""

    declared: dict[str, bool]
    pattern: str | None = None
    open: bool = True


def members(schemas: list[Schema], depth: int, building: Building) -> Sentence | None:
    """An object that keeps all of these. Members stand in the order in which they are declared."""
    names = names_of(schemas)
    if names is None:
        return None
    found: list[Member] = []
    for name, required in names.declared.items():
        value = building.every(asked_of(name, schemas), depth)
        if value is not None:
            found.append(Member(sequence(literal(f"{msgspec.json.encode(name).decode()}: "), value), required))
        elif required:
            return None
    least = max(counts(schemas, "minProperties"), default=0)
    most = min(counts(schemas, "maxProperties"), default=None)
    found += entries(schemas, names, depth, least - len(found), building)
    if not names.declared and most != 0:
        least = max(least, min(1, building.bounds.items, len(found)))
    inside = chain(found, least, most, building.bounds.free)
    return None if inside is None else sequence(OPENING, inside, CLOSING)


def asked_of(name: str, schemas: list[Schema]) -> list[Any]:
    """What the schemas ask of a member that has no pattern."""
    asked = []
    for schema in schemas:
        properties = mapping(schema, "properties")
        if name in properties:
            asked.append(properties[name])
        elif "additionalProperties" in schema:
            asked.append(schema["additionalProperties"])
    return asked


def names_of(schemas: list[Schema]) -> Names | None:
    """None where a member that is required has no name that is certain."""
    declared: dict[str, bool] = {name: False for schema in schemas for name in mapping(schema, "properties")}
    for name in [name for schema in schemas for name in listing(schema, "required")]:
        if not isinstance(name, str):
            raise Unsuited
        declared[name] = True
    made = Names(declared, open=all(is_open(schema) for schema in schemas))
    for schema in schemas:
        for pattern in mapping(schema, "patternProperties"):
            restrict(made, pattern)
        if "propertyNames" in schema:
            restrict_names(made, schema["propertyNames"])
    return None if any(required and name not in made.declared for name, required in declared.items()) else made


def is_open(schema: Schema) -> bool:
    closed = schema.get("additionalProperties") is False and "patternProperties" not in schema
    return not closed and "unevaluatedProperties" not in schema


def restrict(names: Names, pattern: str) -> None:
    """Of names with a pattern only such are known to match as the pattern makes; none that is declared."""
    names.open = names.open and names.pattern in (None, pattern)
    names.pattern = pattern
    names.declared = {}


def restrict_names(names: Names, said: Any) -> None:
    """What is said of all names."""
    if said is True or said in ({}, {"type": "string"}):
        return
    if isinstance(said, dict) and said.keys() <= {"type", "enum"} and isinstance(said.get("enum"), list):
        wanted = [name for name in said["enum"] if isinstance(name, str)]
        if names.open and names.pattern is None:
            names.declared |= {name: names.declared.get(name, False) for name in wanted}
        names.declared = {name: required for name, required in names.declared.items() if name in wanted}
        names.open = False
    elif isinstance(said, dict) and said.keys() <= {"type", "pattern"} and isinstance(said.get("pattern"), str):
        restrict(names, said["pattern"])
    else:
        names.declared = {}
        names.open = False


def entries(schemas: list[Schema], names: Names, depth: int, needed: int, building: Building) -> list[Member]:
    """Members with names that the model chooses. Each has its own first letters, so that no name comes twice."""
    if not names.open:
        return []
    declares = bool(names.declared)
    asked = [schema["additionalProperties"] for schema in schemas if "additionalProperties" in schema]
    if names.pattern is not None:
        return matching(schemas, names.pattern, depth, building)
    if declares and not asked and needed <= 0:
        return []
    value = building.every(asked, depth)
    letters = [letter for letter in LETTERS if not any(name[:1].lower() == letter for name in names.declared)]
    number = min(max(needed, building.bounds.items), MAX_ENTRIES, len(letters))
    if value is None or number < needed:
        return []
    made = []
    for place in range(number):
        mine = letters[place * len(letters) // number : (place + 1) * len(letters) // number]
        first = chars(tuple(sorted([(ord(form), ord(form)) for one in mine for form in (one, one.upper())])))
        rest = repeat(chars(NAME), 0, min(11, building.bounds.text // 3))
        made.append(Member(sequence(literal('"'), first, rest, literal('": '), value), False))
    return made


def matching(schemas: list[Schema], pattern: str, depth: int, building: Building) -> list[Member]:
    """One member whose name the pattern makes."""
    asked = []
    for schema in schemas:
        patterns = mapping(schema, "patternProperties")
        if pattern in patterns:
            asked.append(patterns[pattern])
        elif "additionalProperties" in schema:
            asked.append(schema["additionalProperties"])
    name = expression(pattern, 0, None, building.bounds.text // 4)
    value = building.every(asked, depth)
    if name is None or value is None:
        return []
    return [Member(sequence(literal('"'), name, literal('": '), value), False)]
