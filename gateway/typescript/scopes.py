"""Types in their surroundings: what a type parameter stands for, and which types are the same.

A generic type with its arguments is an instance. Instances and types have numbers that are equal where they mean the
same, so that each instance is made once and a growing one can be told from a repeating one.
"""

from collections.abc import Iterator

from msgspec import Struct

from gateway.typescript.errors import shown
from gateway.typescript.lexer import Source
from gateway.typescript.names import BUILTINS, Names
from gateway.typescript.syntax import (
    Array,
    Bound,
    Closed,
    Declaration,
    Enum,
    Intersection,
    Keyword,
    Literal,
    Parameter,
    Reference,
    Scope,
    Union,
)

MAX_GENERIC_DEPTH = 32
MAX_INSTANCES = 2_000

TOP = Scope(0, "", {})


class Instance(Struct, frozen=True, eq=False):
    """A declared type with its arguments, if it takes any. ``reference`` is one that means it."""

    number: int
    declaration: Declaration
    scope: Scope
    reference: Bound
    arguments: tuple[Bound, ...] = ()


Target = Bound | Instance | Literal | str
"""What a name stands for: a type argument, a declared type, the constant of an enum, or a builtin by its name."""

Key = tuple[object, ...]


class Scopes:
    def __init__(self, source: Source, names: Names) -> None:
        self._source = source
        self._names = names
        self._namespaces = {"": TOP}
        self._instances: dict[Key, Instance] = {}
        self._numbers: dict[Key, int] = {}
        self._kept: list[Bound] = []
        """Types that are known by their address, which must not be given to others."""
        self._unfolded = 0

    # ---- names

    def target(self, reference: Reference, scope: Scope) -> Target:
        bound = scope.types.get(reference.name)
        if bound is not None:
            if reference.arguments:
                raise self._source.error(reference.at, f"'{shown(reference.name)}' takes no type arguments")
            return bound
        meaning = self._names.meaning(scope.namespace, reference.name)
        if isinstance(meaning, Literal):
            return meaning
        if isinstance(meaning, str):
            if len(reference.arguments) != BUILTINS[meaning]:
                raise self._miscounted(reference, BUILTINS[meaning], BUILTINS[meaning])
            return meaning
        return self.instance(meaning, reference, scope)

    def root(self, declaration: Declaration) -> Instance:
        parameters = parameters_of(declaration)
        if parameters and parameters[0].default is None:
            message = f"'{shown(declaration.name)}' needs type arguments; export a type that gives them"
            raise self._source.error(declaration.at, message, "type_name")
        return self.instance(declaration, Reference(declaration.at, declaration.name), TOP)

    def arguments(self, reference: Reference, scope: Scope) -> tuple[Bound, ...]:
        """The arguments by themselves: a parameter that is passed on is what it stands for."""
        return tuple(self.plain(Bound(argument, scope)) for argument in reference.arguments)

    def plain(self, bound: Bound) -> Bound:
        """The same, without detours."""
        while True:
            kind = bound.type
            if type(kind) is Bound:
                bound = kind
            elif type(kind) is Closed:
                bound = Bound(kind.type, self._namespace(bound.scope.namespace))
            elif type(kind) is Reference and kind.name in bound.scope.types and not kind.arguments:
                bound = bound.scope.types[kind.name]
            elif type(kind) is Union and len(kind.parts) == 1:
                bound = Bound(kind.parts[0], bound.scope)
            else:
                return bound

    # ---- instances

    def instance(self, declaration: Declaration, reference: Reference, scope: Scope) -> Instance:
        if not reference.arguments:
            known = self._instances.get((declaration.name,))
            if known is not None:
                return known
        parameters = parameters_of(declaration)
        self._check_number(reference, parameters)
        arguments = self.arguments(reference, scope)
        key = (declaration.name, *map(self.number, arguments))
        known = self._instances.get(key)
        if known is None:
            known = self._instances[key] = self._new(declaration, reference, scope, parameters, arguments)
        return known

    def _new(
        self,
        declaration: Declaration,
        reference: Reference,
        scope: Scope,
        parameters: tuple[Parameter, ...],
        arguments: tuple[Bound, ...],
    ) -> Instance:
        number = len(self._instances) + 1
        inner = self._namespace(declaration.name.rpartition(".")[0])
        if parameters:
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
        return Instance(number, declaration, inner, Bound(reference, scope), arguments)

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
        bound = self.plain(bound)
        kind = bound.type
        if isinstance(kind, Keyword):
            return ("keyword", kind.name)
        if isinstance(kind, Literal):
            return ("literal", type(kind.value), kind.value)
        if isinstance(kind, Array):
            return ("array", self.number(Bound(kind.item, bound.scope)))
        if isinstance(kind, Intersection):
            return ("intersection", *dict.fromkeys(self._parts(bound, kind)))
        if isinstance(kind, Reference):
            target = self.target(kind, bound.scope)
            if isinstance(target, Instance):
                return ("instance", target.number)
            if isinstance(target, Literal):
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


def parameters_of(declaration: Declaration) -> tuple[Parameter, ...]:
    return () if isinstance(declaration, Enum) else declaration.parameters
