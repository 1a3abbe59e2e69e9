"""Types to JSON Schema: one schema for each declared type that is reached, with references between them.

The words are those of draft 7; 2020-12 understands the same by them, except for tuples.
"""

from typing import Any

from msgspec import Struct, field

from gateway.typescript.alternatives import Alternatives
from gateway.typescript.comments import ANNOTATIONS, Schema, with_comment
from gateway.typescript.jsdoc import Documentation, Keywords, documentation
from gateway.typescript.kinds import described, is_constant, is_undefined
from gateway.typescript.patterns import pattern
from gateway.typescript.resolve import Resolver
from gateway.typescript.scopes import TOP, Instance
from gateway.typescript.shapes import Property, Shape
from gateway.typescript.syntax import (
    Alias,
    Array,
    Bound,
    Element,
    Enum,
    Intersection,
    Keyword,
    Literal,
    Reference,
    Template,
    Tuple,
)
from gateway.typescript.unions import any_of, enum, uncovered

CHARACTERS_PER_PART = 64
"""How much text counts as a part of the whole, so that a long one cannot be repeated without end."""

KEYWORDS: dict[str, Schema] = {
    "any": {},
    "bigint": {"type": "integer"},
    "boolean": {"type": "boolean"},
    "number": {"type": "number"},
    "object": {"type": "object"},
    "string": {"type": "string"},
    "unknown": {},
}


class Use(Struct, eq=False):
    """Where one schema refers to another: ``schema`` is to become it, or a ``$ref`` to it, with the keywords
    ``beside`` it. ``depth`` is how far inside it stands."""

    schema: Schema
    number: int
    depth: int
    beside: Keywords = field(default_factory=dict)

    @property
    def constrained(self) -> bool:
        """Whether what stands beside forbids something: many readers pass over what is beside a ``$ref``."""
        return not self.beside.keys() <= ANNOTATIONS


class Definition(Struct, eq=False):
    """The schema of a type that can be referred to: one that is declared, or made of others by ``&`` or a utility type.
    ``size`` counts its parts and ``depth`` how far they are nested, without those of the types it uses."""

    bound: Bound
    instance: Instance | None = None
    schema: Schema = field(default_factory=dict)
    uses: list[Use] = field(default_factory=list)
    size: int = 0
    depth: int = 0

    @property
    def doc(self) -> int | None:
        return None if self.instance is None else self.instance.declaration.doc


