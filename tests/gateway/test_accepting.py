"""Who comes new is taken many at a time, and what goes wrong with one is none of the others' concern."""

import asyncio
import errno
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn
import uvloop

from gateway import accepting
from gateway.accepting import MOST, Acceptor
from gateway.draining import Server


async def nothing(scope: object, receive: object, send: object) -> None: ...


def on_uvloop(work: Callable[[], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(work())  # type: ignore[arg-type]


class Kept(asyncio.Protocol):
    """A connection, kept in a list while it lasts."""

    def __init__(self, all: list["Kept"]) -> None:
        self._all = all
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._all.append(self)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


class Site:
    """A listening socket and its acceptor."""

    def __init__(self, **more: Any) -> None:
        self.kept: list[Kept] = []
        self.listening = more.get("listening") or socket.create_server(("127.0.0.1", 0), backlog=2 * MOST)
        self.listening.setblocking(False)
        self.acceptor = Acceptor(self.listening, lambda: Kept(self.kept))

    def knock(self, times: int = 1) -> list[socket.socket]:
        return [socket.create_connection(self.listening.getsockname()) for _ in range(times)]

    async def until(self, count: int) -> int:
        """So many are in; returns the turns of the event loop that it took."""
        turns = 0
        async with asyncio.timeout(10):
            while len(self.kept) < count:
                await asyncio.sleep(0)
                turns += 1
        return turns

    def close(self) -> None:
        self.acceptor.close()
        self.listening.close()
        for one in self.kept:
            one.transport.abort()


def test_many_are_taken_at_each_turn_and_no_more_than_so_many() -> None:
    async def work() -> None:
        site = Site()
        callers = site.knock(MOST + 10)
        site.acceptor.open()
        assert await site.until(MOST + 10) <= 8
        callers[-1].sendall(b"here")
        callers[-1].setblocking(False)
        assert await asyncio.get_running_loop().sock_recv(callers[-1], 9) == b"here"
        site.close()
        for caller in callers:
            caller.close()

    on_uvloop(work)


def test_two_share_a_socket() -> None:
    async def work() -> None:
        one = Site()
        other = Site(listening=one.listening)
        one.acceptor.open()
        callers = one.knock()
        await one.until(1)
        other.acceptor._take()  # another has taken it
        one.acceptor.close()
        assert not other.kept
        callers += one.knock()
        other.acceptor._take()
        await other.until(1)
        for late in other.kept:
            late.transport.abort()
        one.close()
        for caller in callers:
            caller.close()

    on_uvloop(work)


class Short:
    """A listening socket where something is missing until it is there again."""

    def __init__(self, listening: socket.socket, number: int) -> None:
        self.listening, self.number, self.asked = listening, number, 0

    def fileno(self) -> int:
        return self.listening.fileno()

    def accept(self) -> Any:
        self.asked += 1
        if self.number:
            raise OSError(self.number, "short")
        return self.listening.accept()


def test_without_descriptors_it_waits_and_loses_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accepting, "PAUSE", 0.02)

    async def work() -> None:
        site = Site()
        short: Any = Short(site.listening, errno.EMFILE)
        site.acceptor._listening = short
        callers = site.knock()
        site.acceptor.open()
        async with asyncio.timeout(10):
            while short.asked < 3:
                before = short.asked
                for _ in range(5):
                    await asyncio.sleep(0)
                assert short.asked - before <= 1
                await asyncio.sleep(0.005)
        short.number = 0
        await site.until(1)
        site.close()
        callers[0].close()

    on_uvloop(work)


def test_one_that_has_gone_is_passed_over() -> None:
    async def work() -> None:
        site = Site()
        short: Any = Short(site.listening, errno.ECONNABORTED)
        site.acceptor._listening = short
        callers = site.knock()
        site.acceptor._take()
        assert short.asked == MOST and not site.kept
        short.number = 0
        site.acceptor._take()
        await site.until(1)
        site.close()
        callers[0].close()

    on_uvloop(work)


def test_a_server_that_stops_takes_nobody_any_more() -> None:
    async def work() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            listening.setblocking(False)
            config = uvicorn.Config(nothing, lifespan="off", log_level="error")
            config.load()
            server = Server(config, 0)
            server._loop = asyncio.get_running_loop()
            server.lifespan = config.lifespan_class(config)
            address = listening.getsockname()
            await server.startup([listening])
            caller = socket.create_connection(address)
            async with asyncio.timeout(10):
                while not server.server_state.connections:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0)
            await server.shutdown([listening])
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address)
            caller.close()

    on_uvloop(work)
