"""Asks the models of a plan. A provider's failure is a value, so that one failing model never disturbs another.

An exception out of here is a bug, or the caller who has left; either way every provider call still open is cancelled
and waited for before it passes.
"""

import asyncio
import logging
from collections.abc import Callable
from itertools import accumulate

from adapters.chat import delta_of, is_no_text, weight
from adapters.errors import Garbled, Invalid, ProviderError, Rejected, TimedOut
from adapters.types import Asked, Call, Choice, Delta, Fields, Finish, Reply, summed
from gateway.asking import requests, with_params
from gateway.best import likeliest
from gateway.tokens import estimate
from gateway.turns import give_up, in_turns
from gateway.types import Clock, Fanout, LegResult, Outcome, Plan, Target

log = logging.getLogger("gateway.fanout")

Emit = Callable[[LegResult, list[Delta], int], asyncio.Future[None] | None]
"""Takes the pieces that one read has brought for a leg, and how far their indexes are from their places in it. What it
returns, if anything, is done when the caller can take more; see ``Feed``."""

Ended = Callable[[LegResult], None]
"""Hears that a leg has its outcome, the moment it has it."""


STRAY = "the provider's stream speaks of a choice that it was not asked for, or that has ended"
"""Such a provider would speak in another leg's place."""


TRIES = 2
"""Further tries of a target whose answer does not keep its constraint, where another try can have another answer."""

STEP = 1_000_003
"""How far the seeds of such tries are apart: choices of one try have neighbours as seeds."""

AT_ONCE = 4
"""Requests of one leg that are under way together, where a provider gives fewer choices at a time than are asked."""


class Deadline(TimedOut):
    code = "deadline"


async def ask_all(
    plan: Plan, fanout: Fanout, clock: Clock, emit: Emit | None = None, ended: Ended | None = None
) -> list[LegResult]:
    """A result for each leg, in the plan's order.

    ``outcome`` is None in those that were given up because enough others had answered.
    """
    results = [LegResult(leg, clock.steady(), sent=[0] * leg.call.choices if emit else []) for leg in plan]
    if len(results) == 1 and fanout.deadline is None:
        await ask(results[0], clock, emit)
        if ended:
            ended(results[0])
    else:
        await Race(results, fanout, clock, emit, ended).run()
    return results


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
        finally:
            if timer:
                timer.cancel()
            await give_up(self._tasks)
        if self._late:
            self._mark_late()

    async def _ask(self, result: LegResult, emit: Emit | None) -> None:
        """One leg. It is noted before its task ends, so that once all tasks have, nothing more can be said."""
        try:
            await ask(result, self._clock, emit)
            self._note(result)
        except Exception as bug:
            if self._over.done():
                log.exception("a bug after the call was over")
            self._finish(bug)

    def _note(self, result: LegResult) -> None:
        self._left -= 1
        self._answered += isinstance(result.outcome, Reply)
        if self._fanout.mode == "first" and self._winner is None and isinstance(result.outcome, Reply):
            self._winner = result  # also one that had nothing to say
        if self._ended and (self._fanout.mode != "first" or self._winner in (None, result)):
            self._ended(result)
        enough = self._fanout.mode != "all" and self._answered >= self._fanout.min_success
        failed = not isinstance(result.outcome, Reply)
        hopeless = self._answered + self._left < self._fanout.min_success or (failed and self._fanout.strict)
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


async def ask(result: LegResult, clock: Clock, emit: Emit | None) -> None:
    """Asks the leg's targets in turn and leaves the answer, or the last reason why there is none, in ``result``."""
    leg = result.leg
    outcome: Outcome | None = None
    for target in leg.targets:
        asked = leg.first if target is leg.targets[0] else expressible(target, leg.call)
        if asked is None:
            continue  # this target has no words for the call; why the others failed is what counts
        result.target = target
        outcome = await try_target(result, target, asked, emit)
        if isinstance(outcome, Invalid):
            outcome = await try_again(result, target, asked, emit, outcome)
        if isinstance(outcome, Reply) or not outcome.fall_back or any(result.sent):
            break  # what the caller has read cannot be unsaid
    assert outcome is not None
    close(result, outcome, clock)


async def try_again(
    result: LegResult, target: Target, asked: tuple[Asked, ...], emit: Emit | None, outcome: Outcome
) -> Outcome:
    """Further tries of a target whose answer was no good, where another try can have another answer."""
    call = result.leg.call
    for again in range(1, TRIES + 1):
        if not isinstance(outcome, Invalid) or call.params.temperature == 0 or any(result.sent):
            break
        reseeded = expressible(target, with_another_seed(call, again))
        outcome = await try_target(result, target, reseeded or asked, emit)
    return outcome


def expressible(target: Target, call: Call) -> tuple[Asked, ...] | None:
    """What the target is asked; None if its wire has no words for it."""
    try:
        return requests(target, call)
    except Rejected:
        return None


def with_another_seed(call: Call, again: int) -> Call:
    """The call for another try: the same seed would have the same answer. It stays among those that every engine
    takes."""
    seed = call.params.seed
    return call if seed is None else with_params(call, seed=(seed + again * STEP) % 2**31)


async def try_target(result: LegResult, target: Target, asked: tuple[Asked, ...], emit: Emit | None) -> Outcome:
    """One try of a target."""
    result.attempts += 1
    try:
        reply = await attempt(result, target, asked, emit)
        return reply if result.leg.call.params.best_of is None else best(reply, result.leg.call)
    except ProviderError as failure:
        log.warning("%s: %s (%s)", target.name, failure.message, failure.code)
        return failure


def close(result: LegResult, outcome: Outcome, clock: Clock) -> None:
    result.outcome = outcome
    result.ended = clock.steady()
    result.created = int(clock.wall())


