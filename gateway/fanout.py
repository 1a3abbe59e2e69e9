"""Asks the models of a plan. A provider's failure is a value, so that one failing model never disturbs another.

An exception out of here is a bug, or the caller who has left; either way every provider call still open is cancelled
and waited for before it passes.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from adapters.chat import weight
from adapters.errors import TimedOut
from adapters.types import Delta, Reply
from gateway.agreeing import AT_ONCE, most_alike, size
from gateway.agreement import Alike
from gateway.attempts import Emit, ask, close
from gateway.turns import give_up
from gateway.types import Clock, Fanout, LegResult, Meter, Plan, Shared

log = logging.getLogger("gateway.fanout")

Ended = Callable[[LegResult], None]
"""Hears that a leg has its outcome, the moment it has it."""


class Deadline(TimedOut):
    code = "deadline"


def begun(
    plan: Plan,
    clock: Clock,
    streamed: bool,
    meters: Sequence[Meter] | None = None,
    shares: Sequence[Shared | None] | None = None,
) -> list[LegResult]:
    """A result for each leg, in the plan's order, with nothing in it yet."""
    now, results = clock.steady(), list[LegResult]()
    for leg in plan:
        result = LegResult(leg, now)
        if streamed:
            result.sent = [0] * leg.call.choices
        if meters is not None:
            result.meter = meters[len(results)]
        if shares is not None:
            result.share = shares[len(results)]
        results.append(result)
    return results


def within(fanout: Fanout, seconds: float) -> Fanout:
    """The same, with so many seconds at most."""
    if fanout.deadline is not None and fanout.deadline <= seconds:
        return fanout
    return msgspec.structs.replace(fanout, deadline=seconds)


def answer(result: LegResult, clock: Clock, emit: Emit | None) -> Awaitable[None]:
    """One leg: by the model's targets, or by what another call has been or is being given."""
    return ask(result, clock, emit) if result.share is None else result.share.answer(result, clock, emit)


def ask_all(
    results: list[LegResult], fanout: Fanout, clock: Clock, emit: Emit | None = None, ended: Ended | None = None
) -> Awaitable[None]:
    """Asks the models of all legs. ``outcome`` stays None in those that were given up because enough others had
    answered."""
    if len(results) == 1 and fanout.deadline is None:
        only = results[0]
        if ended is not None:
            return alone(only, clock, emit, ended)
        return ask(only, clock, emit) if only.share is None else only.share.answer(only, clock, emit)
    return raced(results, fanout, clock, emit, ended)


async def alone(result: LegResult, clock: Clock, emit: Emit | None, ended: Ended) -> None:
    await answer(result, clock, emit)
    ended(result)


async def raced(results: list[LegResult], fanout: Fanout, clock: Clock, emit: Emit | None, ended: Ended | None) -> None:
    if fanout.deadline is not None:
        for result in results:
            result.until = result.started + fanout.deadline
    try:
        await Race(results, fanout, clock, emit, ended).run()
    finally:
        for result in results:  # also those whose task was cancelled before it began
            if result.meter is not None:
                result.meter.end(result)
            if result.share is not None:
                result.share.leave()


class Race:
    """Several legs at once, until all have ended, enough have answered, or the time is up."""

    def __init__(
        self, results: list[LegResult], fanout: Fanout, clock: Clock, emit: Emit | None, ended: Ended | None
    ) -> None:
        self._results = results
        self._fanout = fanout
        self._clock = clock
        self._emit = emit
        self._ended = ended
        self._left = len(results)
        self._answered = 0
        self._agreeing = fanout.alike if fanout.mode == "quorum" else None
        self._late = False
        self._winner: LegResult | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        self._over = loop.create_future()
        emit = self._first_only if self._emit and self._fanout.mode == "first" else self._emit
        for result in self._results:
            self._tasks.append(loop.create_task(self._ask(result, emit)))
        timer = loop.call_later(self._fanout.deadline, self._time_up) if self._fanout.deadline is not None else None
        try:
            await self._over
            for result in self._results:
                result.given_up = result.outcome is None and not self._late
        finally:
            if timer:
                timer.cancel()
            await give_up(self._tasks)
        if self._late:
            self._mark_late()

    async def _ask(self, result: LegResult, emit: Emit | None) -> None:
        """One leg. It is noted before its task ends, so that once all tasks have, nothing more can be said."""
        try:
            await answer(result, self._clock, emit)
            if self._agreeing is not None and isinstance(result.outcome, Reply):
                self._answered = max(self._answered, await agreed(self._results, self._agreeing))
            self._note(result)
        except Exception as bug:
            if self._over.done():
                log.exception("a bug after the call was over")
            self._finish(bug)

    def _note(self, result: LegResult) -> None:
        fanout, replied = self._fanout, isinstance(result.outcome, Reply)
        self._left -= 1
        self._answered += replied and self._agreeing is None
        if fanout.mode == "first" and self._winner is None and replied:
            self._winner = result  # also one that had nothing to say
        if self._ended and (fanout.mode != "first" or self._winner in (None, result)):
            self._ended(result)
        enough = fanout.mode != "all" and self._answered >= fanout.min_success
        hopeless = self._answered + self._left < fanout.min_success or (fanout.strict and not replied)
        if not self._left or enough or hopeless:
            self._finish()

    def _time_up(self) -> None:
        self._late = True
        self._finish()

    def _finish(self, bug: BaseException | None = None) -> None:
        if not self._over.done():
            if bug is not None:
                self._over.set_exception(bug)
            else:
                self._over.set_result(None)

    def _first_only(self, result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        """The first model to speak has won: the others are cancelled before they are heard."""
        if self._winner is None and any(weight(delta) for delta in deltas):
            self._winner = result
            for task, other in zip(self._tasks, self._results, strict=True):
                if other is not result:
                    other.given_up = True
                    task.cancel()
            self._left = 1
        if self._winner is not result or self._emit is None:
            result.sent[:] = [0] * len(result.sent)  # nobody has heard it
            return None
        return self._emit(result, deltas, shift)

    def _mark_late(self) -> None:
        """Legs still open at the deadline have failed."""
        for result in self._results:
            if result.outcome is None and self._winner in (None, result):
                late = Deadline(f"no answer within the call's deadline of {self._fanout.deadline:g} s")
                close(result, late, self._clock)
                if self._ended:
                    self._ended(result)


async def agreed(results: list[LegResult], alike: Alike) -> int:
    """How many answers count in a quorum that must agree: those of the largest group that does. Much of it is compared
    beside the event loop."""
    if size(results) <= AT_ONCE:
        return len(most_alike(results, alike))
    return len(await asyncio.to_thread(most_alike, list(results), alike))
