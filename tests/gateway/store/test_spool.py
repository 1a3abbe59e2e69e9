"""The spool: room that is kept for ends, segments that come and go, and what is left of a process that dies."""

import errno
import os
import random
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from gateway.ledger.entry import Begun, Ended
from gateway.store.alive import Alive
from gateway.store.spool import Reader, Spool, SpoolFull, adopt
from gateway.store.spool.frames import HEAD, START
from gateway.store.spool.segments import SIZE, path_of
from gateway.store.spool.spool import KEPT
from tests.gateway.ledger.legs import begun, ended, entry, leg
from tests.gateway.store import spool_child

ROOT = Path(__file__).parents[3]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


class Spools:
    def __init__(self, state: Path, clock: Clock) -> None:
        self._state = state
        self._clock = clock
        self.living: list[Spool] = []

    def __call__(self, most_bytes: int = 1 << 30) -> Spool:
        self.living.append(Spool(self._state, self._clock, most_bytes))
        return self.living[-1]

    def abandon(self, spool: Spool) -> None:
        """As if its process had died: the kernel lets go of its lock."""
        self.living.remove(spool)
        spool._thread.shutdown()
        spool.alive.close()


@pytest.fixture
def make(tmp_path: Path, clock: Clock) -> Iterator[Spools]:
    spools = Spools(tmp_path, clock)
    yield spools
    for spool in spools.living:
        spool.close()


def left(folder: Path) -> list[Begun | Ended]:
    """What the dead have left, and keeps being there."""
    alive = Alive(folder)
    try:
        return [record for adopted in adopt(folder, alive) for record, _ in adopted.records()]
    finally:
        alive.close()


def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: int, at: int, size: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", refuse)


async def drain(reader: Reader, most: int = 500) -> list[str]:
    found: list[str] = []
    while (batch := await reader.batch(most)).entries:
        await reader.advance(batch)
        found += [one.id for one in batch.entries]
    await reader.advance(batch)
    return found


# ------------------------------------------------------------------ what is written is there


def test_what_was_recorded_outlives_its_process(make: Spools) -> None:
    spool = make()
    spool.begin(begun(1))
    spool.begin(begun(2))
    spool.end(ended(1))
    make.abandon(spool)
    assert left(spool.folder) == [begun(1), begun(2), ended(1)]


async def test_ends_are_read_in_order_across_segments(make: Spools) -> None:
    spool = make()
    reader = Reader(spool)
    for place in range(14_000):
        spool.begin(begun(place))
        spool.end(ended(place))
    assert len(spool.segments) >= 3 and spool.pending == 14_000
    assert await drain(reader) == [f"{leg(place)}.0" for place in range(14_000)]
    assert (spool.pending, len(spool.segments)) == (0, 1)


async def test_what_is_marked_as_written_is_told(make: Spools) -> None:
    spool = make()
    reader = Reader(spool)
    spool.end(ended(1))
    await drain(reader)
    spool.end(ended(2))
    make.abandon(spool)
    alive = Alive(spool.folder)
    assert [known for adopted in adopt(spool.folder, alive) for known in adopted.records()] == [
        (ended(1), True),
        (ended(2), False),
    ]
    alive.close()


@pytest.mark.parametrize("cut", [1, 7, 8, 9, 100])
def test_a_torn_tail_is_left_out(make: Spools, cut: int) -> None:
    spool = make()
    spool.begin(begun(1))
    before = spool.at
    spool.end(ended(1))
    spool._map[before + cut : spool.at] = bytes(spool.at - before - cut)
    make.abandon(spool)
    assert left(spool.folder) == [begun(1)]


def test_a_changed_bit_is_not_believed(make: Spools) -> None:
    spool = make()
    spool.begin(begun(1))
    at = spool.at + HEAD.size + 20
    spool.begin(begun(2))
    spool._map[at : at + 1] = bytes([spool._map[at] ^ 1])
    make.abandon(spool)
    assert left(spool.folder) == [begun(1)]


