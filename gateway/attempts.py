"""Asks one model: its targets in turn, each by the path that holds its answer to its constraint, until one answers.

A provider's failure is a value; an exception out of here is a bug, or the caller who has left.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping
from itertools import accumulate

from msgspec import Struct

from adapters.chat import delta_of, is_no_text, weight
from adapters.errors import Filtered, Garbled, Invalid, ProviderError, Rejected, TimedOut, TooLong
from adapters.types import Asked, Choice, Delta, Finish, Path, Reply
from gateway.asking import requests
from gateway.best import likeliest
from gateway.choices import behind_echo, joined, paid, pieces
from gateway.paths import weaker
from gateway.repair import exchanged, mended
from gateway.resilience.course import Course
from gateway.tokens import estimate
from gateway.turns import in_turns
from gateway.types import NONE_BROKEN, NONE_KEPT, Clock, Leg, LegResult, Outcome, Sending, Target

log = logging.getLogger("gateway.fanout")

Emit = Callable[[LegResult, list[Delta], int], asyncio.Future[None] | None]
"""Takes the pieces that one read has brought for a leg, and how far their indexes are from their places in it. What it
returns, if anything, is done when the caller can take more; see ``Feed``."""

STRAY = "the provider's stream speaks of a choice that it was not asked for, or that has ended"
"""Such a provider would speak in another leg's place."""

SPEECHLESS = "the provider's stream did not begin to speak in time"

REFUSED = "response_format"
"""The parameter that a provider complains of when it has no structured output for a model."""

AT_ONCE = 4
"""Requests of one leg that are under way together, where a provider gives fewer choices at a time than are asked."""


async def ask(result: LegResult, clock: Clock, emit: Emit | None) -> None:
    """Asks the leg's targets in turn and leaves the answer, or the last reason why there is none, in ``result``. What
    was used is noted, however it ends."""
    leg, outcome = result.leg, None
    first = leg.targets[0]
    try:
        standing = first.standing
        if standing is None or (now := clock.steady()) >= standing.breaker.free_from or standing.breaker.allows(now):
            if leg.keeping is None:  # as most are: there is no other path
                outcome = await try_target(result, first, leg.first, clock, emit)
            else:
                outcome = await by_all_paths(result, first, leg.first, clock, emit)
        if not isinstance(outcome, Reply) or result.broken or result.whole:
            outcome = await Asking(result, clock, emit).outcome(first, outcome)
        close(result, outcome, clock)
    finally:
        if result.meter is not None:
            result.meter.end(result)


class Asking:
    """One leg's way through its targets, after the first has failed or cannot be asked now."""

    def __init__(self, result: LegResult, clock: Clock, emit: Emit | None) -> None:
        self._result = result
        self._leg = result.leg
        self._clock = clock
        self._emit = emit
        self._half: Half | None = None
        self._last: tuple[Target, ProviderError] | None = None

    async def outcome(self, first: Target, outcome: Outcome | None) -> Outcome:
        """``outcome`` is the first target's, None if it was not asked."""
        result, leg, clock = self._result, self._leg, self._clock
        self._course = Course(leg.targets if outcome is None else leg.targets[1:], leg.policy.retrying, result.until)
        target: Target | None = first
        while target is not None:
            if outcome is not None and self._is_last(target, outcome):
                break
            outcome, target = await self._next(outcome)
        if self._half is not None and (result.broken or not isinstance(outcome, Reply)):
            outcome = self._half.restored(result)
        if outcome is None:
            return self._course.passed_over(clock.steady())
        if result.whole and self._emit is not None and isinstance(outcome, Reply):
            await told(result, outcome, self._emit)
        return outcome

    def _is_last(self, target: Target, outcome: Outcome) -> bool:
        """Notes what came of a target; whether it is the end. What the caller has read cannot be unsaid."""
        result, leg = self._result, self._leg
        if isinstance(outcome, Reply):
            if result.broken:
                self._half = self._half or Half(outcome, target, result.path, result.broken, result.kept)
            return not result.broken or any(result.sent)
        if any(result.sent):
            return True
        self._last = (target, outcome)
        if self._course.failed(target, outcome, self._clock.steady()):
            return False
        others = detour(leg, outcome)
        if not others or target in others:
            return True
        self._course = Course(others, leg.policy.retrying, result.until)
        return False

    async def _next(self, outcome: Outcome | None) -> tuple[Outcome | None, Target | None]:
        """Asks one more target, if there is one: what came of it, and which it was. Those that have no words for the
        call are passed over; why the others failed is what counts."""
        result, leg = self._result, self._leg
        while (target := await following(self._course, self._clock)) is not None:
            asked = leg.first if target is leg.targets[0] else expressible(result, target)
            if asked is None:
                continue
            again = False
            if self._last is not None:
                tell(leg, self._last[0], target, self._last[1])
                again = self._last[0] is target
            return await by_all_paths(result, target, asked, self._clock, self._emit, again), target
        return outcome, None


