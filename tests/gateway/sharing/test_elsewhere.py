"""Processes that share calls, over a post and leases that play: messages may be lost, late, or said twice."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from adapters import errors
from adapters.errors import Invalid, ProviderError, Unavailable
from adapters.types import Choice, Delta, Reply, Usage
from gateway.caching.control import NONE
from gateway.caching.entry import Kept
from gateway.caching.store import Wanted
from gateway.limits.types import StoreDown
from gateway.sharing import elsewhere as module
from gateway.sharing.elsewhere import Elsewhere
from gateway.sharing.flight import Flight
from gateway.sharing.look import Look
from gateway.sharing.messages import Message, error_of, failed_by, read
from gateway.sharing.share import Share
from gateway.types import Clock, LegResult
from tests.gateway.playing import Playing, plan, says, streaming

CLOCK = Clock(time.time, time.monotonic)
[LEG] = streaming(plan(Playing(a=says("x")), "a", n=2))
STOP = Reply((Choice(0, "", "stop"), Choice(1, "", "stop")), Usage(1, 1))


class Leases:
    """Of one process."""

    def __init__(self, name: str, held: dict[str, str]) -> None:
        self.name = name
        self.held = held
        self.down = False

    def take(self, wanted: Wanted, whose: Look) -> None:
        self.claim(wanted, whose)

    def claim(self, wanted: Wanted, whose: Look) -> None:
        if self.down:
            whose.hear(None)
            return
        holder = self.held.setdefault(wanted[2], self.name)
        asyncio.get_running_loop().call_soon(whose.hear, "" if holder == self.name else holder)

    def renew(self, wanted: Wanted) -> None:
        pass

    def release(self, wanted: Wanted) -> None:
        if self.held.get(wanted[2]) == self.name:
            del self.held[wanted[2]]


class Post:
    """``passes`` says what becomes of a message: how many times it arrives. ``down`` is how often nobody can say."""

    def __init__(self) -> None:
        self.ears: dict[str, Callable[[bytes], None]] = {}
        self.passes: Callable[[Message], int] = lambda message: 1
        self.down = 0
        self.bytes = 0

    async def publish(self, channel: str, message: bytes) -> int:
        await asyncio.sleep(0)
        if self.down:
            self.down -= 1
            raise StoreDown("away")
        found = read(message)
        assert found is not None
        self.bytes += len(message)
        for _ in range(self.passes(found[0])):
            if channel in self.ears:
                asyncio.get_running_loop().call_soon(self.ears[channel], message)
        return 1

    def listen(self, channel: str, heard: Callable[[bytes], None]) -> None:
        self.ears[channel] = heard


class Process:
    def __init__(self, name: str, held: dict[str, str], post: Post) -> None:
        self.leases = Leases(name, held)
        self.kept: Kept | None = None
        self.elsewhere = Elsewhere(name, self.leases, post, CLOCK, self._kept)
        self.led: list[asyncio.Future[Reply | ProviderError]] = []

    async def _kept(self, share: Share) -> Kept | None:
        return self.kept

    def call(self, streamed: bool = True, room: int = 1 << 20) -> "Call":
        return Call(self, streamed, room)


class Call:
    """A flight of a process, and one who hears it. ``end`` is there once the process leads it."""

    def __init__(self, process: Process, streamed: bool, room: int) -> None:
        self.process = process
        self.end: asyncio.Future[Reply | ProviderError] | None = None
        self.heard: list[str] = ["", ""]
        self.wait: asyncio.Future[None] | None = None
        self.share = Share(None, "t", LEG, "key", NONE)  # type: ignore[arg-type]
        own = LegResult(LEG, 0.0, sent=[0, 0] if streamed else [])
        self.flight = Flight(own, streamed, room, self._run, self._over)
        self.result = LegResult(LEG, 0.0, sent=[0, 0])
        self.task = asyncio.get_running_loop().create_task(
            self.flight.hear(self.result, self._emit if streamed else None)
        )

    def _emit(self, _: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        for delta in deltas:
            self.heard[shift + delta.index] += delta.text
        return self.wait

    async def _run(self, flight: Flight) -> None:
        await self.process.elsewhere.fly(flight, self.share, self._lead)

    def _over(self, flight: Flight) -> None:
        if self.share.look is not None:
            self.share.look.end()

    async def _lead(self) -> None:
        self.end = asyncio.get_running_loop().create_future()
        self.flight.result.attempts += 1
        self.flight.result.cache = "miss"
        self.flight.result.outcome = await self.end

    def say(self, text: str, place: int = 0) -> asyncio.Future[None] | None:
        result = self.flight.result
        result.sent[place] += len(text)
        return self.flight.emit(result, [Delta(place, text)], 0)

    @property
    def outcome(self) -> object:
        return self.flight.result.outcome


async def until(met: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not met():  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.002)


@asynccontextmanager
async def processes(count: int = 2) -> AsyncIterator[tuple[Post, list[Process]]]:
    post = Post()
    held: dict[str, str] = {}
    found = [Process(f"p{i}", held, post) for i in range(count)]
    for one in found:
        one.elsewhere.start()
    yield post, found
    for one in found:
        await one.elsewhere.close()
    for one in found:
        assert not one.elsewhere._tasks and not one.elsewhere._tellings
        assert not one.elsewhere._inboxes and not one.elsewhere._leading and not one.elsewhere._looks
        assert not one.elsewhere._found and not one.elsewhere._left


async def both(one: Process, two: Process, **more: bool) -> tuple[Call, Call]:
    """A call that the first leads, and one of the second that hears it."""
    leads = one.call()
    await until(lambda: leads.end)
    follows = two.call(**more)
    await until(lambda: one.elsewhere._tellings)
    return leads, follows


def finish(call: Call, outcome: Reply | ProviderError = STOP) -> None:
    assert call.end is not None
    call.end.set_result(outcome)


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("times", [1, 2, 3])
async def test_what_is_said_twice_is_heard_once(streamed: bool, times: int) -> None:
    async with processes() as (post, (one, two)):
        post.passes = lambda message: times
        leads, follows = await both(one, two, streamed=streamed)
        for i in range(50):
            leads.say(f"{i},", i % 2)
            if i % 7 == 0:
                await asyncio.sleep(0.001)
        finish(leads)
        await asyncio.gather(leads.task, follows.task)
        said = ["".join([f"{i}," for i in range(50) if i % 2 == place]) for place in (0, 1)]
        assert leads.heard == said and isinstance(follows.outcome, Reply)
        assert (follows.heard if streamed else [c.text for c in follows.outcome.choices]) == said
        assert follows.flight.result.cache == "coalesced" and follows.end is None


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_part_that_is_lost_is_never_passed_over(streamed: bool) -> None:
    """Whatever is lost, the end is not taken for the end of what has been heard."""
    async with processes() as (post, (one, two)):
        leads, follows = await both(one, two, streamed=streamed)
        leads.say("a")
        if streamed:
            await until(lambda: follows.heard[0])
        else:
            await asyncio.sleep(0.02)
        post.passes = lambda message: 0 if message.kind == "pieces" else 1
        leads.say("b")
        await asyncio.sleep(0.02)
        post.passes = lambda message: 1
        finish(leads)
        if streamed:
            await follows.task
            assert isinstance(follows.outcome, Unavailable) and follows.heard == ["a", ""]
        else:
            await until(lambda: follows.end)  # nobody has been told anything: it asks for itself
            finish(follows)
            await follows.task
        await leads.task


async def test_one_that_cannot_be_told_for_a_moment_is_told_afterwards() -> None:
    async with processes() as (post, (one, two)):
        leads, follows = await both(one, two)
        leads.say("a")
        await until(lambda: follows.heard[0])
        post.down = 3
        leads.say("b")
        await until(lambda: not post.down)
        leads.say("c")
        finish(leads)
        await asyncio.gather(leads.task, follows.task)
        assert follows.heard == ["abc", ""] and follows.outcome is not None


@pytest.mark.parametrize("room", [10, 1 << 20])
async def test_no_second_answer_is_told_behind_the_beginning_of_another(room: int) -> None:
    """Also where what was told is not kept any more."""
    async with processes() as (post, (one, two)):
        leads = one.call()
        await until(lambda: leads.end)
        follows = two.call(room=room)
        await until(lambda: one.elsewhere._tellings)
        leads.say("x" * 100)
        await until(lambda: follows.heard[0])
        post.ears.clear()  # the first has died, or the network
        await asyncio.wait_for(follows.task, 1)
        assert isinstance(follows.outcome, Unavailable) and follows.end is None
        finish(leads)
        await leads.task


@pytest.mark.parametrize("room", [10, 1 << 20])
async def test_the_end_of_a_long_answer_does_not_repeat_it(room: int) -> None:
    async with processes() as (_, (one, two)):
        leads = one.call()
        await until(lambda: leads.end)
        follows = two.call(room=room)
        await until(lambda: one.elsewhere._tellings)
        leads.flight.result.whole = True
        leads.say("x" * 100)
        leads.say("y" * 100, 1)
        finish(leads, Reply((Choice(0, "x" * 100, "stop"), Choice(1, "y" * 100, "stop")), Usage(1, 1)))
        await asyncio.gather(leads.task, follows.task)
        assert follows.heard == ["x" * 100, "y" * 100]


async def test_one_whose_beginning_is_forgotten_is_not_waited_for() -> None:
    async with processes() as (_, (one, two)):
        leads = one.call(room=10)
        await until(lambda: leads.end)
        leads.say("x" * 100)
        assert not leads.flight.joinable
        comes = two.call()
        async with asyncio.timeout(0.2):
            await until(lambda: comes.end)  # it asks for itself
        for one_call in (leads, comes):
            finish(one_call)
            await one_call.task


async def test_a_second_call_of_a_process_takes_nothing_from_the_first() -> None:
    async with processes() as (_, (one, two)):
        leads, follows = await both(one, two)
        leads.say("a")
        await until(lambda: follows.heard[0])
        again = two.call()
        leads.say("b")
        await until(lambda: again.heard[0] == "ab")
        again.task.cancel()
        await asyncio.gather(again.task, return_exceptions=True)
        leads.say("c")
        finish(leads)
        await asyncio.gather(leads.task, follows.task)
        assert follows.heard == ["abc", ""] and isinstance(follows.outcome, Reply)


async def test_an_answer_that_cannot_be_kept_is_asked_for_again_soon() -> None:
    async with processes() as (_, (one, two)):
        one.leases.held["key"] = "p0"  # it has ended there, and the lease lingers
        comes = two.call()
        async with asyncio.timeout(0.5):
            await until(lambda: comes.end)
        finish(comes)
        await comes.task


@pytest.mark.parametrize("lives", [False, True])
async def test_one_that_cannot_be_heard_is_not_waited_for(lives: bool) -> None:
    """Whether its lease ends, or it goes on to hold the call while nothing that it says arrives."""
    async with processes() as (post, (one, two)):
        leads, follows = await both(one, two)
        post.passes = lambda message: 0
        began = time.monotonic()
        if not lives:
            await asyncio.sleep(0.65)
            follows.process.leases.held.pop("key")  # later than the silence is over
        await until(lambda: follows.end)
        assert time.monotonic() - began < 3
        post.passes = lambda message: 1
        for call in (leads, follows):
            finish(call)
            await call.task


async def test_who_leaves_while_claiming_holds_nothing() -> None:
    async with processes() as (_, (one, two)):
        call = one.call()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        call.task.cancel()
        await asyncio.gather(call.task, return_exceptions=True)
        await until(lambda: not one.leases.held)
        other = two.call()
        await until(lambda: other.end)
        finish(other)
        await other.task


async def test_what_is_not_made_after_all_is_left_by_the_last_who_wanted_it() -> None:
    """Also by one that had not heard yet that it was to make it."""
    async with processes(1) as (_, (one,)):
        share = Share(None, "t", LEG, "key", NONE)  # type: ignore[arg-type]
        first, second = one.elsewhere.look(share), one.elsewhere.look(share)
        await first
        first.end()
        assert one.leases.held == {"key": "p0"}
        second.end()
        await until(lambda: not one.leases.held)
        kept, another = one.elsewhere.look(share), one.elsewhere.look(share)
        await kept
        await another
        kept.end(kept=True)
        another.end()
        assert one.leases.held == {"key": "p0"}, "the cache ends it, when it has the answer"


async def test_what_another_held_first_is_left_all_the_same() -> None:
    """One look finds that another process makes it, the next one that nobody does any more."""
    async with processes(1) as (_, (one,)):
        share = Share(None, "t", LEG, "key", NONE)  # type: ignore[arg-type]
        one.leases.held["key"] = "p1"
        first = one.elsewhere.look(share)
        del one.leases.held["key"]
        second = one.elsewhere.look(share)
        await second
        assert (first.found, second.found) == ("p1", "")
        second.end()
        await until(lambda: not one.leases.held)


async def test_what_is_made_in_the_end_is_held_though_who_asked_first_leaves() -> None:
    """After another process has been asked in vain as often as it may."""
    async with processes() as (post, (one, two)):
        one.leases.held["key"] = "p0"  # it has ended there, and the lease lingers
        asked = 0

        def passes(message: Message) -> int:
            nonlocal asked
            asked += message.kind == "unknown"
            if asked == module.TRIES:
                one.leases.held.pop("key", None)
            return 1

        post.passes = passes
        comes = two.call()
        await until(lambda: comes.end)
        await until(lambda: one.leases.held == {"key": "p1"})
        comes.share.leave()
        await asyncio.sleep(0.01)
        assert one.leases.held == {"key": "p1"}
        finish(comes)
        await comes.task
        assert not one.leases.held


async def test_a_slow_process_bounds_what_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The provider waits, once so much has been told that was not taken."""
    monkeypatch.setattr(module, "SILENCE", 10.0)  # a machine that has other work is not a dead process
    async with processes() as (post, (one, two)):
        leads = one.call(room=10)
        await until(lambda: leads.end)
        follows = two.call(room=10)
        await until(lambda: one.elsewhere._tellings)
        follows.wait = asyncio.get_running_loop().create_future()
        text, said = "x" * 50_000, 0
        for _ in range(400):
            ready = leads.say(text)
            said += 1
            if ready is not None:
                done, _ = await asyncio.wait([asyncio.ensure_future(ready)], timeout=0.3)
                if not done:
                    break
            await asyncio.sleep(0)
        assert said * len(text) < 4 * module.MOST, "nobody was held back"
        wait, follows.wait = follows.wait, None
        wait.set_result(None)
        await asyncio.wait_for(asyncio.shield(ready), 2)  # type: ignore[arg-type]
        finish(leads)
        await asyncio.wait_for(asyncio.gather(leads.task, follows.task), 20)
        assert follows.heard[0] == text * said and isinstance(follows.outcome, Reply)


