"""Processes that record, and write to SQL, until they are killed; and what is to be found of each of them."""

import asyncio
import mmap
import os
import random
import signal
import sys
import time
from pathlib import Path

import msgspec

from gateway.ledger.entry import Begun
from gateway.ledger.writer import Writer
from gateway.store.spool import Spool
from tests.gateway.ledger.stores import Table
from tests.gateway.store.spool_child import script


def expected(seed: int, count: int) -> dict[str, str]:
    """The entries' ids and outcomes after so many records."""
    begun: set[str] = set()
    ended: set[str] = set()
    for record in script(seed, count):
        (begun if isinstance(record, Begun) else ended).add(record.leg)
    return {f"{one}.0": "ok" for one in ended} | {f"{one}.i0": "interrupted" for one in begun - ended}


async def write(state: Path, seed: int, told: mmap.mmap) -> None:
    spool = Spool(state, time.monotonic)
    writer = Writer(spool, Table(state / "sql"), time.time, most=300, delay=0.001)
    writer.start()
    for done, record in enumerate(script(seed), 1):
        told[:8] = done.to_bytes(8, "little")
        if isinstance(record, Begun):
            spool.begin(record)
        else:
            spool.end(record)
        told[8:16] = done.to_bytes(8, "little")
        if done % 50 == 0:
            await asyncio.sleep(0)


def killed(state: Path, seed: int) -> tuple[int, int]:
    told = mmap.mmap(-1, 16)
    state.mkdir()
    child = os.fork()
    if not child:
        asyncio.run(write(state, seed, told))
    time.sleep(random.Random(seed).uniform(0.02, 0.3))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return int.from_bytes(told[:8], "little"), int.from_bytes(told[8:], "little")


if __name__ == "__main__":
    folder, rounds, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(msgspec.json.encode([killed(folder / str(number), first + number) for number in range(rounds)]).decode())
