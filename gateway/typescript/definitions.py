"""Which types are written where they are used, and which once for all under `definitions`.

A type that contains itself has to be a definition. Others are if they are used in several places and not small: most
readers of schemas do best without references, but a type that is repeated must not make the whole grow without bound.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

from gateway.typescript.budget import MAX_STEPS
from gateway.typescript.lexer import Source
from gateway.typescript.schema import Definition, Use, Writer
from gateway.typescript.syntax import Array, Bound, Closed, Intersection, Keyword, Literal, Reference, Schema

SMALL = 6
MAX_INLINE_DEPTH = 32
MAX_NAME = 64

DRAFT_7 = "http://json-schema.org/draft-07/schema#"
UNFIT = re.compile(r"[^A-Za-z0-9_.-]+")


class Plan(Struct, eq=False):
    """What becomes of a definition: ``uses`` is how many places refer to it, ``size`` and ``depth`` are with the types
    that are written inside it."""

    definition: Definition
    begun: bool = False
    done: bool = False
    uses: int = 0
    recursive: bool = False
    size: int = 0
    depth: int = 0
    can_be_inlined: bool = False
    is_inlined: bool = False
    name: str | None = None


def linked(root: int, writer: Writer, source: Source) -> Schema:
    """The whole schema of a type: its own, and the definitions it needs."""
    plans = {number: Plan(definition) for number, definition in writer.definitions.items()}
    top = plans[root]
    order = _order(top, plans)
    for plan in order:
        _measure(plan, plans)
    kept = [plan for plan in plans.values() if (plan.recursive if plan is top else not plan.is_inlined)]
    if sum(plan.size for plan in (top, *kept)) > MAX_STEPS:
        raise source.error(top.definition.bound.at, f"the types unfold to more than {MAX_STEPS} parts")
    _name(kept)
    for plan in order:
        for use in plan.definition.uses:
            _fill(use, plans[use.number])
    return _whole(top, kept, plans, writer.has_tuples)


def _order(top: Plan, plans: dict[int, Plan]) -> list[Plan]:
    """Each after those that it uses, as far as they do not use it in turn; marks the ones that come round."""
    order: list[Plan] = []
    top.begun = True
    path = [(top, iter(top.definition.uses))]
    while path:
        plan, uses = path[-1]
        for use in uses:
            inner = plans[use.number]
            inner.uses += 1
            if not inner.begun:
                inner.begun = True
                path.append((inner, iter(inner.definition.uses)))
                break
            if not inner.done:
                inner.recursive = True
        else:
            plan.done = True
            order.append(plan)
            path.pop()
    return order


def _measure(plan: Plan, plans: dict[int, Plan]) -> None:
    """Those that are not measured yet come round, so they are not written inside it."""
    definition = plan.definition
    size, depth = definition.size, definition.depth
    for use in definition.uses:
        inner = plans[use.number]
        if inner.is_inlined or (inner.can_be_inlined and use.constrained):
            size += inner.size
            if use.depth + inner.depth >= depth:
                depth = use.depth + 1 + inner.depth
    plan.size, plan.depth = size, depth
    if not plan.recursive and depth <= MAX_INLINE_DEPTH:
        plan.can_be_inlined = True
        plan.is_inlined = plan.uses == 1 or (size <= SMALL and definition.doc is None)


def _fill(use: Use, inner: Plan) -> None:
    if inner.is_inlined or inner.name is None or (inner.can_be_inlined and use.constrained):
        use.schema.update(inner.definition.schema)
    else:
        use.schema["$ref"] = f"#/definitions/{inner.name}"
    if use.beside:
        use.schema.update(use.beside)


def _whole(top: Plan, kept: list[Plan], plans: dict[int, Plan], has_tuples: bool) -> Schema:
    made = top.definition.schema
    while "$ref" in made:
        # An object at the root is what most readers need, not a reference to one.
        named = {f"#/definitions/{plan.name}": plan for plan in kept}
        plan = named[made["$ref"]]
        beside = {key: value for key, value in made.items() if key != "$ref"}
        made = plan.definition.schema | beside
    draft: Schema = {"$schema": DRAFT_7} if has_tuples else {}
    definitions = {str(plan.name): plan.definition.schema for plan in kept}
    return draft | made | ({"definitions": definitions} if kept else {})


def _name(kept: Iterable[Plan]) -> None:
    taken: set[str] = set()
    for plan in kept:
        name = whole = UNFIT.sub("_", _name_of(plan.definition))[:MAX_NAME]
        number = 1
        while name in taken:
            number += 1
            name = f"{whole}_{number}"
        taken.add(name)
        plan.name = name


def _name_of(definition: Definition) -> str:
    instance = definition.instance
    if instance is None:
        return _word(definition.bound)
    return "_".join([instance.declaration.name, *map(_word, instance.arguments)])


def _word(bound: Bound) -> str:
    """A type in the name of a definition."""
    kind, scope = bound.type, bound.scope
    if isinstance(kind, Bound | Closed):
        return _word(Bound(kind.type, kind.scope if isinstance(kind, Bound) else scope))
    if isinstance(kind, Keyword):
        return kind.name
    if isinstance(kind, Literal):
        return str(kind.value)[:MAX_NAME]
    if isinstance(kind, Array):
        return _word(Bound(kind.item, scope)) + "_list"
    if isinstance(kind, Intersection):
        return "_and_".join(_word(Bound(part, scope)) for part in kind.parts)
    if isinstance(kind, Reference):
        known = scope.types.get(kind.name)
        return (
            "_".join([kind.name, *(_word(Bound(part, scope)) for part in kind.arguments)])
            if not known
            else _word(known)
        )
    return "type"
