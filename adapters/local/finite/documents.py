"""A schema with what its references point to, and how much work it may make."""

from typing import Any
from urllib.parse import unquote

from msgspec import Struct

MAX_REFERENCES = 100

NOTES = frozenset(
    {"$comment", "$schema", "default", "definitions", "$defs", "deprecated", "description", "examples", "nullable"}
    | {"readOnly", "title", "writeOnly"}
)
"""Keywords that forbid nothing."""


class Unsuited(Exception):
    """The schema is no schema, or makes more work than its answer is worth."""


class Work(Struct):
    """Steps that are left."""

    left: int

    def spend(self, steps: int = 1) -> None:
        self.left -= steps
        if self.left < 0:
            raise Unsuited


class Document:
    """``recursive`` holds the references whose targets lead back to themselves. Raises Unsuited."""

    def __init__(self, schema: Any, work: Work) -> None:
        self.root = schema
        self.work = work
        self._targets: dict[str, Any] = {}
        uses: dict[str, set[str]] = {}
        waiting = self._references(schema)
        while waiting:
            name = waiting.pop()
            if name not in uses:
                uses[name] = self._references(self.target(name))
                waiting |= uses[name]
                if len(uses) > MAX_REFERENCES:
                    raise Unsuited
        self.recursive = [name for name in uses if self._leads(name, uses)]

    def target(self, name: str) -> Any:
        """The schema that a reference points to; False where there is none in this document."""
        if name not in self._targets:
            self._targets[name] = pointed(self.root, name)
        return self._targets[name]

    def _references(self, schema: Any) -> set[str]:
        found = set()
        waiting = [schema]
        while waiting:
            one = waiting.pop()
            self.work.spend()
            if isinstance(one, dict):
                if isinstance(one.get("$ref"), str):
                    found.add(one["$ref"])
                waiting += one.values()
            elif isinstance(one, list):
                waiting += one
        return found

    def _leads(self, name: str, uses: dict[str, set[str]]) -> bool:
        """Whether a reference leads back to itself."""
        seen: set[str] = set()
        waiting = list(uses[name])
        while waiting:
            one = waiting.pop()
            if one not in seen:
                self.work.spend()
                seen.add(one)
                waiting += uses[one]
        return name in seen


def pointed(root: Any, name: str) -> Any:
    """A JSON pointer's target. https://datatracker.ietf.org/doc/html/rfc6901"""
    if name != "#" and not name.startswith("#/"):
        return False
    found = root
    for step in unquote(name[2:]).split("/") if name != "#" else ():
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and key.isascii() and int(key[:6]) < len(found):
            found = found[int(key[:6])]
        else:
            return False
    return found


def counts(schemas: list[dict[str, Any]], name: str) -> list[int]:
    """What the schemas say under this keyword, which is a count. Raises Unsuited."""
    return [count(schema[name]) for schema in schemas if name in schema]


def count(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 2**53:
        raise Unsuited
    return int(value)


def mapping(schema: dict[str, Any], name: str) -> dict[str, Any]:
    """A keyword whose value is an object. Raises Unsuited."""
    found = schema.get(name, {})
    if not isinstance(found, dict):
        raise Unsuited
    return found


def listing(schema: dict[str, Any], name: str) -> list[Any]:
    """A keyword whose value is a list. Raises Unsuited."""
    found = schema.get(name, [])
    if not isinstance(found, list):
        raise Unsuited
    return found
