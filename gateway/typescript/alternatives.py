"""Types to what a value may be: alternatives that are no unions. Aliases, unions and the `&` of unions end here."""

from abc import ABC, abstractmethod

from msgspec import Struct

from gateway.typescript.budget import Budget
from gateway.typescript.errors import TypeScriptError, shown
from gateway.typescript.kinds import LITERALS, PLAIN, SCALAR_OF, is_empty, is_nothing, is_scalar, is_undefined
from gateway.typescript.lexer import Source
from gateway.typescript.parser import MAX_PARTS
from gateway.typescript.scopes import Key, Scopes
from gateway.typescript.shapes import Shape
from gateway.typescript.syntax import (
    Alias,
    Array,
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
    Target,
    Template,
    Type,
    Union,
)

Alternatives = tuple[Bound, ...]

WHOLE = ("Date", "Record", "Pick", "Omit")
"""Builtins that are no unions, whatever their arguments are."""


def references(kind: object) -> list[Reference]:
    """All names that a type or a declaration is made of, type parameters' own among them."""
    found: list[Reference] = []
    left = [kind]
    while left:
        one = left.pop()
        if type(one) is Reference:
            found.append(one)
        if isinstance(one, Struct):
            left += [getattr(one, name) for name in one.__struct_fields__]
        elif isinstance(one, tuple | list):
            left += one
        elif isinstance(one, dict):
            left += one.values()
    return found


