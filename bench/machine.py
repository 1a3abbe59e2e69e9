"""The machine under the benchmark: its cores, how fast it is now, and who else is using it."""

import hashlib
import os
import platform
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
BUSY_COLUMNS = (1, 2, 3, 6, 7)  # of /proc/stat's first line: user, nice, system, irq, softirq


@dataclass(frozen=True)
class Cores:
    """Where things run: the gateway (or peer) alone on one core, provider and clients on another."""

    gateway: int
    load: int

    @property
    def shared(self) -> bool:
        return self.gateway == self.load


def choose_cores() -> Cores:
    """The first two cores we may use; on a machine with one, everything shares it."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(gateway=allowed[0], load=allowed[min(1, len(allowed) - 1)])


@contextmanager
def pinned(core: int) -> Iterator[None]:
    """Run on this core, and so does every process that is started meanwhile."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def busy_seconds() -> float:
    """CPU seconds that all processes of the machine have used since it started."""
    columns = Path("/proc/stat").read_text().split("\n", 1)[0].split()
    return sum(int(columns[i]) for i in BUSY_COLUMNS) / TICKS_PER_SECOND


def calibrate(core: int) -> float:
    """CPU milliseconds of a fixed piece of work: tells a slow machine from a slow gateway."""
    with pinned(core):
        return min(_fixed_work() for _ in range(3)) * 1000


def _fixed_work() -> float:
    begin = time.process_time()
    table: dict[int, int] = {}
    for i in range(50_000):
        table[i % 509] = table.get(i % 509, 0) + len(f"{i:x}")
    hashlib.sha256(bytes(2_000_000)).digest()
    return time.process_time() - begin


def describe() -> str:
    """One line: processor, number of cores, kernel, Python."""
    model = platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    return f"{os.cpu_count()} x {model}, Linux {platform.release()}, Python {platform.python_version()}"
