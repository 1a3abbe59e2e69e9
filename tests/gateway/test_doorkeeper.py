"""Who is let in: places, the queue, and a worker that has more to do than it can, played on a loop without a clock."""

import asyncio
import heapq
import random
from typing import Any

import pytest
from msgspec import Struct

from gateway.doorkeeper import FEW, Congestion, Doorkeeper
from gateway.errors import BadRequest, GatewayError, Overloaded, Stopping

READ, START, END, REFUSE = 25e-6, 60e-6, 51e-6, 24e-6
"""Seconds of processor that it takes to read a call, to take it up, to end it, and to refuse it: as measured."""
CAPACITY = 1 / (READ + START + END)
TARGET = 0.002


class Played(Struct):
    admitted: list[float] = []
    """Seconds from when a call came to its end."""
    refused: int = 0

    @property
    def p99(self) -> float:
        return sorted(self.admitted)[int(0.99 * len(self.admitted))]


def play(load: float, seconds: float, seed: int, every: float = 0.05, pause: float = 0.004) -> Played:
    """A worker's event loop: in each turn all that has come is read, then all that was read is taken up. ``load`` is
    in capacities. Now and then something else stops it for a ``pause``."""
    now = away = 0.0  # away: with nothing to do, or paused
    rng, congestion, played = random.Random(seed), Congestion(TARGET, lambda: now - away), Played()
    next_call, next_pause = rng.expovariate(load * CAPACITY), every
    answers: list[tuple[float, float]] = []
    while now < seconds:
        idle = max(0, min(next_call, answers[0][0] if answers else 1e9) - now)
        now, away = now + idle, away + idle
        come: list[tuple[bool, float]] = []
        while next_call <= now:
            come.append((True, next_call))
            next_call += rng.expovariate(load * CAPACITY)
        while answers and answers[0][0] <= now:
            come.append((False, heapq.heappop(answers)[1]))
        rng.shuffle(come)
        waiting: list[tuple[float, float]] = []
        for is_call, since in come:
            if not is_call:
                now += END
                played.admitted.append(now - since)
            elif congestion.refuses(len(waiting)):
                now += REFUSE
                played.refused += 1
            else:
                now += READ
                waiting.append((now, since))
        for place, (read, since) in enumerate(waiting):
            if congestion.taken_up(now, now - read, len(waiting) - place - 1):
                now += START
                heapq.heappush(answers, (now + 0.0003, since))
            else:
                now += REFUSE
                played.refused += 1
            if now > next_pause:
                now, away = now + pause, away + pause
                next_pause = now + every * rng.uniform(0.5, 1.5)
    return played


@pytest.mark.parametrize("load", [1.5, 2, 3])
@pytest.mark.parametrize("seed", range(3))
def test_under_too_much_load_those_who_are_let_in_wait_little_longer(load: float, seed: int) -> None:
    usual, too_much = play(0.8, 10, seed), play(load, 10, seed)
    assert usual.refused == 0
    assert too_much.p99 < 2 * usual.p99
    assert len(too_much.admitted) / 10 / CAPACITY > (1 - load * REFUSE * CAPACITY) * 0.8


@pytest.mark.parametrize("pause", [0.05, 0.1])
def test_a_long_pause_is_no_overload(pause: float) -> None:
    assert play(0.6, 10, 1, every=0.5, pause=pause).refused == 0


def test_it_is_over_soon_when_the_load_is() -> None:
    congestion, now = Congestion(TARGET), 10.0
    for length in (0.01, 0.03, 0.09, 0.27):
        now = turn(congestion, now, 200, length)
    assert congestion.shedding and congestion.refuses(100) and not congestion.refuses(0)
    for _ in range(30):
        now = turn(congestion, now, 1, 0.0001) + 0.01
    assert not congestion.shedding and not congestion.refuses(10_000)


