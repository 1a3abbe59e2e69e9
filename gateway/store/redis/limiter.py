"""The limiter that all replicas of a gateway share."""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from gateway.limits.types import (
    Ask,
    Count,
    Granted,
    Hold,
    Limits,
    Period,
    Rough,
    SettledUse,
    StoreDown,
    Subject,
    Verdict,
)
from gateway.store.redis import words
from gateway.store.redis.batches import MOST, PATIENCE, Answer, Batches, Unanswered
from gateway.store.redis.breaker import Breaker
from gateway.store.redis.client import SECONDS, Client
from gateway.store.redis.kept import Kept
from gateway.store.redis.living import Living, Told

log = logging.getLogger("gateway.redis")

FAILURES = 3
"""In a row, after which nobody waits any more."""
PAUSE = 0.5
"""Seconds between two looks at a Redis that does not answer."""
BACK = 200
"""Milliseconds by which clocks of servers that take over from each other may differ."""
KNOWN = 4096
"""Callers whose limits are remembered in Redis' words."""
REBUILDING = "Redis has lost its counters, which are being rebuilt"


class RedisLimiter:
    """Limiter in Redis. Nothing waits longer than 0.2 s for it, except ``seed`` and ``counts``.

    ``rebuild`` is called when the counters are not there, as in a Redis that is new, was flushed or has started empty:
    it seeds them from the ledger, and is called again if it fails. Until it returns, ``reserve`` raises StoreDown. What
    this process has under way is entered when it is settled; so every granted hold must be, sooner or later.
    ``counted`` says which of the uses that could not be told the ledger may have; without it, none. When the counters
    were set by the ledger meanwhile, these are not told any more, and are missing until it is looked at again, at most.
    ``changed`` is told when Redis has gone, and when it answers again with counters that are whole. ``time`` replaces
    the server's clock, in milliseconds.
    """

    def __init__(
        self,
        client: Client,
        rebuild: Callable[[], Awaitable[None]] | None = None,
        changed: Callable[[bool], None] | None = None,
        counted: Callable[[tuple[SettledUse, ...]], Awaitable[tuple[SettledUse, ...]]] | None = None,
        *,
        failures: int = FAILURES,
        pause: float = PAUSE,
        time: Callable[[], int] | None = None,
    ) -> None:
        self._requests = Batches(client, SECONDS, self._answered, self._unanswered, time)
        self._patient = Batches(client, PATIENCE, self._answered, self._unanswered, time)
        self._breaker = Breaker(failures, self._note)
        self._rebuild = rebuild
        self._changed = changed
        self._counted = counted
        self._pause = pause
        self._kept = Kept()
        self._living = Living()
        self._alike: dict[int, words.Alike] = {}
        self._mending: asyncio.Task[None] | None = None
        self._closed = False
        self._was_up = False
        self._last = 0
        self.epoch: str | None = None
        """Which life of the counters this is, and how often they were set by the ledger since it began. In another life
        holds made before are not known. None: there are no counters, or nobody has asked yet."""
        self._kept_since: str | None = None
        """The epoch when the oldest use that is kept could not be told, or was last held against the ledger."""

    @property
    def up(self) -> bool:
        """Whether ``reserve`` is likely to be answered, by counters that know all that this process has used."""
        return self.epoch is not None and not self._breaker.is_open and not self._kept.owing

    @property
    def _reachable(self) -> bool:
        return self.epoch is not None and not self._breaker.is_open

    def is_alive(self) -> bool:
        """Whether Redis is likely to answer, whatever its counters know."""
        return not self._breaker.is_open

    def has_answered(self) -> bool:
        """Whether it has answered when it was asked last: who has just waited for it in vain need not do so again."""
        return not self._breaker.has_doubts

    @property
    def reason(self) -> str:
        """Why Redis could not be asked the last time, for a log."""
        return self._requests.reason or self._patient.reason

    @property
    def unsettled(self) -> int:
        """How many uses wait for Redis."""
        return len(self._kept)

    @property
    def lost(self) -> int:
        """How many uses could not be kept any longer. The ledger has them, the counters do not."""
        return self._kept.lost

    # ------------------------------------------------------------------ as every limiter

    async def reserve(self, ask: Ask | Rough, ttl: float) -> Verdict:
        if not self.up:
            self._mend()
            raise StoreDown("Redis is not answering" if self._breaker.is_open else REBUILDING)
        if isinstance(ask, Rough):
            alike = self._alike.get(id(ask.limited))
            if alike is None or alike.limited is not ask.limited:
                alike = self._know(ask.limited)
            subjects, operation = alike.subjects, words.reserve_easily(alike, ask, ttl)
        else:
            subjects, operation = [claim.subject for claim in ask.claims], words.reserve(ask, ttl)
        try:
            at, answer = await self._requests.submit(operation)
        except (Unanswered, asyncio.CancelledError):
            if not self._kept:
                self._kept_since = self.epoch
            self._kept.give_back(ask.ids())  # whatever comes of it, nobody will use it
            self._mend()
            raise
        if answer is False:
            raise StoreDown(REBUILDING)
        verdict = words.verdict(subjects, at, answer)
        if isinstance(verdict, Granted):
            self._living.add(ask, at)
        return verdict

    async def settle(self, uses: tuple[SettledUse, ...]) -> None:
        """What cannot be told now is kept and told later: never raises StoreDown."""
        await self.tell(uses)

    def tell(self, uses: tuple[SettledUse, ...]) -> "asyncio.Future[Any]":
        """Settles whether it is awaited or not."""
        told = [self._living.settle(use) for use in uses]
        if len(told) <= MOST:
            return self._settle(told)
        return asyncio.gather(*[self._settle(told[start : start + MOST]) for start in range(0, len(told), MOST)])

    def living(self) -> list[str]:
        """The holds that were granted here and are not settled."""
        return self._living.ids()

    def under_way(self) -> list[tuple[Hold, Ask]]:
        """The same, each with what it was asked for with."""
        return self._living.holds()

    async def renew(self, holds: tuple[str, ...], ttl: float) -> None:
        if not self._reachable:
            raise StoreDown("Redis is not answering" if self._breaker.is_open else REBUILDING)
        for start in range(0, len(holds), MOST):
            some = holds[start : start + MOST]
            if (await self._requests.submit(words.renew(some, ttl), len(some)))[1] is False:
                raise StoreDown(REBUILDING)

    async def seed(self, periods: tuple[Period, ...], *, only_empty: bool) -> None:
        for start in range(0, len(periods), MOST):
            some = periods[start : start + MOST]
            await self._patient.submit(words.seed(some, only_empty), len(some))

    async def adjust(self, differences: tuple[Period, ...]) -> None:
        for start in range(0, len(differences), MOST):
            some = differences[start : start + MOST]
            if (await self._patient.submit(words.adjust(some), len(some)))[1] is False:
                raise StoreDown(REBUILDING)

    async def counts(self, subjects: tuple[Subject, ...]) -> tuple[Count, ...]:
        counts: list[Count] = []
        for start in range(0, len(subjects), MOST):
            some = subjects[start : start + MOST]
            at, rows = await self._patient.submit(words.counts(some), len(some))
            counts += [words.count(subject, at, row) for subject, row in zip(some, rows, strict=True)]
        return tuple(counts)

    def untold(self) -> tuple[SettledUse, ...]:
        """What waits for Redis now. Who rebuilds the counters from a ledger that has all of this says ``forget``."""
        return self._kept.first(len(self._kept))

    def forget(self, uses: tuple[SettledUse, ...]) -> None:
        self._kept.let_go(uses)

    async def restore(self, holds: tuple[tuple[Hold, Ask], ...], ttl: float) -> None:
        """Makes holds again that were lost with the counters, or made without them. Raises StoreDown."""
        for start in range(0, len(holds), MOST):
            some = holds[start : start + MOST]
            await self._patient.submit(words.restore(some, ttl), len(some))

    # ------------------------------------------------------------------ its own life

    async def start(self) -> bool:
        """Whether Redis answers. If not, it is asked again and again from now on."""
        try:
            await self._patient.submit(("probe",))
        except StoreDown:
            return False
        finally:
            if not self.up:
                self._mend()
        return True

    async def begin_epoch(self) -> None:
        """Says that the counters are whole. Of several replicas that do, the first counts."""
        await self._patient.submit(("begin", secrets.token_hex(8)))

    async def close(self) -> None:
        """What is kept is tried once more. ``unsettled`` says what is left."""
        self._closed = True
        if self._mending is not None:
            self._mending.cancel()
            await asyncio.gather(self._mending, return_exceptions=True)
        if self._kept and self._reachable:
            try:
                await self._hold_against_ledger()
                await self._tell_kept()
            except StoreDown:
                log.warning("redis: %d uses were not told to the counters; the ledger has them", len(self._kept))
        await self._requests.close()
        await self._patient.close()

    # ------------------------------------------------------------------ within

    def _know(self, limited: Sequence[tuple[Subject, Limits]]) -> words.Alike:
        """Whoever asks again asks with the very same: it is kept, so that its number stays its own."""
        if len(self._alike) >= KNOWN:
            self._alike.clear()
        alike = self._alike[id(limited)] = words.Alike(limited)
        return alike

    def _settle(self, told: list[Told]) -> "asyncio.Future[None]":
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._closed or not self._reachable:
            self._keep(told, self.epoch)
            done.set_result(None)
            return done
        answered = self._requests.submit(words.settle([use for use, _ in told]), len(told))
        answered.add_done_callback(partial(self._settled, told, self.epoch, done))
        return done

    def _settled(
        self, told: list[Told], epoch: str | None, done: "asyncio.Future[None]", answered: "asyncio.Future[Answer]"
    ) -> None:
        """``epoch`` was that of the counters when they were to be told."""
        if answered.cancelled() or answered.exception() is not None or answered.result()[1] is False:
            self._keep(told, epoch)
        else:
            if self._kept:
                self._kept.remove(tuple([use for use, _ in told]))
            if epoch != self.epoch and life_of(self.epoch) != life_of(epoch):
                rooted = [one for one in told if one[1] is not None]
                if rooted:
                    self._keep(rooted, epoch)
        if not done.done():
            done.set_result(None)

    def _answered(self, epoch: str | None, at: int, before: int) -> None:
        same = epoch == self.epoch or life_of(epoch) == life_of(self.epoch)
        if epoch is not None and same and before < self._last - BACK:
            self._went_back(epoch)
        self._last = max(self._last, at) if same else at
        if epoch != self.epoch:
            if self.epoch is not None and not same:
                log.warning("redis: the counters are gone")
                self._living.uproot()
                self._kept.uproot()
            self.epoch = epoch
        self._breaker.succeed()
        self._requests.reason = self._patient.reason = ""
        self._note()
        if epoch is None:
            self._mend()

    def _went_back(self, epoch: str) -> None:
        """What Redis has is older than what it has answered: it was restored, or another one took over."""
        log.warning("redis: the counters are of an earlier time")
        self._last = 0
        forgotten = asyncio.ensure_future(self._patient.submit(("forget", epoch)))
        forgotten.add_done_callback(lambda done: done.cancelled() or done.exception())

    def _unanswered(self) -> None:
        self._breaker.fail()
        self._mend()

    def _note(self, _: bool = False) -> None:
        if self._reachable != self._was_up:
            self._was_up = self._reachable
            log.warning("redis: %s", "answers" if self._was_up else f"is away ({self.reason or REBUILDING})")
            if self._changed is not None:
                self._changed(self._was_up)

    def _keep(self, told: list[Told], epoch: str | None) -> None:
        """``epoch`` was that of the counters when they were to be told: if these were set since, it must be looked at
        what they have, whatever was kept before."""
        if not self._kept or epoch != self.epoch:
            self._kept_since = epoch
        self._kept.add(told)
        if epoch is not None and life_of(epoch) != life_of(self.epoch):
            self._kept.uproot()
        self._mend()

    def _mend(self) -> None:
        if self._mending is None and not self._closed:
            self._mending = asyncio.get_running_loop().create_task(self._mends())

    async def _mends(self) -> None:
        """Asks until there is an answer, has lost counters rebuilt, and tells what was kept."""
        try:
            while True:
                if await self._mended():
                    return
                await asyncio.sleep(self._pause)
        finally:
            self._mending = None

    async def _mended(self) -> bool:
        try:
            await self._patient.submit(("probe",))
            if self.epoch is None:
                if self._rebuild is not None:
                    await self._rebuild()
                await self.begin_epoch()
            await self._hold_against_ledger()
            await self._tell_kept()
        except StoreDown:
            return False
        except Exception:
            log.exception("redis: the counters could not be rebuilt")
            return False
        return True

    async def _hold_against_ledger(self) -> None:
        """What is kept is not told if the counters may have it from the ledger."""
        while self._kept and self._counted is not None and self._kept_since != self.epoch:
            before, self._kept_since = self._kept_since, self.epoch
            try:
                found = await self._counted(self.untold())
            except BaseException:
                self._kept_since = before
                raise
            self._kept.let_go(found)  # what came meanwhile from an earlier epoch has set it back
        self._kept_since = self.epoch

    async def _tell_kept(self) -> None:
        while uses := self._kept.first(MOST):
            told = (await self._patient.submit(words.settle(uses, self._kept_since), len(uses)))[1]
            if told is False:
                raise StoreDown(REBUILDING)
            if told == words.OTHERWISE:
                await self._hold_against_ledger()
            else:
                self._kept.remove(uses)


def life_of(epoch: str | None) -> str | None:
    return None if epoch is None else epoch.partition(":")[0]
