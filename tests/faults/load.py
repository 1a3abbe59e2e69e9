"""Calls by the thousand, from a client that takes it calmly when the gateway dies."""

import asyncio
import itertools
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
from msgspec import Struct, field

CHAT = "/v1/chat/completions"
MOST = 300.0
"""Seconds after which an answer is given up."""


class Dead(Exception):
    """The gateway is not there, or was gone before it had answered."""


class Answer(Struct):
    status: int
    headers: dict[str, str]
    body: bytes
    sent: float
    ended: float

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


class Stream:
    """An answer that is read event by event; ``status`` and ``headers`` are known from the beginning."""

    def __init__(self, status: int, headers: dict[str, str], reader: asyncio.StreamReader) -> None:
        self.status, self.headers = status, headers
        self._reader = reader

    async def rest(self) -> bytes:
        """The body of an answer that is no stream."""
        return b"".join([part async for part in parts(self.headers, self._reader)])

    async def events(self) -> AsyncIterator[bytes]:
        """The data of each event."""
        waiting = b""
        async for part in parts(self.headers, self._reader):
            *whole, waiting = (waiting + part).split(b"\n\n")
            for event in whole:
                yield event.removeprefix(b"data: ")


class Client:
    """Keeps connections alive, and opens as many as there are calls at once. ``ports`` take turns."""

    def __init__(self, ports: int | Sequence[int], key: str) -> None:
        self._ports = itertools.cycle([ports] if isinstance(ports, int) else ports)
        self.key = key
        self._idle: dict[int, list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = {}

    async def call(self, body: Any, path: str = CHAT, headers: dict[str, str] | None = None) -> Answer:
        """Raises Dead."""
        port = next(self._ports)
        sent = time.time()
        try:
            async with asyncio.timeout(MOST):
                reader, writer = await self._connection(port)
                try:
                    status, said = await self._ask(reader, writer, body, path, headers)
                    data = b"".join([part async for part in parts(said, reader)])
                except BaseException:
                    await aborted(writer)
                    raise
        except (OSError, asyncio.IncompleteReadError, ValueError) as error:
            raise Dead(f"{type(error).__name__}: {error}") from error
        if said.get("connection") == "close":
            writer.close()
        else:
            self._idle.setdefault(port, []).append((reader, writer))
        return Answer(status, said, data, sent, time.time())

    @asynccontextmanager
    async def stream(self, body: Any, path: str = CHAT, headers: dict[str, str] | None = None) -> AsyncIterator[Stream]:
        """On a connection of its own, which is reset at the end: whoever leaves early has left at once."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", next(self._ports))
        except OSError as error:
            raise Dead(str(error)) from error
        try:
            status, said = await self._ask(reader, writer, body, path, headers)
            yield Stream(status, said, reader)
        finally:
            await aborted(writer)

    async def close(self) -> None:
        for waiting in self._idle.values():
            for _, writer in waiting:
                writer.transport.abort()
        self._idle.clear()
        await asyncio.sleep(0)

    async def _connection(self, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        waiting = self._idle.get(port, [])
        while waiting:
            reader, writer = waiting.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", port)

    async def _ask(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        body: Any,
        path: str,
        headers: dict[str, str] | None,
    ) -> tuple[int, dict[str, str]]:
        data = msgspec.json.encode(body)
        more = "".join([f"{name}: {value}\r\n" for name, value in (headers or {}).items()])
        head = (
            f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {self.key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(data)}\r\n{more}\r\n"
        )
        writer.write(head.encode() + data)
        return await answered(reader)


async def aborted(writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()
    await asyncio.sleep(0)  # the socket is closed in the next turn


async def answered(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = [line.partition(":") for line in lines[1:] if line]
    return int(lines[0].split(" ")[1]), {name.lower(): value.strip() for name, _, value in pairs}


async def parts(headers: dict[str, str], reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if headers.get("transfer-encoding") != "chunked":
        yield await reader.readexactly(int(headers["content-length"]))
        return
    while True:
        size = int(await reader.readline() or b"x", 16)
        data = await reader.readexactly(size + 2)
        if not size:
            return
        yield data[:-2]


class Tally(Struct):
    """What came of many calls: how often each status, how many found the gateway dead or were cut off by its death, and
    for each ``user`` the status of its answer, 0 where there was none."""

    statuses: Counter[int] = field(default_factory=Counter)
    dead: int = 0
    calls: int = 0
    by_user: dict[str, int] = field(default_factory=dict)
    bad: list[str] = field(default_factory=list)
    """Answers that no client should have got, by their status and first words."""


class Load:
    """A steady number of callers. ``body`` makes the body of a call from its ``user``, which no other call has."""

    def __init__(
        self, client: Client, body: Callable[[str], Any], callers: int, name: str, fine: tuple[int, ...] = (200,)
    ) -> None:
        self.tally = Tally()
        self._client = client
        self._body = body
        self._callers = callers
        self._name = name
        self._fine = fine
        self._numbers = itertools.count()
        self._tasks: list[asyncio.Task[None]] = []
        self._over = False

    def start(self) -> None:
        self._tasks = [asyncio.create_task(self._run()) for _ in range(self._callers)]

    async def stop(self) -> Tally:
        """Waits for the calls that are under way."""
        self._over = True
        await asyncio.gather(*self._tasks)
        await self._client.close()
        return self.tally

    async def calls(self, number: int) -> Tally:
        """So many, all at once."""
        await asyncio.gather(*[self._one() for _ in range(number)])
        await self._client.close()
        return self.tally

    async def _run(self) -> None:
        while not self._over:
            if not await self._one():
                await asyncio.sleep(0.02 + random.random() * 0.03)  # it is starting

    async def _one(self) -> bool:
        tally = self.tally
        user = f"{self._name}-{next(self._numbers)}"
        tally.calls += 1
        tally.by_user[user] = 0
        body = self._body(user)
        try:
            if body.get("stream"):
                status = await self._streamed(body)
            else:
                answer = await self._client.call(body)
                status = answer.status
                if status not in self._fine:
                    tally.bad.append(f"{status} {answer.body[:200].decode(errors='replace')}")
        except (Dead, TimeoutError):
            tally.dead += 1
            return False
        tally.statuses[status] += 1
        tally.by_user[user] = status
        return True

    async def _streamed(self, body: Any) -> int:
        with suppress(ConnectionError, asyncio.IncompleteReadError, ValueError):
            async with self._client.stream(body) as stream:
                if stream.status != 200:
                    return stream.status
                async for event in stream.events():
                    if event == b"[DONE]":
                        return 200
        raise Dead("the stream was cut off")
