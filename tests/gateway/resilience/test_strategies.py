"""Whom each strategy asks first."""

import random
import timeit
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import Throttled, Unauthorized
from adapters.local.load import Load
from gateway.ledger.cost import FREE, Rates, RateTable
from gateway.resilience.standing import Standing
from gateway.resilience.strategies import Order, cheapest, fastest, least_busy, weighted
from gateway.types import Target
from tests.gateway.playing import Playing, target
from tests.gateway.resilience.settings import Patience, Retrying

T = 1000.0
UP = Playing()
DOLLAR = 1_000_000_000


def rng() -> random.Random:
    return random.Random(7)


def made(name: str, **more: Any) -> Target:
    return target(UP, name, standing=Standing(Patience(), Retrying()), **more)


def standing(target: Target) -> Standing:
    assert target.standing is not None
    return target.standing


def names(targets: tuple[Target, ...]) -> list[str]:
    return [target.model + ("" if not target.credential else f"/{target.credential}") for target in targets]


def firsts(order: Order, targets: list[Target], now: float = T, times: int = 2000) -> dict[str, float]:
    return {name: count / times for name, count in Counter(order(targets, now)[0].model for _ in range(times)).items()}


def spoil(target: Target, now: float = T) -> None:
    """Opens its breaker."""
    standing(target).end(standing(target).begin(now), now, Unauthorized("x"))


def hear(target: Target, seconds: float, now: float = T) -> None:
    standing(target).end(standing(target).begin(now - seconds), now, None, seconds)


def priced(input: float, output: float, since: int = 0) -> RateTable:
    return RateTable(((since, Rates(input=int(input * DOLLAR), output=int(output * DOLLAR))),))


ALL = [weighted(rng()), fastest(rng()), least_busy(rng()), cheapest(rng(), lambda: T)]


@pytest.mark.parametrize("order", ALL)
def test_fallbacks_come_last_as_they_are_written_and_nobody_is_lost(order: Order) -> None:
    targets = [made("z", fallback=True), made("a"), made("y", fallback=True), made("b")]
    for _ in range(20):
        found = names(order(targets, T))
        assert sorted(found[:2]) == ["a", "b"] and found[2:] == ["z", "y"]


@pytest.mark.parametrize("order", ALL)
def test_one_alone_is_that_one(order: Order) -> None:
    only = made("a")
    assert order([only], T) == (only,)


@pytest.mark.parametrize("order", ALL)
def test_without_a_standing_all_goes_as_well(order: Order) -> None:
    assert sorted(names(order([target(UP, "a"), target(UP, "b")], T))) == ["a", "b"]


@pytest.mark.parametrize("order", ALL)
def test_ties_are_shared_out_by_weight(order: Order) -> None:
    shares = firsts(order, [target(UP, "a", weight=3), target(UP, "b", weight=1)])
    assert shares["a"] == pytest.approx(0.75, abs=0.2 if order is ALL[2] else 0.04)


def test_keys_of_one_target_are_one_target() -> None:
    targets = [made("a", credential="k1"), made("b"), made("a", credential="k2"), made("a", credential="k3")]
    order = weighted(rng())
    assert firsts(order, targets)["a"] == pytest.approx(0.5, abs=0.04)
    seen = Counter(tuple(names(order(targets, T))) for _ in range(2000))
    assert len(seen) == 12  # two places for b, six orders of the keys: never b between them
    assert all("b" in (found[0], found[-1]) for found in seen)
    assert min(seen.values()) > 100


def test_who_is_not_allowed_comes_last_even_behind_the_fallbacks() -> None:
    targets = [made("a"), made("b"), made("c", fallback=True), made("d", fallback=True)]
    spoil(targets[0])
    spoil(targets[2])
    assert names(weighted(rng())(targets, T)) == ["b", "d", "a", "c"]
    assert names(weighted(rng())(targets, T + 6))[2:] == ["c", "d"]


