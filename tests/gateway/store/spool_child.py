"""Processes that write to a spool as fast as they can, until they are killed; and what each of them was to write."""

import mmap
import os
import random
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec

from gateway.ledger.entry import Begun, Ended
from gateway.store.spool import Spool
from tests.gateway.ledger.legs import begun, ended


def script(seed: int, count: int = sys.maxsize) -> Iterator[Begun | Ended]:
    chance = random.Random(seed)
    open_legs: list[int] = []
    place = 0
    for _ in range(count):
        if len(open_legs) < chance.randrange(1, 200):
            place += 1
            open_legs.append(place)
            yield begun(place, user="u" * chance.randrange(300))
        else:
            yield ended(open_legs.pop(chance.randrange(len(open_legs))), user="u" * chance.randrange(300))


def write(state: Path, seed: int, told: mmap.mmap) -> None:
    spool = Spool(state, time.monotonic)
    for done, record in enumerate(script(seed), 1):
        told[:8] = done.to_bytes(8, "little")
        if isinstance(record, Begun):
            spool.begin(record)
        else:
            spool.end(record)
        told[8:16] = done.to_bytes(8, "little")


def killed(state: Path, seed: int) -> tuple[int, int]:
    """How many records it had started to write, and how many were written."""
    told = mmap.mmap(-1, 16)
    child = os.fork()
    if not child:
        write(state, seed, told)
    time.sleep(random.Random(seed).uniform(0.003, 0.06))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return int.from_bytes(told[:8], "little"), int.from_bytes(told[8:], "little")


if __name__ == "__main__":
    folder, rounds, first = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    print(msgspec.json.encode([killed(folder / str(number), first + number) for number in range(rounds)]).decode())
