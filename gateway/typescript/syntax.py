"""What a parsed text is made of.

``at`` is the index of a node's token, for messages; ``doc`` that of a token with a JSDoc comment before it. Parentheses
leave no trace, and a union or an intersection of one is that one.
"""

from typing import Literal as OneOf

from msgspec import Struct

Scalar = str | int | float | bool | None
KeywordName = OneOf["any", "bigint", "boolean", "number", "object", "string", "undefined", "unknown"]


class Keyword(Struct, frozen=True, eq=False):
    at: int
    name: KeywordName


class Literal(Struct, frozen=True, eq=False):
    """``null`` is the one whose value is None."""

    at: int
    value: Scalar


class Template(Struct, frozen=True, eq=False):
    """A text with holes: texts and types in turn, beginning and ending with a text."""

    at: int
    parts: tuple["str | Type", ...]


class Array(Struct, frozen=True, eq=False):
    at: int
    item: "Type"


class Element(Struct, frozen=True, eq=False):
    """One place of a tuple; the type of a rest element is that of the whole rest."""

    type: "Type"
    name: str | None = None
    optional: bool = False
    rest: bool = False


class Tuple(Struct, frozen=True, eq=False):
    at: int
    elements: tuple[Element, ...]


class Member(Struct, frozen=True, eq=False):
    at: int
    name: str
    type: "Type"
    optional: bool = False
    doc: int | None = None


class Object(Struct, frozen=True, eq=False):
    """``index`` is the type of values under any other name."""

    at: int
    members: tuple[Member, ...] = ()
    index: "Type | None" = None


class Union(Struct, frozen=True, eq=False):
    at: int
    parts: tuple["Type", ...]


class Intersection(Struct, frozen=True, eq=False):
    at: int
    parts: tuple["Type", ...]


class Closed(Struct, frozen=True, eq=False):
    """A type argument in which no type parameter is mentioned: it means the same wherever its surroundings are used."""

    at: int
    type: "Type"


class Reference(Struct, frozen=True, eq=False):
    """A name, perhaps with dots, and type arguments."""

    at: int
    name: str
    arguments: tuple["Type", ...] = ()


class Scope(Struct, frozen=True, eq=False):
    """Where names are looked up: in what type parameters stand for, then in a namespace and those around it.

    ``id`` is equal only for scopes that mean the same; ``depth`` counts how often generic types are nested in it.
    """

    id: int
    namespace: str
    types: dict[str, "Bound"]
    depth: int = 0


class Bound(Struct, frozen=True, eq=False):
    """A type, and what the names in it mean."""

    type: "Type"
    scope: Scope

    @property
    def at(self) -> int:
        return self.type.at


Type = Keyword | Literal | Template | Array | Tuple | Object | Union | Intersection | Closed | Reference | Bound


class Parameter(Struct, frozen=True, eq=False):
    name: str
    default: "Type | None" = None


class Alias(Struct, frozen=True, eq=False):
    """``type``. ``name`` has the namespaces in front, as in ``N.I``."""

    at: int
    name: str
    type: "Type"
    parameters: tuple[Parameter, ...] = ()
    doc: int | None = None


class Interface(Struct, frozen=True, eq=False):
    at: int
    name: str
    body: Object
    parameters: tuple[Parameter, ...] = ()
    bases: tuple[Reference, ...] = ()
    doc: int | None = None


class Enum(Struct, frozen=True, eq=False):
    """Constants in their order, by name."""

    at: int
    name: str
    constants: dict[str, Literal]
    doc: int | None = None


Declaration = Alias | Interface | Enum
