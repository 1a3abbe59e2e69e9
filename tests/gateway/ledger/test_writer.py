"""What has ended reaches SQL, in batches, also after SQL was away; and what a dead process left, once."""

import asyncio
import logging
import random
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from gateway.ledger.entry import Spent
from gateway.ledger.recovery import Recovery
from gateway.ledger.writer import Writer
from gateway.limits.types import SettledUse, StoreDown
from gateway.store.spool import Spool
from tests.gateway.ledger import killed_child, recovering_child
from tests.gateway.ledger.legs import begun, ended, entry, judge, leg
from tests.gateway.ledger.stores import Table

ROOT = Path(__file__).parents[3]


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(tmp_path / "sql")


class Running:
    def __init__(self, spool: Spool, writer: Writer) -> None:
        self.spool = spool
        self.writer = writer


@pytest.fixture
async def running(tmp_path: Path, table: Table) -> AsyncIterator[Running]:
    spool = Spool(tmp_path, time.monotonic)
    writer = Writer(spool, table, lambda: 1_790_000_100.0, delay=0.05, pauses=(0.01, 0.02))
    writer.start()
    yield Running(spool, writer)
    table.away = False
    assert await writer.close(5)
    spool.close()
    assert spool.open or list(spool.folder.iterdir()) == []


def record(spool: Spool, *places: int) -> None:
    for place in places:
        spool.begin(begun(place))
        spool.end(ended(place))


def die(spool: Spool) -> None:
    """As if its process had died: the kernel lets go of its lock."""
    spool._thread.shutdown()
    spool.alive.close()


# ------------------------------------------------------------------ the writer


async def test_entries_wait_for_others_a_moment(running: Running, table: Table) -> None:
    record(running.spool, 1)
    await asyncio.sleep(0.02)
    record(running.spool, 2)
    assert table.sizes == []
    async with asyncio.timeout(5):
        while running.writer.pending:  # noqa: ASYNC110 - as an observer
            await asyncio.sleep(0.005)
    assert (table.sizes, table.entries()) == ([2], [entry(1), entry(2)])
    assert (running.writer.written_total, running.writer.lag_seconds) == (2, 0)


async def test_batches_are_bounded(running: Running, table: Table) -> None:
    record(running.spool, *range(5000))
    assert await running.writer.flush(5)
    assert table.sizes == [2000, 2000, 1000]
    assert running.writer.spool_bytes <= 3 << 20


async def test_a_flush_does_not_wait_for_others(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, time.monotonic)
    writer = Writer(spool, table, lambda: 1_790_000_100.0, delay=60, pauses=(0.01, 0.02))
    writer.start()
    assert await writer.flush(0)
    record(spool, 1)
    assert await writer.flush(10)  # long before others are there
    assert table.sizes == [1]
    assert await writer.close(5)
    spool.close()


async def test_an_outage(running: Running, table: Table, caplog: pytest.LogCaptureFixture) -> None:
    table.away = True
    record(running.spool, *range(3000))
    assert not await running.writer.flush(0.15)
    assert table.attempts > 3 and running.writer.down and running.writer.pending == 3000
    assert running.writer.lag_seconds == pytest.approx(100 - 1.2)
    assert [one.message for one in caplog.records] == ["the ledger takes no entries (Away); they wait in the spool"]
    record(running.spool, *range(3000, 4000))
    table.away = False
    assert await running.writer.flush(5)
    assert table.entries() == [entry(place) for place in range(4000)]
    assert [one.levelno for one in caplog.records] == [logging.ERROR, logging.WARNING]
    assert "password" not in caplog.text and not running.writer.down


async def test_what_is_certainly_not_in_sql(running: Running, table: Table) -> None:
    record(running.spool, 1)
    assert await running.writer.flush(5)
    table.away = True
    record(running.spool, 2)
    assert not await running.writer.flush(0.1)
    record(running.spool, 3)  # while the one before is being written, or has been: nobody knows
    assert await running.writer.unwritten() == {entry(3).id}
    table.away = False
    assert await running.writer.flush(5)
    assert await running.writer.unwritten() == frozenset()


