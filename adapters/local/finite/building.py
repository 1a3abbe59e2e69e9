"""A JSON Schema as a finite grammar: every sentence keeps the schema.

Several schemas that an answer must keep together are a list of them, so that nothing has to be merged. None stands for
what has no sentence that is certain: it is left out where it may be, and else what holds it has none either.
"""

from typing import Any

from msgspec import Struct

from adapters.local.finite.arrays import array
from adapters.local.finite.documents import NOTES, Document, Unsuited, listing
from adapters.local.finite.numbers import number, range_of
from adapters.local.finite.objects import members
from adapters.local.finite.sentences import Sentence, choice, literal
from adapters.local.finite.separate import apart
from adapters.local.finite.texts import text
from adapters.local.finite.values import listed, sentence, types

Schema = dict[str, Any]

JOINTS = ("$ref", "allOf", "anyOf", "oneOf")
UNKNOWN = frozenset(
    {"not", "if", "contains", "dependencies", "dependentRequired", "dependentSchemas", "unevaluatedItems", "disallow"}
    | {"$dynamicRef", "$recursiveRef", "extends"}
)
"""Keywords that forbid something, and that are not read here."""

HINTS = {
    "object": ("properties", "required", "additionalProperties", "minProperties", "patternProperties", "propertyNames"),
    "array": ("items", "prefixItems", "minItems", "maxItems", "uniqueItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "number": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
}
"""What a schema that names no type is about."""

SCALARS = ("string", "number", "boolean", "null")
MAX_DEPTH = 64
BELOW = -3
"""How far references are followed where recursion should have ended, because something stands beside them."""


class Bounds(Struct, frozen=True):
    """What bounds that which the schema leaves open: characters of a text, digits of a number, items of a list and
    members of a map, and how often recursion goes deeper. Unless ``free``, what may be left out is; with ``narrow``,
    the shortest of several alternatives is the only one."""

    text: int
    digits: int
    items: int
    depth: int
    free: bool = True
    narrow: bool = False


class Builder:
    """Builds one grammar. ``ends`` are the sentences of recursive references that go no deeper."""

    def __init__(self, document: Document, bounds: Bounds) -> None:
        self.bounds = bounds
        self._document = document
        self._made: dict[tuple[str, int], Sentence | None] = {}
        self._ends: dict[str, Sentence] = {}
        self._inside = 0

    def whole(self) -> Sentence | None:
        self._find_ends()
        return self.one(self._document.root, self.bounds.depth)

    def _find_ends(self) -> None:
        """Each is made of those that were found before it."""
        left = list(self._document.recursive)
        while left:
            for name in left:
                found = self.one(self._document.target(name), 0)
                if found is not None:
                    self._ends[name] = found
                    self._made.clear()
            remaining = [name for name in left if name not in self._ends]
            if len(remaining) == len(left):
                return
            left = remaining

    def one(self, schema: Any, depth: int) -> Sentence | None:
        return self.every([schema], depth)

    def _referred(self, name: str, depth: int) -> Sentence | None:
        if name in self._document.recursive:
            if depth <= 0:
                return self._ends.get(name)
            depth -= 1
        key = (name, depth)
        if key not in self._made:
            self._made[key] = self.one(self._document.target(name), depth)
        return self._made[key]

    def every(self, schemas: list[Any], depth: int, settled: frozenset[int] = frozenset()) -> Sentence | None:
        """What keeps all of these. Of the lists of alternatives that are ``settled`` one is among them."""
        if len(schemas) == 1 and is_reference(schemas[0]):
            return self._referred(str(schemas[0]["$ref"]), depth)
        self._inside += 1
        if self._inside > MAX_DEPTH:
            raise Unsuited
        try:
            return self._every(schemas, depth, settled)
        finally:
            self._inside -= 1

    def _every(self, schemas: list[Any], depth: int, settled: frozenset[int]) -> Sentence | None:
        plain: list[Schema] = []
        joints: list[Schema] = []
        waiting = list(reversed(schemas))
        seen = set()
        while waiting:
            self._document.work.spend()
            schema = waiting.pop()
            if schema is True or id(schema) in seen:
                continue
            seen.add(id(schema))
            if not isinstance(schema, dict) or schema.keys() & UNKNOWN or "$id" in schema and schema is not self.root:
                return None
            if "$ref" in schema:
                name = str(schema["$ref"])
                if name in self._document.recursive:
                    depth -= 1
                    if depth < BELOW:
                        return None
                waiting.append(self._document.target(name))
            waiting.extend(reversed(listing(schema, "allOf")))
            found = [kind for kind in ("anyOf", "oneOf") if kind in schema and id(schema[kind]) not in settled]
            joints.extend([{kind: schema[kind]} for kind in found])
            left = {key: value for key, value in schema.items() if key not in JOINTS and key not in NOTES}
            if left:
                plain.append(left)
        return self._either(joints, plain, depth, settled) if joints else self._plain(plain, depth)

    @property
    def root(self) -> Any:
        return self._document.root

    def _either(
        self, joints: list[Schema], plain: list[Schema], depth: int, settled: frozenset[int]
    ) -> Sentence | None:
        """One of the alternatives of the first joint, with all else."""
        first, *others = joints
        [(kind, options)] = first.items()
        if not isinstance(options, list):
            raise Unsuited
        settled |= {id(options)}
        if kind == "oneOf":
            options = apart(options, self._document)
        return self._choice([self.every([*plain, option, *others], depth, settled) for option in options])

    def _choice(self, options: list[Sentence | None]) -> Sentence | None:
        found = [option for option in options if option is not None]
        if self.bounds.narrow and found:
            return min(found, key=lambda option: option.longest)
        return choice(found)

    def _plain(self, schemas: list[Schema], depth: int) -> Sentence | None:
        values = listed(schemas)
        if values is not None:
            self._document.work.spend(len(values))
            return self._choice([sentence(value) for value in values])
        return self._choice([self._kind(kind, schemas, depth) for kind in kinds(schemas)])

    def _kind(self, kind: str, schemas: list[Schema], depth: int) -> Sentence | None:
        match kind:
            case "object":
                return members(schemas, depth, self)
            case "array":
                return array(schemas, depth, self)
            case "string":
                return text(schemas, self.bounds.text)
            case "number" | "integer":
                asked = range_of(schemas)
                return None if asked is None else number(asked, kind == "integer", self.bounds.digits)
            case "boolean":
                return choice([literal("true"), literal("false")])
            case "null":
                return literal("null")
        return None


def is_reference(schema: Any) -> bool:
    """Whether it is a reference and nothing else."""
    return isinstance(schema, dict) and "$ref" in schema and schema.keys() <= NOTES | {"$ref"}


def kinds(schemas: list[Schema]) -> list[str]:
    """The types that all of these allow. Where none names one, that which they speak of, or what is simple."""
    said = [found for schema in schemas if (found := types(schema)) is not None]
    if not said:
        hinted = [kind for kind, words in HINTS.items() if any(word in schema for schema in schemas for word in words)]
        return hinted[:1] or list(SCALARS)
    found = said[0]
    for one in said[1:]:
        found = [kind for kind in both(found) if kind in both(one)]
    return [kind for kind in dict.fromkeys(map(str, found)) if kind != "integer" or "number" not in found]


def both(kinds: list[str]) -> list[str]:
    """A whole number is a number."""
    return [*kinds, "integer"] if "number" in kinds else kinds
