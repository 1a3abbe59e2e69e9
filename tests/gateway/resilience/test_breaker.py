"""Who fails is left alone, and tried again by one call at a time."""

from math import floor

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from gateway.resilience.breaker import UNJUDGED, Breaker
from tests.gateway.resilience.settings import Patience

T = 1000.0


def opened(breaker: Breaker, now: float = T) -> Breaker:
    for _ in range(breaker.settings.failures):
        breaker.fail(breaker.begin(now), now)
    assert breaker.state(now) == "open"
    return breaker


def test_twenty_five_failures_do_not_stay_in_rotation() -> None:
    breaker = Breaker(Patience())
    asked = 0
    for i in range(25):
        now = T + i / 10
        if breaker.allows(now):
            asked += 1
            breaker.fail(breaker.begin(now), now)
    assert asked == 5 and breaker.opens_at(T + 2.5) == pytest.approx(T + 0.4 + 5 - (T + 2.5))


def test_a_success_between_them_starts_the_count_anew() -> None:
    breaker = Breaker(Patience())
    for outcome in "ffffsffff":
        ticket = breaker.begin(T)
        breaker.succeed(ticket, T) if outcome == "s" else breaker.fail(ticket, T)
    assert breaker.state(T) == "closed"
    breaker.fail(breaker.begin(T), T)
    assert breaker.state(T) == "open"


def test_half_of_many_calls_is_enough() -> None:
    breaker = Breaker(Patience(least=20, ratio=0.5))
    for i in range(19):
        ticket = breaker.begin(T)
        breaker.fail(ticket, T) if i % 2 else breaker.succeed(ticket, T)
    assert breaker.allows(T)  # 9 of 19
    breaker.fail(breaker.begin(T), T)
    assert not breaker.allows(T)  # 10 of 20


def test_what_is_long_ago_does_not_count() -> None:
    breaker = Breaker(Patience(failures=1000, least=10, window=30))
    for _ in range(9):
        breaker.fail(breaker.begin(T), T)
    breaker.fail(breaker.begin(T + 31), T + 31)
    assert breaker.allows(T + 31)


def test_pauses_double_until_one_answers() -> None:
    breaker = opened(Breaker(Patience(pause=5, most_pause=17)))
    now = T
    for pause in (5, 10, 17, 17):
        assert not breaker.allows(now + pause - 0.001)
        assert breaker.opens_at(now) == pytest.approx(pause)
        now += pause
        assert breaker.allows(now) and breaker.opens_at(now) == 0
        breaker.fail(breaker.begin(now), now)
    now += 17
    breaker.succeed(breaker.begin(now), now)
    assert breaker.state(now) == "closed"
    opened(breaker, now)
    assert breaker.opens_at(now) == pytest.approx(5)


def test_one_probe_at_a_time_and_one_that_is_cancelled_frees_the_place() -> None:
    breaker = opened(Breaker(Patience()))
    now = T + 5
    probe = breaker.begin(now)
    assert breaker.state(now) == "half_open" and not breaker.allows(now) and breaker.opens_at(now) > 0
    assert breaker.begin(now) == UNJUDGED
    breaker.leave(UNJUDGED)
    assert not breaker.allows(now)
    breaker.leave(probe)
    assert breaker.allows(now)
    second = breaker.begin(now)
    breaker.leave(probe)  # twice, by mistake
    breaker.succeed(probe, now)
    assert breaker.state(now) == "half_open"
    breaker.succeed(second, now)
    assert breaker.state(now) == "closed"


def test_what_began_before_it_opened_is_nothing_to_it() -> None:
    breaker = Breaker(Patience(failures=2))
    late = [breaker.begin(T) for _ in range(6)]
    breaker.fail(late[0], T)
    breaker.fail(late[1], T)
    breaker.succeed(late[2], T)
    assert breaker.state(T) == "open"
    breaker.fail(late[3], T + 4)
    assert breaker.allows(T + 5)
    probe = breaker.begin(T + 5)
    breaker.fail(late[4], T + 5)
    assert breaker.state(T + 5) == "half_open"
    breaker.succeed(probe, T + 6)
    breaker.fail(late[5], T + 6)
    breaker.fail(breaker.begin(T + 6), T + 6)
    assert breaker.state(T + 6) == "closed"


def test_a_call_that_was_not_allowed_is_not_judged() -> None:
    breaker = opened(Breaker(Patience()))
    assert breaker.begin(T + 1) == UNJUDGED
    breaker.succeed(UNJUDGED, T + 1)
    assert breaker.state(T + 1) == "open"


def test_one_failure_can_be_enough() -> None:
    breaker = Breaker(Patience())
    breaker.fail(breaker.begin(T), T, at_once=True)
    assert breaker.state(T) == "open" and breaker.opens_at(T) == pytest.approx(5)


def test_a_rest_ends_by_itself_and_is_never_shortened() -> None:
    breaker = Breaker(Patience())
    breaker.rest(T + 30)
    breaker.rest(T + 2)
    assert (breaker.state(T), breaker.allows(T + 29.9), breaker.opens_at(T)) == ("open", False, 30)
    breaker.succeed(breaker.begin(T), T)
    assert not breaker.allows(T + 29.9)
    assert breaker.allows(T + 30) and breaker.state(T + 30) == "closed"