class Conflict(Exception):
    """Nothing can be all that an intersection asks for. Many are passed over, so none is given a place in the text."""

    def __init__(self, at: int, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.message = message


class Unions(ABC):
    def __init__(self, source: Source, scopes: Scopes) -> None:
        self.source = source
        self.scopes = scopes
        self.budget = Budget(source)
        self._unions: dict[tuple[int, bool], Alternatives | None] = {}
        """Of aliases; None while they are worked out."""

    @abstractmethod
    def shape(self, bound: Bound) -> Shape:
        """An object's properties, all that it inherits among them."""

    def target(self, bound: Bound) -> Target | None:
        """What a name stands for; None for what is no name."""
        kind = bound.type
        return self.scopes.target(kind, bound.scope) if type(kind) is Reference else None

    # ---- unions

    def alternatives(self, bound: Bound, whole: bool = True) -> Alternatives:
        """What a value may be, each once and none of them a union. Names of lists and objects are left as they are,
        so that they can be referred to; and what has a comment of its own, if ``whole``."""
        kind = bound.type
        if type(kind) in PLAIN:
            return (bound,)
        if type(kind) is Reference:
            named = self.named(kind, bound.scope, whole)
            return (named.reference,) if type(named) is Instance else named
        if type(kind) is Union:
            if literals := self.literals(kind):
                return tuple([Bound(part, self.scopes.top) for part in literals])
            return self.union(kind, bound.scope, whole)
        self.budget.enter(kind.at)
        self.budget.spend(1, kind.at)
        if type(kind) is Intersection:
            made = self._meeting(bound, kind)
        else:
            made = self.alternatives(self.scopes.plain(bound), whole)
        self.budget.leave()
        return made

    def literals(self, kind: Union) -> list[Literal]:
        """The parts, each once, if they are all literals; else nothing."""
        if set(map(type, kind.parts)) != LITERALS:
            return []
        self.budget.visit(1 + len(kind.parts), kind.at)
        return list({(type(part.value), part.value): part for part in kind.parts if type(part) is Literal}.values())

    def union(self, kind: Union, scope: Scope, whole: bool = True) -> Alternatives:
        """Of a union that has other parts than literals."""
        self.budget.enter(kind.at)
        self.budget.spend(1, kind.at)
        made: dict[Key, Bound] = {}
        for part in kind.parts:
            self._add(made, part, scope, kind.at, whole)
        self.budget.leave()
        return self._checked(made, kind.at)

    def _add(self, made: dict[Key, Bound], kind: Type, scope: Scope, at: int, whole: bool) -> None:
        """What a type may be to what a union may be."""
        parts: Instance | Alternatives
        if type(kind) is Reference:
            parts = self.named(kind, scope, whole)
            if type(parts) is Instance:
                self.budget.spend(1, at)
                made.setdefault(("instance", parts.number), parts.reference)
                return
        else:
            parts = self.alternatives(Bound(kind, scope), whole)
        for part in parts:
            self.budget.spend(1, at)
            made.setdefault(self.scopes.key(part), part)

    def _checked(self, made: dict[Key, Bound], at: int) -> Alternatives:
        if len(made) > MAX_PARTS:
            raise self.source.error(at, f"a union has at most {MAX_PARTS} parts")
        return tuple(made.values())

    def named(self, reference: Reference, scope: Scope, whole: bool = True) -> Instance | Alternatives:
        """What a name stands for: a declared object or list, or else its alternatives."""
        self.budget.visit(1, reference.at)
        target = self.scopes.target(reference, scope)
        if type(target) is Instance:
            if target.solid:
                return target
        elif target in WHOLE:
            return (Bound(reference, scope),)
        self.budget.enter(reference.at)
        made = self._named(reference, scope, target, whole)
        self.budget.leave()
        return made

    def _named(self, reference: Reference, scope: Scope, target: Target, whole: bool) -> Alternatives:
        if type(target) is Instance:
            return self._declared(target, whole)
        if type(target) is Bound:
            return self.alternatives(target, whole)
        if type(target) is Literal:
            return (Bound(target, self.scopes.top),)
        assert type(target) is str
        return self._builtin(Bound(reference, scope), reference, target, whole)

    def _builtin(self, bound: Bound, reference: Reference, name: str, whole: bool) -> Alternatives:
        argument = self.scopes.arguments(reference, bound.scope)[0]
        if name in ("Array", "ReadonlyArray"):
            return (Bound(Array(bound.at, argument), self.scopes.top),)
        if name == "Readonly":
            return self.alternatives(argument, whole)
        parts = self.alternatives(argument, whole=False)
        return (bound,) if len(parts) == 1 else tuple(self._applied(reference, part) for part in parts)

    def _applied(self, reference: Reference, part: Bound) -> Bound:
        return Bound(Reference(reference.at, reference.name, (part,)), self.scopes.top)

    def _declared(self, instance: Instance, whole: bool) -> Alternatives:
        declaration = instance.declaration
        assert type(declaration) is not Interface
        if type(declaration) is Enum:
            if whole and declaration.doc is not None:
                return (instance.reference,)
            return self._constants(instance, declaration)
        key = (instance.number, whole)
        if key not in self._unions:
            self._unions[key] = None
            self._unions[key] = self._alias(instance, declaration, whole)
        made = self._unions[key]
        if made is None:
            raise self.circular(instance)
        return made

    def _constants(self, instance: Instance, enum: Enum) -> Alternatives:
        at = instance.reference.at
        key = (instance.number, False)
        known = self._unions.get(key)
        if known is not None:
            self.budget.spend(len(enum.constants), at)
            return known
        made: dict[Key, Bound] = {}
        for constant in enum.constants.values():
            self._add(made, constant, self.scopes.top, at, False)
        self._unions[key] = self._checked(made, at)
        return tuple(made.values())

    def _alias(self, instance: Instance, alias: Alias, whole: bool) -> Alternatives:
        parts = self.alternatives(Bound(alias.type, instance.scope), whole)
        if len(parts) == 1 and self._is_worth_a_name(parts[0]):
            return (instance.reference,)
        if whole and (alias.doc is not None or self._returns(instance, alias, parts)):
            return parts if any(is_undefined(part) for part in parts) else (instance.reference,)
        return parts

    def _returns(self, instance: Instance, alias: Alias, parts: Alternatives) -> bool:
        """Whether an alias comes back to itself, behind lists and objects: then it can only be referred to."""
        if all(is_scalar(part) for part in parts):
            return False
        seen: set[int] = set()
        left: list[tuple[object, Scope]] = [(alias.type, instance.scope)]
        while left:
            kind, scope = left.pop()
            for reference in references(kind):
                self.budget.visit(1, alias.at)
                if type(target := self.scopes.target(reference, scope)) is not Instance:
                    continue
                if target.declaration is alias:
                    return True
                if id(target.declaration) not in seen:
                    seen.add(id(target.declaration))
                    left.append((target.declaration, target.scope))
        return False

    def _is_worth_a_name(self, bound: Bound) -> bool:
        """Whether it is a list or an object that has no name yet."""
        if type(bound.type) is Reference:
            return self.target(bound) != "Date" and not isinstance(self.target(bound), Instance)
        return not is_scalar(bound)

    def circular(self, instance: Instance) -> TypeScriptError:
        name = shown(instance.declaration.name)
        return self.source.error(
            instance.declaration.at, f"'{name}' refers to itself with no object or list in between"
        )

    # ---- intersections

    def _meeting(self, bound: Bound, kind: Intersection) -> Alternatives:
        lists = [self.alternatives(Bound(part, bound.scope), whole=False) for part in kind.parts]
        if all(len(parts) == 1 and self.is_object(parts[0]) for parts in lists):
            return (bound,)
        made = lists[0]
        for parts in lists[1:]:
            self.budget.spend(len(made) * len(parts), bound.at)
            both: dict[Key, Bound] = {}
            for pair in (self._meet(one, other) for one in made for other in parts):
                if pair is not None:
                    self._add(both, pair.type, pair.scope, bound.at, True)
            made = self._checked(both, bound.at)
        if not made:
            raise Conflict(bound.at, "nothing can be all the parts of this intersection at once")
        return made if len(made) == 1 else self._possible(made)

    def _possible(self, made: Alternatives) -> Alternatives:
        """Without the objects whose members contradict each other, unless that is all of them."""
        possible: list[Bound] = []
        first: Conflict | None = None
        for one in made:
            try:
                if self.is_object(one):
                    self.shape(one)
                possible.append(one)
            except Conflict as exc:
                first = first or exc
        if first is not None and not possible:
            raise first
        return tuple(possible)

    def _meet(self, one: Bound, other: Bound) -> Bound | None:
        """What is both; None where nothing is."""
        if self.scopes.number(one) == self.scopes.number(other):
            return one
        a, b = self.bare(one), self.bare(other)
        for this, that, those in ((a, b, other), (b, a, one)):
            if type(this.type) is Keyword and this.type.name in ("any", "unknown"):
                return this if this.type.name == "any" else those
            if is_empty(this) and not self.is_object(that) and not is_nothing(that):
                return those
            if type(this.type) is Keyword and isinstance(that.type, (Literal, Template)):
                narrow = "string" if type(that.type) is Template else SCALAR_OF.get(type(that.type.value))
                if this.type.name == narrow:
                    return those
        if type(a.type) is Array and type(b.type) is Array:
            items = Intersection(one.at, (Bound(a.type.item, a.scope), Bound(b.type.item, b.scope)))
            return Bound(Array(one.at, items), self.scopes.top)
        if self.is_object(a) and self.is_object(b):
            return Bound(Intersection(one.at, (one, other)), self.scopes.top)
        return None

    def bare(self, bound: Bound) -> Bound:
        """What an alias stands for, if that is a list or an object without a comment of its own."""
        target = self.target(bound)
        if type(target) is Instance and type(target.declaration) is Alias:
            body = self.alternatives(Bound(target.declaration.type, target.scope))
            if len(body) == 1 and (target.declaration.doc is None or self.is_object(body[0])):
                return self.bare(body[0])
        return bound

    def is_object(self, bound: Bound) -> bool:
        """Of what is no union: whether it is an object or the name of one."""
        kind = bound.type
        if type(kind) is Reference:
            target = self.target(bound)
            if type(target) is str:
                return target != "Date"
            if type(target) is Instance and type(target.declaration) is Alias:
                body = self.alternatives(Bound(target.declaration.type, target.scope))
                return len(body) == 1 and self.is_object(body[0])
            return type(target) is Instance and type(target.declaration) is Interface
        return isinstance(kind, (Object, Intersection)) or (type(kind) is Keyword and kind.name == "object")
