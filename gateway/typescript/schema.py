"""Types to JSON Schema: one schema for each declared type that is reached, with references between them.

The words are those of draft 7; 2020-12 understands the same by them, except for tuples.
"""

from msgspec import Struct, field

from gateway.typescript.alternatives import Alternatives
from gateway.typescript.budget import CHARACTERS_PER_PART, MAX_STEPS
from gateway.typescript.comments import ANNOTATIONS, NULL, with_comment
from gateway.typescript.jsdoc import Documentation, Keywords, documentation
from gateway.typescript.kinds import PLAIN, SCHEMAS, described, enum
from gateway.typescript.patterns import pattern
from gateway.typescript.resolve import Resolver
from gateway.typescript.shapes import Shape
from gateway.typescript.syntax import (
    Alias,
    Array,
    Bound,
    Closed,
    Element,
    Enum,
    Instance,
    Interface,
    Keyword,
    Literal,
    Object,
    Reference,
    Schema,
    Scope,
    Template,
    Tuple,
    Type,
    Union,
)
from gateway.typescript.unions import any_of, uncovered

NESTED = frozenset({Array, Object, Template, Tuple})
DETOURS = frozenset({Bound, Closed})
UNDEFINED = "undefined"


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
        self._define(root.number, root.reference, root)
        while self._waiting:
            self._current = self._waiting.pop()
            self._current.schema = self._definition(self._current)
        return root.number

    def _define(self, number: int, bound: Bound, instance: Instance | None) -> None:
        definition = self.definitions[number] = Definition(bound, instance)
        self._waiting.append(definition)

    def _definition(self, definition: Definition) -> Schema:
        instance = definition.instance
        if instance is None:
            return self._object(self._resolver.shape(definition.bound))
        declaration = instance.declaration
        if type(declaration) is Interface:
            made = self._object(self._resolver.declared(instance))
        elif type(declaration) is Alias:
            made = self._type(declaration.type, instance.scope)
        else:
            assert type(declaration) is Enum
            made = self._enum(list(declaration.constants.values()))
        return made if declaration.doc is None else self._with_comment(made, declaration.doc, declaration.at)

    # ---- types

    def _type(self, kind: Type, scope: Scope) -> Schema:
        if type(kind) in PLAIN:
            return self._one(kind, scope)
        if scope.types or type(kind) in DETOURS:
            kind, scope = self._resolver.scopes.direct(kind, scope)
        if type(kind) is Union and (literals := self._resolver.literals(kind)):
            return self._enum(literals)
        return self._known(kind, scope, self._alternatives(kind, scope))

    def _alternatives(self, kind: Type, scope: Scope) -> Instance | Alternatives:
        """Of what is no union of literals."""
        if type(kind) is Reference:
            return self._resolver.named(kind, scope)
        if type(kind) is Union:
            return self._resolver.union(kind, scope)
        return self._resolver.alternatives(Bound(kind, scope))

    def _known(self, kind: Type, scope: Scope, parts: Instance | Alternatives) -> Schema:
        """A type whose alternatives are known. A name stands for the definition of that name, also where that is a
        union, since it may contain itself."""
        if type(parts) is Instance:
            return self._use(parts)
        if type(kind) is Reference:
            target = self._resolver.scopes.target(kind, scope)
            if type(target) is Instance:
                return self._use(target)
        return self._either(parts)

    def _either(self, parts: Alternatives) -> Schema:
        """What is one of these."""
        if len(parts) == 1:
            return self._one(parts[0].type, parts[0].scope)
        left = uncovered(parts)
        if not left:
            return {}
        literals = [kind for part in left if type(kind := part.type) is Literal]
        if len(literals) == len(left):
            return self._enum(literals)
        literals = [kind for kind in literals if kind.value is not None]
        made: list[Schema] = []
        for part in left:
            kind = part.type
            if type(kind) is not Literal or kind.value is None:
                made.append(self._one(kind, part.scope))
            elif kind is literals[0]:
                made.append(self._enum(literals))
        return any_of(made)

    def _enum(self, parts: list[Literal]) -> Schema:
        values = list({(type(part.value), part.value): part.value for part in parts}.values())
        length = sum([len(value) for value in values if type(value) is str])
        self._spend(len(values) + length // CHARACTERS_PER_PART, parts[0].at)
        return enum(values)

    def _one(self, kind: Type, scope: Scope) -> Schema:
        """The schema of what is no union."""
        if type(kind) in NESTED:
            self._spend(1, kind.at)
            return self._nested(kind, scope)
        if type(kind) is Keyword:
            return self._keyword(kind)
        if type(kind) is Literal and kind.value is not None:
            return self._enum([kind])
        self._spend(1, kind.at)
        if type(kind) is Literal:
            return NULL
        if type(kind) is Reference:
            target = self._resolver.scopes.target(kind, scope)
            if target == "Date":
                return {"type": "string", "format": "date-time"}
            if type(target) is Instance:
                return self._use(target)
        return self._use_made(Bound(kind, scope))

    def _keyword(self, kind: Keyword) -> Schema:
        self._spend(1, kind.at)
        if kind.name == UNDEFINED:
            raise self._source.error(kind.at, "'undefined' has no JSON form; write null, or '?' after a member's name")
        return SCHEMAS[kind.name]

    def _use(self, instance: Instance) -> Schema:
        """To be filled in when it is known which definitions there will be."""
        number = instance.number
        if number not in self.definitions:
            self._define(number, instance.reference, instance)
        made: Schema = {}
        self._current.uses.append(Use(made, number, self._depth))
        return made

    def _use_made(self, bound: Bound) -> Schema:
        """The same of a type that is made by ``&`` or a utility type."""
        number = -1 - self._resolver.scopes.number(bound)
        if number not in self.definitions:
            self._define(number, bound, None)
        made: Schema = {}
        self._current.uses.append(Use(made, number, self._depth))
        return made

    def _nested(self, kind: Type, scope: Scope) -> Schema:
        self._budget.enter(kind.at)
        self._depth += 1
        if self._depth > self._current.depth:
            self._current.depth = self._depth
        if type(kind) is Object:
            made = self._object(self._resolver.literal(kind, scope))
        elif type(kind) is Array:
            made = {"type": "array", "items": self._type(kind.item, scope)}
        elif type(kind) is Tuple:
            made = self._tuple(kind, Bound(kind, scope))
        else:
            assert type(kind) is Template
            made = {"type": "string", "pattern": pattern(Bound(kind, scope), kind, self._resolver)}
            self._spend(len(made["pattern"]) // CHARACTERS_PER_PART, kind.at)
        self._depth -= 1
        self._budget.leave()
        return made

    def _spend(self, parts: int, at: int) -> None:
        self._current.size += parts
        budget = self._budget
        budget.steps += parts
        if budget.steps > MAX_STEPS:
            budget.spend(0, at)

    # ---- objects

    def _object(self, shape: Shape) -> Schema:
        properties: Schema = {}
        required: list[str] = []
        scope = shape.scope
        size = steps = 0
        for name, one in shape.members.items():
            made, optional = one.made, one.optional
            if made is not None:
                schema = made.schema
                size += made.size
                steps += made.steps
            else:
                if len(name) >= CHARACTERS_PER_PART:
                    self._spend(len(name) // CHARACTERS_PER_PART, one.at)
                schema, may_be_undefined = self._defined(one.type, scope)
                optional |= may_be_undefined and not one.required
            properties[name] = schema if one.doc is None else self._with_comment(schema, one.doc, one.at)
            if not optional:
                required.append(name)
        if steps:
            self._current.size += size
            self._budget.spend(steps, 0)
        schema = {"type": "object"}
        if properties:
            schema["properties"] = properties
        if required:
            schema["required"] = required
        if shape.index is not None:
            schema["additionalProperties"] = self._defined(shape.index, scope)[0]
        elif not shape.open:
            schema["additionalProperties"] = False
        return schema

    def _defined(self, kind: Type, scope: Scope) -> tuple[Schema, bool]:
        """The schema without ``undefined``, and whether that was one of the alternatives."""
        if scope.types or type(kind) in DETOURS:
            kind, scope = self._resolver.scopes.direct(kind, scope)
        if type(kind) in PLAIN and not (type(kind) is Keyword and kind.name == UNDEFINED):
            return self._one(kind, scope), False
        if type(kind) is Union and (literals := self._resolver.literals(kind)):
            return self._enum(literals), False
        parts = self._alternatives(kind, scope)
        if type(parts) is Instance:
            return self._use(parts), False
        left = tuple([part for part in parts if type(one := part.type) is not Keyword or one.name != UNDEFINED])
        if len(left) == len(parts):
            return self._known(kind, scope, parts), False
        if not left:
            raise self._source.error(kind.at, "'undefined' alone has no JSON form; leave the member out, or write null")
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
            kind, scope = types[0].type, types[0].scope
            return {
                "items": self._defined(kind, scope)[0]
                if any(one.optional for one in fixed)
                else self._type(kind, scope)
            }
        self.has_tuples = True
        made: Schema = {"items": [self._element(element, bound) for element in fixed]}
        return made if rest is None else made | {"additionalItems": self._type(rest.type, rest.scope)}

    def _element(self, element: Element, bound: Bound) -> Schema:
        kind, scope = element.type, bound.scope
        made = self._defined(kind, scope)[0] if element.optional else self._type(kind, scope)
        if element.name is None:
            return made
        self._spend(len(element.name) // CHARACTERS_PER_PART, bound.at)
        return self._with_keywords(made, {"title": element.name})

    def _listed(self, element: Element, bound: Bound) -> Bound:
        """What the items of a rest element are: its type is a list's."""
        inner = Bound(element.type, bound.scope)
        parts = self._resolver.alternatives(inner, whole=False)
        listed = self._resolver.bare(parts[0])
        if len(parts) > 1 or type(listed.type) is not Array:
            message = f"the rest of a tuple is a list such as string[], not {described(listed)}"
            raise self._source.error(element.type.at, message)
        return Bound(listed.type.item, listed.scope)

    # ---- comments

    def _with_comment(self, schema: Schema, index: int, at: int) -> Schema:
        if index not in self._docs:
            self._docs[index] = documentation(self._source, index)
        doc = self._docs[index]
        if doc is None:
            return schema
        if doc.length >= CHARACTERS_PER_PART:
            self._spend(doc.length // CHARACTERS_PER_PART, at)
        use = self._use_of(schema)
        return with_comment(schema, doc, self._source, at) if use is None else self._beside(use, doc, at)

    def _beside(self, use: Use, doc: Documentation, at: int) -> Schema:
        """The comment of a reference."""
        if doc.integer:
            raise self._source.error(at, "@asType integer goes with number only, or where such a type is declared")
        if doc.nullable:
            return {"anyOf": [use.schema, {"type": "null"}]} | doc.keywords
        use.beside |= doc.keywords
        return use.schema

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
