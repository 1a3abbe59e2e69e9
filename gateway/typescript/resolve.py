"""Types to objects as properties. `extends`, `&` and the utility types end here."""

from collections.abc import Callable, Iterable

from gateway.typescript.alternatives import Alternatives, Conflict, Unions
from gateway.typescript.errors import listed, meant, shown
from gateway.typescript.kinds import described, is_empty, is_scalar
from gateway.typescript.lexer import Source
from gateway.typescript.scopes import TOP, Instance, Scopes
from gateway.typescript.shapes import ANYTHING, Properties, Property, Shape, omit, partial, pick, required
from gateway.typescript.syntax import (
    Alias,
    Bound,
    Enum,
    Interface,
    Intersection,
    Keyword,
    Literal,
    Object,
    Reference,
    Union,
)

MAPPING: dict[str, Callable[[Shape], Shape]] = {"Partial": partial, "Required": required}
CHOOSING: dict[str, Callable[[Shape, Iterable[str]], Shape]] = {"Pick": pick, "Omit": omit}


class Resolver(Unions):
    def __init__(self, source: Source, scopes: Scopes) -> None:
        super().__init__(source, scopes)
        self._shapes: dict[int, Shape | None] = {}
        """Of aliases and interfaces; None while they are worked out."""

    def shape(self, bound: Bound) -> Shape:
        """An object's properties, all that it inherits among them."""
        bound = self.scopes.plain(bound)
        self.budget.enter(bound.at)
        made = self._shape(bound)
        self.budget.leave()
        return made

    def _shape(self, bound: Bound) -> Shape:
        kind = bound.type
        if isinstance(kind, Object):
            return ANYTHING if is_empty(bound) else self._literal(kind, bound)
        if isinstance(kind, Intersection):
            parts = self.alternatives(bound)
            if parts != (bound,):
                return self._only(parts, bound)
            made = self.shape(Bound(kind.parts[0], bound.scope))
            for part in kind.parts[1:]:
                made = self._merged(made, self.shape(Bound(part, bound.scope)), part.at)
            return made
        if isinstance(kind, Union):
            return self._only(self.alternatives(bound), bound)
        if isinstance(kind, Reference):
            target = self.scopes.target(kind, bound.scope)
            if isinstance(target, Instance):
                return self._declared_shape(target, bound)
            if isinstance(target, str):
                return self._utility(target, kind, bound)
        if isinstance(kind, Keyword) and kind.name == "object":
            return ANYTHING
        raise self.source.error(bound.at, f"expected an object type here, not {described(bound)}")

    def _only(self, parts: Alternatives, bound: Bound) -> Shape:
        if len(parts) != 1:
            message = "a union of several types cannot be used here; use each of its types by itself"
            raise self.source.error(bound.at, message)
        return self.shape(parts[0])

    def _literal(self, kind: Object, bound: Bound) -> Shape:
        self.budget.spend(1 + len(kind.members), bound.at)
        scope = bound.scope
        properties = {
            member.name: Property(member.at, member.name, Bound(member.type, scope), member.optional, False, member.doc)
            for member in kind.members
        }
        return Shape(properties, None if kind.index is None else Bound(kind.index, scope))

    def _declared_shape(self, instance: Instance, bound: Bound) -> Shape:
        declaration = instance.declaration
        if isinstance(declaration, Enum):
            raise self.source.error(bound.at, f"expected an object type here, not {described(bound)}")
        if instance.number not in self._shapes:
            self._shapes[instance.number] = None
            if isinstance(declaration, Alias):
                made = self.shape(Bound(declaration.type, instance.scope))
            else:
                made = self._interface(declaration, instance)
            self._shapes[instance.number] = made
        known = self._shapes[instance.number]
        if known is None:
            raise self.circular(instance)
        return known

    def _interface(self, declaration: Interface, instance: Instance) -> Shape:
        own = self._literal(declaration.body, Bound(declaration.body, instance.scope))
        if not declaration.bases:
            return own
        base = self.shape(Bound(declaration.bases[0], instance.scope))
        for other in declaration.bases[1:]:
            base = self._merged(base, self.shape(Bound(other, instance.scope)), other.at)
        self.budget.spend(len(base.properties), declaration.at)
        for name in own.properties.keys() & base.properties.keys():
            self._check_override(base.properties[name], own.properties[name])
        return Shape(base.properties | own.properties, base.index if own.index is None else own.index)

    def _check_override(self, base: Property, own: Property) -> None:
        """A member may be declared again to make it narrower, not to make it something else."""
        parts = (*self.alternatives(base.type), *self.alternatives(own.type))
        if all(map(is_scalar, parts)):
            self._both(base, own)

    def _merged(self, one: Shape, other: Shape, at: int) -> Shape:
        """An object that is both. The members of an object that may have any others keep being those of the other."""
        self.budget.spend(len(one.properties) + len(other.properties), at)
        properties: Properties = dict(one.properties)
        for name, added in other.properties.items():
            properties[name] = self._both(properties[name], added) if name in properties else added
        index = one.index if other.index is None else other.index
        if one.index is not None and other.index is not None:
            index = Bound(Intersection(at, (one.index, other.index)), TOP)
        return Shape(properties, index, one.open and other.open)

    def _both(self, one: Property, other: Property) -> Property:
        optional = one.optional and other.optional
        doc = other.doc if one.doc is None else one.doc
        required_ = one.required or other.required
        if self.scopes.number(one.type) == self.scopes.number(other.type):
            return Property(one.at, one.name, one.type, optional, required_, doc)
        parts = Bound(Intersection(other.at, (one.type, other.type)), TOP)
        try:
            merged = Bound(Union(other.at, self.alternatives(parts)), TOP)
        except Conflict:
            message = f"member '{shown(one.name)}' is declared with types of which no value can be both"
            raise self.conflict(other.at, message) from None
        return Property(other.at, one.name, merged, optional, required_, doc)

    # ---- utility types

    def _utility(self, name: str, reference: Reference, bound: Bound) -> Shape:
        if name == "Date":
            raise self.source.error(bound.at, "expected an object type here, not a date")
        arguments = self.scopes.arguments(reference, bound.scope)
        if name == "Record":
            return self._record(arguments[0], arguments[1], bound)
        if name in ("Array", "ReadonlyArray"):
            raise self.source.error(bound.at, "expected an object type here, not a list")
        shape = self.shape(arguments[0])
        self.budget.spend(len(shape.properties), bound.at)
        if name in MAPPING:
            return MAPPING[name](shape)
        if name == "Readonly":
            return shape
        names = self._names(arguments[1])
        if names is None:
            raise self.source.error(arguments[1].at, f"{name} needs the names as literal texts")
        if name == "Pick":
            self._check_picked(names, shape, arguments[1])
        return CHOOSING[name](shape, names)

    def _check_picked(self, names: list[str], shape: Shape, bound: Bound) -> None:
        for name in names:
            if name not in shape.properties:
                known = shape.properties
                hint = meant(name, known) or f"; there are {listed(known)}"
                raise self.source.error(bound.at, f"there is no member '{shown(name)}' to pick{hint}")

    def _record(self, keys: Bound, value: Bound, bound: Bound) -> Shape:
        names = self._names(keys)
        if names is None:
            return Shape({}, value)
        self.budget.spend(len(names), bound.at)
        return Shape({name: Property(bound.at, name, value) for name in names})

    def _names(self, keys: Bound) -> list[str] | None:
        """The names that a union of literals lists; None if any name may be."""
        names: dict[str, None] = {}
        for part in self.alternatives(keys, whole=False):
            kind = part.type
            if isinstance(kind, Keyword) and kind.name in ("string", "number"):
                return None
            if not isinstance(kind, Literal) or kind.value is None or isinstance(kind.value, bool):
                message = f"names are string, number, or a union of literal texts, not {described(part)}"
                raise self.source.error(part.at, message)
            names[str(kind.value)] = None
        return list(names)
