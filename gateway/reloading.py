"""Reads the configuration again while the gateway serves: when it is told to, and when the file has become another.

A file that is wrong changes nothing, and is complained of once. One that is right takes the place of the one before in
one step of the event loop; calls that are under way keep what they began with, and what only they need is closed when
the last of them has ended.
"""

import asyncio
import logging
import os
import weakref
from collections.abc import Callable, Coroutine, Iterable
from pathlib import Path

from msgspec import Struct

from gateway.config import Config, ConfigError, load
from gateway.config.difference import difference, for_a_restart
from gateway.config.load import Beyond
from gateway.types import Clock
from gateway.upstream.types import Upstream

log = logging.getLogger("gateway.reloading")

LOOK = 1.0
"""Seconds between two looks at the file."""

WRITING = 0.1
"""Seconds in which a file must not have changed: else somebody may still be writing it. Who tells us to read it has
written it."""

PATIENCE = 20
"""How often that is waited for, at most."""

FRESH = 3.0
"""Seconds after a change in which the file is read at each look: a clock may be too coarse for two changes in a row."""


class Seen(Struct, frozen=True):
    """By what a file is known: the place, which another takes when it is replaced, its time, and its size."""

    device: int
    inode: int
    changed: int
    size: int


class Reloader:
    """``text`` is what was read at the start, and ``config`` what it says. ``apply`` makes a configuration hold;
    ``warnings`` are the lines about what works otherwise than it may lead to believe, of which new ones are told."""

    def __init__(
        self,
        path: Path,
        text: bytes,
        config: Config,
        beyond: Beyond,
        apply: Callable[[Config], None],
        warnings: Callable[[Config], list[str]],
        clock: Clock,
    ) -> None:
        self.succeeded = True
        """Whether the last file that was found is the one that holds."""
        self.loaded_at = clock.wall()
        """When the one that holds was read, in seconds since 1970."""
        self._path = path
        self._text = text
        self._config = self._started_with = config
        self._beyond = beyond
        self._apply = apply
        self._warnings = warnings
        self._clock = clock
        self._seen: Seen | None = None  # so that what came while we started is found
        self._complaint = ""
        self._told = asyncio.Event()
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def hear(self) -> None:
        """Somebody wants the file to be read now."""
        self._asked = True
        self._told.set()

    async def _run(self) -> None:
        while True:
            try:
                async with asyncio.timeout(LOOK):
                    await self._told.wait()
            except TimeoutError:
                pass
            asked, self._asked = self._asked, False
            self._told.clear()
            try:
                await self._look(asked)
            except Exception:  # whatever it is, what holds goes on holding, and the next look comes
                self.succeeded = False
                log.exception("%s could not be read again", self._path)

    async def _look(self, asked: bool) -> None:
        seen = look(self._path)
        fresh = seen is not None and self._clock.wall() - seen.changed / 1e9 < FRESH
        if seen == self._seen and not fresh and not asked:
            return
        self._seen = seen if asked else await self._written(seen)
        try:
            text = self._path.read_bytes()
        except OSError as error:
            self._text = b""  # it is news when it can be read again
            self._complain(f"{self._path}: {error.strerror or error}")
            return
        if text != self._text:
            self._text = text
            await self._read(text)
        elif asked:
            log.info("%s is as it was", self._path)
            if self._complaint:
                log.error("the routing that holds stays, for the file is wrong:\n%s", self._complaint)

    async def _written(self, seen: Seen | None) -> Seen | None:
        """What is seen of the file once nobody seems to write it any more."""
        for _ in range(PATIENCE):
            if seen == self._seen:
                break
            await asyncio.sleep(WRITING)
            before, seen = seen, look(self._path)
            if seen == before:
                break
        return seen

    async def _read(self, text: bytes) -> None:
        try:
            config = await asyncio.to_thread(load, text, str(self._path), self._beyond)
        except ConfigError as error:
            self._complain(str(error))
            return
        before = self._config
        self._apply(config)
        self._config, self._complaint = config, ""
        self.succeeded, self.loaded_at = True, self._clock.wall()
        changes = difference(before, config)
        log.info("%s is read again: %s", self._path, "\n  ".join(["", *changes]) if changes else "it says the same")
        for line in for_a_restart(self._started_with, config):
            log.warning("needs a restart: %s", line)
        known = self._warnings(before)
        for line in self._warnings(config):
            if line not in known:
                log.warning("%s", line)

    def _complain(self, complaint: str) -> None:
        """Once of each."""
        self.succeeded = False
        if complaint != self._complaint:
            self._complaint = complaint
            log.error("the routing that holds stays, for the file is wrong:\n%s", complaint)


def look(path: Path) -> Seen | None:
    """None where there is no file. Links are followed: where the last one leads is what counts."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return Seen(found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size)


Way = tuple[Upstream, str]
"""A client, and an address that is asked through it."""


class Leases:
    """Which clients and addresses are still needed: those to which a router leads that is still there. A call holds on
    to the router that it began with."""

    def __init__(self) -> None:
        self._held: dict[int, frozenset[Way]] = {}
        self._number = 0
        self._closing: set[asyncio.Task[None]] = set()

    def hold(self, holder: object, ways: Iterable[Way]) -> None:
        """As long as the holder lives, these stay open."""
        self._number += 1
        self._held[self._number] = frozenset(ways)
        weakref.finalize(holder, self._let_go, self._number).atexit = False

    async def close(self) -> None:
        """All of them, whoever needs them."""
        clients = {client for ways in self._held.values() for client, _ in ways}
        self._held.clear()
        if self._closing:
            await asyncio.wait(self._closing)
        for client in clients:
            await client.close()

    def _let_go(self, number: int) -> None:
        gone = self._held.pop(number, frozenset()).difference(*self._held.values())
        needed = {client for ways in self._held.values() for client, _ in ways}
        for client in {client for client, _ in gone} - needed:
            self._begin(client.close())
        for client, url in gone:
            if client in needed:
                self._begin(client.forget(url))

    def _begin(self, closing: Coroutine[object, object, None]) -> None:
        try:
            task: asyncio.Task[None] = asyncio.get_running_loop().create_task(closing)
        except RuntimeError:  # nothing serves any more
            closing.close()
            return
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
