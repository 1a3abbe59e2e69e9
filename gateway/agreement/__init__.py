"""Agreement between JSON values that several voters gave for one question: which are the same, and what most say.

True is not 1, "1" is not 1; 1 and 1.0 are the same number; the order of an object's keys does not count. Pure.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from gateway.agreement.merging import merged, winner
from gateway.agreement.places import leaf_count, places, shares
from gateway.agreement.types import Alike, Majority

__all__ = ["Alike", "Majority", "largest", "majority", "same"]


def same(a: Any, b: Any, alike: Alike) -> bool:
    return agreeing([a, b], alike)[0] == 0b11


def largest(values: Sequence[Any], alike: Alike) -> list[int]:
    """The places, ascending, of the largest group of values that are the same as one of them, its centre. Of groups of
    one size, the one whose centre comes first. Within a tolerance, two that are near the centre may not be the same."""
    groups = agreeing(values, alike)
    group = max(groups, key=int.bit_count, default=0)
    return [place for place in range(len(values)) if group >> place & 1]


def agreeing(values: Sequence[Any], alike: Alike) -> list[int]:
    """For each value the places, as bits, of those that are the same: that have all its leaves, and no others."""
    has_all = [(1 << len(values)) - 1] * len(values)
    for voter, _, holders in places(values, alike):
        has_all[voter] &= holders
    return [
        sum([1 << other for other, others in enumerate(has_all) if own >> other & others >> voter & 1])
        for voter, own in enumerate(has_all)
    ]


def majority(values: Sequence[Any], alike: Alike, keeps: Callable[[Any], bool]) -> Majority:
    """The value that has at each place what most voters have there.

    ``keeps`` tells whether such a mixture is still valid, as each voter's own value is. If not, only those vote that
    have the most common keys at the top. If that is no better, the value is the voter's that agrees most with all.
    ``keeps`` is called twice at most. Raises ValueError if there are no values.
    """
    if not values:
        raise ValueError("a majority needs at least one value")
    value = mixture(values, alike, keeps)
    return Majority(value, shares(value, values, alike))


def mixture(values: Sequence[Any], alike: Alike, keeps: Callable[[Any], bool]) -> Any:
    value = merged(values, alike)
    if keeps(value):
        return value
    peers = with_most_common_keys(values)
    if len(peers) < len(values) and keeps(value := merged(peers, alike)):
        return value
    return most_typical(values, alike)


def with_most_common_keys(values: Sequence[Any]) -> list[Any]:
    keys = [frozenset(value) if isinstance(value, dict) else None for value in values]
    most_common = winner(keys)
    return [value for value, own in zip(values, keys, strict=True) if own == most_common]


def most_typical(values: Sequence[Any], alike: Alike) -> Any:
    """The voter's value whose leaves are, on average, shared by most."""
    shared, leaves = [0] * len(values), [0] * len(values)
    for voter, value, holders in places(values, alike):
        count = leaf_count(value)
        shared[voter] += count * holders.bit_count()
        leaves[voter] += count
    return values[max(range(len(values)), key=lambda voter: Fraction(shared[voter], leaves[voter]))]
