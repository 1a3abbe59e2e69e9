"""Values that several voters gave for one question: which are the same, and what most of them say."""

import itertools
import time
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.agreement import Alike, Majority, largest, majority, same

EXACT = Alike()
SETS = Alike(sets=True)
TENTH = Alike(0.1)
TENTH_SETS = Alike(0.1, sets=True)
EVERY = pytest.mark.parametrize("alike", [EXACT, SETS, TENTH, TENTH_SETS])

BIG = 10**400  # no float is as large


def anything(value: Any) -> bool:
    return True


def nothing(value: Any) -> bool:
    return False


# ------------------------------------------------------------------ the same or not


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (None, None),
        (1, 1.0),
        (0, -0.0),
        (2**53, float(2**53)),
        ("é", "é"),
        ({"a": 1, "b": [2]}, {"b": [2.0], "a": 1}),
        ([{}, []], [{}, []]),
    ],
)
@EVERY
def test_the_same_whatever_is_asked(a: Any, b: Any, alike: Alike) -> None:
    assert same(a, b, alike) and same(b, a, alike)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (True, 1),
        (False, 0),
        (False, 0.0),
        (None, False),
        ("1", 1),
        ("", None),
        ({}, []),
        ({}, None),
        ([], ""),
        ([], [[]]),
        (["a"], "a"),
        (["a"], {"0": "a"}),
        ({"a": None}, {}),
        ({"a": 1}, {"b": 1}),
        ({"a": 1}, {"a": 1, "b": 1}),
        ([True], [1]),
        ([["a"]], ["a"]),
        ([{"a": "b"}], [{"b": "a"}]),
        (["boolean"], [True]),
        (["True"], [True]),
        (2**53, 2**53 + 1),
        (2**53 + 1, float(2**53)),
        (2**64, 2**64 + 1),
        (BIG, BIG + 1),
        (BIG, 1.5),
        (1e308, -1e308),
    ],
)
@EVERY
def test_never_the_same(a: Any, b: Any, alike: Alike) -> None:
    assert not same(a, b, alike) and not same(b, a, alike)
    assert not same([a], [b], alike) and not same({"x": a}, {"x": b}, alike)


@pytest.mark.parametrize(
    ("a", "b", "tolerance", "expected"),
    [
        (1, 1.1, 0.1, True),  # as floats, they differ by more
        (20.0, 19.99, 0.01, True),
        (1000000000.1, 1000000000, 0.1, True),
        (1, 1.1000000000000003, 0.1, False),
        (20.0, 19.98, 0.01, False),
        (-1, 1, 2, True),
        (-1, 1, 1.999, False),
        (2**64, 2**64 + 1, 1, True),
        (2**64, 2**64 + 2, 1, False),
        (BIG, BIG + 3, 3, True),
        (BIG, BIG + 4, 3, False),
        (BIG, 0.5, 3, False),
        (10**23, 1e23, 1, False),  # the nearest float is 8388608 less
        (True, 1, 1, False),
        ("1", 1, 1, False),
        (5e-324, 0, 1e-323, True),
    ],
)
def test_numbers_within_a_tolerance(a: Any, b: Any, tolerance: float, expected: bool) -> None:
    for sets in (False, True):
        alike = Alike(tolerance, sets)
        for one, other in ((a, b), ([a], [b]), ({"x": a}, {"x": b}), ([{"x": a, "y": 0}], [{"y": 0, "x": b}])):
            assert [same(one, other, alike), same(other, one, alike)] == [expected, expected]


@pytest.mark.parametrize("tolerance", [-1, float("inf"), float("nan")])
def test_a_tolerance_is_a_finite_number_of_at_least_0(tolerance: float) -> None:
    with pytest.raises(ValueError, match=f"tolerance must be a finite number of at least 0, and is {tolerance}"):
        Alike(tolerance)


