"""Which parts of a JSON Schema speak of a place within an answer, and which members of an object they let be absent,
but not null."""

from collections.abc import Iterable
from typing import Any
from urllib.parse import unquote

BRANCHES = ("allOf", "anyOf", "oneOf")
MAX_DEPTH = 100
"""Branches and references within each other that are followed to see whether null is allowed: what lies deeper is
taken to allow it, so that nothing is taken out unknown."""


class Places:
    """The places of answers to one schema. ``root`` is the schema, decoded."""

    __slots__ = ("_known", "_nullable", "_root")

    def __init__(self, root: Any) -> None:
        self._root = root
        self._known: dict[tuple[int, ...], Place | None] = {}
        self._nullable: dict[int, bool] = {}

    def root(self) -> "Place | None":
        return self.at([self._root])

    def at(self, schemas: Iterable[Any]) -> "Place | None":
        """The place that all of these schemas, with their branches and references, speak of; None if they say nothing
        of what is in it, or nothing that matters here."""
        found = [part for part in self._parts(schemas) if part.keys() & Place.KEYWORDS]
        if not found:
            return None
        key = tuple(map(id, found))  # parts of the root, which lives as long
        if key not in self._known:
            place = Place(self, found)
            self._known[key] = place if place.has_optional or self._is_deep(place) else None
        return self._known[key]

    def _is_deep(self, place: "Place") -> bool:
        return any(part.keys() & Place.KEYWORDS for part in self._parts(place.inner()))

    def _parts(self, schemas: Iterable[Any]) -> Iterable[dict[str, Any]]:
        parts: dict[int, dict[str, Any]] = {}
        todo = [*schemas]
        while todo:
            part = todo.pop()
            if not isinstance(part, dict) or id(part) in parts:
                continue
            parts[id(part)] = part
            for keyword in BRANCHES:
                if keyword in part:
                    todo += listed(part, keyword)
            if "$ref" in part:
                todo.append(self._target(part["$ref"]))
        return parts.values()

    def allows_null(self, schema: Any, depth: int = 0) -> bool:
        """Whether null may stand where the schema speaks. What cannot be known counts as allowed."""
        if not isinstance(schema, dict):
            return schema is not False
        if depth > MAX_DEPTH:
            return True
        if id(schema) not in self._nullable:
            self._nullable[id(schema)] = False  # while it is looked at: what only leads back to itself allows nothing
            self._nullable[id(schema)] = self._says_null(schema, depth + 1)
        return self._nullable[id(schema)]

    def _says_null(self, schema: dict[str, Any], depth: int) -> bool:
        types = schema.get("type", "null")
        return (
            (types == "null" or (isinstance(types, list) and "null" in types))
            and schema.get("const") is None
            and ("enum" not in schema or None in listed(schema, "enum"))
            and all(
                any(self.allows_null(branch, depth) for branch in listed(schema, keyword))
                for keyword in ("anyOf", "oneOf")
                if keyword in schema
            )
            and all(self.allows_null(branch, depth) for branch in listed(schema, "allOf"))
            and ("$ref" not in schema or self.allows_null(self._target(schema["$ref"]), depth))
        )

    def _target(self, reference: Any) -> Any:
        """What a reference names within the schema; None for any other."""
        if not isinstance(reference, str) or (reference != "#" and not reference.startswith("#/")):
            return None
        found = self._root
        for step in unquote(reference).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(name)
            elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            else:
                return None
        return found


class Place:
    """One place, with the schemas that may hold for it. ``has_optional``: an object here may have members to be taken
    out. ``fixed``: how many of a list's first elements have schemas of their own."""

    KEYWORDS = frozenset({"additionalItems", "additionalProperties", "items", "prefixItems", "properties", "required"})

    __slots__ = ("_elements", "_members", "_optional", "_places", "_required", "_schemas", "fixed", "has_optional")

    def __init__(self, places: Places, schemas: list[dict[str, Any]]) -> None:
        self._places = places
        self._schemas = schemas
        self._required = {name for schema in schemas for name in listed(schema, "required") if isinstance(name, str)}
        self._elements: dict[int, Place | None] = {}
        self._members: dict[str, Place | None] = {}
        self._optional: dict[str, bool] = {}
        self.fixed = max(len(first_elements(schema)) for schema in schemas)
        self.has_optional = any(mapped(schema, "properties").keys() - self._required for schema in schemas)

    def is_optional(self, name: str) -> bool:
        """Whether a member may be absent, and may not be null."""
        if name not in self._optional:
            self._optional[name] = (
                name not in self._required
                and any(name in mapped(schema, "properties") for schema in self._schemas)
                and not any(map(self._places.allows_null, self._of_member(name)))
            )
        return self._optional[name]

    def member(self, name: str) -> "Place | None":
        if name not in self._members:
            self._members[name] = self._places.at(self._of_member(name))
        return self._members[name]

    def element(self, index: int) -> "Place | None":
        index = min(index, self.fixed)
        if index not in self._elements:
            self._elements[index] = self._places.at(self._of_element(index))
        return self._elements[index]

    def has_plain(self, index: int) -> bool:
        """Whether this element, and all behind it, say nothing that matters here."""
        return index >= self.fixed and self.element(index) is None

    def inner(self) -> Iterable[Any]:
        """All schemas of members and elements."""
        for schema in self._schemas:
            yield from mapped(schema, "properties").values()
            yield from first_elements(schema)
            yield from (schema.get(keyword) for keyword in ("additionalItems", "additionalProperties", "items"))

    def _of_member(self, name: str) -> list[Any]:
        """What speaks of a member. An object that is open to any others says nothing of them."""
        named = [(mapped(schema, "properties"), mapped(schema, "additionalProperties")) for schema in self._schemas]
        return [members.get(name, others) for members, others in named if name in members or others]

    def _of_element(self, index: int) -> list[Any]:
        found = []
        for schema in self._schemas:
            first = first_elements(schema)
            others = "additionalItems" if isinstance(schema.get("items"), list) else "items"
            found.append(first[index] if index < len(first) else schema.get(others))
        return found


def first_elements(schema: dict[str, Any]) -> list[Any]:
    return listed(schema, "prefixItems") or listed(schema, "items")


def listed(schema: dict[str, Any], keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def mapped(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}
