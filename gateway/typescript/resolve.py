"""Types to objects as properties. `extends`, `&` and the utility types end here."""

from collections.abc import Callable, Iterable

from gateway.typescript.alternatives import Alternatives, Conflict, Unions
from gateway.typescript.errors import listed, meant, shown
from gateway.typescript.kinds import described, is_empty, is_scalar
from gateway.typescript.lexer import Source
from gateway.typescript.scopes import Scopes
from gateway.typescript.shapes import Property, Shape, omit, partial, pick, required
from gateway.typescript.syntax import (
    Alias,
    Bound,
    Enum,
    Instance,
    Interface,
    Intersection,
    Keyword,
    Literal,
    Object,
    Reference,
    Scope,
    Union,
)

MAPPING: dict[str, Callable[[Shape], Shape]] = {"Partial": partial, "Required": required}
CHOOSING: dict[str, Callable[[Shape, Iterable[str]], Shape]] = {"Pick": pick, "Omit": omit}


class Resolver(Unions):
    def __init__(self, source: Source, scopes: Scopes) -> None:
        super().__init__(source, scopes)
        self._anything = Shape({}, scopes.top, open=True)
        self._shapes: dict[int, Shape | None] = {}
        """Of aliases and interfaces; None while they are worked out."""

    def shape(self, bound: Bound) -> Shape:
        """An object's properties, all that it inherits among them."""
        bound = self.scopes.plain(bound)
        self.budget.enter(bound.at)
        made = self._shape(bound)
        self.budget.leave()
        return made

    def literal(self, kind: Object, scope: Scope) -> Shape:
        """The same of an object that is written out."""
        if not kind.members and kind.index is None:
            self.budget.visit(0, kind.at)
            return self._anything
        self.budget.visit(1 + len(kind.members), kind.at)
        return Shape(kind.members, scope, None if kind.index is None else Bound(kind.index, scope))

    def declared(self, instance: Instance) -> Shape:
        """The same of a declared type."""
        bound = instance.reference
        self.budget.enter(bound.at)
        made = self._declared_shape(instance, bound)
        self.budget.leave()
        return made

    def _shape(self, bound: Bound) -> Shape:
        kind = bound.type
        if type(kind) is Object:
            return self._anything if is_empty(bound) else self._literal(kind, bound.scope)
        if type(kind) is Intersection:
            parts = self.alternatives(bound)
            if parts != (bound,):
                return self._only(parts, bound)
            made = self.shape(Bound(kind.parts[0], bound.scope))
            for part in kind.parts[1:]:
                made = self._merged(made, self.shape(Bound(part, bound.scope)), part.at)
            return made
        if type(kind) is Union:
            return self._only(self.alternatives(bound), bound)
        if type(kind) is Reference:
            target = self.scopes.target(kind, bound.scope)
            if type(target) is Instance:
                return self._declared_shape(target, bound)
            if type(target) is str:
                return self._utility(target, kind, bound)
        if type(kind) is Keyword and kind.name == "object":
            return self._anything
        raise self.source.error(bound.at, f"expected an object type here, not {described(bound)}")

    def _only(self, parts: Alternatives, bound: Bound) -> Shape:
        if len(parts) != 1:
            message = "a union of several types cannot be used here; use each of its types by itself"
            raise self.source.error(bound.at, message)
        return self.shape(parts[0])

    def _literal(self, kind: Object, scope: Scope) -> Shape:
        self.budget.spend(1 + len(kind.members), kind.at)
        return Shape(kind.members, scope, None if kind.index is None else Bound(kind.index, scope))

    def _declared_shape(self, instance: Instance, bound: Bound) -> Shape:
        known = self._shapes.get(instance.number)
        if known is not None:
            return known
        declaration = instance.declaration
        if type(declaration) is Enum:
            raise self.source.error(bound.at, f"expected an object type here, not {described(bound)}")
        if instance.number in self._shapes:
            raise self.circular(instance)
        self._shapes[instance.number] = None
        if type(declaration) is Alias:
            made = self.shape(Bound(declaration.type, instance.scope))
        else:
            made = self._interface(declaration, instance)
        self._shapes[instance.number] = made
        return made

    def _interface(self, declaration: Interface, instance: Instance) -> Shape:
        own = self._literal(declaration.body, instance.scope)
        if not declaration.bases:
            return own
        base = self.shape(Bound(declaration.bases[0], instance.scope))
        for other in declaration.bases[1:]:
            base = self._merged(base, self.shape(Bound(other, instance.scope)), other.at)
        self.budget.spend(len(base.members), declaration.at)
        inherited, added = base.properties(), own.properties()
        for name in added.keys() & inherited.keys():
            self._check_override(inherited[name], added[name])
        return Shape(inherited | added, self.scopes.top, base.index if own.index is None else own.index)

    def _check_override(self, base: Property, own: Property) -> None:
        """A member may be declared again to make it narrower, not to make it something else."""
        parts = (*self.alternatives(base.type), *self.alternatives(own.type))
        if all(map(is_scalar, parts)):
            self._both(base, own)

    def _merged(self, one: Shape, other: Shape, at: int) -> Shape:
        """An object that is both. The members of an object that may have any others keep being those of the other."""
        self.budget.spend(len(one.members) + len(other.members), at)
        properties = one.properties()
        for name, added in other.properties().items():
            properties[name] = self._both(properties[name], added) if name in properties else added
        index = one.index if other.index is None else other.index
        if one.index is not None and other.index is not None:
            index = Bound(Intersection(at, (one.index, other.index)), self.scopes.top)
        return Shape(properties, self.scopes.top, index, one.open and other.open)

    def _both(self, one: Property, other: Property) -> Property:
        optional = one.optional and other.optional
        doc = other.doc if one.doc is None else one.doc
        required_ = one.required or other.required
        if self.scopes.number(one.type) == self.scopes.number(other.type):
            return Property(one.at, one.name, one.type, optional, doc, None, required_)
        parts = Bound(Intersection(other.at, (one.type, other.type)), self.scopes.top)
        try:
            merged = Bound(Union(other.at, self.alternatives(parts)), self.scopes.top)
        except Conflict:
            message = f"member '{shown(one.name)}' is declared with types of which no value can be both"
            raise Conflict(other.at, message) from None
        return Property(other.at, one.name, merged, optional, doc, None, required_)

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
        self.budget.spend(len(shape.members), bound.at)
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
            if name not in shape.members:
                known = shape.members
                hint = meant(name, known) or f"; there are {listed(known)}"
                raise self.source.error(bound.at, f"there is no member '{shown(name)}' to pick{hint}")

    def _record(self, keys: Bound, value: Bound, bound: Bound) -> Shape:
        names = self._names(keys)
        if names is None:
            return Shape({}, self.scopes.top, value)
        self.budget.spend(len(names), bound.at)
        return Shape({name: Property(bound.at, name, value) for name in names}, self.scopes.top)

    def _names(self, keys: Bound) -> list[str] | None:
        """The names that a union of literals lists; None if any name may be."""
        names: dict[str, None] = {}
        for part in self.alternatives(keys, whole=False):
            kind = part.type
            if type(kind) is Keyword and kind.name in ("string", "number"):
                return None
            if type(kind) is not Literal or kind.value is None or isinstance(kind.value, bool):
                message = f"names are string, number, or a union of literal texts, not {described(part)}"
                raise self.source.error(part.at, message)
            names[str(kind.value)] = None
        return list(names)