def test_a_dead_or_throttled_key_leaves_its_place_to_the_others() -> None:
    targets = [made("a", credential="k1"), made("a", credential="k2"), made("b", fallback=True)]
    spoil(targets[0])
    assert names(weighted(rng())(targets, T)) == ["a/k2", "b", "a/k1"]
    standing(targets[1]).end(standing(targets[1]).begin(T), T, Throttled("x", retry_after=3.0))
    assert names(weighted(rng())(targets, T))[0] == "b"
    assert names(weighted(rng())(targets, T + 4))[0] == "a/k2"


def test_the_fastest_is_asked_first() -> None:
    a, b, c = made("a"), made("b"), made("c", weight=1000)
    for one, seconds in ((a, 0.9), (b, 0.2), (c, 0.5)):
        hear(one, seconds)
    assert names(fastest(rng())([a, b, c], T)) == ["b", "c", "a"]


def test_the_unknown_are_found_out_about_one_call_at_a_time() -> None:
    known, new = made("known"), made("new")
    hear(known, 0.1)
    order = fastest(rng())
    assert names(order([known, new], T)) == ["new", "known"]
    ticket = standing(new).begin(T)
    assert names(order([known, new], T + 50)) == ["known", "new"]  # still at it
    standing(new).end(ticket, T + 50, Throttled("x", retry_after=0.0))
    assert names(order([known, new], T + 50)) == ["new", "known"]
    standing(new).left(standing(new).begin(T + 50))
    assert names(order([known, new], T + 50.5)) == ["known", "new"]  # asked just now
    assert names(order([known, new], T + 51)) == ["new", "known"]
    hear(new, 0.3, T + 52)
    assert names(order([known, new], T + 52)) == ["known", "new"]


def test_who_was_slow_is_tried_again_after_a_while() -> None:
    slow, quick = made("slow"), made("quick")
    hear(slow, 9.0)
    hear(quick, 0.1)
    order = fastest(rng())
    assert names(order([slow, quick], T + 100)) == ["quick", "slow"]
    hear(quick, 0.1, T + 130)
    assert names(order([slow, quick], T + 130)) == ["slow", "quick"]


def test_a_target_is_as_fast_as_its_fastest_key() -> None:
    one, two, other = made("a", credential="k1"), made("a", credential="k2"), made("b")
    hear(one, 0.9)
    hear(two, 0.1)
    hear(other, 0.5)
    assert fastest(rng())([other, one, two], T)[2] is other


def test_the_least_busy_by_our_own_count_and_by_weight() -> None:
    a, b = made("a", weight=4), made("b")
    for _ in range(7):
        standing(a).begin(T)
    for _ in range(2):
        standing(b).begin(T)
    assert names(least_busy(rng())([a, b], T)) == ["a", "b"]
    standing(a).begin(T)
    standing(a).begin(T)
    assert names(least_busy(rng())([a, b], T)) == ["b", "a"]


def test_the_engine_knows_better_who_is_busy() -> None:
    a, b = made("a"), made("b")
    standing(b).begin(T)
    standing(b).report(Load(1.0, 0.0), T, 6.0)
    standing(a).report(Load(2.0, 9.0), T, 6.0)
    order = least_busy(rng())
    assert names(order([a, b], T)) == ["b", "a"]
    for _ in range(11):
        standing(b).begin(T + 1)  # after the report: on top of it
    assert names(order([a, b], T + 1)) == ["a", "b"]
    assert names(order([a, b], T + 6)) == ["a", "b"]  # both reports are too old: 0 and 12 of ours


def test_unknown_is_not_zero() -> None:
    a, b, c = made("a"), made("b"), made("c")
    for _ in range(3):
        standing(a).begin(T)
        standing(c).begin(T)
    standing(b).begin(T)
    standing(b).begin(T)
    standing(a).report(Load(None, None, None), T, 6.0)
    standing(c).report(Load(None, 5.0, None), T, 6.0)
    assert names(least_busy(rng())([a, b, c], T)) == ["b", "a", "c"]


