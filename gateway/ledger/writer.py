"""Moves what has ended from the spool to SQL, a batch at a time, for as long as it takes."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.ledger.entry import Entry
from gateway.store.spool import Batch, Reader, Spool

MOST = 2000
"""Entries of one batch, about."""

LEAST = 50
"""... of one that is tried again: what took too long may have been too much at once."""

MOST_HELD = 100_000
"""Entries that end, at most, from a flush to a hold."""

DELAY = 0.2
"""Seconds that the first entry waits for others."""

PAUSES = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
"""Seconds between attempts while SQL is away; the last of them again and again."""

log = logging.getLogger("gateway.ledger")


class LedgerStore(Protocol):
    async def write(self, entries: Sequence[Entry]) -> object:
        """All of them or none; an entry that is there already stays as it is. What it returns is not looked at."""


class Writer:
    """The only one who reads this spool. ``wall`` is in seconds since 1970."""

    def __init__(
        self,
        spool: Spool,
        store: LedgerStore,
        wall: Callable[[], float],
        *,
        most: int = MOST,
        delay: float = DELAY,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self._spool = spool
        self._store = store
        self._wall = wall
        self._most = most
        self._delay = delay
        self._pauses = pauses
        self._reader = Reader(spool)
        self._some = asyncio.Event()  # something has ended
        self._hurry = asyncio.Event()  # somebody waits
        self._moved = asyncio.Condition()
        self._may = asyncio.Event()  # write
        self._may.set()
        self._moving = asyncio.Lock()
        self._batch: Batch | None = None
        self._task: asyncio.Task[None] | None = None
        self.down = False
        """Whether SQL took nothing the last time."""

    def start(self) -> None:
        self._spool.wake = self._some.set
        if self._spool.pending:
            self._some.set()
        self._task = asyncio.create_task(self._run())

    async def flush(self, seconds: float) -> bool:
        """Waits until all that has ended by now is in SQL; False if it is not after so many seconds."""
        goal = self._spool.ended
        self._hurry.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._moved:
                await self._moved.wait_for(lambda: self._spool.written >= goal)
        return self._spool.written >= goal

    async def hold(self, seconds: float) -> frozenset[str] | None:
        """Brings all that has ended to SQL, and nothing more until ``release``: then the ledger stands still, as far as
        this process is concerned. The ids of entries that have ended meanwhile and are not in it; None if SQL could
        not be reached in so many seconds."""
        if self._may.is_set() and not await self.flush(seconds):
            return None
        self._may.clear()
        async with self._moving:
            return frozenset([entry.id for entry in (await self._reader.batch(MOST_HELD)).entries])

    async def unwritten(self) -> frozenset[str]:
        """The ids of entries that have ended and are not in SQL for certain: of those that are being written nobody
        knows. None of them where the spool cannot be read just now."""
        doubtful, before = self._in_hand(), self._spool.written
        try:
            ended = (await self._reader.batch(MOST_HELD)).entries
        except (OSError, ValueError):  # it moves on meanwhile
            return frozenset()
        if self._spool.written > before + len(doubtful):
            return frozenset()
        return frozenset([entry.id for entry in ended]) - doubtful - self._in_hand()

    def _in_hand(self) -> frozenset[str]:
        return frozenset() if self._batch is None else frozenset([entry.id for entry in self._batch.entries])

    def release(self) -> None:
        self._may.set()

    async def close(self, seconds: float) -> bool:
        """Flushes for so many seconds. What is not in SQL by then is left in the spool, for the next start."""
        self.release()
        done = await self.flush(seconds)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self._spool.wake = lambda: None
        return done

    # ------------------------------------------------------------------ figures

    @property
    def lag_seconds(self) -> float:
        """For how long the oldest entry that is being written has waited."""
        if self._batch is None or not self._batch.entries:
            return 0.0
        first = self._batch.entries[0]
        return max(0.0, self._wall() - first.at / 1e6 - first.duration / 1e3)

    @property
    def pending(self) -> int:
        return self._spool.pending

    @property
    def spool_bytes(self) -> int:
        return self._spool.size

    @property
    def written_total(self) -> int:
        """Entries of this process that are in SQL."""
        return self._spool.written

    # ------------------------------------------------------------------ the task

    async def _run(self) -> None:
        while True:
            await self._some.wait()
            self._some.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._delay):
                    await self._hurry.wait()
            self._hurry.clear()
            full = True
            while full and self._spool.pending:  # what comes meanwhile waits for others: small batches cost the most
                try:
                    await self._may.wait()
                    async with self._moving:
                        full = await self._move()
                except Exception as error:
                    log.error("the spool cannot be read (%s)", error)
                    await asyncio.sleep(self._pauses[-1])
            if self._spool.pending:
                self._some.set()

    async def _move(self) -> bool:
        """Whether there may be as much again."""
        self._batch = await self._reader.batch(self._most)
        full = len(self._batch.entries) >= self._most
        await self._write(self._batch.entries)
        await self._reader.advance(self._batch)
        self._batch = None
        async with self._moved:
            self._moved.notify_all()
        return full

    async def _write(self, entries: Sequence[Entry]) -> None:
        failures, size = 0, len(entries)
        while entries:
            try:
                await self._store.write(entries[:size])
            except Exception as error:
                if not self.down:
                    log.error("the ledger takes no entries (%s); they wait in the spool", type(error).__name__)
                self.down = True
                await asyncio.sleep(self._pauses[min(failures, len(self._pauses) - 1)])
                failures, size = failures + 1, min(size, max(LEAST, size // 2))
            else:
                if self.down:
                    log.warning("the ledger takes entries again; %d wait", self._spool.pending)
                self.down = False
                entries, size = entries[size:], size * 2
