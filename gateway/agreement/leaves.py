"""Values without parts: when two are the same, and who has the same. Sets of voters are bits of a number."""

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from fractions import Fraction
from typing import Any

Number = int | float

ROUNDING = 4
"""Units in the last place that a difference of two floats may be wrong by, and more."""


def is_leaf(value: Any) -> bool:
    return not value or not isinstance(value, dict | list)


def identity(leaf: Any) -> Hashable:
    """Equal for equal leaves only. Python's True is 1."""
    if isinstance(leaf, str):
        return leaf
    if isinstance(leaf, bool):
        return ("boolean", leaf)
    if isinstance(leaf, dict):
        return ("object",)
    return ("array",) if isinstance(leaf, list) else leaf


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def same_leaf(a: Any, b: Any, tolerance: float) -> bool:
    if identity(a) == identity(b):
        return True
    return bool(tolerance) and is_number(a) and is_number(b) and near(a, b, tolerance)


def near(a: Number, b: Number, tolerance: float) -> bool:
    """Whether two numbers differ by at most ``tolerance``, as they are written: 1.1 and 1 differ by 0.1, no more."""
    if a == b:
        return True
    try:
        excess = abs(a - b) - tolerance
        if abs(excess) > ROUNDING * math.ulp(max(abs(a), abs(b), tolerance)):
            return excess < 0
    except OverflowError:  # an integer that no float is as large as
        pass
    return abs(exact(a) - exact(b)) <= exact(tolerance)


def exact(number: Number) -> Fraction:
    """A float that is whole is what it is, so that floats and integers keep their order."""
    if isinstance(number, int) or number.is_integer():
        return Fraction(number)
    return Fraction(repr(number))


def holders(leaves: Sequence[tuple[int, Any]], tolerance: float) -> list[int]:
    """For each voter's leaf, the voters that have the same."""
    keys = [identity(leaf) for _, leaf in leaves]
    held: dict[Hashable, int] = {}
    for (voter, _), key in zip(leaves, keys, strict=True):
        held[key] = held.get(key, 0) | 1 << voter
    if tolerance and len(held) > 1:
        numbers = sorted([key for key in held if isinstance(key, int | float)])
        held.update(zip(numbers, windows(numbers, [held[number] for number in numbers], tolerance), strict=True))
    return [held[key] for key in keys]


def windows(numbers: Sequence[Number], held: Sequence[int], tolerance: float) -> list[int]:
    """For each of these ascending numbers, the voters that have one near it."""
    reached: list[int] = []
    times: Counter[int] = Counter()  # for each voter that has numbers in the window, how many
    low = high = voters = 0
    for number in numbers:
        while high < len(numbers) and near(number, numbers[high], tolerance):
            times.update(bits(held[high]))
            voters |= held[high]
            high += 1
        while not near(numbers[low], number, tolerance):
            for bit in bits(held[low]):
                times[bit] -= 1
                voters = voters if times[bit] else voters ^ bit
            low += 1
        reached.append(voters)
    return reached


def bits(voters: int) -> Iterator[int]:
    while voters:
        bit = voters & -voters
        yield bit
        voters ^= bit
