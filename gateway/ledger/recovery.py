"""What processes that died have left behind: brought into the record by those that live."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from gateway.ledger.entry import Begun, Ended, Entry, Spent
from gateway.ledger.writer import LedgerStore
from gateway.limits.types import SettledUse
from gateway.store.alive import Alive
from gateway.store.spool import Adopted, adopt

AT_ONCE = 2000
"""Entries that are written together."""

TURN = 200
"""Records that are read without letting others have their turn: about a millisecond."""

log = logging.getLogger("gateway.ledger")

Settle = Callable[[tuple[SettledUse, ...]], Awaitable[None]]


class Likely(Struct, frozen=True):
    """What a leg of which nobody knows the end is taken to have come to; ``cost`` in nano-dollars, None if its price is
    not known."""

    input: int
    output: int
    cost: int | None


Judge = Callable[[Begun], Awaitable[Likely]]


class Recovered(Struct, frozen=True):
    """``entries`` are not known to be in SQL. ``uses`` are what legs came to whose holds may not have been settled; of
    those that are in SQL nothing but the hold is given back, for the counters may have been set by the ledger since."""

    entries: tuple[Entry, ...]
    uses: tuple[SettledUse, ...]


async def recover(adopted: Adopted, judge: Judge, at_once: int = AT_ONCE) -> AsyncIterator[Recovered]:
    """All that has ended; then, of what has begun only, what it was likely to come to. Others have their turn now and
    then."""
    open_legs: dict[str, list[Begun]] = {}
    entries: list[Entry] = []
    uses: list[SettledUse] = []

    def full() -> bool:
        return len(entries) >= at_once or len(uses) >= at_once

    def taken() -> Recovered:
        found = Recovered(tuple(entries), tuple(uses))
        entries.clear()
        uses.clear()
        return found

    for number, (record, written) in enumerate(adopted.records()):
        if number % TURN == 0:
            await asyncio.sleep(0)
        if isinstance(record, Begun):
            begun = open_legs.setdefault(record.leg, [])
            if record not in begun:  # records are copied when old segments are let go of
                begun.append(record)
            continue
        open_legs.pop(record.leg, None)
        uses.append(SettledUse(record.leg, 0, 0) if written else use(record))
        if not written:
            entries += record.entries
        if full():
            yield taken()
    for leg, begun in open_legs.items():
        ended = Ended(leg, interrupted(begun, await judge(begun[-1])))
        uses.append(use(ended))
        entries += ended.entries
        if full():
            yield taken()
    if entries or uses:
        yield taken()


def use(ended: Ended) -> SettledUse:
    entries = ended.entries
    return SettledUse(
        ended.leg, sum([one.input + one.output for one in entries]), sum([one.cost or 0 for one in entries])
    )


NOTHING = Spent(1, 0, 0, 0)


def interrupted(begun: list[Begun], likely: Likely) -> tuple[Entry, ...]:
    """The entries of a leg of which nobody said how it ended. The target that it asked last is taken to have done what
    was expected of it; what those before it came to was noted when the leg went on. Their ids are theirs alone, and the
    same each time."""
    spent = [following.before or NOTHING for following in begun[1:]]
    spent.append(Spent(1, likely.input, likely.output, likely.cost))
    return tuple([_entry(one, place, place == len(begun) - 1, spent[place]) for place, one in enumerate(begun)])


def is_made(id: str) -> bool:
    """Whether an entry of this id was made here, of a leg of which nobody said how it ended."""
    return id.rpartition(".")[2].startswith("i")


def _entry(begun: Begun, place: int, last: bool, spent: Spent) -> Entry:
    return Entry(
        id=f"{begun.leg}.i{place}",
        at=begun.at,
        request=begun.request,
        team=begun.team,
        key=begun.key,
        user=begun.user,
        model=begun.model,
        target=begun.target,
        outcome="interrupted" if last else "failed",
        requests=int(last),
        calls=spent.calls,
        input=spent.input,
        output=spent.output,
        cached=None,
        cache_write=None,
        reasoning=None,
        cost=spent.cost,
        estimated=True,
        duration=0,
        first_token=None,
    )


class Recovery:
    """Looks for the dead at the start, and again and again: of several processes on one folder, one may die."""

    def __init__(
        self, folder: Path, alive: Alive, store: LedgerStore, settle: Settle, judge: Judge, pause: float = 5.0
    ) -> None:
        """``pause`` is in seconds. ``settle`` may be called again with the same uses."""
        self._folder = folder
        self._alive = alive
        self._store = store
        self._settle = settle
        self._judge = judge
        self._pause = pause
        self._task: asyncio.Task[None] | None = None
        self.entries = 0
        """Written since the start."""

    async def once(self) -> int:
        """Brings all there is into SQL, and deletes it; how many entries that were. What the store or ``settle`` raises
        is raised, and the rest left for the next time."""
        before = self.entries
        for adopted in adopt(self._folder, self._alive):
            try:
                async for found in recover(adopted, self._judge):
                    if found.entries:
                        await self._store.write(found.entries)
                        self.entries += len(found.entries)
                    await self._settle(found.uses)
                adopted.delete()
            finally:
                adopted.release()
        return self.entries - before

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        down = False
        while True:
            try:
                found = await self.once()
            except Exception as error:
                if not down:
                    log.error("what a dead process left cannot be recovered now (%s)", type(error).__name__)
                down = True
            else:
                down = False
                if found:
                    log.warning("%d entries of a process that died are in the ledger", found)
            await asyncio.sleep(self._pause)
