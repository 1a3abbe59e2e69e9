"""What is particular to limits in process: they are kept in memory, which is bounded, and asked on the hot path."""

import gc
import sys
import time
import tracemalloc

from gateway.limits.holds import REMEMBERED
from gateway.limits.local import LocalLimiter
from gateway.limits.types import Granted, Limits, SettledUse, Subject
from tests.gateway.limits.asking import DAY, KEY, NOON, TEAM, Asking, Time, ids


def everything(limiter: LocalLimiter) -> int:
    """How much is kept."""
    holds = limiter._holds
    queued = sum(map(len, holds._queues.values()))
    return len(limiter._accounts) + queued + len(holds._expired) + len(holds._told) + len(limiter._unswept)


def test_idle_subjects_are_forgotten(clock: Time, asking: Asking) -> None:
    limiter = LocalLimiter(clock)
    limits = Limits(rpm=10, usd_day=100)
    for number in range(500):
        ask = asking.ask((Subject("user", f"t/{number}"), limits), nano=1)
        assert isinstance(limiter.admit(ask, 60.0), Granted)
        if number % 2:
            limiter.settled((SettledUse(ids([ask])[0], 1, 1),))
    assert everything(limiter) >= 500
    clock.now = NOON + 40 * DAY
    for _ in range(60):
        clock.now += 1000
        limiter.admit(asking.ask((KEY, Limits(rpm=10**6))), 60.0)
    for _ in range(2):  # they expire, and are forgotten
        clock.now += REMEMBERED
        limiter.renewed((), 60.0)
    assert everything(limiter) <= 2


def test_refused_subjects_are_forgotten_soon(clock: Time, asking: Asking) -> None:
    limiter = LocalLimiter(clock)
    for number in range(500):
        limiter.admit(asking.ask((Subject("user", f"t/{number}"), Limits(rpm=0))), 60.0)
    for _ in range(30):
        clock.now += 1000
        limiter.renewed((), 60.0)
    assert everything(limiter) == 0


def test_what_is_counted_this_month_is_kept(clock: Time, asking: Asking) -> None:
    limiter = LocalLimiter(clock)
    ask = asking.ask((TEAM, Limits(usd_month=100)), nano=100)
    limiter.admit(ask, 60.0)
    limiter.settled((SettledUse(ids([ask])[0], 1, 100),))
    for _ in range(7 * 24):
        clock.now += 3_600_000
        limiter.renewed((), 60.0)
    [count] = limiter.counted((TEAM,))
    assert (count.used.nano_day, count.used.nano_month) == (0, 100)


def test_memory_does_not_grow_with_calls(clock: Time, asking: Asking) -> None:
    limiter = LocalLimiter(clock)
    claims = ((KEY, Limits(rpm=10**9, tpm=10**9, concurrent=100)), (TEAM, Limits(usd_month=10**15)))

    def calls(number: int) -> None:
        for _ in range(number):
            clock.now += 20
            ask = asking.ask(*claims, tokens=10, nano=10)
            assert isinstance(limiter.admit(ask, 30.0), Granted)
            limiter.settled((SettledUse(ids([ask])[0], 1, 1),))

    calls(4_000)
    gc.collect()
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    calls(8_000)
    gc.collect()
    grown = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert everything(limiter) == 2
    assert len(limiter._accounts[KEY].window.buckets) <= 601
    assert grown < 300_000  # the buckets of a minute are new ones, no more than before


def test_what_a_call_costs(clock: Time, asking: Asking) -> None:
    """Calls of Python's functions, which do not depend on the machine."""
    limiter = LocalLimiter(clock)
    claims = (
        (KEY, Limits(rpm=10**9, tpm=10**9, concurrent=100, usd_month=10**15)),
        (TEAM, Limits(usd_month=10**15)),
    )
    asks = [asking.ask(*claims, tokens=10, nano=10) for _ in range(100)]
    limiter.admit(asks[0], 30.0)
    calls = 0

    def count(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    sys.setprofile(count)
    try:
        for ask in asks[1:]:
            limiter.admit(ask, 30.0)
            limiter.settled((SettledUse(ask.holds[0].id, 1, 1),))
    finally:
        sys.setprofile(None)
    assert calls / 99 <= 26


def test_many_subjects_make_no_call_slow(clock: Time, asking: Asking) -> None:
    limiter = LocalLimiter(clock)
    limits = Limits(usd_month=10**15)
    for number in range(50_000):
        limiter.admit(asking.ask((Subject("user", str(number)), limits), nano=1), 60.0)
    begun = time.process_time()
    for step in range(1000):
        clock.now += 100
        limiter.admit(asking.ask((Subject("user", str(step)), limits), nano=1), 60.0)
    assert (time.process_time() - begun) / 1000 < 0.001
