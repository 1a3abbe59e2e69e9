"""One leg's part in what is shared: it looks into the cache, joins a call under way or leads one of its own."""

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Protocol

from msgspec import Struct

from adapters.chat import weight
from adapters.errors import Unavailable
from adapters.types import Delta, Reply
from gateway.attempts import Emit, close, told
from gateway.caching.control import Directives, NotCached, fresh
from gateway.caching.entry import Kept
from gateway.caching.gathering import batches, whole
from gateway.sharing.flight import Batch, Flight, Stopped, follow
from gateway.sharing.look import Look
from gateway.types import Clock, Leg, LegResult


class Gone(Unavailable):
    """Another process had asked, and has died after it had told a part."""


class Flights(Protocol):
    """Where calls under way are found and begun."""

    def read(self, value: bytes) -> Kept | None:
        """A value of the cache; None if it cannot be read."""

    def look(self, share: "Share") -> None:
        """Looks for what the cache has by now, if there is no call to be heard instead."""

    def joined(self, share: "Share", result: LegResult, streamed: bool) -> Flight:
        """The one to hear: one that is under way, or else a new one, to which the result's meter goes over."""


class Share(Struct, eq=False):
    """``digest`` says what is asked. ``looked`` is what the cache has, or will have; None where it is not asked, or
    where ``look`` is to say so, and who makes the answer otherwise. ``held`` stays for as long as the call goes on."""

    flights: Flights
    team: str
    leg: Leg
    digest: str
    directives: Directives
    looked: bytes | Awaitable[bytes | None] | None = None
    held: object = None
    look: Look | None = None

    async def answer(self, result: LegResult, clock: Clock, emit: Emit | None) -> None:
        """Leaves the answer, or why there is none, in ``result``. What was used is noted, however it ends."""
        try:
            looked = self.look.found if self.look is not None and self.look.known else self.looked
            if isinstance(looked, bytes):
                kept = usable(looked, self, clock)
            elif isinstance(looked, str):  # nothing is kept: it says who makes it
                kept = None
            else:
                kept = await self._kept(clock)
            if kept is not None and emit is None:
                note_hit(result, kept, clock)
                outcome = whole(kept)
                if self.leg.keeping is not None:
                    result.kept = {choice.index: choice for choice in outcome.choices}
                close(result, outcome, clock)
            elif kept is not None and emit is not None:
                note_hit(result, kept, clock)
                close(result, await replayed(result, kept, emit), clock)
            elif self.directives.only_if_cached:
                close(result, NotCached("no answer to this call is kept (Cache-Control: only-if-cached)"), clock)
            else:
                await self._fly(result, clock, emit)
        finally:
            if self.look is not None:
                self.leave()
            if result.meter is not None:
                result.meter.end(result)
            if result.cache and self.leg.policy.notice is not None:
                self.leg.policy.notice.cache(self.leg.name, result.cache)

    def leave(self) -> None:
        """Nothing is to be made for this leg any more, unless that has begun."""
        look = self.look
        if look is not None and not look.taken:
            look.end()

    async def _kept(self, clock: Clock) -> Kept | None:
        """What is kept, if it may be used: of what the cache will tell, or has not been asked for yet."""
        if self.look is None and self.looked is None:
            self.flights.look(self)
        look, value = self.look, self.looked
        if look is not None:
            if not look.known:
                await look
            value = look.found if isinstance(look.found, bytes) else None
        elif value is not None and not isinstance(value, bytes):
            value = await value
        return None if value is None else usable(value, self, clock)

    async def _fly(self, result: LegResult, clock: Clock, emit: Emit | None) -> None:
        flight = self.flights.joined(self, result, emit is not None)
        leads, joins = result.meter is None, result.cache == "coalesced"
        heard: list[Batch] = []
        hear = collected(heard) if emit is None and flight.streamed else emit if flight.streamed else None
        try:
            await flight.hear(result, hear)
        except Stopped:
            close(result, Unavailable("the gateway is stopping", retry_after=1.0), clock)
            return
        except asyncio.CancelledError:
            result.cache = result.cache or flight.result.cache
            if leads and flight.result.meter is not None:
                flight.result.meter.leave()
            raise
        flown = flight.result
        outcome = flown.outcome
        assert outcome is not None
        if isinstance(outcome, Gone) and emit is None and joins:  # who has been told no part of it asks anew
            result.cache = ""
            await self._fly(result, clock, None)
            return
        follow(result, flown)
        result.broken, result.kept, result.used = flown.broken, flown.kept, flown.used
        if isinstance(outcome, Reply):
            if emit is None and heard and not flown.whole:
                outcome = whole(kept_of(flown, outcome, heard, 0.0))
            elif emit is not None and not flight.streamed:
                await told(result, outcome, emit)
            if emit is None and self.leg.keeping is not None:
                result.kept = {choice.index: choice for choice in outcome.choices if choice.index not in flown.broken}
            if result.meter is not None:
                result.meter.hit(flown.answered_by, result.started)
        result.outcome, result.ended, result.created = outcome, clock.steady(), int(clock.wall())


def usable(value: bytes | None, share: Share, clock: Clock) -> Kept | None:
    """What the cache has, if the caller will have it."""
    kept = None if value is None else share.flights.read(value)
    if kept is None:
        return None
    age = clock.wall() - kept.at
    return kept if fresh(share.directives, age, share.leg.policy.cache_ttl - age) else None


def collected(heard: list[Batch]) -> Emit:
    """Takes the pieces of a stream for one who wants them whole."""

    tries = 0

    def emit(result: LegResult, deltas: list[Delta], shift: int) -> None:
        nonlocal tries
        if result.attempts != tries:  # what an earlier target has said before it failed is void
            tries = result.attempts
            heard.clear()
        heard.append((shift, deltas))

    return emit


def note_told(result: LegResult, shift: int, deltas: Iterable[Delta]) -> None:
    """Notes how much of each choice is told by these pieces."""
    for delta in deltas:
        result.sent[shift + delta.index] += weight(delta)


def kept_of(flown: LegResult, reply: Reply, heard: list[Batch], at: float) -> Kept:
    """An answer as it is kept: with the pieces that came, where it came in pieces."""
    told = () if flown.whole else tuple([(shift, tuple(deltas)) for shift, deltas in heard])
    name = "" if flown.target is None else flown.target.name
    return Kept(name, at, reply.choices, reply.usage, reply.raw, flown.path, told)


def note_hit(result: LegResult, kept: Kept, clock: Clock) -> None:
    result.cache, result.age = "hit", max(0, int(clock.wall() - kept.at))
    result.served, result.path = kept.target, kept.path
    if result.meter is not None:
        result.meter.hit(kept.target, 0.0)


async def replayed(result: LegResult, kept: Kept, emit: Emit) -> Reply:
    """Tells what is kept in the pieces in which it came first."""
    for shift, deltas in batches(kept, result.leg.call.fields is not None):
        note_told(result, shift, deltas)
        ready = emit(result, deltas, shift)
        if ready is not None:
            await ready
    return Reply(kept.choices, kept.usage, kept.raw)