@pytest.mark.parametrize(
    ("a", "b", "alike", "expected"),
    [
        (["a", "b"], ["b", "a"], EXACT, False),
        (["a", "b"], ["b", "a"], SETS, True),
        (["a", "a"], ["a"], SETS, True),
        (["a", "a", "b"], ["a", "b", "b"], SETS, True),
        (["a", "b"], ["a"], SETS, False),
        (["a"], ["a", "b"], SETS, False),
        ([1, 1.0], [1], SETS, True),
        ([[1, 2], [3]], [[3], [2, 1, 1]], SETS, True),
        ([[1, 2], [3]], [[3], [2, 4]], SETS, False),
        ([{"x": [1, 2]}, {"x": [3]}], [{"x": [3]}, {"x": [2, 1]}], SETS, True),
        ([{"x": 1}, {"x": 2}], [{"x": 2}, {"x": 1}], SETS, True),
        ([1, 2], [2.05, 0.95], TENTH_SETS, True),
        ([1, 2], [2.05, 0.95], TENTH, False),
        ([1, 2], [1.05, 1.95], TENTH, True),
        ([1, 1.05, 1.1], [1.05], TENTH_SETS, True),
        ([1, 2], [1.05], TENTH_SETS, False),
        ([{"x": 1, "y": 5}, {"x": 1, "y": 7}], [{"x": 1.1, "y": 7.1}, {"x": 0.9, "y": 4.9}], TENTH_SETS, True),
        ([{"x": 1, "y": 5}, {"x": 1, "y": 7}], [{"x": 1.1, "y": 7.2}, {"x": 0.9, "y": 4.9}], TENTH_SETS, False),
        ([{"n": "a", "x": 1}, {"n": "b", "x": 2}], [{"n": "b", "x": 2.1}, {"n": "a", "x": 1}], TENTH_SETS, True),
        ([{"n": "a", "x": 1}, {"n": "b", "x": 2}], [{"n": "a", "x": 2.1}, {"n": "b", "x": 1}], TENTH_SETS, False),
        ([{"at": [1, 2]}], [{"at": [2.1, 1.1]}], TENTH_SETS, True),
        ([{"x": BIG, "y": 1}, {"x": 0.5, "y": 1}], [{"x": 0.5, "y": 1}, {"x": BIG, "y": 1}], TENTH_SETS, True),
    ],
)
def test_arrays(a: Any, b: Any, alike: Alike, expected: bool) -> None:
    assert [same(a, b, alike), same(b, a, alike)] == [expected, expected]
    assert same({"k": a}, {"k": b}, alike) == expected


def test_an_element_of_very_many_numbers_is_compared_exactly() -> None:
    few, many = {str(i): i for i in range(32)}, {str(i): i for i in range(33)}
    assert same([few], [few | {"7": 7.05}], TENTH_SETS)
    assert not same([many], [many | {"7": 7.05}], TENTH_SETS)
    assert same([many], [dict(reversed(many.items()))], TENTH_SETS)
    assert same(many, many | {"7": 7.05}, TENTH_SETS)  # not in an array


# ------------------------------------------------------------------ the largest group