async def test_an_outage_takes_no_memory(running: Running, table: Table) -> None:
    table.away = True
    record(running.spool, *range(2000))
    await asyncio.sleep(0.1)
    tracemalloc.start()
    try:
        for place in range(2000, 42_000):
            record(running.spool, place)
            if not place % 1000:
                await asyncio.sleep(0)
        assert tracemalloc.get_traced_memory()[0] < 1 << 20
    finally:
        tracemalloc.stop()
    assert running.spool.size > 8 << 20


async def test_the_loop_is_not_held(running: Running, table: Table) -> None:
    """Whoever else wants the loop while a batch is read has it after a few hundred records, not after thousands."""
    record(running.spool, *range(20_000))
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    assert await running.writer.flush(5)
    counting.cancel()
    assert turns > 40_000 / 256


async def test_what_is_not_written_at_the_end_is_left(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, time.monotonic)
    writer = Writer(spool, table, time.time, delay=0.01)
    writer.start()
    table.away = True
    record(spool, 1, 2)
    spool.begin(begun(3))
    assert not await writer.close(0.05)
    spool.close()
    table.away = False
    uses = await recovered(tmp_path, table)
    assert [one.id for one in table.entries()] == [f"{leg(1)}.0", f"{leg(2)}.0", f"{leg(3)}.i0"]
    assert [use.id for use in uses] == [leg(1), leg(2), leg(3)]


# ------------------------------------------------------------------ recovery


async def recovered(state: Path, table: Table) -> list[SettledUse]:
    uses: list[SettledUse] = []

    async def settle(more: tuple[SettledUse, ...]) -> None:
        uses.extend(more)

    spool = Spool(state, time.monotonic)
    recovery = Recovery(spool.folder, spool.alive, table, settle, judge)
    await recovery.once()
    assert await recovery.once() == 0
    spool.close()
    assert list(spool.folder.iterdir()) == []
    return uses


async def test_what_had_only_begun_is_entered_as_expected(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, time.monotonic)
    record(spool, 1)
    spool.begin(begun(2, "first"))
    spool.begin(begun(2, "second"))
    die(spool)
    uses = await recovered(tmp_path, table)
    known, failed, interrupted = table.entries()
    assert known == entry(1)
    assert (failed.id, failed.target, failed.outcome) == (f"{leg(2)}.i0", "first", "failed")
    assert (failed.requests, failed.calls, failed.input, failed.output, failed.cost) == (0, 1, 0, 0, 0)
    assert (interrupted.id, interrupted.target, interrupted.outcome) == (f"{leg(2)}.i1", "second", "interrupted")
    assert (interrupted.requests, interrupted.calls, interrupted.input, interrupted.output) == (1, 1, 100, 20)
    assert (interrupted.cost, interrupted.estimated, interrupted.at) == (5002, True, begun(2).at)
    assert uses == [SettledUse(leg(1), 91, 4001), SettledUse(leg(2), 120, 5002)]


async def test_each_try_of_one_target_is_entered(tmp_path: Path, table: Table) -> None:
    """Also where all came to the same; copies of a record are one."""
    spool = Spool(tmp_path, time.monotonic)
    tries = [msgspec.structs.replace(begun(1, "same"), before=None, place=0)]
    tries += [msgspec.structs.replace(tries[0], before=Spent(1, 5, 0, 10), place=place) for place in (1, 2)]
    for one in (*tries, tries[1]):
        spool.begin(one)
    die(spool)
    await recovered(tmp_path, table)
    assert [(one.id, one.outcome, one.input) for one in table.entries()] == [
        (f"{leg(1)}.i0", "failed", 5),
        (f"{leg(1)}.i1", "failed", 5),
        (f"{leg(1)}.i2", "interrupted", 100),
    ]


async def test_what_is_in_sql_is_settled_but_not_written_again(tmp_path: Path, table: Table) -> None:
    """The process may have died between the two."""
    spool = Spool(tmp_path, time.monotonic)
    writer = Writer(spool, table, time.time, delay=0.01)
    writer.start()
    record(spool, 1)
    await writer.close(5)
    table.sizes.clear()
    record(spool, 2)
    die(spool)
    assert await recovered(tmp_path, table) == [SettledUse(leg(1), 0, 0), SettledUse(leg(2), 92, 4002)]
    assert table.sizes == [1] and len(table.entries()) == 2