def test_an_engine_that_tells_nothing_is_taken_to_have_what_others_have() -> None:
    silent, telling = made("silent"), made("telling")
    standing(telling).report(Load(5.0, 5.0), T, 60.0)
    standing(silent).report(Load(None, None), T, 60.0)
    order, first = least_busy(rng()), []
    for _ in range(12):
        [one, _] = order([silent, telling], T)
        standing(one).begin(T)
        first.append(one.model)
    assert 5 <= first.count("silent") <= 7


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (Load(2.0, 0.0, 0.2), Load(2.0, 0.0, 0.8)),
        (Load(9.0, 9.0, 0.2), Load(1.0, 0.0, 0.99)),
        (Load(2.0, 0.0, 0.2), Load(2.0, 0.0, None)),
        (Load(2.0, 0.0, None), Load(2.0, 0.0, 0.9)),
        (Load(9.0, 0.0, None), Load(2.0, 0.0, 0.97)),
        (Load(1.0, 0.0, 0.9), Load(2.0, 0.0, 0.1)),
    ],
)
def test_a_full_cache_is_avoided_and_an_emptier_one_preferred(one: Load, other: Load) -> None:
    a, b = made("a"), made("b")
    standing(a).report(one, T, 6.0)
    standing(b).report(other, T, 6.0)
    assert names(least_busy(rng())([b, a], T)) == ["a", "b"]


def test_the_cheapest_at_the_time_and_unknown_prices_last() -> None:
    now = [1000.0]
    order = cheapest(rng(), lambda: now[0])
    falling = RateTable((*priced(5, 5).changes, *priced(0.1, 0.1, 2_000_000_000).changes))
    targets = [
        made("unknown"),
        made("partly", rates=RateTable(((0, Rates(input=1)),))),
        made("later", rates=priced(1, 1, since=10**15)),
        made("dear", rates=priced(3, 15)),
        made("falling", rates=falling),
        made("cheap", rates=priced(0.5, 1.5)),
        made("own", rates=RateTable(((0, FREE),))),
    ]
    found = names(order(targets, T))
    assert found[:4] == ["own", "cheap", "falling", "dear"] and set(found[4:]) == {"unknown", "partly", "later"}
    now[0] = 2000.0
    assert names(order(targets, T))[:3] == ["own", "falling", "cheap"]


def test_a_few_targets_are_ordered_in_microseconds() -> None:
    targets = [made("a"), made("b"), made("c", fallback=True)]
    for order in ALL:
        assert min(timeit.repeat(lambda order=order: order(targets, T), number=200, repeat=5)) / 200 < 200e-6  # type: ignore[misc]


@given(st.data())
def test_every_order_is_of_the_same_targets(data: st.DataObject) -> None:
    targets = []
    for name in data.draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=6)):
        key = data.draw(st.sampled_from(["", "k1", "k2"]))
        one = made(name, credential=key, fallback=data.draw(st.booleans()), weight=data.draw(st.integers(1, 9)))
        if data.draw(st.booleans()):
            spoil(one)
        if data.draw(st.booleans()):
            hear(one, data.draw(st.floats(0.01, 9)))
        if data.draw(st.booleans()):
            number = st.none() | st.floats(0, 1000)
            standing(one).report(
                Load(data.draw(number), data.draw(number), data.draw(st.none() | st.floats(0, 1))), T, 6
            )
        targets.append(one)
    for order in ALL:
        found = order(targets, T)
        assert len(found) == len(targets) and {id(one) for one in found} == {id(one) for one in targets}
        if len(found) > 1:
            closed = [not standing(one).breaker.allows(T) for one in found]
            assert closed == sorted(closed)
            for part in (found[: closed.count(False)], found[closed.count(False) :]):
                last = [one.fallback for one in part]
                assert last == sorted(last)
