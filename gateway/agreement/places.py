"""Who agrees with whom, leaf by leaf. A place is the keys and positions that lead to it.

No recursion: values may be as deep as a decoder allows.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from gateway.agreement.leaves import holders, is_leaf, same_leaf
from gateway.agreement.sets import elements_of
from gateway.agreement.types import Alike


def places(values: Sequence[Any], alike: Alike) -> Iterator[tuple[int, Any, int]]:
    """For every leaf of every voter, and every element of sets: the voter, the value, and the voters that have the same
    there, as bits."""
    stack = [list(enumerate(values))]
    while stack:
        there = stack.pop()
        leaves = [(voter, value) for voter, value in there if is_leaf(value)]
        for (voter, value), same in zip(leaves, holders(leaves, alike.tolerance), strict=True):
            yield voter, value, same
        if len(leaves) == len(there):
            continue
        parted = [(voter, value) for voter, value in there if not is_leaf(value)]
        arrays = [(voter, value) for voter, value in parted if isinstance(value, list)]
        if alike.sets and arrays:
            yield from members(arrays, alike.tolerance)
        elif arrays:
            stack += by_step([(voter, dict(enumerate(value))) for voter, value in arrays])
        stack += by_step([(voter, value) for voter, value in parted if isinstance(value, dict)])


def members(arrays: list[tuple[int, list[Any]]], tolerance: float) -> Iterator[tuple[int, Any, int]]:
    elements = elements_of(arrays, tolerance)
    for (voter, array), names in zip(arrays, elements.names, strict=True):
        for value, name in zip(array, names, strict=True):
            yield voter, value, elements.holders[name]


def by_step(parted: list[tuple[int, dict[Any, Any]]]) -> list[list[tuple[int, Any]]]:
    """The voters' values at each next place."""
    steps: dict[Any, list[tuple[int, Any]]] = {}
    for voter, value in parted:
        for step, child in value.items():
            steps.setdefault(step, []).append((voter, child))
    return list(steps.values())


def leaf_count(value: Any) -> int:
    count, stack = 0, [value]
    while stack:
        node = stack.pop()
        if is_leaf(node):
            count += 1
        else:
            stack += node.values() if isinstance(node, dict) else node
    return count


def shares(value: Any, values: Sequence[Any], alike: Alike) -> Any:
    """A value's shape, with the share of the voters that have the same in place of each leaf. An element of a set has
    one share for all of its leaves."""
    top: list[Any] = [None]
    stack: list[tuple[Any, Sequence[Any], float | None, Any, Any]] = [(value, values, None, top, 0)]
    while stack:
        own, others, share, into, at = stack.pop()
        if is_leaf(own):
            into[at] = share_of(own, others, len(values), alike) if share is None else share
        elif isinstance(own, dict):
            into[at] = shape = dict.fromkeys(own)
            objects = [other for other in others if isinstance(other, dict)]
            for key, child in own.items():
                stack.append((child, [other[key] for other in objects if key in other], share, shape, key))
        else:
            into[at] = row = [None] * len(own)
            arrays = [other for other in others if isinstance(other, list)]
            taken = element_shares(own, arrays, len(values), alike) if alike.sets and share is None else None
            for place, child in enumerate(own):
                there = [other[place] for other in arrays if len(other) > place] if taken is None else []
                stack.append((child, there, share if taken is None else taken[place], row, place))
    return top[0]


def share_of(leaf: Any, others: Sequence[Any], voters: int, alike: Alike) -> float:
    return sum([is_leaf(other) and same_leaf(leaf, other, alike.tolerance) for other in others]) / voters


def element_shares(own: list[Any], arrays: list[list[Any]], voters: int, alike: Alike) -> list[float]:
    elements = elements_of([(0, own), *enumerate(arrays, 1)], alike.tolerance)
    return [(elements.holders[name] >> 1).bit_count() / voters for name in elements.names[0]]
