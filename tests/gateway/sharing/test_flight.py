"""Any interleaving of who comes, leaves, reads slowly, and of what the call says: whoever stays hears all of it, in its
order, and one end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from adapters.errors import Unavailable
from adapters.types import Delta, Reply
from gateway.sharing.flight import Flight, Stopped, size
from gateway.types import LegResult
from tests.gateway.playing import Playing, plan, says

ROOM = 2000
DONE = Reply(())
[LEG] = plan(Playing(a=says("x")), "a")


def result(streamed: bool = True) -> LegResult:
    return LegResult(LEG, 0.0, sent=[0] if streamed else [])


def piece(text: str) -> list[Delta]:
    return [Delta(0, text)]


class Call:
    """What a flight runs: it ends when it is told to."""

    def __init__(self, room: int = ROOM, streamed: bool = True) -> None:
        self.end: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.overs = 0
        self.flight = Flight(result(streamed), streamed, room, self._run, self._over)

    async def _run(self, flight: Flight) -> None:
        await self.end

    def _over(self, flight: Flight) -> None:
        self.overs += 1

    def say(self, text: str) -> asyncio.Future[None] | None:
        return self.flight.emit(self.flight.result, piece(text), 0)

    def finish(self, outcome: Reply | Unavailable = DONE) -> None:
        self.flight.result.outcome = outcome
        self.end.set_result(None)


class Ear:
    """One who hears, slowly when told to be."""

    def __init__(self, call: Call) -> None:
        self.heard: list[str] = []
        self.slow = False
        self.ready: asyncio.Future[None] | None = None
        self.result = result()
        self.task = asyncio.get_running_loop().create_task(call.flight.hear(self.result, self.emit))

    def emit(self, _: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        assert self.ready is None or self.ready.done(), "told while it could not take more"
        self.heard += [delta.text for delta in deltas]
        self.ready = asyncio.get_running_loop().create_future() if self.slow else None
        return self.ready

    def hurry(self) -> None:
        self.slow = False
        if self.ready is not None and not self.ready.done():
            self.ready.set_result(None)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


class Flights(RuleBasedStateMachine):
    """``said`` is all that the call has said; who comes once more than the room is said must not be let in."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.call = self.run(self.made())
        self.ears: list[Ear] = []
        self.said: list[str] = []
        self.waits: list[asyncio.Future[None]] = []
        self.over = False

    async def made(self) -> Call:
        return Call()

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        async def and_turns() -> Any:
            found = await work
            await turns()
            return found

        return self.loop.run_until_complete(and_turns())

    @precondition(lambda self: self.call.flight.joinable)
    @rule(slow=st.booleans())
    def join(self, slow: bool) -> None:
        async def come() -> None:
            ear = Ear(self.call)
            ear.slow = slow
            self.ears.append(ear)

        self.run(come())

    @precondition(lambda self: not self.ears)
    @rule()
    def anew(self) -> None:
        self.call = self.run(self.made())
        self.said, self.waits, self.over = [], [], False

    @precondition(lambda self: bool(self.ears) and not self.over)
    @rule(characters=st.sampled_from([1, 100, 700]), together=st.integers(1, 3))
    def say(self, characters: int, together: int) -> None:
        """Several requests of one call may speak before each of them waits."""

        async def speak() -> None:
            for _ in range(together):
                text = f"{len(self.said)}:" + "x" * characters
                self.said.append(text)
                ready = self.call.say(text)
                if ready is not None:
                    self.waits.append(ready)

        self.run(speak())

    @precondition(lambda self: bool(self.ears))
    @rule(place=st.integers(0, 9), slow=st.booleans())
    def change_pace(self, place: int, slow: bool) -> None:
        async def change() -> None:
            ear = self.ears[place % len(self.ears)]
            if slow:
                ear.slow = True
            else:
                ear.hurry()

        self.run(change())

    @precondition(lambda self: bool(self.ears))
    @rule(place=st.integers(0, 9))
    def leave(self, place: int) -> None:
        async def go() -> None:
            ear = self.ears.pop(place % len(self.ears))
            ear.task.cancel()
            await asyncio.gather(ear.task, return_exceptions=True)

        self.run(go())

    @precondition(lambda self: bool(self.ears) and not self.over)
    @rule(fails=st.booleans())
    def finish(self, fails: bool) -> None:
        async def end() -> None:
            self.call.finish(Unavailable("down") if fails else DONE)

        self.over = True
        self.run(end())

    @invariant()
    def nobody_has_heard_anything_else(self) -> None:
        for ear in self.ears:
            assert ear.heard == self.said[: len(ear.heard)]
            if not ear.slow:
                assert ear.heard == self.said
                assert ear.task.done() == self.over
            if ear.task.done():
                assert ear.task.exception() is None and ear.heard == self.said

    @invariant()
    def a_provider_waits_only_for_who_reads_slowly(self) -> None:
        if not self.over and self.ears and all(not ear.slow for ear in self.ears):
            assert all(wait.done() for wait in self.waits)

    @invariant()
    def what_is_kept_is_bounded(self) -> None:
        held = sum([size(deltas) for _, deltas in self.call.flight.batches])
        assert held <= ROOM + size(piece("x" * 702)) or any(not wait.done() for wait in self.waits)

    @invariant()
    def it_is_nobodys_when_all_have_left(self) -> None:
        began = self.call.flight._task is not None
        if began and not self.ears:
            assert self.call.overs == 1 and not self.call.flight.listening

    def teardown(self) -> None:
        async def end() -> None:
            for ear in self.ears:
                ear.hurry()
            await turns()
            if not self.over and self.ears:
                self.call.finish()
            await turns()
            for ear in self.ears:
                assert ear.task.done() and ear.heard == self.said
            assert self.call.overs == (self.call.flight._task is not None)

        self.run(end())
        self.loop.close()


