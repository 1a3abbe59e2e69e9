"""Makes what is kept beside the requests, starts it and closes it: record, directory, counters, spool and ledger."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.accounting import FLUSH, Counters, Follower, Judging
from gateway.caching.entry import Kept
from gateway.caching.local import LocalCache
from gateway.caching.store import CacheStore
from gateway.config import Config
from gateway.config.model import AllLimits
from gateway.config.rules import defaults_of, views_of
from gateway.control.local import LocalControl
from gateway.control.types import Actor, Control
from gateway.counting import LIFE, LocalCounting, Policy, SharedCounting
from gateway.directory import Directory
from gateway.ledger.cost import RateTable
from gateway.ledger.entry import Entry
from gateway.ledger.recovery import Recovery, is_made
from gateway.ledger.writer import Writer
from gateway.limits.local import LocalLimiter
from gateway.limits.types import Limiter, SettledUse, StoreDown, Subject
from gateway.metering import Accounts
from gateway.metrics import Recording
from gateway.settings import Settings
from gateway.sharing.elsewhere import LEASE, Elsewhere
from gateway.sharing.share import Share
from gateway.store.spool import Spool
from gateway.store.sql.change import Change
from gateway.store.sql.engine import Database, RecordDown, database_url
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.record import Record
from gateway.types import Clock

if TYPE_CHECKING:
    from gateway.store.redis.store import RedisStore

log = logging.getLogger("gateway.accounting")

CHANNEL = "changes"
"""On which replicas tell each other that the record has changed."""

JOINED = b"joined"
"""... or that there is one more of them."""

LOST = b"lost"
"""... or that the counters are gone: those who have not asked for a while do not know."""

STILL = 10.0
"""Seconds that a ledger stands still, at most, while counters are filled from it."""

SHARING = "set GATEWAY_REDIS_URL for both, or stop one"

MINUTE = 60.0

BEAT = 1.0
"""Seconds between two heartbeats of a replica."""

PATIENCE = 6.0
"""Seconds that a start waits for counters in Redis that are being rebuilt."""

LAG = 5.0
"""Seconds that other replicas are given to bring what has ended to SQL, before counters are filled from it."""

BASELINE = 15.0
"""Seconds between two looks at what the ledger says was used, for the time when Redis is away."""

SOON = (1.0, 2.0, 7.0)
"""Seconds between looks at whether counters have all that the ledger has, after something has changed."""

TURN = 10.0
"""Seconds that one replica has to add what is missing in counters; others leave it to that one meanwhile."""

NOW_AND_THEN = 60.0
"""Seconds between two looks at all counters."""


class Announcing(Record):
    """A record that tells of its changes, before whoever made one is answered."""

    def __init__(self, database: Database, wall: Callable[[], float], announce: Callable[[], Awaitable[None]]) -> None:
        super().__init__(database, wall)
        self._announce = announce

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Change]:
        async with super().changing() as change:
            yield change
        await self._announce()


class Telling:
    """A ledger for what processes that died have left. What is only now known to have ended was counted by none."""

    def __init__(self, ledger: LedgerStore, metrics: Recording) -> None:
        self._ledger = ledger
        self._metrics = metrics

    async def write(self, entries: Sequence[Entry]) -> None:
        await self._ledger.write(entries)
        for entry in entries:
            if is_made(entry.id):
                self._metrics.recovered(entry)


class Bookkeeping:
    """One process's. Until ``start`` nothing is opened but the spool, whose folder must be writable."""

    def __init__(
        self,
        config: Config,
        settings: Settings,
        clock: Clock,
        rates: Callable[[str], RateTable | None],
        metrics: Recording,
    ) -> None:
        """``rates`` are those of a target, by its name. Raises RecordError and SpoolFull."""
        self._clock = clock
        state = Path(settings.state_dir)
        self._database = Database(database_url(settings.database_url, state))
        self._record = Announcing(self._database, clock.wall, self._announce)
        self._ledger = LedgerStore(self._database)
        self._configured = views_of(config.limits)
        self.directory = Directory(defaults_of(config.limits))
        self.spool = Spool(state, clock.steady, config.ledger.spool_bytes)
        self._writer = Writer(self.spool, self._ledger, clock.wall)
        self._redis = None if settings.redis_url is None else self._open_redis(settings.redis_url)
        self.cache: CacheStore = (
            LocalCache(config.cache.max_bytes, clock.steady)
            if self._redis is None
            else self._redis.cache(config.cache.max_bytes, self.spool.alive.name)
        )
        self._replicas = 1
        self._seen: list[tuple[float, int]] = []
        self._limiter, self.counting = self._counting(config.limits.on_store_failure)
        self._counters = Counters(self._ledger, self._writer, self._limiter, self.directory, clock)
        self._follower = Follower(self._record, self.directory, self._limits_changed)
        judge = Judging(self._ledger, rates).likely
        told = Telling(self._ledger, metrics)
        self._recovery = Recovery(self.spool.folder, self.spool.alive, told, self._recovered, judge)
        self.accounts = Accounts(clock, self.spool, self.counting.settle, config.ledger.on_full == "refuse", metrics)
        self._show(metrics)
        self._tasks: set[asyncio.Task[object]] = set()
        self._moving_on: asyncio.TimerHandle | None = None
        self._beat = asyncio.Event()
        self._following = False

    def _show(self, metrics: Recording) -> None:
        """What is looked at now and then."""
        writer, spool, watch = self._writer, self.spool, metrics.watch
        watch("gateway_ledger_lag_seconds", lambda: writer.lag_seconds)
        watch("gateway_ledger_pending", lambda: writer.pending)
        watch("gateway_ledger_written_total", lambda: writer.written_total)
        watch("gateway_spool_bytes", lambda: writer.spool_bytes)
        watch("gateway_spool_capacity_bytes", lambda: spool.most_bytes)
        watch("gateway_spool_full_ratio", lambda: writer.spool_bytes / spool.most_bytes)
        watch("gateway_sql_up", lambda: not writer.down)
        if isinstance(self.cache, LocalCache):
            cache = self.cache
            watch("gateway_cache_bytes", lambda: cache.bytes)
            watch("gateway_cache_entries", lambda: cache.entries)
        if self._redis is not None:
            limiter = self._redis.limiter
            watch("gateway_redis_up", lambda: limiter.up)
            watch("gateway_unsettled", lambda: limiter.unsettled)
            watch("gateway_unsettled_lost_total", lambda: limiter.lost)

    def control(self, actor: Actor) -> Control:
        """What an operator may do."""
        return LocalControl(
            self._record, self._ledger, actor, self._counters, lambda: self._configured, lambda: self.cache
        )

    def elsewhere(self, kept: Callable[[Share], Awaitable[Kept | None]]) -> Elsewhere | None:
        """Through which calls that are under way are shared with other processes; None where there is no Redis."""
        if self._redis is None:
            return None
        name = self.spool.alive.name
        return Elsewhere(name, self._redis.leases(name, LEASE), self._redis, self._clock, kept)

    def configure(self, limits: AllLimits, kept_bytes: int) -> None:
        """``routing.yaml`` says something else now of limits, and of the bytes of answers that are kept. Who had no
        limits before has used something all the same: that is added from the ledger within seconds."""
        self.cache.configure(kept_bytes)
        self._configured = views_of(limits)
        self.directory.configure(defaults_of(limits))
        if isinstance(self.counting, SharedCounting):
            self.counting.policy = limits.on_store_failure
        if self._following:
            self._begin(self._look_soon())

    async def start(self) -> None:
        """The directory is whole, what was left behind is recovered, and the counters are set, when this returns.
        Raises RecordDown."""
        await self._follower.start()
        self._writer.start()
        await self._recovery.once()
        if self._redis is not None:
            await self._shared_counters(self._redis)
        if self._redis is None:
            if self.spool.alive.others():
                log.warning(
                    "another gateway runs on %s, and each lets in as much as all may: %s",
                    self.spool.folder.parent,
                    SHARING,
                )
            await self._counters.seed_all(only_empty=False)
        self._recovery.start()
        self._following = True
        self._begin(self._look_after())
        if self._redis is not None:
            self._begin(self._look_soon())
        if self._redis is not None and isinstance(self.counting, SharedCounting):
            self._redis.listen(CHANNEL, self._hear, self._joined)
            with suppress(StoreDown):
                await self._redis.publish(CHANNEL, JOINED)
            self.counting.start()
            self._begin(self._be_counted(self._redis))
            self._begin(self._know_shares(self.counting))

    async def close(self) -> None:
        """What has ended is brought to SQL, if that is possible soon; what is not is left in the spool."""
        self._following = False
        for task in list(self._tasks):
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._follower.close()
        await self._recovery.close()
        if self._redis is not None and isinstance(self.counting, SharedCounting):
            await self.counting.close()
            with suppress(StoreDown):
                await self._redis.leave(self.spool.alive.name)
            await self._redis.close()
        await self._writer.close(FLUSH)
        self.spool.close()
        await self._database.close()

    # ------------------------------------------------------------------ within

    def _open_redis(self, url: str) -> "RedisStore":
        from gateway.store.redis.store import RedisStore  # here: redis-py is 13 MB, for those who have a Redis

        return RedisStore(url, self._rebuild, self._redis_changed, self._counted)

    def _counting(self, policy: Policy) -> tuple[Limiter, LocalCounting | SharedCounting]:
        """Who counts: Redis where there is one, else this process."""
        if self._redis is None:
            local = LocalLimiter(self._now_ms)
            return local, LocalCounting(local)
        shared = self._redis.limiter
        return shared, SharedCounting(shared, policy, self._now_ms, lambda: self._replicas)

    async def _announce(self) -> None:
        """Never fails: what is announced has happened, and all find it by looking, too."""
        try:
            await self._follower.catch_up()
        except Exception as error:
            log.error("a change is known here only when it is looked for again (%s)", type(error).__name__)
            self._follower.hear()
        if self._redis is not None:
            with suppress(StoreDown):
                await self._redis.publish(CHANNEL, b"")

    async def _rebuild(self) -> None:
        """Redis has come back empty. One replica fills it from the ledger, once nobody brings anything to it any more;
        what ends meanwhile is told to Redis afterwards. Raises StoreDown where it must be tried again."""
        assert self._redis is not None
        redis, name = self._redis, self.spool.alive.name
        others = max(self._replicas, await redis.publish(CHANNEL, LOST))
        held = await self._writer.hold(FLUSH)
        if self._moving_on is not None:  # of an attempt before: it would come too early
            self._moving_on.cancel()
        self._moving_on = asyncio.get_running_loop().call_later(STILL, self._writer.release)
        assert isinstance(self.counting, SharedCounting)
        await redis.limiter.restore(self.counting.under_way(), LIFE)
        if held is None:
            raise StoreDown("the ledger cannot be read")
        redis.limiter.forget(not_of(redis.limiter.untold(), held))
        still = await redis.stand_still(name, STILL)
        if not await redis.claim("rebuilding", name, STILL):
            return await self._await_counters(redis, STILL)
        end = asyncio.get_running_loop().time() + LAG
        while still < others and asyncio.get_running_loop().time() < end:
            await asyncio.sleep(0.02)
            still = await redis.stand_still(name, STILL)
        log.info("redis: counters are filled from the ledger; %d of %d replicas stand still", still, others)
        await self._counters.seed_all(only_empty=False)

    async def _counted(self, uses: tuple[SettledUse, ...]) -> tuple[SettledUse, ...]:
        """Those that the ledger may have had when another replica set the counters by it. What of them it had not yet
        is added when it is looked at again."""
        found = not_of(uses, await self._writer.unwritten())
        if found:
            log.info("redis: of %d uses that were not told, %d are left to the ledger", len(uses), len(found))
            if self._following:
                self._begin(self._look_soon())
        return found

    async def _await_counters(self, redis: "RedisStore", seconds: float) -> None:
        """Until another replica has filled them. Raises StoreDown if none does."""
        end = asyncio.get_running_loop().time() + seconds
        while redis.limiter.epoch is None:
            if asyncio.get_running_loop().time() > end:
                raise StoreDown("the counters are not whole")
            await asyncio.sleep(0.02)
            await redis.start()

    def _redis_changed(self, up: bool) -> None:
        """When it is there again, what was lost of it shows within seconds."""
        if up:
            self._writer.release()
            self._begin(self._look_soon())

    async def _be_counted(self, redis: "RedisStore") -> None:
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(BEAT):
                    await self._beat.wait()
            self._beat.clear()
            await self._count_in(redis)
            await redis.start()  # who has no calls would not notice that the counters are gone

    async def _shared_counters(self, redis: "RedisStore") -> None:
        """They are whole when this returns, if Redis is there at all."""
        if not await redis.start():
            why = redis.limiter.reason
            log.warning("redis: is away (%s); until it answers, limits are kept as limits.on_store_failure says", why)
        else:
            await self._count_in(redis)
            with suppress(TimeoutError):
                async with asyncio.timeout(PATIENCE):
                    while not redis.limiter.up:  # noqa: ASYNC110 - it is rebuilt by others as well as by us
                        await asyncio.sleep(0.01)

    async def _count_in(self, redis: "RedisStore") -> None:
        """One more among the replicas, and how many they are: the most of the last minute, for one that is not heard
        may yet serve, and a Redis that has lost its memory knows of none."""
        with suppress(StoreDown):
            found, now = await redis.heartbeat(self.spool.alive.name, 3 * BEAT), self._clock.steady()
            self._seen = [(when, many) for when, many in self._seen if when > now - MINUTE and many > found]
            self._seen.append((now, found))
            self._replicas = max(many for _, many in self._seen)

    async def _know_shares(self, counting: SharedCounting) -> None:
        """Where this replica's share of a budget begins, should Redis go away."""
        while True:
            with suppress(RecordDown):
                counting.known(await self._counters.periods())
            await asyncio.sleep(BASELINE)

    async def _limits_changed(self, subjects: set[Subject]) -> None:
        if subjects:
            with suppress(StoreDown):  # all are filled when it comes back
                await self._counters.seed_these(subjects)
            self._begin(self._look_soon())

    async def _look_soon(self) -> None:
        for pause in SOON:
            await asyncio.sleep(pause)
            with suppress(StoreDown, RecordDown):  # it is looked again
                await self._raise_up()

    async def _raise_up(self) -> None:
        """Two replicas that find the same missing would both add it: so one at a time looks, and adds."""
        redis, clock = self._redis, self._clock.steady
        if redis is None:
            await self._counters.raise_up()
            return
        if not await redis.claim("raising", self.spool.alive.name, TURN):
            return
        end = clock() + TURN / 2
        try:
            await self._counters.raise_up(lambda: clock() < end)
        finally:
            if clock() < end:  # else it may be another's by now
                await redis.give_up("raising")

    async def _recovered(self, uses: tuple[SettledUse, ...]) -> None:
        """What a process that died has used: also what Redis may never have heard of."""
        await self._limiter.settle(uses)
        if self._following:
            self._begin(self._look_soon())

    def _hear(self, message: bytes) -> None:
        """Another replica says something."""
        if message == LOST:
            if self._redis is not None and self._redis.limiter.epoch is not None:
                self._begin(self._redis.start())
        elif message == JOINED:
            self._joined()
        else:
            self._follower.hear()

    def _joined(self) -> None:
        """There is one more who hears, we or another: all who have said that they are there are counted."""
        self._follower.hear()
        self._beat.set()

    async def _look_after(self) -> None:
        while True:
            await asyncio.sleep(NOW_AND_THEN)
            try:
                await self._raise_up()
            except Exception as error:
                log.error("counters cannot be held against the ledger now (%s)", type(error).__name__)

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("counters cannot be held against the ledger now (%s)", type(error).__name__)

    def _now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


def not_of(uses: tuple[SettledUse, ...], entries: frozenset[str]) -> tuple[SettledUse, ...]:
    """The uses of legs that have none of these entries."""
    legs = {id.rpartition(".")[0] for id in entries}
    return tuple([use for use in uses if use.id not in legs])