def test_what_lies_behind_a_changed_bit_is_there(make: Spools, caplog: pytest.LogCaptureFixture) -> None:
    spool = make()
    spool.begin(begun(1))
    spool.begin(begun(2))
    at = spool.at + HEAD.size + 20
    spool.end(ended(1))
    spool.begin(begun(3))
    spool.end(ended(2))
    spool._map[at : at + 1] = bytes([spool._map[at] ^ 1])
    path = path_of(spool.folder, spool.alive.name, 0)
    make.abandon(spool)
    alive = Alive(spool.folder)
    for adopted in adopt(spool.folder, alive):
        assert [record for record, _ in adopted.records()] == [begun(1), begun(2), begun(3), ended(2)]
        adopted.delete()
    alive.close()
    assert "is damaged at byte" in caplog.text
    assert [one.name for one in spool.folder.glob(f"{spool.alive.name}.*")] == [path.name + ".unreadable"]


def test_names_that_no_other_version_understands_are_kept(make: Spools) -> None:
    spool = make()
    spool._append(1 << 24 | 3, b"abc")
    path = path_of(spool.folder, spool.alive.name, 0)
    make.abandon(spool)
    alive = Alive(spool.folder)
    for adopted in adopt(spool.folder, alive):
        assert list(adopted.records()) == []
        adopted.delete()
    alive.close()
    assert [one.name for one in spool.folder.glob(f"{spool.alive.name}.*")] == [path.name + ".unreadable"]


def test_a_clean_end_leaves_nothing(tmp_path: Path, clock: Clock) -> None:
    spool = Spool(tmp_path, clock)
    spool.close()
    assert list(spool.folder.iterdir()) == []


# ------------------------------------------------------------------ room


@pytest.mark.parametrize("open_legs", [1, 700, 5000])
def test_every_end_finds_room_on_a_full_disk(make: Spools, monkeypatch: pytest.MonkeyPatch, open_legs: int) -> None:
    spool = make()
    for place in range(open_legs):
        spool.begin(begun(place))
    spool._thread.submit(int).result()
    full_disk(monkeypatch)
    place = open_legs
    with pytest.raises(SpoolFull, match="No space left on device"):
        for place in range(open_legs, 100_000):
            spool.begin(begun(place))
    for one in range(place):
        spool.end(ended(one))
    assert (spool.open, spool.pending) == (0, place)


def test_entries_as_long_as_they_may_be_find_room(make: Spools, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of several targets, with the longest numbers."""
    spool = make()
    full_disk(monkeypatch)
    most = (1 << 63) - 1
    biggest = dict.fromkeys(("calls", "input", "output", "cached", "cache_write", "reasoning", "cost"), most)
    legs: list[int] = []
    with pytest.raises(SpoolFull):
        for place in range(100_000):
            for target in range(3):
                spool.begin(begun(place, f"target-{target}", user="u" * 500))
            legs.append(place)
    for place in legs:
        entries = [entry(place, f"target-{target}", user="u" * 500, nth=target) for target in range(3)]
        more = biggest | {"outcome": "interrupted", "duration": most, "first_token": most, "requests": most}
        spool.end(Ended(leg(place), tuple([msgspec.structs.replace(one, **more) for one in entries])))
    assert spool.pending == 3 * len(legs) > 600


def test_a_full_disk_that_has_room_again(make: Spools, monkeypatch: pytest.MonkeyPatch, clock: Clock) -> None:
    spool = make()
    with monkeypatch.context() as within:
        full_disk(within)
        with pytest.raises(SpoolFull):
            for place in range(100_000):
                spool.begin(begun(place))
        assert spool.room == 0 or spool.room < 1000
    with pytest.raises(SpoolFull):
        spool.begin(begun(-1))  # it is not asked for at every call
    clock.now += 1.1
    spool.begin(begun(-1))
    assert spool.room > SIZE


async def test_a_spool_is_bounded(make: Spools, caplog: pytest.LogCaptureFixture) -> None:
    spool = make(most_bytes=4 * SIZE)
    reader = Reader(spool)
    place = 0
    with pytest.raises(SpoolFull, match="4194304 bytes; [0-9]+ entries wait"):
        for place in range(100_000):
            spool.begin(begun(place))
            spool.end(ended(place))
    assert spool.size == 4 * SIZE == sum(path.stat().st_size for path in spool.folder.glob("*.spool"))
    assert [one.message.partition(": ")[2] for one in caplog.records] == [
        "the ledger's spool has grown to 3145728 bytes of 4194304"
    ]
    assert len(await drain(reader)) == place
    spool.begin(begun(-1))


def test_a_folder_that_has_no_room_at_all(tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    full_disk(monkeypatch)
    with pytest.raises(SpoolFull, match=r"ledger: the ledger's spool cannot be made: No space left on device"):
        Spool(tmp_path, clock)
    assert list((tmp_path / "ledger").iterdir()) == []


def test_a_real_limit_of_the_kernel(tmp_path: Path, clock: Clock) -> None:
    """The smallest disk that there is everywhere: a file may not grow beyond half a segment."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (SIZE // 2, before[1]))
    try:
        with pytest.raises(SpoolFull, match="cannot be made: File too large"):
            Spool(tmp_path, clock)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("record", "message"),
    [(begun(1, user="u" * 5000), "names take"), (msgspec.structs.replace(begun(1), leg="l" * 65), "its id 65")],
)
def test_names_are_bounded(make: Spools, record: Begun, message: str) -> None:
    spool = make()
    with pytest.raises(ValueError, match=message):
        spool.begin(record)
    assert (spool.open, spool.at) == (0, START)