def test_it_is_over_after_a_silence() -> None:
    congestion, now = Congestion(TARGET), 10.0
    for length in (0.01, 0.03, 0.09, 0.27):
        now = turn(congestion, now, 200, length)
    congestion.begins(now + 0.01)
    assert congestion.shedding
    congestion.begins(now + 1)
    assert not congestion.shedding


class Onset:
    """Turns of calls that cost 0.1 ms of processor each, after a while in which that was measured."""

    def __init__(self) -> None:
        self.used = 0.0
        self.congestion, self.now = Congestion(0.02, lambda: self.used), 10.0
        for _ in range(100):
            self.turn(10, 0.002)

    def turn(self, calls: int, length: float) -> None:
        """So many have come in the time since the last turn, and are taken up after it."""
        self.now += length
        for left in reversed(range(calls)):
            self.congestion.taken_up(self.now, length / 2, left)
        self.used += calls * 1e-4


def test_three_times_too_much_is_seen_as_soon_as_it_lasts() -> None:
    onset = Onset()
    for length in (0.005, 0.011):
        onset.turn(round(length * 30_000), length)
        assert not onset.congestion.shedding
    onset.turn(900, 0.030)
    assert onset.congestion.shedding


@pytest.mark.parametrize("gap", [0.005, 0.02, 0.025, 0.05])
def test_a_crowd_that_comes_at_once_is_let_in_also_behind_a_trickle(gap: float) -> None:
    """Calls far apart, and then as many as need longer than the time since the last: once is no queue."""
    onset = Onset()
    for _ in range(3):
        onset.now += gap
        assert onset.congestion.taken_up(onset.now, 0.0002, 0)
    onset.now += gap
    for left in reversed(range(800)):
        assert onset.congestion.taken_up(onset.now, 0.008 + 1e-4 * (800 - left), left)
        onset.now += 1e-4
    assert not onset.congestion.shedding


def turn(congestion: Congestion, now: float, calls: int, length: float) -> float:
    for place in range(calls):
        congestion.taken_up(now + length * place / calls, length * (place + 1) / calls, calls - place - 1)
    return now + length


def test_a_few_are_never_refused_in_a_worker_that_something_else_slows_down() -> None:
    congestion, now = Congestion(TARGET), 10.0
    for _ in range(200):
        for place in range(FEW):
            assert not congestion.refuses(place)
        now = turn(congestion, now, FEW, 0.01)


def test_far_apart_calls_that_each_met_a_pause_are_no_queue() -> None:
    congestion = Congestion(TARGET)
    for second in range(200):
        assert congestion.taken_up(second, 0.05, 0)
        assert not congestion.shedding


def test_without_a_bound_nobody_is_refused() -> None:
    congestion = Congestion(None)
    for _ in range(5):
        turn(congestion, 1.0, 1000, 10.0)
    assert not congestion.shedding and not congestion.refuses(10_000)


# ------------------------------------------------------------------ places


class Caller:
    """As much of an exchange as the doorkeeper sees."""

    whole = True

    def __init__(self, timeout: bytes | None = None) -> None:
        self.task: asyncio.Task[Any] | None = None
        self.timeout = timeout

    def cancel_when_left(self) -> None:
        self.task = asyncio.current_task()

    def stop_watching(self) -> None:
        self.task = None


async def let_in(doorkeeper: Doorkeeper, caller: Any = None) -> bool:
    if (refusal := doorkeeper.refusal()) is not None:
        raise refusal
    exchange: Any = caller or Caller()
    return doorkeeper.enter(0.0) or await doorkeeper.turn(exchange)


def keeper(concurrency: int, queue: int, patience: float = 5.0) -> Doorkeeper:
    return Doorkeeper(concurrency, queue, None, lambda: 0.0, patience=patience)


