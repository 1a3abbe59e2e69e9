"""What the gateway and its children take of the machine.

Whichever worker is asked answers for all: figures are read from the kernel, by the processes that the census names.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from gateway import census
from gateway.metrics import table
from gateway.metrics.rendering import family

Told = dict[tuple[str, ...], list[float]]

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class Taken(Struct, frozen=True):
    """What a process has of memory, in bytes, and has used of processors, in seconds."""

    memory: int = 0
    cpu: float = 0.0


class Processes(Collector):
    """Memory and processor time of the gateway's processes, and of each child."""

    def __init__(self, census_file: str | None) -> None:
        self._file = census_file

    def describe(self) -> Iterator[Metric]:
        """Nothing: so that nobody reads the kernel's figures before they are asked for."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        tally = census.read(self._file)
        children = frozenset(member.pid for member in tally.members)
        ours = [taken(pid) for pid in (tally.parent, *descendants(tally.parent, children))]
        yield family(table.MEMORY, {(): [sum(one.memory for one in ours if one)]})
        yield family(table.CPU, {(): [sum(one.cpu for one in ours if one)]})
        yield from of_children(tally.members)


def of_children(members: tuple[census.Member, ...]) -> Iterator[Metric]:
    up: Told = {}
    restarts: Told = {}
    memory: Told = {}
    cpu: Told = {}
    for member in members:
        found = taken(member.pid) if member.pid is not None else None
        label = (member.name,)
        up[label], restarts[label] = [float(found is not None)], [member.restarts]
        if found is not None:
            memory[label], cpu[label] = [found.memory], [found.cpu]
    yield family(table.CHILD_UP, up)
    yield family(table.CHILD_RESTARTS, restarts)
    yield family(table.CHILD_MEMORY, memory)
    yield family(table.CHILD_CPU, cpu)


def taken(pid: int) -> Taken | None:
    """None if there is no such process, or none that runs: one that has ended and waits to be noticed takes nothing."""
    try:
        memory = int((PROC / str(pid) / "statm").read_text().split()[1]) * PAGE
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except (OSError, IndexError):
        return None
    if fields[0] == "Z":
        return None
    return Taken(memory, (int(fields[11]) + int(fields[12])) / TICKS)


def descendants(pid: int, apart: frozenset[int | None]) -> Iterator[int]:
    """The processes that this one has started, and theirs, but for those ``apart``."""
    try:
        lists = [path.read_text() for path in (PROC / str(pid) / "task").glob("*/children")]
    except OSError:
        return
    for child in map(int, " ".join(lists).split()):
        if child not in apart:
            yield child
            yield from descendants(child, apart)
