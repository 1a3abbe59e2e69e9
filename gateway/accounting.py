"""What is kept of who may ask and of what was asked, beside the requests: the directory follows the record, counters
follow the ledger, and the ledger what processes that died have left.

Requests see the directory, the spool and the counters, which answer at once; everything here waits in their place.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

from adapters.types import Usage
from gateway.control.conservation import FIELDS, InFlight, settled
from gateway.directory import Directory
from gateway.ledger.cost import RateTable, cost
from gateway.ledger.entry import Begun
from gateway.ledger.recovery import Likely
from gateway.ledger.writer import Writer
from gateway.limits.types import Count, Limiter, Period, Scope, Subject
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.record import Record
from gateway.store.sql.rows import SecretRow
from gateway.types import Clock

log = logging.getLogger("gateway.accounting")

POLL = 0.5
"""Seconds between two looks at the record for changes that others have made."""

LAST = 32
"""Answers of a target that are looked at to judge what another has come to."""

BYTES_PER_TOKEN = 4
USUAL = 256
"""Tokens of an answer of which nothing is known."""

FLUSH = 5.0
"""Seconds that entries under way to SQL are waited for."""


class Follower:
    """Keeps the directory as the record is. ``limited`` hears whose limits have changed."""

    def __init__(
        self, record: Record, directory: Directory, limited: Callable[[set[Subject]], Awaitable[None]]
    ) -> None:
        self._record = record
        self._directory = directory
        self._limited = limited
        self._last = 0
        self._news = asyncio.Event()
        self._turn = asyncio.Lock()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """All of it, before anybody asks."""
        secrets: dict[bytes, SecretRow] = {}
        async with self._record.snapshot() as snapshot:
            async for rows in snapshot.secrets():
                secrets.update({row.digest: row for row in rows})
            self._directory.load(await snapshot.teams(), secrets, await snapshot.limits(), await snapshot.admins())
            self._last = snapshot.last
        self._task = asyncio.create_task(self._run())

    def hear(self) -> None:
        """Somebody says that there are changes."""
        self._news.set()

    async def catch_up(self) -> None:
        """What has changed until now is known when this returns. Raises RecordDown."""
        async with self._turn:
            while True:
                changes = await self._record.changes_since(self._last)
                if changes.last != self._last:
                    self._directory.change(changes.teams, changes.secrets, changes.limits, changes.admins)
                    self._last = changes.last
                    await self._limited({Subject(row.scope, row.subject) for row in changes.limits})
                if not changes.more:
                    return

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        away = False
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL):
                    await self._news.wait()
            self._news.clear()
            try:
                await self.catch_up()
            except Exception as error:
                if not away:
                    log.error("changes of keys and limits cannot be looked up (%s)", type(error).__name__)
                away = True
            else:
                away = False


class Counters:
    """What limiters count, held against the ledger: it is right, and they are set by it. What an audit asks of a
    gateway that runs."""

    def __init__(
        self, ledger: LedgerStore, writer: Writer, limiter: Limiter, directory: Directory, clock: Clock
    ) -> None:
        self._ledger = ledger
        self._writer = writer
        self._limiter = limiter
        self._directory = directory
        self._clock = clock

    def spooled(self) -> int:
        return self._writer.pending

    async def counters(self) -> tuple[Count, ...]:
        """Of all who have limits, and have used something in this day or month."""
        await self._writer.flush(FLUSH)
        return await self._limiter.counts(tuple([period.subject for period in await self.periods()]))

    async def in_flight(self) -> InFlight:
        """Of the scope in which the most is reserved: a call is reserved in each that has limits."""
        nano: Counter[Scope] = Counter()
        tokens: Counter[Scope] = Counter()
        for count in await self.counters():
            nano[count.used.subject.scope] += count.reserved_nano_month
            tokens[count.used.subject.scope] += count.reserved_tokens_day
        return InFlight(max(nano.values(), default=0), max(tokens.values(), default=0))

    async def seed(self, periods: tuple[Period, ...]) -> None:
        await self._limiter.seed(periods, only_empty=False)

    async def seed_all(self, *, only_empty: bool) -> None:
        """Sets what was used of everybody's budgets in this day and month. Raises StoreDown and RecordDown."""
        await self._limiter.seed(await self.periods(), only_empty=only_empty)

    async def periods(self) -> tuple[Period, ...]:
        """What all who have limits have used in this day and month, as the ledger has it. Raises RecordDown."""
        limited = self._directory.limited
        found = await self._ledger.periods(self.now_ms(), self._directory.may_be_limited())
        return tuple([one for one in found if limited(one.subject.scope, one.subject.name) is not None])

    async def seed_these(self, subjects: set[Subject]) -> None:
        """The same of those whose limits are new, and of whom nothing is counted yet. What is under way meanwhile is
        found by ``raise_up``."""
        now = self.now_ms()
        periods = [await self._ledger.period(subject, now) for subject in subjects]
        await self._limiter.seed(tuple(periods), only_empty=True)

    async def raise_up(self, may: Callable[[], bool] = lambda: True) -> None:
        """Adds what the ledger has and the counters have not. Where they have more it is left to an audit: some of what
        was used may still be on its way to SQL, from a replica that cannot reach it. The same holds for a moment of all
        that has just ended, so of several looks the one counts in which the least was missing. ``may`` is asked, at
        last, whether there is still time for it."""
        _, found = await settled(self._ledger, self, asyncio.sleep)
        now = self.now_ms()
        short = [
            Period(subject, now, *[max(0, right - has) for right, has in (fields.get(name, (0, 0)) for name in FIELDS)])
            for subject, fields in found.items()
        ]
        missing = tuple([one for one in short if one.tokens_day or one.nano_day or one.nano_month])
        if missing and may():
            log.warning("counters of %d budgets had fallen behind the ledger", len(missing))
            await self._limiter.adjust(missing)

    def now_ms(self) -> int:
        return int(self._clock.wall() * 1000)


class Judging:
    """What legs are taken to have come to of which nobody knows the end: what their targets' last answers did."""

    def __init__(self, ledger: LedgerStore, rates: Callable[[str], RateTable | None]) -> None:
        self._ledger = ledger
        self._rates = rates

    async def likely(self, begun: Begun) -> Likely:
        last = await self._ledger.last_of(begun.target, LAST)
        read, written = [one for one, _ in last], [other for _, other in last]
        same = bool(read) and min(read) == max(read)
        input = read[0] if same else -(-begun.size // BYTES_PER_TOKEN)
        output = round(sum(written) / len(written)) if written else begun.most or USUAL
        if begun.most:
            output = min(output, begun.most)
        rates = self._rates(begun.target)
        return Likely(input, output, None if rates is None else cost(rates.at(begun.at), Usage(input, output)))