def test_a_rest_outlasts_a_shorter_pause() -> None:
    breaker = opened(Breaker(Patience()))
    breaker.rest(T + 20)
    assert not breaker.allows(T + 6) and breaker.begin(T + 6) == UNJUDGED
    assert breaker.opens_at(T) == 20 and breaker.allows(T + 20)


def test_other_settings_hold_from_then_on() -> None:
    breaker = Breaker(Patience())
    breaker.fail(breaker.begin(T), T)
    breaker.configure(Patience(failures=2, pause=50))
    breaker.fail(breaker.begin(T), T)
    assert breaker.opens_at(T) == pytest.approx(50)


def test_a_window_of_nothing_leaves_the_failures_in_a_row() -> None:
    breaker = Breaker(Patience(window=0.0))
    for i in range(4):
        breaker.fail(breaker.begin(T + i), T + i)
    assert breaker.allows(T + 4)
    breaker.fail(breaker.begin(T + 4), T + 4)
    assert not breaker.allows(T + 5)


SHORT = Patience(failures=3, ratio=0.6, least=5, window=10.0, pause=4.0, most_pause=14.0)


class Naive:
    """The same, with every call remembered, and counted anew each time."""

    def __init__(self) -> None:
        self.phase = 0  # grows with each change of state
        self.state = "closed"
        self.ended: list[tuple[float, bool]] = []  # in this phase
        self.until = self.rest = 0.0
        self.pause = SHORT.pause

    def allows(self, now: float) -> bool:
        return now >= self.rest and (self.state == "closed" or (self.state == "open" and now >= self.until))

    def enter(self, state: str) -> None:
        self.state, self.ended = state, []
        self.phase += 1

    def begin(self, now: float) -> int | None:
        if self.state != "closed":
            if not self.allows(now):
                return None
            self.enter("half_open")
        return self.phase

    def end(self, phase: int | None, now: float, good: bool) -> None:
        if phase != self.phase:
            return
        if self.state == "half_open":
            if good:
                self.pause = SHORT.pause
                self.enter("closed")
            else:
                self.pause = min(self.pause * 2, SHORT.most_pause)
                self.open(now)
            return
        self.ended.append((now, good))
        if good:
            return
        row = 0
        for _, fine in self.ended:
            row = 0 if fine else row + 1
        lately = [fine for at, fine in self.ended if floor(now / 1.0) - floor(at / 1.0) < 10]
        if row >= SHORT.failures or (len(lately) >= SHORT.least and lately.count(False) >= SHORT.ratio * len(lately)):
            self.open(now)

    def open(self, now: float) -> None:
        self.until = now + self.pause
        self.enter("open")

    def leave(self, phase: int | None) -> None:
        if phase == self.phase and self.state == "half_open":
            self.enter("open")


class AgainstTheNaive(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.now = T
        self.breaker = Breaker(SHORT)
        self.naive = Naive()
        self.calls: list[tuple[int, int | None]] = []

    @rule(seconds=st.sampled_from([0.0, 0.125, 1.0, 3.5, 4.0, 8.0, 14.0]))
    def passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(polite=st.booleans())
    def begins(self, polite: bool) -> None:
        if not polite or self.breaker.allows(self.now):
            self.calls.append((self.breaker.begin(self.now), self.naive.begin(self.now)))

    @precondition(lambda self: self.calls)
    @rule(data=st.data(), how=st.sampled_from(["good", "bad", "bad", "left"]))
    def ends(self, data: st.DataObject, how: str) -> None:
        ticket, phase = self.calls.pop(data.draw(st.integers(0, len(self.calls) - 1)))
        if how == "left":
            self.breaker.leave(ticket)
            self.naive.leave(phase)
        elif how == "good":
            self.breaker.succeed(ticket, self.now)
            self.naive.end(phase, self.now, True)
        else:
            self.breaker.fail(ticket, self.now)
            self.naive.end(phase, self.now, False)

    @rule(outcomes=st.lists(st.booleans(), max_size=12))
    def goes_on(self, outcomes: list[bool]) -> None:
        """Calls one after the other."""
        for good in outcomes:
            ticket, phase = self.breaker.begin(self.now), self.naive.begin(self.now)
            (self.breaker.succeed if good else self.breaker.fail)(ticket, self.now)
            self.naive.end(phase, self.now, good)

    @rule(seconds=st.sampled_from([0.5, 6.0, 20.0]))
    def rests(self, seconds: float) -> None:
        self.breaker.rest(self.now + seconds)
        self.naive.rest = max(self.naive.rest, self.now + seconds)

    @invariant()
    def agree(self) -> None:
        assert self.breaker.allows(self.now) == self.naive.allows(self.now)
        naive, now = self.naive, self.now
        said = naive.state
        if said == "closed" and now < naive.rest:
            said = "open"
        elif said == "open" and now >= max(naive.until, naive.rest):
            said = "half_open"  # it waits for a probe
        assert self.breaker.state(now) == said

    @invariant()
    def the_moment_told_is_the_moment(self) -> None:
        wait = self.breaker.opens_at(self.now)
        assert (wait == 0) == self.breaker.allows(self.now)
        if self.naive.state != "half_open" and wait:
            assert self.breaker.allows(self.now + wait) and not self.breaker.allows(self.now + wait * 0.99)


TestAgainstTheNaive = AgainstTheNaive.TestCase
TestAgainstTheNaive.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
