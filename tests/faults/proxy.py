"""A TCP proxy that fails, to stand in front of Redis, PostgreSQL or a provider: on command, all connections at once, or
by a schedule, exchange by exchange.

    async with proxied(port, mixed(seed=7, share=0.05)) as proxy:
        ...
    print(proxy.injected)
"""

import asyncio
import socket
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

from tests.faults.kinds import Fault
from tests.faults.schedule import Schedule

Mode = Literal["pass", "delay", "hole", "refuse"]
"""``pass``: bytes go through. ``delay``: each portion waits ``delay`` seconds. ``hole``: connections are taken, and no
byte goes through until the mode changes. ``refuse``: new connections are reset at once."""

LINGER = struct.pack("ii", 1, 0)
GRACE = 30.0
"""Seconds that a server has to close after its client has."""


class Proxy:
    """``seen`` counts connections, ``exchanges`` what was asked on them, ``injected`` the faults by their kinds.
    ``schedule`` may be replaced at any time; without one nothing fails but on command."""

    def __init__(self, target: int, schedule: Schedule | None = None) -> None:
        self.mode: Mode = "pass"
        self.delay = 0.0
        self.port = 0
        self.seen = 0
        self.exchanges = 0
        self.injected: Counter[str] = Counter()
        self.schedule = schedule
        self.target = target
        self._lines: set[Connection] = set()
        self._changed = asyncio.Event()

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        self.mode, self.delay = mode, delay
        if mode != "pass":
            self.injected[f"all: {mode}"] += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self) -> None:
        """Ends every connection by a reset, on both sides."""
        self.injected["all: reset"] += 1
        for line in list(self._lines):
            line.abort()

    def half_close(self) -> None:
        """Tells every client that the server will say no more, and goes on reading."""
        self.injected["all: half-closed"] += 1
        for line in list(self._lines):
            line.end_answer()

    def next_fault(self) -> Fault:
        self.exchanges += 1
        return self.schedule.next() if self.schedule else Fault()

    async def passing(self) -> None:
        """Waits as long as the mode says."""
        if self.mode == "delay":
            await asyncio.sleep(self.delay)
        while self.mode == "hole":
            await self._changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        if self.mode == "refuse":
            abort(writer)
            return
        line = Connection(self, reader, writer)
        self._lines.add(line)
        try:
            await line.run()
        finally:
            self._lines.discard(line)


class Connection:
    """A ``Line``: one client's connection, and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._proxy = proxy
        self._reader, self._down = reader, writer
        self._up: asyncio.StreamWriter | None = None
        self._fault = proxy.next_fault()
        self._answering = False

    async def run(self) -> None:
        try:
            if not await self._fault.opened(self):
                return
            try:
                reader, self._up = await asyncio.open_connection("127.0.0.1", self._proxy.target)
            except OSError:
                self.abort()
                return
            asking, answering = asyncio.create_task(self._requests()), asyncio.create_task(self._answers(reader))
            try:
                await asyncio.wait([asking])  # as long as the client is there
                await asyncio.wait([answering], timeout=GRACE)
            finally:
                asking.cancel()
                answering.cancel()
                await asyncio.wait([asking, answering])
        finally:
            self.close()

    async def _requests(self) -> None:
        try:
            while data := await self._reader.read(65536):
                await self._proxy.passing()
                if self._answering and not self._fault.stays:
                    self._answering = False
                    self._fault = self._proxy.next_fault()
                await self._fault.asked(data, self)
            if self._up is not None and not self._up.is_closing():
                self._up.write_eof()
        except OSError:
            self.abort()

    async def _answers(self, reader: asyncio.StreamReader) -> None:
        try:
            while data := await reader.read(65536):
                await self._proxy.passing()
                self._answering = True
                await self._fault.answered(data, self)
            await self._fault.ended(self)
        except OSError:
            self.abort()

    # ------------------------------------------------------------------ what faults use

    async def forward(self, data: bytes) -> None:
        if self._up is not None:
            self._up.write(data)
            await self._up.drain()

    async def back(self, data: bytes) -> None:
        self._answering = True
        self._down.write(data)
        await self._down.drain()

    def end_answer(self) -> None:
        with suppress(OSError, RuntimeError):
            self._down.write_eof()

    def close(self) -> None:
        self._down.close()
        if self._up is not None:
            self._up.close()

    def abort(self) -> None:
        abort(self._down)
        if self._up is not None:
            abort(self._up)

    def count(self, kind: str) -> None:
        self._proxy.injected[kind] += 1


def abort(writer: asyncio.StreamWriter) -> None:
    socket_: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()


@asynccontextmanager
async def proxied(target: int, schedule: Schedule | None = None) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine."""
    proxy = Proxy(target, schedule)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await proxy.serve(reader, writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, backlog=1024)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        if tasks:
            await asyncio.wait(list(tasks), timeout=5)
        await asyncio.sleep(0)  # sockets are closed in the next turn
