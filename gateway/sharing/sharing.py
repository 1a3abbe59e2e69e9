"""The calls that are under way in this process, by what they ask, and the cache that their answers go to.

A leg shares when its answer may be kept: at temperature 0 or with a seed, or when the route or the caller asks for it.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from adapters.types import Reply
from gateway.attempts import ask
from gateway.caching.control import NONE, Directives, looks, read, wanted
from gateway.caching.entry import Kept, pack, storable
from gateway.caching.key import digest
from gateway.caching.reading import Reader
from gateway.caching.store import CacheStore
from gateway.sharing.flight import Flight
from gateway.sharing.look import Look
from gateway.sharing.share import Share, kept_of, usable
from gateway.types import Clock, Leg, LegResult, Plan

Key = tuple[str, str]
"""A team, and the digest of what is asked."""

NOTHING = b""
"""A value in which nothing is found."""

Shares = list[Share | None] | None


class Elsewhere(Protocol):
    """The calls that are under way in other processes."""

    async def fly(self, flight: Flight, share: Share, lead: Callable[[], Awaitable[None]]) -> None:
        """Hears a call that another process has begun, or else begins it, by ``lead``, so that others can hear it."""

    def look(self, share: Share) -> Look:
        """Asks for what is kept; where there is nothing, and nobody else makes it, this process is to do so until the
        look ends."""

    def start(self) -> None: ...
    async def close(self) -> None: ...


class Sharing:
    """``most`` bounds an answer that is kept, in bytes."""

    def __init__(self, store: CacheStore, clock: Clock, most: int) -> None:
        self._store = store
        self._clock = clock
        self.most = most
        self._elsewhere: Elsewhere | None = None
        self._flights: dict[Key, Flight] = {}
        self._all: dict[Flight, Share] = {}
        self.read = Reader().read

    def start(self, elsewhere: Elsewhere | None) -> None:
        """From now on calls are shared with other processes as well."""
        self._elsewhere = elsewhere
        if elsewhere is not None:
            elsewhere.start()

    async def kept(self, share: Share) -> Kept | None:
        """What the cache has by now."""
        value = self._store.look(share.team, share.leg.name, share.digest)
        return usable(await value if isinstance(value, Awaitable) else value, share, self._clock)

    def shares(self, team: str, plan: Plan, cache_control: bytes | None, held: object = None) -> Shares:
        """For each leg its part in what is shared; None if there is none at all. ``held`` is what must stay for as long
        as a call goes on."""
        directives = NONE if cache_control is None else read(cache_control)
        found: list[Share | None] = []
        some = False
        for leg in plan:
            share: Share | None = None
            if wanted(leg.policy.cache, leg.call, directives):
                share = self._share(team, leg, directives, held)
            elif directives.only_if_cached:
                share = Share(self, team, leg, "", directives, NOTHING)
            found.append(share)
            some = some or share is not None
        return found if some else None

    def _share(self, team: str, leg: Leg, directives: Directives, held: object) -> Share | None:
        """The leg's part in what is shared, if its answer may be kept. The cache is asked at once; it answers later."""
        if leg.keeping is not None and leg.call.params.echo:
            return None  # what is held to the constraint is then a part of what is told
        asked = digest(team, leg.name, leg.call, leg.keeping)
        share = Share(self, team, leg, asked, directives, None, held)
        if not directives.no_cache and ((team, asked) not in self._flights or self._joinable(share) is None):
            self._ask(share)
        return share

    def look(self, share: Share) -> None:
        """Looks for what the cache has by now, if there is no call to be heard instead."""
        if looks(share.directives) and self._joinable(share) is None:
            self._ask(share)

    def _ask(self, share: Share) -> None:
        if self._elsewhere is None or share.directives.only_if_cached:
            share.looked = self._store.look(share.team, share.leg.name, share.digest)
        else:
            share.look = self._elsewhere.look(share)

    def joined(self, share: Share, result: LegResult, streamed: bool) -> Flight:
        flight = self._joinable(share) if looks(share.directives) else None
        if result.meter is not None:
            result.meter.wait(result.started)
        if flight is not None:
            result.cache = "coalesced"
            return flight
        sent = [0] * share.leg.call.choices if streamed else []
        own = LegResult(share.leg, result.started, sent=sent, meter=result.meter)
        result.meter = None  # from now on the call's, whoever leaves
        flight = Flight(own, streamed, self.most, self._fly, self._over)
        self._flights[share.team, share.digest] = flight
        self._all[flight] = share
        return flight

    async def close(self) -> None:
        """Gives up all calls that are under way."""
        await asyncio.gather(*[flight.stop() for flight in list(self._all)])
        if self._elsewhere is not None:
            await self._elsewhere.close()

    @property
    def under_way(self) -> int:
        return len(self._all)

    # ------------------------------------------------------------------ inside

    def _joinable(self, share: Share) -> Flight | None:
        flight = self._flights.get((share.team, share.digest))
        return flight if flight is not None and flight.joinable else None

    async def _fly(self, flight: Flight) -> None:
        async def lead() -> None:
            flight.result.cache = "miss"
            await ask(flight.result, self._clock, flight.emit if flight.streamed else None)

        share = self._all[flight]
        if self._elsewhere is None or not looks(share.directives):
            await lead()
        else:
            await self._elsewhere.fly(flight, share, lead)

    def _over(self, flight: Flight) -> None:
        share = self._all.pop(flight)
        if self._flights.get((share.team, share.digest)) is flight:
            del self._flights[share.team, share.digest]
        if flight.result.meter is not None:
            flight.result.meter.end(flight.result)  # of one that never began
        kept = self._keep(flight, share)
        if share.look is not None and share.look.taken:
            share.look.end(kept)

    def _keep(self, flight: Flight, share: Share) -> bool:
        """Whether the cache gets the answer."""
        reply, result, leg = flight.result.outcome, flight.result, share.leg
        if not isinstance(reply, Reply) or result.cache != "miss" or not flight.kept:
            return False
        kept = kept_of(result, reply, flight.batches, self._clock.wall())
        if not storable(reply, result.broken, kept.batches):
            return False
        value = pack(kept)
        if len(value) > self.most:
            return False
        self._store.keep(share.team, leg.name, share.digest, value, leg.policy.cache_ttl)
        return True


def leave(shares: Shares) -> None:
    """The call is not made after all."""
    for share in shares or ():
        if share is not None:
            share.leave()