async def test_an_interrupted_recovery_is_begun_again(tmp_path: Path, table: Table) -> None:
    spool = Spool(tmp_path, time.monotonic)
    record(spool, 1, 2)
    die(spool)

    async def settle(uses: tuple[SettledUse, ...]) -> None:
        raise StoreDown

    other = Spool(tmp_path, time.monotonic)
    with pytest.raises(StoreDown):
        await Recovery(other.folder, other.alive, table, settle, judge).once()
    table.away = True
    with pytest.raises(Exception, match="password"):
        await Recovery(other.folder, other.alive, table, settle, judge).once()
    table.away = False
    other.close()
    assert len(await recovered(tmp_path, table)) == 2
    assert table.entries() == [entry(1), entry(2)]


async def test_of_two_only_one_takes_it_over(tmp_path: Path, table: Table) -> None:
    for place in range(20):
        spool = Spool(tmp_path, time.monotonic)
        record(spool, place)
        die(spool)
    settled: list[str] = []

    async def settle(uses: tuple[SettledUse, ...]) -> None:
        await asyncio.sleep(0.001)
        settled.extend(use.id for use in uses)

    one, two = Spool(tmp_path, time.monotonic), Spool(tmp_path, time.monotonic)
    counts = await asyncio.gather(*(Recovery(own.folder, own.alive, table, settle, judge).once() for own in (one, two)))
    assert sum(counts) == 20 and sorted(settled) == [leg(place) for place in range(20)]
    one.close()
    two.close()
    assert list((tmp_path / "ledger").iterdir()) == []


def test_of_two_processes_only_one_takes_it_over(tmp_path: Path, table: Table) -> None:
    for place in range(0, 6000, 200):
        spool = Spool(tmp_path, time.monotonic)
        record(spool, *range(place, place + 200))
        die(spool)
    arguments = [sys.executable, recovering_child.__file__, str(tmp_path)]
    running = [subprocess.Popen(arguments, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=30) for one in running]
    settled = [id for out, _ in said for id in out.decode().split()]
    assert sorted(settled) == [leg(place) for place in range(6000)]
    assert table.entries() == [entry(place) for place in range(6000)]


async def test_the_living_are_left_alone(tmp_path: Path, table: Table) -> None:
    living = Spool(tmp_path, time.monotonic)
    record(living, 1)
    other = Spool(tmp_path, time.monotonic)

    async def settle(uses: tuple[SettledUse, ...]) -> None:
        raise AssertionError

    recovery = Recovery(other.folder, other.alive, table, settle, judge, pause=0.005)
    recovery.start()
    await asyncio.sleep(0.05)
    await recovery.close()
    assert table.entries() == [] and len(list(living.folder.glob(f"{living.alive.name}.*"))) >= 2
    other.close()
    die(living)


async def test_who_dies_later_is_found_later(tmp_path: Path, table: Table) -> None:
    dying, own = Spool(tmp_path, time.monotonic), Spool(tmp_path, time.monotonic)
    record(dying, 1)

    async def settle(uses: tuple[SettledUse, ...]) -> None: ...

    recovery = Recovery(own.folder, own.alive, table, settle, judge, pause=0.005)
    recovery.start()
    await asyncio.sleep(0.02)
    assert recovery.entries == 0
    die(dying)
    async with asyncio.timeout(5):
        while not recovery.entries:  # noqa: ASYNC110 - as an observer
            await asyncio.sleep(0.005)
    await recovery.close()
    own.close()
    assert table.entries() == [entry(1)]


# ------------------------------------------------------------------ kill -9


async def test_killed_while_it_writes_to_sql(tmp_path: Path) -> None:
    """A process writes, moves to SQL and lets go of segments as it may. Killed at any moment, two others find the rest:
    each leg that had ended is entered once, as it ended, and each that had begun as interrupted."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    child = str(Path(killed_child.__file__))
    arguments = [sys.executable, child, str(tmp_path), "20", str(seed)]
    ran = await asyncio.to_thread(subprocess.run, arguments, cwd=ROOT, capture_output=True, timeout=50, check=True)
    for number, (started, finished) in enumerate(msgspec.json.decode(ran.stdout, type=list[tuple[int, int]])):
        table = Table(tmp_path / str(number) / "sql")
        await recovered(tmp_path / str(number), table)
        found = {one.id: one.outcome for one in table.entries()}
        assert found in [killed_child.expected(seed + number, count) for count in (finished, started)]
