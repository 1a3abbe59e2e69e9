"""Whole values as small integers that are equal for equal values, in time that grows with their size only.

Arrays are sets here: neither order nor repeats count.
"""

from collections.abc import Hashable, Sequence
from itertools import chain, groupby
from typing import Any

from gateway.agreement.leaves import Number, is_number

NUMBERS = 32
"""Numbers within one value that may differ a little. A part that has more is compared exactly."""

Names = dict[Hashable, int]
"""A name for each thing seen, so that what is made of things is named by short keys."""

Form = tuple[int, tuple[Number, ...]]
"""A value's name, and the numbers in it that the name leaves open. Arrays within are in order of their forms."""


def forms(values: Sequence[Any], names: Names, tolerant: bool) -> list[Form]:
    """If ``tolerant``, numbers are left open, else they are part of the names. No recursion: values may be deep."""
    nodes, firsts = list(values), []
    for node in nodes:
        firsts.append(len(nodes))
        nodes.extend(children(node))
    found: list[Form] = []  # from the last node to the first: children are found before their parents
    for node, first in zip(reversed(nodes), reversed(firsts), strict=True):
        count = len(node) if isinstance(node, dict | list) else 0
        parts = [found[len(nodes) - 1 - place] for place in range(first, first + count)]
        found.append(form(node, parts, names, tolerant))
    return found[: -len(values) - 1 : -1]


def children(node: Any) -> list[Any]:
    if isinstance(node, dict):
        return [node[key] for key in sorted(node)]
    return node if isinstance(node, list) else []


def form(node: Any, parts: list[Form], names: Names, tolerant: bool) -> Form:
    if is_number(node):
        return (named(("number",), names), (node,)) if tolerant else (named(("number", written(node)), names), ())
    if isinstance(node, list):
        parts = [part for part, _ in groupby(sorted(parts))]
    numbers = tuple(chain.from_iterable([numbers for _, numbers in parts])) if tolerant else ()
    name = named((*kind(node), *[name for name, _ in parts]), names)
    if len(numbers) > NUMBERS:
        return closed((name, numbers), names), ()
    return name, numbers


def kind(node: Any) -> tuple[Hashable, ...]:
    if isinstance(node, dict):
        return ("object", *sorted(node))
    if isinstance(node, list):
        return ("array",)
    return ("string", node) if isinstance(node, str) else (str(node),)


def closed(form: Form, names: Names) -> int:
    """A name for a form with its numbers."""
    name, numbers = form
    return named((name, *map(written, numbers)), names) if numbers else name


def named(key: Hashable, names: Names) -> int:
    return names.setdefault(key, len(names))


def written(number: Number) -> str:
    """The same text for equal numbers. Texts, since it is easy to find many numbers of one hash."""
    return f"{int(number):x}" if isinstance(number, int) or number.is_integer() else repr(number)
