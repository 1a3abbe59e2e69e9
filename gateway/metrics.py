"""What ``/metrics`` tells, in Prometheus' form: so far what the gateway and its children take of the machine.

Whichever worker is asked answers for all: figures are read from the kernel, by the processes that the census names.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from gateway import census

PROC = Path("/proc")
PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


class Taken(Struct, frozen=True):
    """What a process has of memory, in bytes, and has used of processors, in seconds."""

    memory: int = 0
    cpu: float = 0.0


class Metrics:
    """``census_file`` is where the children are told; None when the gateway was started without any."""

    def __init__(self, census_file: str | None) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(Processes(census_file))

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the scraper prefers."""
        encode, kind = choose_encoder(accept or "")
        return encode(self._registry), kind


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
        yield GaugeMetricFamily(
            "gateway_resident_memory_bytes",
            "Memory of the gateway's own processes; pages that they share count for each.",
            sum(one.memory for one in ours if one),
        )
        yield CounterMetricFamily(
            "gateway_cpu_seconds",
            "Processor time of the gateway's own processes that are running.",
            sum(one.cpu for one in ours if one),
        )
        yield from of_children(tally.members)


def of_children(members: tuple[census.Member, ...]) -> Iterator[Metric]:
    label = ["child"]
    up = GaugeMetricFamily("gateway_child_up", "Whether the child process is running.", labels=label)
    restarts = CounterMetricFamily(
        "gateway_child_restarts", "How often the child has been started again after it ended.", labels=label
    )
    memory = GaugeMetricFamily("gateway_child_resident_memory_bytes", "Memory of the child process.", labels=label)
    cpu = CounterMetricFamily(
        "gateway_child_cpu_seconds", "Processor time of the child process since it started.", labels=label
    )
    for member in members:
        found = taken(member.pid) if member.pid is not None else None
        up.add_metric([member.name], float(found is not None))
        restarts.add_metric([member.name], member.restarts)
        if found is not None:
            memory.add_metric([member.name], found.memory)
            cpu.add_metric([member.name], found.cpu)
    yield from (up, restarts, memory, cpu)


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
