"""Objects as sets of properties, before they become schemas: what `extends`, `&`, Pick and Omit work on."""

from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from gateway.typescript.syntax import Bound


class Property(Struct, frozen=True, eq=False):
    """``required`` says that it must be there even if its type allows ``undefined``, which then does not count."""

    at: int
    name: str
    type: Bound
    optional: bool = False
    required: bool = False
    doc: int | None = None


Properties = dict[str, Property]


class Shape(Struct, frozen=True, eq=False):
    """``index`` is the type of further properties; ``open`` means that they may be anything, as in ``object``."""

    properties: Properties
    index: Bound | None = None
    open: bool = False


ANYTHING = Shape({}, open=True)


def partial(shape: Shape) -> Shape:
    made = {name: replace(one, optional=True, required=False) for name, one in shape.properties.items()}
    return replace(shape, properties=made)


def required(shape: Shape) -> Shape:
    made = {name: replace(one, optional=False, required=True) for name, one in shape.properties.items()}
    return replace(shape, properties=made)


def pick(shape: Shape, names: Iterable[str]) -> Shape:
    wanted = frozenset(names)
    return Shape({name: one for name, one in shape.properties.items() if name in wanted})


def omit(shape: Shape, names: Iterable[str]) -> Shape:
    unwanted = frozenset(names)
    kept = {name: one for name, one in shape.properties.items() if name not in unwanted}
    return Shape(kept, shape.index, shape.open)