async def test_a_process_that_stops_says_so() -> None:
    async with processes() as (_, (one, two)):
        leads, follows = await both(one, two)
        await leads.flight.stop()
        await asyncio.gather(leads.task, return_exceptions=True)
        async with asyncio.timeout(0.4):
            await until(lambda: follows.end)
        finish(follows)
        await follows.task


async def test_what_breaks_its_constraint_is_told_as_such() -> None:
    async with processes() as (_, (one, two)):
        leads, follows = await both(one, two)
        leads.say("{}", 0)
        leads.say("no", 1)
        leads.flight.result.broken = {1: Invalid("choice 1 breaks the type", path="/x")}
        finish(leads)
        await asyncio.gather(leads.task, follows.task)
        problem = follows.flight.result.broken[1]
        assert (problem.message, problem.path) == ("choice 1 breaks the type", "/x")
        assert list(follows.flight.result.broken) == [1]


async def test_what_a_failed_target_said_is_void_elsewhere_too() -> None:
    async with processes() as (_, (one, two)):
        leads, follows = await both(one, two, streamed=False)
        leads.say("")
        await asyncio.sleep(0.02)
        leads.say("void")  # nobody has had the time to tell it
        leads.flight.result.attempts += 1
        leads.say("good")
        finish(leads)
        await asyncio.gather(leads.task, follows.task)
        assert isinstance(follows.outcome, Reply) and follows.outcome.choices[0].text == "good"


def all_kinds(base: type[ProviderError]) -> list[type[ProviderError]]:
    return [base, *[kind for one in base.__subclasses__() for kind in all_kinds(one)]]


@pytest.mark.parametrize("kind", all_kinds(ProviderError))
async def test_a_failure_is_the_same_on_both_sides(kind: type[ProviderError]) -> None:
    error = kind("short and safe")
    error.status, error.retry_after, error.param = 418, 2.5, "n"
    async with processes() as (_, (one, two)):
        leads, follows = await both(one, two)
        finish(leads, error)
        await asyncio.gather(leads.task, follows.task)
        found = follows.outcome
        assert type(found) is kind and found is not error
        assert (found.message, found.code, found.status) == ("short and safe", error.code, 418)
        assert (found.retry_after, found.param) == (2.5, "n")


def test_a_failure_of_another_version_is_its_nearest() -> None:
    failed = failed_by(errors.Throttled("slow down"))
    failed = type(failed)("Novel", *[getattr(failed, name) for name in failed.__struct_fields__[1:]])
    assert type(error_of(failed)) is ProviderError
