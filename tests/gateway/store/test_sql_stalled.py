"""PostgreSQL behind a way on which a connection goes silent: the ledger does not wait for it."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from gateway.ledger.writer import Writer
from gateway.store.spool import Spool
from gateway.store.sql.engine import SECONDS, Database, RecordDown, database_url
from gateway.store.sql.ledger import LedgerStore
from tests.faults.kinds import Fault, Garbage, Silence
from tests.faults.proxy import Proxy, proxied
from tests.faults.schedule import Schedule, Share
from tests.gateway.ledger.legs import begun, ended, entry
from tests.servers.postgres import PASSWORD, binaries, postgres, template

pytestmark = pytest.mark.skipif(not binaries(), reason="PostgreSQL is not installed")

BOUND = 0.5
HANGING_UP = 2.5
"""Seconds that it takes to give up a connection in order, and a busy machine."""

STALLS: dict[str, Callable[[random.Random], Fault]] = {
    "unheard": lambda _: Silence(),
    "heard": lambda _: Silence(heard=True),
    "garbage": Garbage,
}


class Stalled:
    """A way that is stalled by the n-th exchange, and by every one that follows on its connection."""

    def __init__(self, proxy: Proxy, name: str) -> None:
        self.proxy = proxy
        address = f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxy.port}/{name}"
        self.database = Database(database_url(address, Path()), seconds=BOUND)
        self.ledger = LedgerStore(self.database)


@asynccontextmanager
async def stalled() -> AsyncIterator[Stalled]:
    server = postgres()
    name = await server.create(await asyncio.to_thread(template))
    try:
        async with proxied(server.port) as proxy:
            made = Stalled(proxy, name)
            yield made
            proxy.schedule = None
            await made.database.close()
    finally:
        await server.drop(name)


@pytest.fixture
async def way() -> AsyncIterator[Stalled]:
    async with stalled() as made:
        yield made


def at(nth: int, make: Callable[[random.Random], Fault]) -> Schedule:
    """Only the n-th exchange from now meets it."""

    class Once(Schedule):
        def next(self) -> Fault:
            nonlocal nth
            nth -= 1
            return make(random.Random(nth)) if nth == 0 else Fault()

    return Once(0, [Share(0, make)])


@pytest.mark.parametrize("stall", STALLS)
async def test_entries_arrive_once_wherever_it_stalls(stall: str, tmp_path: Path) -> None:
    """Before the connection is used again, where the transaction begins, in its middle, and at its end: each on a way
    and in a database of its own, all at once, since they mostly wait."""
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(stalled()) for _ in range(6)]
        await asyncio.gather(
            *[arrive_once(way, at(nth, STALLS[stall]), tmp_path / str(nth)) for nth, way in enumerate(ways, 1)]
        )


async def arrive_once(way: Stalled, schedule: Schedule, folder: Path) -> None:
    spool = Spool(folder, time.monotonic)
    writer = Writer(spool, way.ledger, time.time, delay=0.01, pauses=(0.01, 0.1))
    writer.start()
    try:
        spool.begin(begun(0))
        spool.end(ended(0))
        assert await writer.flush(10)
        way.proxy.schedule = schedule
        before = time.monotonic()
        for place in range(1, 200):
            spool.begin(begun(place))
            spool.end(ended(place))
        assert await writer.flush(30)
        assert time.monotonic() - before < 10 * (BOUND + HANGING_UP)
    finally:
        assert await writer.close(10)
        spool.close()
    pool: Any = way.database.engine.sync_engine.pool
    assert pool.checkedout() == 0, schedule
    assert await way.ledger.totals() == (200, sum(entry(place).cost or 0 for place in range(200))), schedule
    assert await way.ledger.rollup_drift() == [], schedule


async def test_it_is_given_up_after_its_time(way: Stalled) -> None:
    await way.ledger.write([entry(1)])
    way.proxy.schedule = at(1, STALLS["heard"])
    before = time.monotonic()
    with pytest.raises(RecordDown, match="cannot be asked"):
        await way.ledger.write([entry(2)])
    assert BOUND <= time.monotonic() - before < BOUND + HANGING_UP + 5
    await way.ledger.write([entry(2)])
    assert (await way.ledger.totals())[0] == 2
    assert Database(str(way.database.engine.sync_engine.url))._seconds == SECONDS == 30
