"""What a parsed text is made of.

``at`` is the index of a node's token, for messages; ``doc`` that of a token with a JSDoc comment before it. Parentheses
leave no trace, and a union or an intersection of one is that one.
"""

from typing import Any, final
from typing import Literal as OneOf

from msgspec import Struct

Schema = dict[str, Any]
Scalar = str | int | float | bool | None
KeywordName = OneOf["any", "bigint", "boolean", "number", "object", "string", "undefined", "unknown"]


@final
class Keyword(Struct, frozen=True, eq=False):
    at: int
    name: KeywordName


@final
class Literal(Struct, frozen=True, eq=False):
    """``null`` is the one whose value is None."""

    at: int
    value: Scalar


@final
class Template(Struct, frozen=True, eq=False):
    """A text with holes: texts and types in turn, beginning and ending with a text."""

    at: int
    parts: tuple["str | Type", ...]


@final
class Array(Struct, frozen=True, eq=False):
    at: int
    item: "Type"


@final
class Element(Struct, frozen=True, eq=False):
    """One place of a tuple; the type of a rest element is that of the whole rest."""

    type: "Type"
    name: str | None = None
    optional: bool = False
    rest: bool = False


@final
class Tuple(Struct, frozen=True, eq=False):
    at: int
    elements: tuple[Element, ...]


@final
class Made(Struct, frozen=True, eq=False):
    """The schema of a type that is plain enough to have one as soon as it is read. ``size`` is that of the schema,
    ``steps`` what it takes to make it from the type."""

    schema: Schema
    size: int = 1
    steps: int = 1


@final
class Member(Struct, frozen=True, eq=False):
    """``required`` says that it must be there even if its type allows ``undefined``, which then does not count."""

    at: int
    name: str
    type: "Type"
    optional: bool = False
    doc: int | None = None
    made: Made | None = None
    required: bool = False


Members = dict[str, Member]
"""By name, in their order."""


@final
class Object(Struct, frozen=True, eq=False):
    """``index`` is the type of values under any other name."""

    at: int
    members: Members
    index: "Type | None" = None


@final
class Union(Struct, frozen=True, eq=False):
    at: int
    parts: tuple["Type", ...]


@final
class Intersection(Struct, frozen=True, eq=False):
    at: int
    parts: tuple["Type", ...]


@final
class Closed(Struct, frozen=True, eq=False):
    """A type argument in which no type parameter is mentioned: it means the same wherever its surroundings are used."""

    at: int
    type: "Type"


@final
class Reference(Struct, frozen=True, eq=False):
    """A name, perhaps with dots, and type arguments."""

    at: int
    name: str
    arguments: tuple["Type", ...] = ()


@final
class Scope(Struct, frozen=True, eq=False):
    """Where names are looked up: in what type parameters stand for, then in a namespace and those around it.

    ``id`` is equal only for scopes that mean the same; ``depth`` counts how often generic types are nested in it.
    """

    id: int
    namespace: str
    types: dict[str, "Bound"]
    depth: int = 0


@final
class Bound(Struct, frozen=True, eq=False):
    """A type, and what the names in it mean."""

    type: "Type"
    scope: Scope

    @property
    def at(self) -> int:
        return self.type.at


Type = Keyword | Literal | Template | Array | Tuple | Object | Union | Intersection | Closed | Reference | Bound


@final
class Parameter(Struct, frozen=True, eq=False):
    name: str
    default: "Type | None" = None


@final
class Alias(Struct, frozen=True, eq=False):
    """``type``. ``name`` has the namespaces in front, as in ``N.I``."""

    at: int
    name: str
    type: "Type"
    parameters: tuple[Parameter, ...] = ()
    doc: int | None = None


@final
class Interface(Struct, frozen=True, eq=False):
    at: int
    name: str
    body: Object
    parameters: tuple[Parameter, ...] = ()
    bases: tuple[Reference, ...] = ()
    doc: int | None = None


@final
class Enum(Struct, frozen=True, eq=False):
    """Constants in their order, by name. It has no parameters."""

    at: int
    name: str
    constants: dict[str, Literal]
    parameters: tuple[Parameter, ...] = ()
    doc: int | None = None


Declaration = Alias | Interface | Enum


@final
class Instance(Struct, frozen=True, eq=False):
    """A declared type with its arguments, if it takes any. ``reference`` is one that means it; ``solid`` says that it
    is an object or a list as it is written, and so no union."""

    number: int
    declaration: Declaration
    scope: Scope
    reference: Bound
    solid: bool
    arguments: tuple[Bound, ...] = ()


Target = Bound | Instance | Literal | str
"""What a name stands for: a type argument, a declared type, the constant of an enum, or a builtin by its name."""
