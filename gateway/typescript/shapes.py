"""Objects as sets of properties, before they become schemas: what `extends`, `&`, Pick and Omit work on."""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from gateway.typescript.syntax import Bound, Made, Member, Scope


class Property(Struct, frozen=True, eq=False):
    """A member that means the same anywhere."""

    at: int
    name: str
    type: Bound
    optional: bool = False
    doc: int | None = None
    made: Made | None = None
    required: bool = False


Properties = dict[str, Property]


class Shape(Struct, frozen=True, eq=False):
    """Most objects stay as they are written: only those that are merged have their members bound, to ``scope``.
    ``index`` is the type of further properties; ``open`` means that they may be anything, as in ``object``."""

    members: Mapping[str, Member | Property]
    scope: Scope
    index: Bound | None = None
    open: bool = False

    def properties(self) -> Properties:
        return {name: self._property(one) for name, one in self.members.items()}

    def _property(self, one: Member | Property) -> Property:
        if isinstance(one, Property):
            return one
        return Property(one.at, one.name, Bound(one.type, self.scope), one.optional, one.doc, one.made, one.required)


def partial(shape: Shape) -> Shape:
    made = {name: replace(one, optional=True, required=False) for name, one in shape.members.items()}
    return replace(shape, members=made)


def required(shape: Shape) -> Shape:
    made = {name: replace(one, optional=False, required=True) for name, one in shape.members.items()}
    return replace(shape, members=made)


def pick(shape: Shape, names: Iterable[str]) -> Shape:
    wanted = frozenset(names)
    return Shape({name: one for name, one in shape.members.items() if name in wanted}, shape.scope)


def omit(shape: Shape, names: Iterable[str]) -> Shape:
    unwanted = frozenset(names)
    kept = {name: one for name, one in shape.members.items() if name not in unwanted}
    return Shape(kept, shape.scope, shape.index, shape.open)