async def attempt(result: LegResult, target: Target, asked: tuple[Asked, ...], emit: Emit | None) -> Reply:
    """One target's whole answer, from one request or several. Raises a ProviderError."""
    if len(asked) == 1:
        if target.gate is None:
            return await one(result, target, asked[0], 0, emit)
        return await gated(result, target, asked[0], 0, emit)
    shifts = list(accumulate([part.call.choices for part in asked], initial=0))
    replies: dict[int, Reply] = {}

    async def work(i: int) -> None:
        replies[i] = await gated(result, target, asked[i], shifts[i], emit)

    await in_turns(len(asked), at_once(target), work)
    return joined([replies[i] for i in range(len(asked))])


def at_once(target: Target) -> int:
    """How many requests of one call the target gets together."""
    return min(AT_ONCE, target.gate.concurrency) if target.gate else AT_ONCE


def best(reply: Reply, call: Call) -> Reply:
    """Of more choices than were wanted, the likeliest."""
    params = call.params
    if params.best_of is None or len(reply.choices) <= call.choices:
        return reply
    return likeliest(reply, params.best_of, params.n)


async def gated(result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit | None) -> Reply:
    """One request, in its turn where the provider's are bounded."""
    if target.gate is None:
        return await one(result, target, asked, shift, emit)
    async with target.gate:
        return await one(result, target, asked, shift, emit)


def current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


def joined(replies: list[Reply]) -> Reply:
    usage = summed([reply.usage for reply in replies if reply.usage is not None])
    return Reply(tuple(choice for reply in replies for choice in priced(reply)), usage, replies[0].raw)


def priced(reply: Reply) -> tuple[Choice, ...]:
    """The choices; one that was asked for by itself takes the call's usage with it."""
    if len(reply.choices) != 1:
        return reply.choices
    [choice] = reply.choices
    return (Choice(choice.index, choice.text, choice.finish, reply.usage, choice.raw),)


async def one(result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit | None) -> Reply:
    """One HTTP exchange, for choices whose places in the leg begin at ``shift``."""
    if emit is not None:
        return await streamed(result, target, asked, shift, emit)
    response = await target.upstream.fetch(asked.request, target.timeouts)
    reply = target.adapter.decode(asked.call, response)
    choices = placed(reply.choices, asked.call.choices, shift)
    usage = reply.usage or estimate(asked.call, [len(choice.text) for choice in choices])
    if result.leg.keeping is not None:
        choices = result.leg.keeping.whole(choices)
    if asked.echo:
        choices = tuple([Choice(c.index, asked.echo + c.text, c.finish, c.usage, echoed(c.raw)) for c in choices])
    return Reply(choices, usage, reply.raw)


def echoed(raw: Fields | None) -> Fields | None:
    """A choice as the provider wrote it, without its text, which the gateway has put the prompt in front of."""
    return raw and {name: value for name, value in raw.items() if name not in ("text", "message")}


def placed(choices: tuple[Choice, ...], n: int, shift: int) -> tuple[Choice, ...]:
    """The choices in order and at their places in the leg: just those that were asked for, each of them once."""
    if n == 1 and len(choices) == 1 and choices[0].index == 0 and shift == 0:
        return choices
    ordered = sorted(choices, key=lambda choice: choice.index)
    if [choice.index for choice in ordered] != list(range(n)):
        raise Garbled(f"the provider answered with other choices than the {n} it was asked for")
    return tuple([Choice(shift + c.index, c.text, c.finish, c.usage, c.raw) for c in ordered])


async def streamed(result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit) -> Reply:
    decoder = target.adapter.decoder(asked.call)
    n = asked.call.choices
    finished: dict[int, Finish] = {}
    sent = result.sent
    echo = Echo(asked.echo) if asked.echo else None
    keeping = result.leg.keeping
    texts: dict[int, list[str]] = {i: [] for i in range(n)} if keeping else {}
    otherwise: set[int] = set()  # choices that are no texts

    def feed(data: bytes) -> asyncio.Future[None] | None:
        deltas = decoder.feed(data)
        for delta in deltas:
            index = delta.index
            if index in finished or not 0 <= index < n:
                raise Garbled(STRAY)
            if delta.finish is not None:
                finished[index] = delta.finish
            sent[shift + index] += len(delta.text) or (weight(delta) if delta.raw is not None else 0)
        if keeping:
            for delta in deltas:
                texts[delta.index].append(delta.text)
                if "messages" in keeping.free and delta.raw is not None and is_no_text(delta_of(delta.raw)):
                    otherwise.add(delta.index)
        if echo:
            deltas = [echo.of(delta) for delta in deltas]
        return emit(result, deltas, shift) if deltas else None

    response = await target.upstream.stream(asked.request, target.timeouts, feed)
    if response.status != 200:
        target.adapter.decode(asked.call, response)  # raises what the status means
        raise Garbled("the provider's answer could not be read", status=response.status)
    decoder.close()
    if len(finished) != n:
        raise Garbled(f"the provider's stream ended {len(finished)} of {n} choices")
    if keeping:
        for i in set(range(n)) - otherwise:
            keeping.streamed("".join(texts[i]), finished[i])
    choices = tuple(Choice(shift + i, "", finished[i]) for i in range(n))
    return Reply(choices, decoder.usage or estimate(asked.call, sent[shift : shift + n]))


class Echo:
    """Puts the prompt in front of the first piece of each choice."""

    def __init__(self, prompt: str) -> None:
        self._prompt = prompt
        self._begun: set[int] = set()

    def of(self, delta: Delta) -> Delta:
        if delta.index in self._begun or not (delta.finish or weight(delta)):
            return delta  # begun, or not to begin yet
        self._begun.add(delta.index)
        return Delta(delta.index, self._prompt + delta.text, delta.finish, None, delta.more)
