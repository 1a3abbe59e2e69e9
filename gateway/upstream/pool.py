"""The connections to one origin: kept while idle, bounded in number, handed out fairly."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from adapters.errors import Unavailable
from gateway.upstream.connection import Connection
from gateway.upstream.failures import CLOSED, LOST
from gateway.upstream.types import Limits

Dial = Callable[[], Awaitable[Connection]]


class Pool:
    """Hands out the connection that was used last, so that the others grow old and close.

    A slot is the right to have a connection. Whoever waits is given the next free connection or slot directly, so
    nobody who comes later can overtake.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_connections",
        "_dial",
        "_emptied",
        "_idle",
        "_limits",
        "_loop",
        "_slots",
        "_sweeper",
        "_waiting",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, dial: Dial) -> None:
        self._loop = loop
        self._limits = limits
        self._dial = dial
        self._slots = limits.connections
        self._idle: list[Connection] = []  # longest idle first
        self._connections: set[Connection] = set()
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False
        self._emptied: asyncio.Future[None] | None = None  # while ``close`` waits

    def take(self, now: float) -> Connection | None:
        """An idle connection that may be used, if there is one."""
        idle = self._idle
        while idle:
            connection = idle.pop()
            if connection.usable(now):
                return connection
            connection.abort()
        return None

    async def get(self) -> Connection:
        """A connection: a new one if the bound allows, else the next that is free."""
        again = False
        while True:
            if self._closed:
                raise Unavailable(CLOSED)
            connection = self.take(self._loop.time())
            if connection is not None:
                return connection
            if self._slots > 0:
                self._slots -= 1
                return await self._open()
            connection = await self._wait(again)
            if connection is None:
                return await self._open()
            if connection.usable(self._loop.time()):
                return connection
            connection.abort()
            again = True  # it broke on its way to us: back to the head of the queue

    async def close(self) -> None:
        """Closes every connection; whoever still uses or awaits one gets an error."""
        self._closed = True
        self._idle.clear()
        while (waiter := self._next_waiter()) is not None:
            waiter.set_exception(Unavailable(CLOSED))
        for connection in list(self._connections):
            connection.fail(Unavailable(CLOSED))
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        if self._connections:
            self._emptied = self._loop.create_future()
            await self._emptied  # the event loop tells of closed connections in its next turns

    async def _open(self) -> Connection:
        """The caller has a slot for it."""
        try:
            connection = await self._dial()
            if connection.closed or self._closed:
                connection.abort()
                raise Unavailable(CLOSED if self._closed else LOST)
        except BaseException:
            self._free()
            raise
        connection.released, connection.lost = self._released, self._lost
        self._connections.add(connection)
        return connection

    # ------------------------------------------------------------------ what connections tell

    def _released(self, connection: Connection) -> None:
        if self._waiting and (waiter := self._next_waiter()) is not None:
            waiter.set_result(connection)
            return
        self._idle.append(connection)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._limits.keep_alive, self._sweep)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._free()
        if self._emptied is not None and not self._connections and not self._emptied.done():
            self._emptied.set_result(None)

    def _free(self) -> None:
        waiter = self._next_waiter()
        if waiter is not None:
            waiter.set_result(None)
        else:
            self._slots += 1

    # ------------------------------------------------------------------ waiting, and growing old

    async def _wait(self, again: bool) -> Connection | None:
        """A free connection, or None: a slot for a new one."""
        waiter: asyncio.Future[Connection | None] = self._loop.create_future()
        (self._waiting.appendleft if again else self._waiting.append)(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled():
                self._pass_on(waiter)
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            raise

    def _pass_on(self, waiter: asyncio.Future[Connection | None]) -> None:
        """Given something in the very turn in which it was cancelled."""
        if waiter.exception() is not None:
            return
        connection = waiter.result()
        if connection is None:
            self._free()
        elif not connection.closed:
            self._released(connection)

    def _next_waiter(self) -> asyncio.Future[Connection | None] | None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                return waiter
        return None

    def _sweep(self) -> None:
        """Closes what has been idle for too long. One timer serves the pool, set for the connection idle longest."""
        self._sweeper = None
        now, keep = self._loop.time(), self._limits.keep_alive
        while self._idle and self._idle[0].since + keep <= now:
            self._idle.pop(0).abort()
        if self._idle:
            self._sweeper = self._loop.call_at(self._idle[0].since + keep, self._sweep)
