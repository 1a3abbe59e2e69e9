"""Arrays as sets: which voters have which elements.

Without a tolerance this is exact. With one, elements that are numbers are, too. Of an element with several numbers,
arrays within it are put in order and then compared by position, and it is compared with ``NEIGHBOURS`` others on each
side, in order of that number of theirs that is spread widest: of very many that differ a little, some may be missed.
"""

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import or_
from typing import Any

from msgspec import Struct

from gateway.agreement.forms import Form, Names, closed, forms
from gateway.agreement.leaves import Number, near, windows

NEIGHBOURS = 32

Arrays = Sequence[tuple[int, list[Any]]]
"""Each with its voter."""


class Point(Struct, frozen=True):
    """An element's numbers and its name; ``main`` is the number by which it is in order among its like."""

    main: Number
    numbers: tuple[Number, ...]
    name: int


class Elements(Struct):
    """The elements of several arrays, under names that are equal for equal elements."""

    names: list[list[int]]
    values: dict[int, Any]
    holders: dict[int, int]
    rows: list[list[Point]]


def elements_of(arrays: Arrays, tolerance: float) -> Elements:
    """``holders`` are the voters that have the same element, whether it is equal or near."""
    found, names = Elements([], {}, {}, []), Names()
    rows: dict[int, dict[int, Form]] = {}
    for voter, array in arrays:
        made = forms(array, names, tolerance > 0)
        found.names.append([closed(form, names) for form in made])
        for name, form, value in zip(found.names[-1], made, array, strict=True):
            found.values.setdefault(name, value)
            found.holders[name] = found.holders.get(name, 0) | 1 << voter
            if form[1]:
                rows.setdefault(form[0], {})[name] = form
    found.rows = [in_order(row) for row in rows.values()]
    for row in found.rows:
        found.holders.update(widened(row, found.holders, tolerance))
    return found


def in_order(row: dict[int, Form]) -> list[Point]:
    columns = list(zip(*[numbers for _, numbers in row.values()], strict=True))
    main = max(range(len(columns)), key=lambda column: spread(columns[column]))
    points = [Point(numbers[main], numbers, name) for name, (_, numbers) in row.items()]
    return sorted(points, key=lambda point: (point.main, point.numbers))


def spread(numbers: Sequence[Number]) -> Number:
    try:
        return max(numbers) - min(numbers)
    except OverflowError:  # an integer that no float is as large as
        return float("inf")


def widened(row: list[Point], holders: dict[int, int], tolerance: float) -> dict[int, int]:
    """The holders of what is near counted in."""
    held = [holders[point.name] for point in row]
    if len(row[0].numbers) == 1:
        reached = windows([point.main for point in row], held, tolerance)
    else:
        reached = [any_of(held, [place, *reach(row, place, tolerance)]) for place in range(len(row))]
    return {point.name: voters for point, voters in zip(row, reached, strict=True)}


def any_of(held: Sequence[int], places: Sequence[int]) -> int:
    return reduce(or_, [held[place] for place in places])


def reach(row: list[Point], place: int, tolerance: float) -> Iterator[int]:
    """The places of the others in this row that are near."""
    own = row[place]
    several = len(own.numbers) > 1
    most = NEIGHBOURS if several else len(row)
    for others in (range(place - 1, max(-1, place - 1 - most), -1), range(place + 1, min(len(row), place + 1 + most))):
        for other in others:
            if not near(own.main, row[other].main, tolerance):
                break
            if not several or all(near(a, b, tolerance) for a, b in zip(own.numbers, row[other].numbers, strict=True)):
                yield other


def elected(arrays: list[list[Any]], tolerance: float) -> list[Any]:
    """The elements that more than half of the arrays have, in order of appearance. The first array as it is, if all
    are equal."""
    elements = elements_of(list(enumerate(arrays)), tolerance)
    if all(set(names) == set(elements.names[0]) for names in elements.names):
        return arrays[0]
    wanted = [name for name in elements.values if 2 * elements.holders[name].bit_count() > len(arrays)]
    left_out = doubles(wanted, elements, tolerance)
    return [elements.values[name] for name in wanted if name not in left_out]


def doubles(wanted: list[int], elements: Elements, tolerance: float) -> set[int]:
    """Those of the elements that are near one that more voters have, or that came first."""
    places = {point.name: (row, place) for row in elements.rows for place, point in enumerate(row)}
    left_out: set[int] = set()
    for name in sorted(wanted, key=lambda name: -elements.holders[name].bit_count()):
        if name in places and name not in left_out:
            row, place = places[name]
            left_out.update([row[other].name for other in reach(row, place, tolerance)])
    return left_out