class Writer:
    """``definitions`` are by the number of their type, in the order in which they are first used."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._source = resolver.source
        self._budget = resolver.budget
        self._docs: dict[int, Documentation | None] = {}
        self._depth = 0
        self._waiting: list[Definition] = []
        self._current: Definition
        self.definitions: dict[int, Definition] = {}
        self.has_tuples = False

    def write(self, root: Instance) -> int:
        """The number of a type; its definition and those of all that it needs are in ``definitions`` then."""
        number = self._defined_as(root.reference, root)
        while self._waiting:
            self._current = self._waiting.pop()
            self._current.schema = self._definition(self._current)
        return number

    def _defined_as(self, bound: Bound, instance: Instance | None) -> int:
        number = self._resolver.scopes.number(bound)
        if number not in self.definitions:
            definition = self.definitions[number] = Definition(bound, instance)
            self._waiting.append(definition)
        return number

    def _definition(self, definition: Definition) -> Schema:
        instance = definition.instance
        if instance is None:
            return self._object(self._resolver.shape(definition.bound))
        declaration = instance.declaration
        if isinstance(declaration, Alias):
            made = self._type(Bound(declaration.type, instance.scope))
        elif isinstance(declaration, Enum):
            made = self._either(tuple(Bound(one, TOP) for one in declaration.constants.values()))
        else:
            made = self._object(self._resolver.shape(instance.reference))
        return self._with_comment(made, declaration.doc, declaration.at)

    # ---- types

    def _type(self, bound: Bound) -> Schema:
        bound = self._resolver.scopes.plain(bound)
        return self._known(bound, self._resolver.alternatives(bound))

    def _known(self, bound: Bound, parts: Alternatives) -> Schema:
        """A type whose alternatives are known. A name stands for the definition of that name, also where that is a
        union, since it may contain itself."""
        if type(bound.type) is Reference:
            target = self._resolver.target(bound)
            if isinstance(target, Instance):
                return self._use(bound, target)
        return self._either(parts)

    def _either(self, parts: Alternatives) -> Schema:
        """What is one of these."""
        if len(parts) == 1:
            return self._one(parts[0])
        if all(type(part.type) is Literal for part in parts):
            return self._enum(parts)
        left = uncovered(parts)
        if not left:
            return {}
        literals = tuple([part for part in left if is_constant(part)])
        made: list[Schema] = []
        for part in left:
            if not is_constant(part):
                made.append(self._one(part))
            elif part is literals[0]:
                made.append(self._enum(literals))
        return any_of(made)

    def _enum(self, parts: Alternatives) -> Schema:
        values = [part.type.value for part in parts if isinstance(part.type, Literal)]
        length = sum([len(value) for value in values if isinstance(value, str)])
        self._spend(len(values) + length // CHARACTERS_PER_PART, parts[0].at)
        return enum(values)

    def _one(self, bound: Bound) -> Schema:
        """The schema of what is no union."""
        kind = bound.type
        if isinstance(kind, Keyword):
            return self._keyword(kind)
        if isinstance(kind, Literal):
            return self._enum((bound,))
        self._spend(1, bound.at)
        target = self._resolver.target(bound)
        if target == "Date":
            return {"type": "string", "format": "date-time"}
        if target is not None or isinstance(kind, Intersection):
            return self._use(bound, target if isinstance(target, Instance) else None)
        return self._nested(bound)

    def _keyword(self, kind: Keyword) -> Schema:
        self._spend(1, kind.at)
        if kind.name == "undefined":
            raise self._source.error(kind.at, "'undefined' has no JSON form; write null, or '?' after a member's name")
        return dict(KEYWORDS[kind.name])

    def _use(self, bound: Bound, instance: Instance | None) -> Schema:
        """To be filled in when it is known which definitions there will be."""
        made: Schema = {}
        self._current.uses.append(Use(made, self._defined_as(bound, instance), self._depth))
        return made

    def _nested(self, bound: Bound) -> Schema:
        self._budget.enter(bound.at)
        self._depth += 1
        self._current.depth = max(self._current.depth, self._depth)
        kind = bound.type
        if isinstance(kind, Array):
            made: Schema = {"type": "array", "items": self._type(Bound(kind.item, bound.scope))}
        elif isinstance(kind, Tuple):
            made = self._tuple(kind, bound)
        elif isinstance(kind, Template):
            made = {"type": "string", "pattern": pattern(bound, kind, self._resolver)}
            self._spend(len(made["pattern"]) // CHARACTERS_PER_PART, bound.at)
        else:
            made = self._object(self._resolver.shape(bound))
        self._depth -= 1
        self._budget.leave()
        return made

    def _spend(self, parts: int, at: int) -> None:
        self._current.size += parts
        self._budget.spend(parts, at)

    # ---- objects

    def _object(self, shape: Shape) -> Schema:
        properties: Schema = {}
        required: list[str] = []
        for one in shape.properties.values():
            properties[one.name], optional = self._property(one)
            if not optional:
                required.append(one.name)
        made: Schema = {"type": "object"}
        if properties:
            made["properties"] = properties
        if required:
            made["required"] = required
        if shape.index is not None:
            made["additionalProperties"] = self._defined(shape.index)[0]
        elif not shape.open:
            made["additionalProperties"] = False
        return made

    def _property(self, one: Property) -> tuple[Schema, bool]:
        """The schema of a member, and whether it may be missing."""
        self._spend(len(one.name) // CHARACTERS_PER_PART, one.at)
        made, may_be_undefined = self._defined(one.type)
        made = self._with_comment(made, one.doc, one.at)
        return made, one.optional or (may_be_undefined and not one.required)

    def _defined(self, bound: Bound) -> tuple[Schema, bool]:
        """The schema without ``undefined``, and whether that was one of the alternatives."""
        bound = self._resolver.scopes.plain(bound)
        if type(bound.type) is Keyword and bound.type.name != "undefined":
            return self._keyword(bound.type), False
        parts = self._resolver.alternatives(bound)
        left = tuple([part for part in parts if not is_undefined(part)])
        if len(left) == len(parts):
            return self._known(bound, parts), False
        if not left:
            raise self._source.error(
                bound.at, "'undefined' alone has no JSON form; leave the member out, or write null"
            )
        return self._either(left), True

    # ---- tuples

    def _tuple(self, kind: Tuple, bound: Bound) -> Schema:
        elements = kind.elements
        least = 0
        for place, element in enumerate(elements):
            if element.rest and place < len(elements) - 1:
                raise self._source.error(element.type.at, "a rest element must be the last of its tuple")
            if not (element.optional or element.rest):
                if place > least:
                    raise self._source.error(element.type.at, "a required element cannot follow an optional one")
                least += 1
        rest = self._listed(elements[-1], bound) if elements and elements[-1].rest else None
        fixed = elements if rest is None else elements[:-1]
        made: Schema = {"type": "array"} | self._items(fixed, rest, bound)
        if least:
            made["minItems"] = least
        if rest is None:
            made["maxItems"] = len(fixed)
        return made

    def _items(self, fixed: tuple[Element, ...], rest: Bound | None, bound: Bound) -> Schema:
        """Places of one type are a plain list: not every reader of schemas knows tuples."""
        types = [Bound(element.type, bound.scope) for element in fixed] + ([rest] if rest else [])
        if not types:
            return {}
        if len(set(map(self._resolver.scopes.number, types))) == 1 and not any(one.name for one in fixed):
            return {"items": self._defined(types[0])[0] if any(one.optional for one in fixed) else self._type(types[0])}
        self.has_tuples = True
        made: Schema = {"items": [self._element(element, bound) for element in fixed]}
        return made if rest is None else made | {"additionalItems": self._type(rest)}

    def _element(self, element: Element, bound: Bound) -> Schema:
        inner = Bound(element.type, bound.scope)
        made = self._defined(inner)[0] if element.optional else self._type(inner)
        if element.name is None:
            return made
        self._spend(len(element.name) // CHARACTERS_PER_PART, bound.at)
        return self._with_keywords(made, {"title": element.name})

    def _listed(self, element: Element, bound: Bound) -> Bound:
        """What the items of a rest element are: its type is a list's."""
        inner = Bound(element.type, bound.scope)
        parts = self._resolver.alternatives(inner, whole=False)
        listed = self._resolver.bare(parts[0])
        if len(parts) > 1 or not isinstance(listed.type, Array):
            message = f"the rest of a tuple is a list such as string[], not {described(listed)}"
            raise self._source.error(element.type.at, message)
        return Bound(listed.type.item, listed.scope)

    # ---- comments

    def _with_comment(self, schema: Schema, index: int | None, at: int) -> Schema:
        if index is None:
            return schema
        if index not in self._docs:
            self._docs[index] = documentation(self._source, index)
        doc = self._docs[index]
        if doc is None:
            return schema
        self._spend(sum(map(_length, doc.keywords.values())) // CHARACTERS_PER_PART, at)
        return self._commented(schema, doc, at)

    def _commented(self, schema: Schema, doc: Documentation, at: int) -> Schema:
        use = self._use_of(schema)
        if use is None:
            return with_comment(schema, doc, self._source, at)
        if doc.integer:
            raise self._source.error(at, "@asType integer goes with number only, or where such a type is declared")
        if doc.nullable:
            return {"anyOf": [schema, {"type": "null"}]} | doc.keywords
        use.beside |= doc.keywords
        return schema

    def _with_keywords(self, schema: Schema, keywords: Keywords) -> Schema:
        use = self._use_of(schema)
        if use is None:
            return schema | keywords
        use.beside |= keywords
        return schema

    def _use_of(self, schema: Schema) -> Use | None:
        """The use that a schema is going to be filled in for, if that is all it is."""
        uses = self._current.uses
        return uses[-1] if uses and uses[-1].schema is schema else None


def _length(value: Any) -> int:
    """About as many characters as it takes."""
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(key) + _length(item) for key, item in value.items())
    return 8 + (sum(map(_length, value)) if isinstance(value, list) else 0)
