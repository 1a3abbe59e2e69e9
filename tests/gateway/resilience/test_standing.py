"""What becomes of one target's calls, all told."""

import pytest

from adapters.errors import (
    Garbled,
    Invalid,
    ProviderError,
    Rejected,
    Throttled,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unknown,
)
from adapters.local.load import Load
from gateway.gate import Overloaded
from gateway.resilience.latency import KNOWN_FOR, Latency
from gateway.resilience.standing import LONGEST_REST, UNADVISED, Standing, Standings
from tests.gateway.resilience.settings import Patience, Retrying

T = 1000.0


def standing(**patience: float) -> Standing:
    return Standing(Patience(**patience), Retrying())  # type: ignore[arg-type]


def fails(standing: Standing, failure: ProviderError, now: float = T) -> None:
    standing.end(standing.begin(now), now, failure)


def test_counts_who_is_under_way() -> None:
    one = standing()
    tickets = [one.begin(T + i) for i in range(3)]
    assert (one.busy, one.asked) == (3, T + 2)
    one.end(tickets[0], T + 3)
    one.end(tickets[1], T + 3, Unavailable("x"))
    one.left(tickets[2])
    assert one.busy == 0


@pytest.mark.parametrize("failure", [Unavailable("x"), TimedOut("x"), Garbled("x")])
def test_failures_of_the_target_open_it(failure: ProviderError) -> None:
    one = standing(failures=3)
    for _ in range(3):
        assert one.breaker.allows(T)
        fails(one, failure)
    assert not one.breaker.allows(T)


@pytest.mark.parametrize("failure", [Rejected("x"), Invalid("x"), Unknown("x"), Overloaded("x"), ProviderError("x")])
def test_other_failures_do_not(failure: ProviderError) -> None:
    one = standing(failures=3, least=3)
    for _ in range(50):
        fails(one, failure)
    assert one.breaker.allows(T) and one.busy == 0


def test_a_dead_key_is_left_alone_at_once() -> None:
    one = standing()
    fails(one, Unauthorized("x"))
    assert one.breaker.opens_at(T) == pytest.approx(5)


@pytest.mark.parametrize(
    ("advice", "seconds"), [(7.5, 7.5), (None, UNADVISED), (0.0, 0.0), (1e300, LONGEST_REST), (60.0, 60.0)]
)
def test_who_throttles_rests_as_long_as_it_says(advice: float | None, seconds: float) -> None:
    one = standing()
    fails(one, Throttled("x", retry_after=advice))
    assert one.breaker.opens_at(T) == pytest.approx(seconds)


def test_a_shorter_advice_does_not_shorten_a_rest() -> None:
    one = standing()
    fails(one, Throttled("x", retry_after=60.0))
    fails(one, Throttled("x", retry_after=1.0), T + 1)
    assert one.breaker.opens_at(T + 1) == pytest.approx(59)


@pytest.mark.parametrize(
    ("failure", "state"),
    [
        (None, "closed"),
        (Rejected("x"), "closed"),
        (Invalid("x"), "closed"),
        (Unavailable("x"), "open"),
        (Unauthorized("x"), "open"),
        (Overloaded("x"), "half_open"),
        (Unknown("x"), "half_open"),
        (Throttled("x", retry_after=9), "open"),
    ],
)
def test_what_a_probe_shows(failure: ProviderError | None, state: str) -> None:
    one = standing(failures=1)
    fails(one, Unavailable("x"))
    now = T + 5
    one.end(one.begin(now), now, failure)
    assert one.breaker.state(now) == state
    assert one.breaker.allows(now) == (
        failure is None or isinstance(failure, Rejected | Invalid | Overloaded | Unknown)
    )


def test_a_probe_that_is_cancelled_makes_room_for_the_next() -> None:
    one = standing(failures=1)
    fails(one, Unavailable("x"))
    probe = one.begin(T + 5)
    assert not one.breaker.allows(T + 5)
    one.left(probe)
    assert one.breaker.allows(T + 5)


def test_only_answers_tell_how_soon_they_come() -> None:
    one = standing()
    one.end(one.begin(T), T, Unavailable("x"), 0.001)
    assert one.latency.estimate(T) is None
    one.end(one.begin(T), T, Rejected("x"), 0.2)
    assert one.latency.estimate(T) == pytest.approx(0.2)
    one.end(one.begin(T), T, None, 0.4)
    assert one.latency.estimate(T) == pytest.approx(0.26)


def test_a_latency_of_long_ago_is_unknown_and_not_mixed_with_the_next() -> None:
    latency = Latency()
    latency.heard(T, 9.0)
    assert latency.estimate(T + KNOWN_FOR) == 9.0
    assert latency.estimate(T + KNOWN_FOR + 1) is None
    latency.heard(T + KNOWN_FOR + 1, 0.1)
    assert latency.estimate(T + KNOWN_FOR + 1) == pytest.approx(0.1)


def test_retries_earn_no_retries() -> None:
    one = Standing(Patience(), Retrying(share=1.0, floor=0.0))
    one.left(one.begin(T))
    assert one.budget.take(T)
    one.left(one.begin(T, retry=True))
    assert not one.budget.take(T)


def test_a_report_of_the_engine_holds_for_a_while() -> None:
    one = standing()
    one.begin(T)
    assert one.load(T) is None
    one.report(Load(running=4.0), T, 6.0)
    one.begin(T)
    assert one.load(T + 5.9) == Load(running=4.0) and one.since_report() == 1
    assert one.load(T + 6) is None
    one.report(None, T + 6, 6.0)
    assert one.load(T + 6) is None


def test_what_is_known_outlives_a_reload() -> None:
    all_ = Standings(Patience(failures=1), Retrying(floor=0.0))
    one = all_.of("gpt/x", "KEY_A")
    fails(one, Unavailable("x"))
    all_.of("gone/x")
    assert all_.of("gpt/x", "KEY_B") is not one
    all_.configure(Patience(failures=9), Retrying(floor=5.0))
    all_.keep({("gpt/x", "KEY_A"), ("new/x", "")})
    assert [place for place, _ in all_] == [("gpt/x", "KEY_A")]
    assert all_.of("gpt/x", "KEY_A") is one and not one.breaker.allows(T)
    assert one.breaker.settings.failures == 9 and one.budget.floor == 5.0