@pytest.mark.parametrize(
    ("values", "alike", "expected"),
    [
        ([], EXACT, []),
        (["a"], EXACT, [0]),
        (["a", "b"], EXACT, [0]),
        (["a", "b", "b"], EXACT, [1, 2]),
        (["a", "b", "a", "b"], EXACT, [0, 2]),
        ([1, True, 1.0, "1"], EXACT, [0, 2]),
        ([1, 1.1, 1.2], TENTH, [0, 1, 2]),  # 1 and 1.2 are not the same, but 1.1 is the centre
        ([1.2, 5, 1.1, 1], TENTH, [0, 2, 3]),
        ([5, 5.1, 1, 1.1], TENTH, [0, 1]),
        ([{"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2]}], EXACT, [0, 2]),
        ([{"a": [1, 2]}, {"a": [2, 1]}, {"a": [1, 2]}], SETS, [0, 1, 2]),
        ([{"a": 1, "b": 2}, {"a": 1}, {"a": 1}], EXACT, [1, 2]),
        ([[1, 2], [1], [1]], EXACT, [1, 2]),
    ],
)
def test_the_largest_group(values: list[Any], alike: Alike, expected: list[int]) -> None:
    assert largest(values, alike) == expected


# ------------------------------------------------------------------ the majority


@pytest.mark.parametrize(
    ("values", "value", "agreement"),
    [
        (["a", "b", "b"], "b", 2 / 3),
        (["a", "b"], "a", 1 / 2),
        (["b", "a", "c", "a", "b"], "b", 2 / 5),
        ([1, True, True], True, 2 / 3),
        (["1", 1, 1.0, None], 1, 2 / 4),
        ([1.0, 1, 1], 1.0, 1.0),  # as the first wrote it
        ([{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 4, "b": 3}], {"a": 1, "b": 3}, {"a": 2 / 3, "b": 2 / 3}),
        ([{"a": 1}, {"a": 1, "b": 2}, {"b": 2, "a": 1}], {"a": 1, "b": 2}, {"a": 1.0, "b": 2 / 3}),
        ([{"a": 1, "b": 2}, {"a": 1}], {"a": 1, "b": 2}, {"a": 1.0, "b": 1 / 2}),
        ([{"a": 1}, {"a": 1, "b": 2}], {"a": 1}, {"a": 1.0}),
        ([{"b": 1, "a": 2}, {"a": 2, "b": 1}], {"b": 1, "a": 2}, {"b": 1.0, "a": 1.0}),
        ([{"a": 1}, {"b": 2}, {"c": 3}], {}, 0.0),
        ([{}, {}, {"a": 1}], {}, 2 / 3),
        ([{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 2}}], {"a": {"b": 2}}, {"a": {"b": 2 / 3}}),
        ([{"a": {}}, {"a": {}}], {"a": {}}, {"a": 1.0}),
        ([{"a": 1}, "x", {"a": 2}, {"a": 2}], {"a": 2}, {"a": 2 / 4}),
        ([{"a": 1}, "x", "x", "y"], "x", 2 / 4),
        (["x", {"a": 1}], "x", 1 / 2),
        ([{"a": 1}, "x"], {"a": 1}, {"a": 1 / 2}),
        (["x", "y", "z", [1], [1]], "x", 1 / 5),  # what is no object and no array is one kind
        ([[1, 2], [1, 3], [1, 3]], [1, 3], [1.0, 2 / 3]),
        ([[1, 9], [2], [2]], [2], [2 / 3]),
        ([[1], [1], [2, 9], [2, 9], [2, 8]], [2, 9], [3 / 5, 2 / 5]),
        ([[1], [1], [1, 2]], [1], [1.0]),  # who is outvoted on the length still has the 1
        ([[1], [2, 3]], [1], [1 / 2]),
        ([[1], [2], [2, 9]], [1], [1 / 3]),  # but no vote
        ([[], [], [1]], [], 2 / 3),
        ([[], [1]], [], 1 / 2),
        ([[[1, 2], "x"], [[1, 3], "x"], [[1, 2], "y"]], [[1, 2], "x"], [[1.0, 2 / 3], 2 / 3]),
    ],
)
def test_what_most_say(values: list[Any], value: Any, agreement: Any) -> None:
    found = majority(values, EXACT, anything)
    assert repr(found) == repr(Majority(value, agreement))


@pytest.mark.parametrize(
    ("values", "value", "agreement"),
    [
        ([["a", "b"], ["b", "c"], ["c", "b", "d"]], ["b", "c"], [1.0, 2 / 3]),
        ([["c", "b"], ["b"], ["c", "b"]], ["c", "b"], [2 / 3, 1.0]),
        ([["a"], ["b"]], [], 0.0),
        ([["a"], ["a", "b"], []], ["a"], [2 / 3]),
        ([["a", "a"], ["b", "a"], ["a"]], ["a"], [1.0]),
        ([["a", "a"], ["a"]], ["a", "a"], [1.0, 1.0]),  # all are the same: as the first wrote it
        ([["a"], ["a"], "x", "y"], ["a"], [2 / 4]),
        ([[{"x": 1, "y": [2, []]}], [{"y": [[], 2], "x": 1}, 3]], [{"x": 1, "y": [2, []]}],
         [{"x": 1.0, "y": [1.0, 1.0]}]),
        ([[{"x": 1, "y": 2}], [{"x": 1, "y": 3}], [{"x": 1, "y": 3}]], [{"x": 1, "y": 3}], [{"x": 2 / 3, "y": 2 / 3}]),
        ([{"t": ["a", "b"]}, {"t": ["b", "a"]}, {"t": ["b"]}], {"t": ["a", "b"]}, {"t": [2 / 3, 1.0]}),
    ],
)  # fmt: skip
def test_what_most_say_of_sets(values: list[Any], value: Any, agreement: Any) -> None:
    found = majority(values, SETS, anything)
    assert repr(found) == repr(Majority(value, agreement))


@pytest.mark.parametrize(
    ("values", "alike", "value", "agreement"),
    [
        ([1, 1.1, 1.2], TENTH, 1.1, 1.0),
        ([1.1, 1], TENTH, 1.1, 1.0),
        ([5, 1, 1.1, 9], TENTH, 1, 2 / 4),
        ([5, 1, "x", "x", 1.05, 1.1], TENTH, 1, 3 / 6),
        ([True, 1, True], Alike(5), True, 2 / 3),
        ([{"a": [1, 2]}, {"a": [1.1, 3]}, {"a": [1.2, 3]}], TENTH, {"a": [1.1, 3]}, {"a": [1.0, 2 / 3]}),
        ([[1, 5], [5, 1.1], [1.2, 7]], TENTH_SETS, [5, 1.1], [2 / 3, 1.0]),
        ([[1], [1.1], [1.2]], TENTH_SETS, [1.1], [1.0]),
        ([[{"x": 1, "y": 1}], [{"x": 1.1, "y": 1}], [{"x": 1.2, "y": 1}]], TENTH_SETS, [{"x": 1.1, "y": 1}],
         [{"x": 1.0, "y": 1.0}]),
        ([[1, 1.05], [1.05, 1]], TENTH_SETS, [1, 1.05], [1.0, 1.0]),
    ],
)  # fmt: skip
def test_what_most_say_within_a_tolerance(values: list[Any], alike: Alike, value: Any, agreement: Any) -> None:
    found = majority(values, alike, anything)
    assert repr(found) == repr(Majority(value, agreement))


def test_no_voters_no_majority() -> None:
    with pytest.raises(ValueError, match="a majority needs at least one value"):
        majority([], EXACT, anything)


# ------------------------------------------------------------------ mixtures that the schema does not allow

CIRCLE, SMALL = {"kind": "circle", "r": 2}, {"kind": "circle", "r": 1}
SQUARE, WIDE = {"kind": "square", "side": 1}, {"kind": "square", "side": 2}
LINE = {"kind": "line", "length": 1}
RED, LARGE, DEEP = ({"kind": "a", "x": 1}, {"kind": "b", "x": 2}, {"kind": "b", "x": 3})


def is_shape(value: Any) -> bool:
    needed = {"circle": "r", "square": "side", "line": "length"}
    return set(value) == {"kind", needed[value["kind"]]}


@pytest.mark.parametrize(
    ("values", "value", "agreement"),
    [
        ([SQUARE, CIRCLE, WIDE, CIRCLE, WIDE], WIDE, {"kind": 3 / 5, "side": 2 / 5}),  # valid at once
        ([LINE, SQUARE, CIRCLE, WIDE, SMALL, WIDE], WIDE, {"kind": 3 / 6, "side": 2 / 6}),
        ([LINE, SMALL, CIRCLE, SQUARE, CIRCLE, WIDE], CIRCLE, {"kind": 3 / 6, "r": 2 / 6}),
        ([LINE, CIRCLE, SQUARE, SMALL, WIDE], CIRCLE, {"kind": 2 / 5, "r": 1 / 5}),
    ],
)
def test_the_most_common_keys_vote_alone(values: list[Any], value: Any, agreement: Any) -> None:
    assert repr(majority(values, EXACT, is_shape)) == repr(Majority(value, agreement))


def test_the_schema_is_asked_twice_at_most() -> None:
    asked: list[Any] = []

    def keeps(value: Any) -> bool:
        asked.append(value)
        return False

    found = majority([LINE, SMALL, CIRCLE, SQUARE, CIRCLE, WIDE], EXACT, keeps)
    assert asked == [{"kind": "circle"}, CIRCLE]
    assert found.value == CIRCLE

    asked.clear()
    majority([RED, LARGE, DEEP], EXACT, keeps)  # all have the same keys
    assert asked == [{"kind": "b", "x": 1}]


@pytest.mark.parametrize(
    ("values", "alike", "value", "agreement"),
    [
        ([RED, LARGE, DEEP], EXACT, LARGE, {"kind": 2 / 3, "x": 1 / 3}),
        ([DEEP, RED, LARGE], EXACT, DEEP, {"kind": 2 / 3, "x": 1 / 3}),
        ([RED, LARGE], EXACT, RED, {"kind": 1 / 2, "x": 1 / 2}),
        ([RED, DEEP, LARGE, LARGE, RED], EXACT, LARGE, {"kind": 3 / 5, "x": 2 / 5}),
        (["a", "b", "b"], EXACT, "b", 2 / 3),
        ([[1, 2, 9], [3, 2, 1], [3, 2, 4]], EXACT, [3, 2, 1], [2 / 3, 1.0, 1 / 3]),
        ([["a", "b"], ["b", "c"], ["c", "b"]], SETS, ["b", "c"], [1.0, 2 / 3]),
        # The mean is over leaves: an element counts with each of its own.
        ([["a", {"x": 1, "y": 2}], ["a", "b"], ["c", {"x": 1, "y": 2}]], SETS, ["a", {"x": 1, "y": 2}],
         [2 / 3, {"x": 2 / 3, "y": 2 / 3}]),
        ([5, 1.1, 1], TENTH, 1.1, 2 / 3),
    ],
)  # fmt: skip
def test_else_the_voter_that_agrees_most(values: list[Any], alike: Alike, value: Any, agreement: Any) -> None:
    found = majority(values, alike, nothing)
    assert repr(found) == repr(Majority(value, agreement))


# ------------------------------------------------------------------ large and deep


def deep(depth: int, innermost: Any) -> Any:
    value = innermost
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


@EVERY
@pytest.mark.parametrize("keeps", [anything, nothing])
def test_deep_values_need_no_deep_stack(alike: Alike, keeps: Callable[[Any], bool]) -> None:
    values = [deep(2_000, leaf) for leaf in ("x", "y", "y")]
    assert largest(values, alike) == [1, 2]
    found = majority(values, alike, keeps)
    value, shape = found.value, found.agreement
    while isinstance(value, dict | list):
        value, shape = (value["a"], shape["a"]) if isinstance(value, dict) else (value[0], shape[0])
    assert (value, shape) == ("y", 2 / 3)


@pytest.mark.parametrize(
    ("element", "alike"),
    [
        pytest.param(lambda i: f"item {i}", SETS, id="strings"),
        pytest.param(lambda i: (2**61 - 1) * i, SETS, id="integers of one hash"),
        pytest.param(lambda i: (2**61 - 1) * i, TENTH_SETS, id="integers of one hash, within a tolerance"),
        pytest.param(lambda i: i / 15_000, Alike(1.0, sets=True), id="all near each other"),
    ],
)
def test_large_sets_take_time_in_proportion(element: Callable[[int], Any], alike: Alike) -> None:
    array = [element(i) for i in range(15_000)]
    begun = time.process_time()
    assert same(array, array[::-1], alike)
    assert not same(array, [*array, "more"], alike)
    assert time.process_time() - begun < 3  # about 0.2; above 10 if each were compared with each


def test_many_elements_of_several_numbers_are_compared_with_some_only() -> None:
    array = [{"x": i / 1_000, "y": -i / 1_000} for i in range(1_000)]
    begun = time.process_time()
    assert same(array, [{"x": point["x"] + 0.0001, "y": point["y"]} for point in array], Alike(1.0, sets=True))
    assert time.process_time() - begun < 3  # about 0.3


def test_elements_are_found_by_the_number_that_tells_them_apart() -> None:
    array = [{"a": i * 7 % 10 / 100, "x": i} for i in range(500)]
    assert same(array, [{"a": 0.05, "x": i + 0.1} for i in range(500)], TENTH_SETS)


def test_of_many_numbers_near_each_other_one_is_left() -> None:
    voters = [[i / 100 for i in range(100)], [(i + 0.5) / 100 for i in range(100)]]
    assert majority(voters, Alike(1.0, sets=True), anything) == Majority([0.0], [1.0])


# ------------------------------------------------------------------ laws

LEAVES = st.sampled_from([None, True, False, 0, 1, 1.0, 1.1, 1.25, 2, "1", "", "a", 2**53, 2**53 + 1])
VALUES = st.recursive(
    LEAVES,
    lambda parts: st.lists(parts, max_size=3) | st.dictionaries(st.sampled_from("abc"), parts, max_size=3),
    max_leaves=8,
)
VOTERS = st.lists(VALUES, min_size=1, max_size=5)
FLAT = st.lists(
    LEAVES | st.dictionaries(st.sampled_from("xy"), st.sampled_from([0, 0.5, 1, 1.1, 1.2, "a"]), max_size=2), max_size=5
)
ALIKE = st.builds(Alike, st.sampled_from([0.0, 0.1, 1.0]), st.booleans())


def plainly_same(a: Any, b: Any, alike: Alike) -> bool:
    """The definition, word by word."""
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(plainly_same(a[key], b[key], alike) for key in a)
    if isinstance(a, list) and isinstance(b, list):
        if alike.sets:
            return all(any(plainly_same(x, y, alike) for y in there) for here, there in ((a, b), (b, a)) for x in here)
        return len(a) == len(b) and all(plainly_same(x, y, alike) for x, y in zip(a, b, strict=True))
    if type(a) in (int, float) and type(b) in (int, float):
        return abs(Fraction(str(a)) - Fraction(str(b))) <= Fraction(str(alike.tolerance))
    return type(a) is type(b) and bool(a == b)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> dict[tuple[Any, ...], Any]:
    if isinstance(value, dict | list) and value:
        steps = value.items() if isinstance(value, dict) else enumerate(value)
        return {place: leaf for step, child in steps for place, leaf in leaves(child, (*path, step)).items()}
    return {path: value}


def leaf_shares(value: Any, voters: list[Any], alike: Alike) -> dict[tuple[Any, ...], float]:
    known = [leaves(voter) for voter in voters]
    return {
        path: sum(path in own and plainly_same(leaf, own[path], alike) for own in known) / len(voters)
        for path, leaf in leaves(value).items()
    }


@given(VALUES, VALUES, st.sampled_from([EXACT, SETS, TENTH, Alike(1.0)]))
def test_same_is_as_defined(a: Any, b: Any, alike: Alike) -> None:
    assert same(a, b, alike) == plainly_same(a, b, alike)
    assert same(a, a, alike)


@given(FLAT, FLAT, st.sampled_from([0.1, 0.5, 1.0]))
def test_flat_sets_within_a_tolerance_are_as_defined(a: Any, b: Any, tolerance: float) -> None:
    alike = Alike(tolerance, sets=True)
    assert same(a, b, alike) == plainly_same(a, b, alike) == same(b, a, alike)


@given(VOTERS, st.sampled_from([EXACT, SETS, TENTH]))
def test_the_largest_group_is_as_defined(voters: list[Any], alike: Alike) -> None:
    groups = [[i for i, other in enumerate(voters) if plainly_same(centre, other, alike)] for centre in voters]
    assert largest(voters, alike) == max(groups, key=len)


@given(VALUES, st.integers(1, 4), ALIKE, st.sampled_from([anything, nothing]))
def test_voters_of_one_mind_are_repeated(value: Any, voters: int, alike: Alike, keeps: Callable[[Any], bool]) -> None:
    found = majority([value] * voters, alike, keeps)
    assert repr(found.value) == repr(value)
    assert leaves(found.agreement) == dict.fromkeys(leaves(value), 1.0)


@given(VOTERS, st.sampled_from([EXACT, TENTH]), st.sampled_from([anything, nothing]))
def test_shares_count_who_has_the_leaf(voters: list[Any], alike: Alike, keeps: Callable[[Any], bool]) -> None:
    found = majority(voters, alike, keeps)
    assert leaves(found.agreement) == leaf_shares(found.value, voters, alike)


@given(VOTERS, ALIKE)
def test_every_leaf_is_a_voters(voters: list[Any], alike: Alike) -> None:
    found = majority(voters, alike, anything)
    shares = leaves(found.agreement)
    assert shares.keys() == leaves(found.value).keys()
    for path, leaf in leaves(found.value).items():
        assert 0 < shares[path] <= 1 or (shares[path] == 0 and leaf in ({}, []))


@given(VALUES, st.lists(VALUES, max_size=2), ALIKE, st.data())
def test_most_are_obeyed_in_whatever_order(value: Any, others: list[Any], alike: Alike, data: st.DataObject) -> None:
    order = data.draw(st.permutations([value] * (len(others) + 1) + others))
    found = majority(order, Alike(sets=alike.sets), anything)
    assert same(found.value, value, SETS if alike.sets else EXACT)


@given(VOTERS.filter(lambda voters: len(voters) > 1), ALIKE)
def test_the_result_is_valid_if_every_voter_is(voters: list[Any], alike: Alike) -> None:
    valid = [repr(voter) for voter in voters]
    assert repr(majority(voters, alike, lambda value: repr(value) in valid).value) in valid


@given(VOTERS, st.sampled_from([EXACT, TENTH]))
def test_the_fallback_agrees_most(voters: list[Any], alike: Alike) -> None:
    def mean(voter: Any) -> Fraction:
        shares = [round(share * len(voters)) for share in leaf_shares(voter, voters, alike).values()]
        return Fraction(sum(shares), len(shares))

    assert repr(majority(voters, alike, nothing).value) == repr(max(voters, key=mean))


def test_the_order_of_voters_matters_only_in_ties() -> None:
    voters = [{"a": 1, "b": [1, 2]}, {"a": 1, "b": [1, 3]}, {"a": 2, "b": [1, 3]}, {"a": 1, "b": "x"}, {"a": 1}]
    found = {repr(majority(order, EXACT, anything)) for order in itertools.permutations(voters)}
    assert found == {repr(Majority({"a": 1, "b": [1, 3]}, {"a": 4 / 5, "b": [3 / 5, 2 / 5]}))}
