"""A schema, what its references name, and which of them come back to themselves."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

ONE = (
    *("additionalItems", "additionalProperties", "contains", "else", "if", "items", "not", "propertyNames", "then"),
    *("unevaluatedItems", "unevaluatedProperties"),
)
LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
MAPS = ("dependentSchemas", "patternProperties", "properties")
SHELVES = ("$defs", "definitions")


class Document:
    """``root`` is a schema, decoded: all of it stays alive and unchanged, so that its parts can be told by identity."""

    def __init__(self, root: Any) -> None:
        self.root = root
        self._targets: dict[str, Any] = {}
        self._recursive = self._found_recursive()

    def target(self, reference: Any) -> Any:
        """What a reference within the document names; None for any other, and for one that names another in turn
        without end."""
        seen: set[int] = set()
        found: Any = {"$ref": reference}
        while isinstance(found, dict) and found.keys() == {"$ref"}:
            if id(found) in seen:
                return None
            seen.add(id(found))
            found = self._named(found["$ref"])
        return found

    def is_recursive(self, target: Any) -> bool:
        """Whether what is named comes back to itself."""
        return id(target) in self._recursive

    def _named(self, reference: Any) -> Any:
        if not isinstance(reference, str):
            return None
        if reference not in self._targets:
            found = self.root if reference == "#" or reference.startswith("#/") else None
            for step in unquote(reference).split("/")[1:] if found is not None else ():
                found = part_of(found, step.replace("~1", "/").replace("~0", "~"))
            self._targets[reference] = found if isinstance(found, dict | bool) else None
        return self._targets[reference]

    def _found_recursive(self) -> frozenset[int]:
        """The targets that are left when those that name none of the others, or are named by none, are taken away, as
        long as there are such: those that come back to themselves, or stand between two that do."""
        named: dict[int, set[int]] = {}
        waiting = [self.target(reference) for reference in references(self.root)]
        while waiting:
            target = waiting.pop()
            if target is None or id(target) in named:
                continue
            inner = [self.target(reference) for reference in references(target)]
            named[id(target)] = {id(one) for one in inner if one is not None}
            waiting += inner
        naming: dict[int, set[int]] = {key: set() for key in named}
        for key, others in named.items():
            for other in others:
                naming[other].add(key)
        without_ends(named, naming)
        without_ends(naming, named)
        return frozenset(named)


def without_ends(forth: dict[int, set[int]], back: dict[int, set[int]]) -> None:
    """Takes away what leads nowhere, and then what led only there."""
    ends = [key for key, others in forth.items() if not others]
    while ends:
        end = ends.pop()
        for key in back.pop(end):
            forth[key].discard(end)
            if not forth[key]:
                ends.append(key)
        for key in forth.pop(end):
            back[key].discard(end)


def part_of(parent: Any, name: str) -> Any:
    if isinstance(parent, dict):
        return parent.get(name)
    if isinstance(parent, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(parent):
        return parent[int(name[:9])]
    return None


def references(schema: Any) -> Iterator[Any]:
    """The references within a schema, but for those in its definitions."""
    todo = [schema]
    while todo:
        found = todo.pop()
        if isinstance(found, dict):
            if "$ref" in found:
                yield found["$ref"]
            todo += inner(found)


def inner(schema: dict[str, Any]) -> Iterator[Any]:
    """The schemas right within a schema, but for its definitions."""
    for keyword in ONE:
        if keyword in schema:
            yield schema[keyword]
    for keyword in LISTS:
        yield from listed(schema, keyword)
    for keyword in MAPS:
        yield from mapped(schema, keyword).values()


def listed(schema: dict[str, Any], keyword: str) -> list[Any]:
    value = schema.get(keyword)
    return value if isinstance(value, list) else []


def mapped(schema: dict[str, Any], keyword: str) -> dict[str, Any]:
    value = schema.get(keyword)
    return value if isinstance(value, dict) else {}


def depth_of(value: Any) -> int:
    """How deeply lists and objects are within each other: level by level, since it may be hundreds."""
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [part for item in level for part in (item.values() if isinstance(item, dict) else item)]
    return depth
