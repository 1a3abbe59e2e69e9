"""Asks engines now and then how busy they are, and tells the standings of their targets.

No call waits for it. An engine that does not say, or no longer, is not known to be busy or idle.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct

from adapters.local.load import Load, load_endpoint, load_of
from adapters.types import Endpoint, Host
from gateway.resilience.standing import Standing
from gateway.upstream import Way

if TYPE_CHECKING:
    from gateway.upstream.fetching import Reader

PERIOD = 2.0
"""Seconds between two questions, on average: gateways that were started together must not go on asking together."""

TIMEOUT = 1.0
VALID = 3 * PERIOD
"""Seconds after which an answer is too old to be believed."""

MOST_BYTES = 4 << 20

log = logging.getLogger("gateway.watching")


class Watched(Struct, eq=False):
    """One engine. ``heard``: the last question was answered; None before the first."""

    name: str
    engine: str
    endpoint: Endpoint
    way: Way
    standings: list[Standing]
    heard: bool | None = None


class Watcher:
    """Add what is to be watched, then ``start``. ``steady`` is the clock that standings are told, ``chance`` gives
    numbers from 0 to 1."""

    def __init__(self, steady: Callable[[], float], chance: Callable[[], float], period: float = PERIOD) -> None:
        self._steady = steady
        self._chance = chance
        self._period = period
        self._watched: dict[str, Watched] = {}
        self._readers: dict[Way, Reader] = {}
        self._tasks: list[asyncio.Task[None]] = []

    def add(self, name: str, host: Host, way: Way, standing: Standing) -> None:
        """The standing of a target of this provider wants to know how busy its engine is. An engine that never says is
        not asked."""
        watched = self._watched.get(name)
        if watched is None:
            endpoint = load_endpoint(host)
            if endpoint is None or host.engine is None:
                return
            watched = self._watched[name] = Watched(name, host.engine, endpoint, way, [])
        if standing not in watched.standings:
            watched.standings.append(standing)

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._watch(watched)) for watched in self._watched.values()]

    async def close(self) -> None:
        """What was reported last stays until it is too old."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        for reader in self._readers.values():
            await reader.close()
        self._readers.clear()

    async def _watch(self, watched: Watched) -> None:
        reader = self._reader(watched.way)
        while True:
            load, why = await ask(reader, watched)
            now = self._steady()
            for standing in watched.standings:
                standing.report(load, now, VALID / PERIOD * self._period)
            told(watched, load, why)
            await asyncio.sleep(self._period * (0.75 + self._chance() / 2))

    def _reader(self, way: Way) -> "Reader":
        if way not in self._readers:
            from gateway.upstream.fetching import Reader  # a tenth of a second that few need to spend

            self._readers[way] = Reader(way.ca_file, way.proxy)
        return self._readers[way]


async def ask(reader: "Reader", watched: Watched) -> tuple[Load | None, str]:
    """What the engine says, or why it is not known."""
    from gateway.upstream.fetching import NotFetched

    try:
        text = await reader.read(watched.endpoint, TIMEOUT, MOST_BYTES)
    except NotFetched as problem:
        return None, str(problem)
    return load_of(watched.engine, text.decode("utf-8", "replace")), "none of its figures is known to us"


def told(watched: Watched, load: Load | None, why: str) -> None:
    """Says in the log when that changes."""
    if load is None and watched.heard is not False:
        log.warning("%s does not say how busy it is: %s; its calls are counted instead", watched.name, why)
    elif load is not None and watched.heard is False:
        log.info("%s says again how busy it is", watched.name)
    watched.heard = load is not None
