"""Which target is asked next: told the time, and what came of each try."""

import math
from typing import Any

import msgspec
import pytest

from adapters.errors import (
    Filtered,
    Garbled,
    Invalid,
    ProviderError,
    Rejected,
    Throttled,
    TimedOut,
    TooLong,
    Unauthorized,
    Unavailable,
    Unknown,
)
from gateway.gate import Overloaded
from gateway.resilience.course import Course, Resting
from gateway.resilience.retrying import Retrying
from gateway.resilience.standing import Standings
from gateway.types import Target
from tests.gateway.playing import Playing, target
from tests.gateway.resilience.settings import Patience as Breaking
from tests.gateway.resilience.settings import Retrying as Trying

UP = Playing()
TWICE = Retrying(2, 1.0, 5.0, lambda: 0.5)
NEVER = Retrying()


def one(name: str, credential: str = "", **more: Any) -> Target:
    standing = Standings(more.pop("breaking", Breaking()), more.pop("trying", Trying())).of(name, credential)
    return msgspec.structs.replace(target(UP, name), credential=credential, standing=standing)


def walk(course: Course, failures: dict[str, ProviderError], now: float = 100.0) -> list[str | float]:
    """Who is asked, and what is waited, when each fails so to the end."""
    found: list[str | float] = []
    while (turn := course.next(now)) is not None:
        if isinstance(turn, float):
            found.append(round(turn, 3))
            now += turn
            continue
        found.append(f"{turn.model}{turn.credential}")
        assert len(found) < 50
        if not course.failed(turn, failures[turn.model], now):
            break
    return found


def test_each_is_asked_once_and_then_again_after_a_wait() -> None:
    failures: dict[str, ProviderError] = {"a": Unavailable("x"), "b": Unavailable("x")}
    found = walk(Course([one("a"), one("b")], TWICE), failures)
    assert found == ["a", "b", 0.5, "a", "b", 1.0, "a", "b"]


def test_without_rounds_nobody_is_asked_again() -> None:
    assert walk(Course([one("a"), one("b")], NEVER), {"a": Garbled("x"), "b": Garbled("x")}) == ["a", "b"]


@pytest.mark.parametrize("failure", [Rejected("x"), TooLong("x"), Filtered("x")])
def test_what_is_wrong_everywhere_ends_it(failure: ProviderError) -> None:
    assert walk(Course([one("a"), one("b")], TWICE), {"a": failure, "b": failure}) == ["a"]


@pytest.mark.parametrize("failure", [Unauthorized("x"), Unknown("x"), TimedOut("x"), Overloaded("x"), Invalid("x")])
def test_what_does_not_pass_is_asked_elsewhere_alone(failure: ProviderError) -> None:
    assert walk(Course([one("a"), one("b")], TWICE), {"a": failure, "b": failure}) == ["a", "b"]


def test_a_failure_of_the_key_leads_to_the_next_key() -> None:
    keys = [one("a", "1"), one("a", "2"), one("b")]
    failures: dict[str, ProviderError] = {"a": Unauthorized("x"), "b": Unknown("x")}
    assert walk(Course(keys, TWICE), failures) == ["a1", "a2", "b"]


def test_a_failure_of_the_target_skips_its_other_keys() -> None:
    keys = [one("a", "1"), one("a", "2"), one("b")]
    failures: dict[str, ProviderError] = {"a": Unavailable("x"), "b": Unknown("x")}
    assert walk(Course(keys, NEVER), failures) == ["a1", "b"]


def test_a_target_that_is_written_twice_is_asked_twice() -> None:
    assert walk(Course([one("a"), one("a")], NEVER), {"a": Unavailable("x")}) == ["a", "a"]


def test_advice_is_waited_for_if_it_is_short() -> None:
    assert walk(Course([one("a")], TWICE), {"a": Throttled("x", retry_after=3.0)})[:3] == ["a", 3.5, "a"]
    assert walk(Course([one("a")], TWICE), {"a": Throttled("x", retry_after=6.0)}) == ["a"]


def test_nobody_waits_beyond_the_callers_time() -> None:
    assert walk(Course([one("a")], TWICE, until=100.4), {"a": Unavailable("x")}) == ["a"]
    assert walk(Course([one("a")], TWICE, until=100.6), {"a": Unavailable("x")}) == ["a", 0.5, "a"]


def test_a_spent_budget_ends_it() -> None:
    spent = one("a", trying=Trying(share=0.0, floor=0.1))
    assert walk(Course([spent], TWICE), {"a": Unavailable("x")}) == ["a", 0.5, "a", 1.0]


def test_who_rests_is_passed_over_and_it_is_said_until_when() -> None:
    resting, open_ = one("a"), one("b", breaking=Breaking(failures=1, pause=7.0))
    assert resting.standing is not None and open_.standing is not None
    resting.standing.breaker.rest(104.0)
    course = Course([resting], TWICE)
    assert course.next(100.0) is None
    why = course.passed_over(100.0)
    assert isinstance(why, Throttled) and why.retry_after == 4.0
    open_.standing.end(open_.standing.begin(99.0), 100.0, Unavailable("x"))
    course = Course([resting, open_], TWICE)
    assert course.next(101.0) is None
    why = course.passed_over(101.0)
    assert isinstance(why, Resting) and why.retry_after == 3.0


def test_it_ends_whatever_happens() -> None:
    endless = Retrying(10, 0.0, 5.0, lambda: 0.0)
    found = walk(Course([one(name) for name in "abc"], endless), dict.fromkeys("abc", Unavailable("x")))
    assert len(found) <= 33 and math.isfinite(len(found))