def test_a_spool_too_small_to_work(tmp_path: Path, clock: Clock) -> None:
    with pytest.raises(ValueError, match="2097152 are the least"):
        Spool(tmp_path, clock, 1000)


# ------------------------------------------------------------------ segments that go


async def test_a_leg_that_lasts_does_not_hold_the_old_segments(make: Spools) -> None:
    spool = make()
    reader = Reader(spool)
    spool.begin(begun(-1))
    spool.begin(begun(-1, "another"))
    spool.begin(begun(-2))
    for place in range(40_000):
        spool.begin(begun(place))
        spool.end(ended(place))
        if place % 1000 == 999:
            await drain(reader)
    assert len(spool.segments) <= KEPT + 1 and spool.open == 2
    make.abandon(spool)
    records = left(spool.folder)
    assert {begun(-1), begun(-1, "another"), begun(-2)} <= {one for one in records if isinstance(one, Begun)}
    over = {one.leg for one in records if isinstance(one, Ended)}
    begun_only = {one.leg for one in records if isinstance(one, Begun)} - over
    assert begun_only == {leg(-1), leg(-2)}


@pytest.mark.parametrize("most", [2, 3, 8])
async def test_a_leg_that_lasts_does_not_fill_a_small_spool(make: Spools, clock: Clock, most: int) -> None:
    spool = make(most_bytes=most * SIZE)
    reader = Reader(spool)
    spool.begin(begun(-1))
    for place in range(30_000):
        spool.begin(begun(place))
        spool.end(ended(place))
        if place % 500 == 499:
            await drain(reader)
            spool._thread.submit(int).result()
    assert spool.open == 1


async def test_more_open_legs_than_a_segment_holds(make: Spools) -> None:
    spool = make()
    reader = Reader(spool)
    for place in range(30_000):
        spool.begin(begun(place))
    for place in range(15_000):
        spool.end(ended(place))
        spool.begin(begun(place + 30_000))
    assert len(await drain(reader)) == 15_000
    for place in range(15_000, 45_000):
        spool.end(ended(place))
    assert len(await drain(reader)) == 30_000
    assert (spool.open, spool.pending, len(spool.segments)) == (0, 0, 1)


# ------------------------------------------------------------------ kill -9


def test_killed_at_any_moment(tmp_path: Path) -> None:
    """What is found is exactly what was recorded up to the record at which it died, with that record or without."""
    seed = random.randrange(1 << 30)
    print(f"seed {seed}")
    child = str(Path(spool_child.__file__))
    ran = subprocess.run(
        [sys.executable, child, str(tmp_path), "50", str(seed)], cwd=ROOT, capture_output=True, timeout=50, check=True
    )
    rounds = msgspec.json.decode(ran.stdout, type=list[tuple[int, int]])
    assert len(rounds) == 50 and sum(finished for _, finished in rounds) > 1000
    for number, (started, finished) in enumerate(rounds):
        assert started - finished in (0, 1)
        folder = tmp_path / str(number) / "ledger"
        folder.mkdir(parents=True, exist_ok=True)  # it may have died before it made one
        found = left(folder)
        records = list(spool_child.script(seed + number, started))
        assert found in (records[:finished], records)