async def following(course: Course, clock: Clock) -> Target | None:
    """The next to be asked, after a wait if need be."""
    while isinstance(found := course.next(clock.steady()), float):  # noqa: ASYNC110 - time has to pass
        await asyncio.sleep(found)
    return found


def tell(leg: Leg, before: Target, target: Target, failure: ProviderError) -> None:
    """Says that a leg is asked again, or elsewhere."""
    notice = leg.policy.notice
    if notice is not None and before is target:
        notice.retried(target.name, failure.code)
    elif notice is not None:
        notice.fell_back(leg.name, before.name, target.name, failure.code)


def detour(leg: Leg, failure: ProviderError) -> tuple[Target, ...]:
    """Whom the route asks instead, when a call is too long for its model, or filtered."""
    if isinstance(failure, TooLong):
        return leg.policy.on_too_long
    return leg.policy.on_filtered if isinstance(failure, Filtered) else ()


async def by_all_paths(
    result: LegResult,
    target: Target,
    asked: tuple[Asked, ...],
    clock: Clock,
    emit: Emit | None,
    again: bool = False,
) -> Outcome:
    """A target by the path that is the first choice, and by weaker ones where it has no word for that."""
    outcome = await try_target(result, target, asked, clock, emit, again)
    if isinstance(outcome, Rejected) and outcome.param == REFUSED and result.leg.keeping is not None:
        outcome = await on_weaker_paths(result, target, asked, clock, emit, outcome)
    return outcome


class Half(Struct):
    """An answer some of whose choices break the type: better than none."""

    reply: Reply
    target: Target
    path: Path | None
    broken: Mapping[int, Invalid]
    kept: Mapping[int, Choice]

    def restored(self, result: LegResult) -> Reply:
        """Makes it the leg's answer again, after no other target had a better one."""
        result.target, result.path, result.broken, result.kept = self.target, self.path, self.broken, self.kept
        return self.reply


async def on_weaker_paths(
    result: LegResult, target: Target, asked: tuple[Asked, ...], clock: Clock, emit: Emit | None, outcome: Outcome
) -> Outcome:
    """The same target without what it has refused: in a mode for JSON, and then by the prompt alone."""
    constraint = result.leg.call.constraint
    path = asked[0].path
    while isinstance(outcome, Rejected) and constraint is not None and outcome.param == REFUSED:
        path = weaker(constraint, path)
        again = None if path is None else expressible(result, target, path)
        if again is None:
            break
        outcome = await try_target(result, target, again, clock, emit)
    return outcome


def expressible(result: LegResult, target: Target, forced: Path | None = None) -> tuple[Asked, ...] | None:
    """What the target is asked; None if its wire has no words for it."""
    try:
        return requests(target, result.leg.call, result.leg.keeping, forced)
    except Rejected:
        return None


async def try_target(
    result: LegResult,
    target: Target,
    asked: tuple[Asked, ...],
    clock: Clock,
    emit: Emit | None,
    again: bool = False,
) -> Outcome:
    """One try of a target, of which its standing learns how it ended. ``again``: it was asked just before."""
    leg, meter = result.leg, result.meter
    result.target = target
    result.attempts += 1
    if leg.keeping is not None:
        result.path, result.whole = asked[0].path, not asked[0].call.stream
        result.broken, result.kept = NONE_BROKEN, NONE_KEPT
    standing, began, ticket = target.standing, clock.steady(), 0
    if standing is not None:
        ticket = standing.begin(began, again)
    try:
        if meter is not None:
            meter.begin(target, began)
        if emit is None and len(asked) == 1 and target.gate is None and leg.keeping is None and not asked[0].echo:
            reply = await exchanged(result, target, asked[0], 0)  # as most are
        else:
            reply = await attempt(result, target, asked, emit)
        if standing is not None:
            now = clock.steady()
            standing.end(ticket, now, None, (result.heard or now) - began)
            standing = None  # it has its answer, whatever we make of it
        if result.broken and len(result.broken) == len(reply.choices):
            raise result.broken[0]
        params = leg.call.params
        if params.best_of is not None and made(asked) > leg.call.choices:
            reply = likeliest(reply, params.best_of, params.n, leg.call.prompts)
        return reply
    except ProviderError as failure:
        log.warning("%s: %s (%s)", target.name, failure.message, failure.code)
        if standing is not None:
            now = clock.steady()
            standing.end(ticket, now, failure, now - began)
        return failure
    except BaseException:
        if standing is not None:
            standing.left(ticket)
        raise


async def told(result: LegResult, reply: Reply, emit: Emit) -> None:
    """Hands a whole answer to who hears a stream."""
    rich = result.leg.call.fields is not None
    for choice in reply.choices:
        result.sent[choice.index] += len(choice.text) or 1
        ready = emit(result, pieces(choice.index, choice.text, choice.raw if rich else None, reply.raw), 0)
        if ready is not None:
            await ready


