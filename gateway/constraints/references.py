"""Where a JSON Schema's parts are, what its references name, and how much work they add up to.

A validator follows references for each place of an answer anew, so that a page of definitions, each of which names the
next one twice, keeps it busy for years. What would multiply like that is refused beforehand.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from gateway.constraints.problems import ConstraintError, cut, shown

Schema = dict[str, Any] | bool

ONE = (
    "additionalItems",
    "additionalProperties",
    "contains",
    "else",
    "if",
    "items",
    "not",
    "propertyNames",
    "then",
    "unevaluatedItems",
    "unevaluatedProperties",
)
LISTS = ("allOf", "anyOf", "items", "oneOf", "prefixItems")
MAPS = ("dependencies", "dependentSchemas", "patternProperties", "properties")
SHELVES = ("$defs", "definitions")
REFERENCES = ("$ref", "$dynamicRef", "$recursiveRef")
ALTERNATIVES = ("allOf", "anyOf", "oneOf")

MAX_WORK = 20_000
"""Subschemas, each counted as often as it is reached."""

MAX_CHAIN = 500
"""References that lead from one to the next: the validator follows them on its stack."""

MAX_RECURSIVE = 4_000
"""The same where definitions lead back to themselves: then the work may be the square of it."""


class Shape(Struct, frozen=True):
    """``work`` counts subschemas as often as they are reached, ``size`` each once. ``width`` is the largest number of
    alternatives at one place, ``branches`` the number of all alternatives, ``patterns`` that of regular expressions."""

    size: int
    work: int
    recursive: bool
    width: int
    branches: int
    patterns: int


def subschemas(schema: Schema) -> Iterator[Schema]:
    """The parts that are schemas themselves, except the definitions, which count where they are named."""
    if not isinstance(schema, dict):
        return
    for keyword in ONE:
        if isinstance(part := schema.get(keyword), dict | bool):
            yield part
    for keyword in LISTS:
        if isinstance(parts := schema.get(keyword), list):
            yield from parts
    for keyword in MAPS:
        if isinstance(named := schema.get(keyword), dict):
            yield from (part for part in named.values() if isinstance(part, dict | bool))


def definitions(schema: Schema) -> Iterator[Schema]:
    if isinstance(schema, dict):
        for shelf in SHELVES:
            if isinstance(named := schema.get(shelf), dict):
                yield from named.values()


def everything(schema: Schema) -> Iterator[Schema]:
    """This schema and all schemas within it."""
    todo = [schema]
    while todo:
        found = todo.pop()
        yield found
        todo += [*subschemas(found), *definitions(found)]


def inner(schema: Schema) -> Iterator[Schema]:
    """This schema and all within it but the definitions."""
    todo = [schema]
    while todo:
        found = todo.pop()
        yield found
        todo += subschemas(found)


def has_tuples(schema: Schema) -> bool:
    """Whether some ``items`` is a list, as in draft 7 and before."""
    return any(isinstance(part, dict) and isinstance(part.get("items"), list) for part in everything(schema))


class References:
    """Names and what they name, within one document."""

    def __init__(self, root: Schema) -> None:
        self.root = root
        self.anchors: dict[str, Schema] = {}
        self.own = ""
        if isinstance(root, dict):
            self.own = str(root.get("$id", root.get("id", ""))).rstrip("#")
        for part in everything(root):
            if isinstance(part, dict):
                self.learn(part)

    def learn(self, part: dict[str, Any]) -> None:
        for keyword in ("$anchor", "$dynamicAnchor"):
            if isinstance(name := part.get(keyword), str):
                self.anchors[name] = part
        name = part.get("$id")
        if isinstance(name, str) and name.startswith("#"):
            self.anchors[name[1:]] = part
        elif name is not None and part is not self.root:
            raise ConstraintError(f"$id is only understood at the top of the schema, not {shown(name)} within it")

    def target(self, reference: object) -> Schema:
        """What a reference names. Raises ConstraintError when that is not in the document: nothing is fetched."""
        document, _, fragment = str(reference).partition("#")
        if document not in ("", self.own):
            raise ConstraintError(
                f"the schema refers to {cut(str(reference))}, and nothing outside it is fetched: put it under $defs"
            )
        found = self.anchors.get(fragment, False) if fragment and fragment[0] != "/" else self.follow(fragment)
        if not isinstance(found, dict | bool) or (fragment and fragment[0] != "/" and fragment not in self.anchors):
            raise ConstraintError(f"the schema refers to {cut(str(reference))}, which is not in it")
        return found

    def follow(self, pointer: str) -> object:
        found: Any = self.root
        for step in unquoted(pointer).split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, dict):
                found = found.get(name)
            elif isinstance(found, list) and name.isascii() and name.isdigit() and int(name[:9]) < len(found):
                found = found[int(name[:9])]
            else:
                return None
        return found

    def named_by(self, schema: Schema) -> list[Schema]:
        """What the references within a schema name, as often as they stand there."""
        return [
            self.target(part[keyword])
            for part in inner(schema)
            if isinstance(part, dict)
            for keyword in REFERENCES
            if keyword in part
        ]


def unquoted(pointer: str) -> str:
    return unquote(pointer) if "%" in pointer else pointer


def shape(root: Schema) -> Shape:
    """Measures a schema that is valid by its meta-schema. Raises ConstraintError when it refers to what is not in it,
    or its references multiply too much."""
    references = References(root)
    parts = list(everything(root))
    for part in parts:
        for keyword in REFERENCES if isinstance(part, dict) else ():
            if isinstance(part, dict) and keyword in part:
                references.target(part[keyword])
    work, recursive = total_work(root, references)
    size = len(parts)
    if work > max(MAX_RECURSIVE if recursive else MAX_WORK, 2 * size):
        raise ConstraintError(
            "the schema's references multiply too much: let fewer places name the same definitions, "
            "or give a union that several name a definition of its own"
        )
    objects = [part for part in parts if isinstance(part, dict)]
    widths = [len(part[keyword]) for part in objects for keyword in ALTERNATIVES if keyword in part]
    patterns = sum([("pattern" in part) + len(part.get("patternProperties", ())) for part in objects])
    return Shape(size, work, recursive, max(widths, default=0), sum(widths), patterns)


def total_work(root: Schema, references: References) -> tuple[int, bool]:
    """How many subschemas there are with each reference replaced by what it names, once where it leads back to itself;
    and whether any does. Depth first."""
    done: dict[int, int] = {}
    open_: dict[int, tuple[int, list[Schema], int]] = {}  # of a schema: its own size, what it names, and work so far
    recursive = False
    stack: list[Schema] = [root]
    while stack:
        schema = stack[-1]
        if id(schema) not in open_:
            own = sum(1 for _ in inner(schema))
            open_[id(schema)] = (own, references.named_by(schema), own)
        own, named, work = open_[id(schema)]
        if named:
            target = named[-1]
            if id(target) in done:
                named.pop()
                open_[id(schema)] = (own, named, work + done[id(target)])
            elif id(target) in open_:
                named.pop()
                recursive = True
                open_[id(schema)] = (own, named, work + 1)
            elif len(stack) < MAX_CHAIN:
                stack.append(target)
            else:
                raise ConstraintError(f"more than {MAX_CHAIN} references of the schema lead from one to the next")
            continue
        done[id(schema)] = work
        del open_[id(stack.pop())]
    return done[id(root)], recursive
