"""Types in their surroundings: what a type parameter stands for, and which types are the same.

A generic type with its arguments is an instance. Instances and types have numbers that are equal where they mean the
same, so that each instance is made once and a growing one can be told from a repeating one.
"""

from collections.abc import Iterator

from gateway.typescript.errors import shown
from gateway.typescript.kinds import PLAIN, SOLID
from gateway.typescript.lexer import Source
from gateway.typescript.names import BUILTINS, Names
from gateway.typescript.syntax import (
    Alias,
    Array,
    Bound,
    Closed,
    Declaration,
    Instance,
    Interface,
    Intersection,
    Keyword,
    Literal,
    Parameter,
    Reference,
    Scope,
    Target,
    Type,
    Union,
)

MAX_GENERIC_DEPTH = 32
MAX_INSTANCES = 2_000

Key = tuple[object, ...]


class Scopes:
    def __init__(self, source: Source, names: Names) -> None:
        self._source = source
        self._names = names
        self.top = Scope(0, "", {})
        self._namespaces = {"": self.top}
        self._found: dict[tuple[int, int | str], Target] = {}
        """What names stand for, by the scope in which they were looked up."""
        self._instances: dict[Key, Instance] = {}
        self._numbers: dict[Key, int] = {}
        self._kept: list[Bound | Reference] = []
        """Types that are known by their address, which must not be given to others."""
        self._unfolded = 0

    # ---- names

    def target(self, reference: Reference, scope: Scope) -> Target:
        key = (scope.id, id(reference) if reference.arguments else reference.name)
        found = self._found.get(key)
        if found is None:
            found = self._found[key] = self._target(reference, scope)
            if reference.arguments:
                self._kept.append(reference)
        return found

    def _target(self, reference: Reference, scope: Scope) -> Target:
        bound = scope.types.get(reference.name)
        if bound is not None:
            if reference.arguments:
                raise self._source.error(reference.at, f"'{shown(reference.name)}' takes no type arguments")
            return bound
        meaning = self._names.meaning(scope.namespace, reference.name)
        if type(meaning) is Literal:
            return meaning
        if isinstance(meaning, str):
            if len(reference.arguments) != BUILTINS[meaning]:
                raise self._miscounted(reference, BUILTINS[meaning], BUILTINS[meaning])
            return meaning
        return self.instance(meaning, reference, scope)

    def root(self, declaration: Declaration) -> Instance:
        parameters = declaration.parameters
        if parameters and parameters[0].default is None:
            message = f"'{shown(declaration.name)}' needs type arguments; export a type that gives them"
            raise self._source.error(declaration.at, message, "type_name")
        return self.instance(declaration, Reference(declaration.at, declaration.name), self.top)

    def arguments(self, reference: Reference, scope: Scope) -> tuple[Bound, ...]:
        """The arguments by themselves: a parameter that is passed on is what it stands for."""
        bound = [Bound(argument, scope) for argument in reference.arguments]
        return tuple([one if type(one.type) in PLAIN else self.plain(one) for one in bound])

    def plain(self, bound: Bound) -> Bound:
        """The same, without detours."""
        kind, scope = self.direct(bound.type, bound.scope)
        return bound if kind is bound.type else Bound(kind, scope)

    def direct(self, kind: Type, scope: Scope) -> tuple[Type, Scope]:
        """The same of a type and its scope."""
        while type(kind) not in PLAIN:
            if type(kind) is Reference:
                bound = scope.types.get(kind.name)
                if bound is None or kind.arguments:
                    break
                kind, scope = bound.type, bound.scope
            elif type(kind) is Union and len(kind.parts) == 1:
                kind = kind.parts[0]
            elif type(kind) is Bound:
                scope = kind.scope
                kind = kind.type
            elif type(kind) is Closed:
                kind, scope = kind.type, self._namespace(scope.namespace)
            else:
                break
        return kind, scope

    # ---- instances

    def instance(self, declaration: Declaration, reference: Reference, scope: Scope) -> Instance:
        parameters = declaration.parameters
        if not reference.arguments:
            known = self._instances.get((declaration.name,))
            if known is not None:
                return known
            if not parameters:
                return self._new((declaration.name,), declaration, Bound(reference, scope))
        self._check_number(reference, parameters)
        arguments = self.arguments(reference, scope)
        key = (declaration.name, *map(self.number, arguments))
        return self._instances.get(key) or self._new(key, declaration, Bound(reference, scope), arguments)

    def _new(self, key: Key, declaration: Declaration, reference: Bound, arguments: tuple[Bound, ...] = ()) -> Instance:
        number = len(self._instances) + 1
        name = declaration.name
        inner = self._namespace(name.rpartition(".")[0]) if "." in name else self.top
        if parameters := declaration.parameters:
            depth = 1 + max((argument.scope.depth for argument in arguments), default=0)
            self._unfolded += 1
            if depth > MAX_GENERIC_DEPTH or self._unfolded > MAX_INSTANCES:
                message = f"'{shown(declaration.name)}' unfolds without end: each use of it needs another one"
                raise self._source.error(reference.at, message)
            inner = Scope(-number, inner.namespace, {}, depth)
            for place, parameter in enumerate(parameters):
                if place < len(arguments):
                    inner.types[parameter.name] = arguments[place]
                elif parameter.default is not None:
                    inner.types[parameter.name] = self.plain(Bound(parameter.default, inner))
        solid = type(declaration) is Interface or (type(declaration) is Alias and type(declaration.type) in SOLID)
        made = self._instances[key] = Instance(number, declaration, inner, reference, solid, arguments)
        return made

    def _namespace(self, name: str) -> Scope:
        known = self._namespaces.get(name)
        if known is None:
            known = self._namespaces[name] = Scope(len(self._namespaces), name, {})
        return known

    def _check_number(self, reference: Reference, parameters: tuple[Parameter, ...]) -> None:
        least = sum(parameter.default is None for parameter in parameters)
        if not least <= len(reference.arguments) <= len(parameters):
            raise self._miscounted(reference, least, len(parameters))

    def _miscounted(self, reference: Reference, least: int, most: int) -> Exception:
        name, given = shown(reference.name), len(reference.arguments)
        if not most:
            return self._source.error(reference.at, f"'{name}' takes no type arguments")
        number = str(most) if least == most else f"{least} to {most}"
        plural = "" if number == "1" else "s"
        return self._source.error(reference.at, f"'{name}' takes {number} type argument{plural}, not {given}")

    # ---- sameness

    def number(self, bound: Bound) -> int:
        """Equal for types that are written the same and mean the same."""
        key = self.key(bound)
        known = self._numbers.get(key)
        if known is None:
            known = self._numbers[key] = len(self._numbers)
            self._kept.append(bound)
        return known

    def key(self, bound: Bound) -> Key:
        """The same as ``number``, as long as the type is kept."""
        kind = bound.type
        if type(kind) not in PLAIN:
            bound = self.plain(bound)
            kind = bound.type
        if type(kind) is Literal:
            return ("literal", type(kind.value), kind.value)
        if type(kind) is Keyword:
            return ("keyword", kind.name)
        if type(kind) is Array:
            return ("array", self.number(Bound(kind.item, bound.scope)))
        if type(kind) is Intersection:
            return ("intersection", *dict.fromkeys(self._parts(bound, kind)))
        if type(kind) is Reference:
            target = self.target(kind, bound.scope)
            if type(target) is Instance:
                return ("instance", target.number)
            if type(target) is Literal:
                return ("literal", type(target.value), target.value)
            return ("builtin", kind.name, *map(self.number, self.arguments(kind, bound.scope)))
        return ("node", id(kind), bound.scope.id)

    def _parts(self, bound: Bound, kind: Intersection) -> Iterator[int]:
        """The parts of an intersection, and of those inside it."""
        for part in kind.parts:
            inner = self.plain(Bound(part, bound.scope))
            if isinstance(inner.type, Intersection):
                yield from self._parts(inner, inner.type)
            else:
                yield self.number(inner)
