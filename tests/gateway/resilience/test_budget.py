"""Retries are a share of traffic, in any window."""

from math import floor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.resilience.budget import SECONDS, RetryBudget
from gateway.resilience.window import Window

STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.3, 1.0, 4.0, 9.9, 10.0, 25.0, 1e6]), st.integers(0, 60), st.integers(0, 20)
    ),
    max_size=40,
)


def taken(budget: RetryBudget, now: float, tries: int = 1000) -> int:
    return sum([budget.take(now) for _ in range(tries)])


@pytest.mark.parametrize(
    ("share", "least", "calls", "retries"),
    [(0.1, 1.0, 0, 10), (0.1, 1.0, 200, 30), (0.1, 0.0, 9, 0), (0.1, 0.0, 10, 1), (0.0, 0.0, 500, 0), (1.0, 0.0, 7, 7)],
)
def test_the_share_and_the_floor(share: float, least: float, calls: int, retries: int) -> None:
    budget = RetryBudget(share, least)
    for _ in range(calls):
        budget.asked(100.0)
    assert taken(budget, 100.0) == retries


def test_a_quiet_hour_saves_nothing_up() -> None:
    budget = RetryBudget(0.1, 0.5)
    for i in range(1000):
        budget.asked(100.0 + i / 1000)
    assert taken(budget, 3700.0) == 5


def test_what_was_spent_comes_back() -> None:
    budget = RetryBudget(0.0, 1.0)
    assert taken(budget, 50.5) == 10
    assert taken(budget, 60.0) == 0
    assert taken(budget, 61.5) == 10


@settings(max_examples=300, deadline=None)
@given(STEPS, st.sampled_from([0.0, 0.1, 0.5, 1.0]), st.sampled_from([0.0, 0.25, 1.0, 3.0]))
def test_retries_are_never_above_the_bound(steps: list[tuple[float, int, int]], share: float, least: float) -> None:
    """In any window that ends with one: what it is a share of may have been asked before that of later windows."""
    budget = RetryBudget(share, least)
    now = 12_345.678
    calls: list[float] = []
    retries: list[float] = []
    for pause, asked, tries in steps:
        now += pause
        for _ in range(asked):
            budget.asked(now)
            calls.append(now)
        for _ in range(tries):
            if budget.take(now):
                retries.append(now)
                lately = now - SECONDS
                made = len([at for at in retries if at > lately])
                assert made <= share * len([at for at in calls if at > lately]) + least * SECONDS


@given(st.lists(st.tuples(st.floats(0, 30), st.booleans()), max_size=80), st.sampled_from([0.1, 0.5, 1.0, 3.0]))
def test_a_window_counts_what_is_in_its_slices(steps: list[tuple[float, bool]], width: float) -> None:
    window = Window(width, 10)
    now = 1000.0
    seen: list[float] = []
    for pause, adds in steps:
        now += pause
        if adds:
            window.add(now)
            seen.append(now)
        inside = [at for at in seen if floor(now / width) - floor(at / width) < 10]
        assert window.total(now) == len(inside)
        assert len([at for at in seen if at > now - 9 * width]) <= len(inside) + rounding(now, width)
        assert len(inside) <= len([at for at in seen if at >= now - 10 * width]) + rounding(now, width)


def rounding(now: float, width: float) -> int:
    """Room for what stands on the very edge of a slice."""
    edge: Any = abs(now / width - round(now / width))
    return 1000 if edge < 1e-6 else 0
