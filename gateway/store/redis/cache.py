"""Kept answers that all replicas of a gateway share."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Generator
from functools import cached_property
from typing import Any

from gateway.caching.store import Held
from gateway.store.redis.batches import PATIENCE, patiently, reason_of
from gateway.store.redis.client import SECONDS, Client, Word
from gateway.store.redis.lanes import Lane, Row
from gateway.store.redis.script import Script
from gateway.store.redis.words import PREFIX

log = logging.getLogger("gateway.redis")

TEAMS = PREFIX + "cache:teams"
"""The set of teams that have kept something."""

FAILURES = 3
"""In a row, after which nothing is asked for a while."""
PAUSE = 0.5
"""Seconds of that while."""
UNDER_WAY = 256
"""Values that are on their way to Redis, ..."""
UNDER_WAY_BYTES = 16 << 20
"""... and how many bytes they may have together; while there are more, further ones are not kept."""


def prefix_of(team: str) -> str:
    """How a team's keys begin, with a hash tag of its own: a Cluster has all of a team on one node."""
    return f"{{gw:{team}}}:cache:"


class RedisCache:
    """A CacheStore. ``max_bytes`` bounds each team. ``up`` says whether Redis is likely to answer: while it is not,
    nothing is looked up and nothing kept. A look is one GET, sent at once where there is a connection; what is kept in
    one turn of the event loop is one script for each team, which also ends the lease that ``name`` has on making it."""

    def __init__(self, client: Client, max_bytes: int, up: Callable[[], bool], name: str = "") -> None:
        self._client = client
        self._most = max_bytes
        self._up = up
        self._script = Script("cache.lua")
        self._failures = 0
        self._rests_until = 0.0
        # first, so that no look of this process comes before what it has kept
        self._keeping = Lane(client, self._script, self._head, PATIENCE, self._kept, self._heard, True)
        self._name = name
        self._bytes = 0
        self._known: set[str] = set()  # teams that Redis has been told of
        self._tasks: set[asyncio.Future[Any]] = set()
        self._closed = False

    # ------------------------------------------------------------------ as every store

    def configure(self, max_bytes: int) -> None:
        self._most = max_bytes

    def look(self, team: str, model: str, digest: str) -> Awaitable[bytes | None] | None:
        if not self._asks():
            return None
        return self._sent(self._loop, SECONDS, "GET", f"{prefix_of(team)}v:{digest}:{model}")

    def keep(self, team: str, model: str, digest: str, value: bytes, ttl: float) -> None:
        size, keeping = len(value), self._keeping
        few = keeping.count + len(self._tasks) < UNDER_WAY and self._bytes + size <= UNDER_WAY_BYTES
        if few and self._asks():
            self._bytes += size
            keeping.add(prefix_of(team), (f"{digest}:{model}", value, int(ttl * 1000)), team, size)

    @property
    def under_way(self) -> int:
        """Values that are on their way to Redis, or of which it is told."""
        return self._keeping.count + len(self._tasks)

    async def stats(self, team: str | None = None, model: str | None = None) -> list[Held]:
        found: list[Held] = []
        for one in await self._teams(team):
            counts = await self._counts(one)
            for name in sorted(counts):
                if name.startswith("n:") and model in (None, name[2:]):
                    size = counts["b:" + name[2:]]
                    found.append(Held(team=one, model=name[2:], entries=counts[name], bytes=size))
        return found

    async def purge(self, team: str | None = None, model: str | None = None) -> int:
        gone = 0
        for one in await self._teams(team):
            cursor: Any = "0"
            while True:  # in portions, so that Redis is not kept from others for long
                async with patiently():
                    cursor, some = await self._script.run(self._client, [prefix_of(one)], "purge", cursor, model or "")
                gone += some
                if int(cursor) == 0:
                    break
        return gone

    async def close(self) -> None:
        """What is on its way to Redis may be lost."""
        self._closed = True
        await self._keeping.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    # ------------------------------------------------------------------ within

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()  # to ask each time is a call of the kernel

    def _asks(self) -> bool:
        return not self._closed and self._loop.time() >= self._rests_until and self._up()

    def _sent(self, loop: asyncio.AbstractEventLoop, seconds: float, *command: str) -> "Answer":
        answer = self._client.start(*command)
        if answer is None:
            answer = self._begin(loop, self._client.call(*command))
        timer = loop.call_later(seconds, self._late, answer)

        def landed(answer: "asyncio.Future[Any]") -> None:
            timer.cancel()
            if not answer.cancelled():
                self._heard(answer.exception())

        answer.add_done_callback(landed)
        return Answer(answer)

    def _late(self, answer: "asyncio.Future[Any]") -> None:
        """Its time is up. A single late answer may be our own loop's fault, so the connection stays."""
        if not answer.done():
            answer.cancel()
            self._heard(TimeoutError())

    def _heard(self, error: BaseException | None) -> None:
        if error is None:
            self._failures = 0
            return
        self._failures += 1
        if self._failures >= FAILURES:
            self._failures = 0
            self._rests_until = asyncio.get_running_loop().time() + PAUSE
            if isinstance(error, TimeoutError):
                self._client.hang_up()

    def _begin(self, loop: asyncio.AbstractEventLoop, work: Any) -> "asyncio.Future[Any]":
        task = loop.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _head(self) -> tuple[Word, ...]:
        return ("keep", self._most, self._name)

    def _kept(self, rows: list[Row], entries: Any) -> None:
        self._bytes -= sum([size for _, size, _ in rows])
        if entries is not None:
            team = rows[0][2]
            if team not in self._known or entries <= len(rows):  # Redis may have been emptied since it was told
                self._begin(asyncio.get_running_loop(), self._tell(team))

    async def _tell(self, team: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await self._client.call("SADD", TEAMS, team)
        except Exception as error:  # RedisError, OSError, and whatever a Cluster's client has
            log.debug("redis: a team is not known to keep answers: %s", reason_of(error))
        else:
            self._known.add(team)

    async def _teams(self, team: str | None) -> list[str]:
        if team is not None:
            return [team]
        async with patiently():
            found = await self._client.call("SMEMBERS", TEAMS)
        return sorted(name.decode() for name in found)

    async def _counts(self, team: str) -> dict[str, int]:
        more = True
        while more:
            async with patiently():
                more, flat = await self._script.run(self._client, [prefix_of(team)], "stats")
        names = [name.decode() for name in flat[::2]]
        return dict(zip(names, map(int, flat[1::2]), strict=True))


class Answer:
    """A value to come, or None: also where Redis does not say in time. It need not be awaited."""

    __slots__ = ("_answer",)

    def __init__(self, answer: "asyncio.Future[Any]") -> None:
        self._answer = answer

    def __await__(self) -> Generator[Any, None, bytes | None]:
        answer = self._answer
        try:
            found: bytes | None = yield from answer.__await__()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise  # who asks has left
            return None
        except Exception:  # RedisError, OSError, and whatever a Cluster's client has
            return None
        return found