TestFlights = Flights.TestCase
TestFlights.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


async def test_requests_of_one_call_wait_together() -> None:
    """The second that has to wait does not take the first one's place."""
    call = Call(room=10)
    ear = Ear(call)
    ear.slow = True
    await turns()
    first, second = call.say("x" * 100), call.say("y" * 100)
    assert first is not None and second is not None
    ear.hurry()
    await turns()
    assert first.done() and second.done() and ear.heard == ["x" * 100, "y" * 100]
    call.finish()
    await ear.task


async def test_what_a_failed_target_said_is_void_to_who_comes_late() -> None:
    call = Call()
    early = Ear(call)
    await turns()
    call.flight.result.attempts = 1
    call.say("void")
    call.flight.result.attempts = 2
    call.say("good")
    late = Ear(call)
    await turns()
    call.finish()
    await asyncio.gather(early.task, late.task)
    assert early.heard == ["void", "good"] and late.heard == ["good"] and early.result.attempts == 2


async def test_who_fails_by_a_bug_of_their_own_does_not_disturb_the_others() -> None:
    call = Call()
    one, two = Ear(call), Ear(call)

    def bug(*_: object) -> None:
        raise KeyError

    one.emit = bug  # type: ignore[method-assign,assignment]
    three = asyncio.create_task(call.flight.hear(result(), bug))
    await turns()
    call.say("x")
    with pytest.raises(KeyError):
        await three
    call.finish()
    await asyncio.gather(one.task, two.task)
    assert two.heard == ["x"]


async def test_one_that_is_stopped_before_it_began_tells_so() -> None:
    call = Call()
    ear = asyncio.create_task(call.flight.hear(result(), None))
    await asyncio.sleep(0)  # it hears, and the call's task has not had its turn yet
    assert not call.end.done()
    call.flight._task.cancel()  # type: ignore[union-attr]
    with pytest.raises(Stopped):
        await asyncio.wait_for(ear, 1)
    assert call.overs == 1 and not call.flight.joinable


async def test_who_gave_the_call_up_last_says_why() -> None:
    call = Call()
    ear = Ear(call)
    await turns()
    ear.result.given_up = True
    ear.task.cancel()
    await asyncio.gather(ear.task, return_exceptions=True)
    assert call.flight.result.given_up


async def test_a_bug_of_the_call_is_everybodys() -> None:
    call = Call()
    ears = [Ear(call), Ear(call)]
    await turns()
    call.end.set_exception(KeyError("bug"))
    found = await asyncio.gather(*[ear.task for ear in ears], return_exceptions=True)
    assert [type(one) for one in found] == [KeyError, KeyError] and not call.flight.joinable
