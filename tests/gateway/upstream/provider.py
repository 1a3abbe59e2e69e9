"""A provider of our own that says exactly the bytes it is told to, and notes what it hears."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from types import TracebackType
from typing import Self
from urllib.parse import quote

Play = Callable[["Link"], Awaitable[None]]
"""What happens on one connection. When it returns, the connection is closed."""


class Link:
    """One connection as the provider sees it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heads: list[bytes] = []
        self.bodies: list[bytes] = []

    async def hear(self) -> bool:
        """Reads one request; False if the client has closed instead."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return False
        size = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        try:
            body = await self.reader.readexactly(size)
        except (asyncio.IncompleteReadError, ConnectionError, ssl.SSLError):
            return False
        self.heads.append(head)
        self.bodies.append(body)
        return True

    async def say(self, *pieces: bytes) -> None:
        """Each piece by itself, as far as that can be arranged."""
        for i, piece in enumerate(pieces):
            if i:
                await asyncio.sleep(0.005)
            self.writer.write(piece)
            await self.writer.drain()

    async def left(self) -> None:
        """Waits until the client has closed."""
        try:
            while await self.reader.read(65536):
                pass
        except (ConnectionError, ssl.SSLError):
            pass


class Provider:
    """``async with Provider(play) as provider``: listens on loopback, or on a unix socket, with TLS if asked."""

    def __init__(self, play: Play, *, tls: ssl.SSLContext | None = None, socket: Path | None = None) -> None:
        self._play = play
        self._tls = tls
        self._socket = socket
        self._tasks: set[asyncio.Task[None]] = set()
        self.links: list[Link] = []
        self.ended: list[Link] = []
        self.url = ""

    async def __aenter__(self) -> Self:
        if self._socket is not None:
            self._server = await asyncio.start_unix_server(self._connected, self._socket, ssl=self._tls)
            self.url = f"http+unix://{quote(str(self._socket), safe='')}/v1"
        else:
            self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0, ssl=self._tls)
            port = self._server.sockets[0].getsockname()[1]
            self.url = f"https://localhost:{port}/v1" if self._tls else f"http://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._run(Link(reader, writer)))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _run(self, link: Link) -> None:
        self.links.append(link)
        try:
            await self._play(link)
        finally:
            self.ended.append(link)
            link.writer.close()
            try:
                await asyncio.wait_for(link.writer.wait_closed(), 0.1)
            except (OSError, TimeoutError):
                link.writer.transport.abort()
                await asyncio.sleep(0)


def saying(*answers: bytes) -> Play:
    """Says the answers in turn, the last one ever after, until the client leaves."""

    async def play(link: Link) -> None:
        while await link.hear():
            await link.say(answers[min(len(link.heads), len(answers)) - 1])

    return play


def once(*pieces: bytes) -> Play:
    """Hears one request, says the pieces, and closes."""

    async def play(link: Link) -> None:
        if await link.hear():
            await link.say(*pieces)

    return play


def silent(*pieces: bytes) -> Play:
    """Hears one request, says the pieces and then nothing, until the client leaves."""

    async def play(link: Link) -> None:
        if await link.hear():
            await link.say(*pieces)
            await link.left()

    return play


def answer(body: bytes = b"", *lines: bytes, status: bytes = b"200 OK") -> bytes:
    """A whole answer with a content length."""
    head = b"".join(line + b"\r\n" for line in (b"Content-Length: %d" % len(body), *lines))
    return b"HTTP/1.1 %b\r\n%b\r\n%b" % (status, head, body)


def chunked(*pieces: bytes, lines: tuple[bytes, ...] = (), trailers: bytes = b"") -> bytes:
    """A whole answer in chunks."""
    head = b"".join(line + b"\r\n" for line in (b"Transfer-Encoding: chunked", *lines))
    body = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    return b"HTTP/1.1 200 OK\r\n%b\r\n%b0\r\n%b\r\n" % (head, body, trailers)


async def eventually(true: Callable[[], object]) -> None:
    """Looks until it is so."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.002)
    raise AssertionError("not in two seconds")


async def count(things: list[Link], size: int) -> None:
    """Waits until there are so many."""
    await eventually(lambda: len(things) == size)