def close(result: LegResult, outcome: Outcome, clock: Clock) -> None:
    result.outcome = paid(outcome, result.used) if result.used and isinstance(outcome, Reply) else outcome
    result.ended = clock.steady()
    result.created = int(clock.wall())


async def attempt(result: LegResult, target: Target, asked: tuple[Asked, ...], emit: Emit | None) -> Reply:
    """One target's whole answer, from one request or several. Raises a ProviderError."""
    if len(asked) == 1 and target.gate is None and result.leg.keeping is None:
        return await one(result, target, asked[0], 0, emit)
    spare = made(asked) > result.leg.call.choices
    if len(asked) == 1:
        return await gated(result, target, asked[0], 0, emit, spare)
    shifts = list(accumulate([part.call.choices for part in asked], initial=0))
    replies: dict[int, Reply] = {}

    async def work(i: int) -> None:
        replies[i] = await gated(result, target, asked[i], shifts[i], emit, spare)

    await in_turns(len(asked), at_once(target), work)
    return joined([replies[i] for i in range(len(asked))])


def at_once(target: Target) -> int:
    """How many requests of one call the target gets together."""
    return min(AT_ONCE, target.gate.concurrency) if target.gate else AT_ONCE


def made(asked: tuple[Asked, ...]) -> int:
    """How many choices are asked for."""
    return sum([part.call.choices for part in asked])


async def gated(result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit | None, spare: bool) -> Reply:
    """One request, in its turn where the provider's are bounded."""
    if target.gate is None:
        return await one(result, target, asked, shift, emit, spare)
    async with target.gate:
        return await one(result, target, asked, shift, emit, spare)


async def one(
    result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit | None, spare: bool = False
) -> Reply:
    """The answer to one request, for choices whose places in the leg begin at ``shift``."""
    if emit is not None and asked.call.stream:
        return await streamed(result, target, asked, shift, emit)
    reply = await exchanged(result, target, asked, shift)
    if result.leg.keeping is not None:
        reply = await mended(result, target, asked, reply, shift, spare)
    return Reply(behind_echo(reply.choices, asked.echo), reply.usage, reply.raw) if asked.echo else reply


async def streamed(result: LegResult, target: Target, asked: Asked, shift: int, emit: Emit) -> Reply:
    decoder = target.adapter.decoder(asked.call)
    n = asked.call.choices
    finished: dict[int, Finish] = {}
    sent = result.sent
    echo = Echo(asked.echo) if asked.echo else None
    keeping = result.leg.keeping
    texts: dict[int, list[str]] = {i: [] for i in range(n)} if keeping else {}
    otherwise: set[int] = set()  # choices that are no texts
    meter = result.meter
    sending = meter.sending(asked.call) if meter is not None else Sending(asked.call)
    sending.decoder = decoder

    def feed(data: bytes) -> asyncio.Future[None] | None:
        deltas = decoder.feed(data)
        chars = pieces = 0
        for delta in deltas:
            index = delta.index
            if index in finished or not 0 <= index < n:
                raise Garbled(STRAY)
            if delta.finish is not None:
                finished[index] = delta.finish
            size = len(delta.text) or (weight(delta) if delta.raw is not None else 0)
            if size:
                sent[shift + index] += size
                chars += size
                pieces += 1
        if chars:
            if not sending.pieces:
                if not waiting.expired():
                    waiting.reschedule(None)
                if meter is not None:
                    meter.heard(sending)
                    result.heard = result.heard or sending.first
            sending.chars += chars
            sending.pieces += pieces
        if keeping:
            for delta in deltas:
                texts[delta.index].append(delta.text)
                if "messages" in keeping.free and delta.raw is not None and is_no_text(delta_of(delta.raw)):
                    otherwise.add(delta.index)
        if echo:
            deltas = [echo.of(delta) for delta in deltas]
        return emit(result, deltas, shift) if deltas else None

    waiting = asyncio.timeout(target.timeouts.first_token)
    try:
        async with waiting:
            request = asked.request or target.adapter.encode(asked.call)
            response = await target.upstream.stream(request, target.timeouts, feed, sending.reach)
        if response.status != 200:
            target.adapter.decode(asked.call, response)  # raises what the status means
            raise Garbled("the provider's answer could not be read", status=response.status)
        decoder.close()
    except TimeoutError:
        sending.failure = failure = TimedOut(SPEECHLESS)
        raise failure from None
    except ProviderError as failure:
        sending.failure = failure
        raise
    usage = sending.usage = decoder.usage or estimate(asked.call, sent[shift : shift + n])
    if len(finished) != n:
        raise Garbled(f"the provider's stream ended {len(finished)} of {n} choices")
    if keeping:
        result.used += (usage,)
        for i in set(range(n)) - otherwise:
            try:
                keeping.streamed("".join(texts[i]), finished[i])
            except Invalid as problem:
                result.broken = {**result.broken, shift + i: problem}
    choices = tuple(Choice(shift + i, "", finished[i]) for i in range(n))
    return Reply(choices, usage)


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