async def test_so_many_at_once_so_many_wait_in_their_order_and_the_rest_is_refused() -> None:
    doorkeeper, order = keeper(2, 3), []

    async def call(number: int) -> None:
        await let_in(doorkeeper)
        order.append(number)

    tasks = [asyncio.create_task(call(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert (doorkeeper.under_way, doorkeeper.queued) == (2, 3)
    refusal = doorkeeper.refusal()
    assert isinstance(refusal, Overloaded) and refusal.retry_after
    for _ in range(5):
        doorkeeper.leave()
        await asyncio.sleep(0)
    assert order == [0, 1, 2, 3, 4]
    assert (doorkeeper.under_way, doorkeeper.queued) == (0, 0)
    await asyncio.gather(*tasks)


async def test_who_waits_too_long_is_refused() -> None:
    doorkeeper = keeper(1, 1, patience=0.01)
    await let_in(doorkeeper)
    with pytest.raises(Overloaded):
        await let_in(doorkeeper)
    assert (doorkeeper.under_way, doorkeeper.queued) == (1, 0)


async def test_nobody_waits_longer_than_they_have_time() -> None:
    doorkeeper = keeper(1, 1)
    await let_in(doorkeeper)
    with pytest.raises(Overloaded, match=r"within 0\.01 s"):
        await let_in(doorkeeper, Caller(b"10"))
    with pytest.raises(BadRequest):
        await let_in(doorkeeper, Caller(b"soon"))
    assert (doorkeeper.under_way, doorkeeper.queued) == (1, 0)


async def test_what_was_waited_is_gone_from_the_callers_time() -> None:
    now = 0.0
    doorkeeper = Doorkeeper(1, 1, None, lambda: now)
    at_once, later = Caller(b"4000"), Caller(b"4000")
    await let_in(doorkeeper, at_once)
    waiting = asyncio.create_task(let_in(doorkeeper, later))
    await asyncio.sleep(0)
    now = 1.5
    doorkeeper.leave()
    assert await waiting
    assert (at_once.timeout, later.timeout) == (b"4000", b"2500")


async def test_who_leaves_while_they_wait_leave_no_trace() -> None:
    doorkeeper, caller = keeper(1, 2), Caller()
    await let_in(doorkeeper)
    waiting, next_one = asyncio.create_task(let_in(doorkeeper, caller)), asyncio.create_task(let_in(doorkeeper))
    await asyncio.sleep(0)
    assert caller.task is waiting
    waiting.cancel()
    await asyncio.sleep(0)
    assert waiting.cancelled() and doorkeeper.queued == 1
    doorkeeper.leave()
    assert await next_one
    doorkeeper.leave()
    assert (doorkeeper.under_way, doorkeeper.queued) == (0, 0)


async def test_a_turn_that_comes_while_the_caller_leaves_is_passed_on() -> None:
    doorkeeper = keeper(1, 2)
    await let_in(doorkeeper)
    waiting, next_one = asyncio.create_task(let_in(doorkeeper)), asyncio.create_task(let_in(doorkeeper))
    await asyncio.sleep(0)
    doorkeeper.leave()
    waiting.cancel()
    assert await next_one
    assert (doorkeeper.under_way, doorkeeper.queued) == (1, 0)


async def test_other_bounds_hold_at_once() -> None:
    doorkeeper = keeper(1, 3)
    await let_in(doorkeeper)
    waiting = [asyncio.create_task(let_in(doorkeeper)) for _ in range(3)]
    await asyncio.sleep(0)
    doorkeeper.configure(3, 0, None)
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [True, True, False]
    doorkeeper.configure(1, 0, None)
    doorkeeper.leave()
    doorkeeper.leave()
    assert (doorkeeper.under_way, doorkeeper.queued) == (1, 1)
    doorkeeper.leave()
    assert await waiting[2]
    doorkeeper.leave()
    assert (doorkeeper.under_way, doorkeeper.queued) == (0, 0)


def test_when_it_stops_nobody_is_let_in() -> None:
    doorkeeper = keeper(9, 9)
    doorkeeper.stopping = True
    refusal: GatewayError | None = doorkeeper.refusal()
    assert isinstance(refusal, Stopping) and refusal.status == 503
