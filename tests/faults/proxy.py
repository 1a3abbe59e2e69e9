"""A TCP proxy that fails on command, to stand in front of Redis, PostgreSQL or a provider."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any, Literal

Mode = Literal["pass", "delay", "hole", "refuse"]
"""``pass``: bytes go through. ``delay``: each portion waits ``delay`` seconds. ``hole``: connections are taken, and no
byte goes through until the mode changes. ``refuse``: new connections are reset at once."""

LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """``seen`` counts connections."""

    def __init__(self, target: int) -> None:
        self.mode: Mode = "pass"
        self.delay = 0.0
        self.port = 0
        self.seen = 0
        self._target = target
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()
        self._changed = asyncio.Event()

    def set(self, mode: Mode, delay: float = 0.0) -> None:
        self.mode, self.delay = mode, delay
        self._changed.set()
        self._changed = asyncio.Event()

    def reset(self) -> None:
        """Ends every connection by a reset, on both sides."""
        for pair in list(self._pairs):
            for writer in pair:
                abort(writer)

    def half_close(self) -> None:
        """Tells every client that the server will say no more, and goes on reading."""
        for down, _ in list(self._pairs):
            with suppress(OSError, RuntimeError):
                down.write_eof()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen += 1
        if self.mode == "refuse":
            abort(writer)
            return
        try:
            there_reader, there = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            abort(writer)
            return
        pair = (writer, there)
        self._pairs.add(pair)
        ways = [asyncio.create_task(self._carry(reader, there)), asyncio.create_task(self._carry(there_reader, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._pairs.discard(pair)
            for way in ways:
                way.cancel()
            for end in pair:
                end.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.mode == "delay":
                    await asyncio.sleep(self.delay)
                while self.mode == "hole":
                    await self._changed.wait()
                writer.write(data)
                await writer.drain()


def abort(writer: asyncio.StreamWriter) -> None:
    socket_: Any = writer.get_extra_info("socket")
    with suppress(OSError):
        socket_.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER)
    writer.transport.abort()


@asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """A proxy to a port of this machine."""
    proxy = Proxy(target)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        try:
            await proxy._serve(reader, writer)
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
