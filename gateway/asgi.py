"""An exchange over ASGI: the way of large bodies, and of everything that ``protocol`` leaves alone. For uvicorn, or a
server like it, whose ``send`` and ``receive`` wait on asyncio's futures.

``send`` and ``receive`` are coroutines. Where they need not wait, which is nearly always, they are stepped by hand
instead of being given a task: a piece of a stream goes from the provider's socket to the caller's within one callback.
"""

import asyncio
import types
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from typing import Any

from gateway.exchange import both, stream_head, too_large, whole_head
from gateway.headers import Head, HeaderLines, lines_of
from gateway.keys import Last
from gateway.turns import current_task
from gateway.wire.dialect import Dialect

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]


class AsgiExchange:
    """An Exchange."""

    __slots__ = (
        "_backlog", "_draining", "_head", "_leaving", "_receive", "_send", "authorization", "cache_control",
        "content_length", "content_type", "dialect", "first", "id", "lamini", "left", "started", "status", "team",
        "timeout",
    )  # fmt: skip

    whole = False
    arrived = 0.0
    last: Last | None = None

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = self.team = ""
        self.status, self.first = 0, 0.0
        self._receive = receive
        self._send = send
        self._leaving: tuple[Any, asyncio.Future[Any], Callable[[Any], None]] | None = None
        self._draining: asyncio.Task[None] | None = None
        self._backlog: list[bytes] = []
        self._head: HeaderLines = []
        self.lamini = self.left = False
        self.started = False
        self.dialect: Dialect | None = None
        self.authorization: bytes | None = None
        self.content_type: bytes | None = None
        self.content_length: bytes | None = None
        self.cache_control: bytes | None = None
        self.timeout: bytes | None = None
        for name, value in scope["headers"]:
            if name == b"authorization":
                self.authorization = both(self.authorization, value)
            elif name == b"content-type":
                self.content_type = value
            elif name == b"content-length":
                self.content_length = value
            elif name == b"lamini-version":
                self.lamini = True
            elif name == b"cache-control":
                self.cache_control = both(self.cache_control, value)
            elif name == b"x-gateway-timeout-ms":
                self.timeout = both(self.timeout, value)

    def at_hand(self, limit: int) -> bytes:
        raise AssertionError("the body is on its way")

    async def read(self, limit: int) -> bytes:
        if self.content_length is not None and self.content_length.isdigit() and int(self.content_length) > limit:
            raise too_large(limit)
        message = await self._receive()
        body: bytes = message.get("body", b"")
        if message["type"] == "http.request" and not message.get("more_body"):
            if len(body) > limit:
                raise too_large(limit)
            return body
        return await self._read_rest(message, limit)

    async def _read_rest(self, message: MutableMapping[str, Any], limit: int) -> bytes:
        parts: list[bytes] = []
        size = 0
        while True:
            if message["type"] == "http.disconnect":
                self.left = True
                raise asyncio.CancelledError("the caller left")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise too_large(limit)
            if not message.get("more_body"):
                return b"".join(parts)
            message = await self._receive()

    def cancel_when_left(self) -> None:
        task = current_task()

        def leave(_: Any) -> None:
            self.left = True
            task.cancel()

        waiting: Any = self._receive()
        try:
            future = waiting.send(None)
        except StopIteration:  # gone already
            leave(None)
            return
        future.add_done_callback(leave)
        self._leaving = (waiting, future, leave)

    def stop_watching(self) -> None:
        if self._leaving is not None:
            waiting, future, leave = self._leaving
            self._leaving = None
            future.remove_done_callback(leave)
            future._asyncio_future_blocking = False  # as a task would have noted when it began to wait
            waiting.close()

    async def answer(self, status: int, headers: Head, body: bytes) -> None:
        self.stop_watching()
        self.started = True
        self.status = status
        lines = whole_head(self.id, len(body), lines_of(headers))
        await self._send({"type": "http.response.start", "status": status, "headers": lines})
        await self._send({"type": "http.response.body", "body": body})

    def open(self, headers: Head) -> None:
        self._head = stream_head(self.id, lines_of(headers))

    def write(self, data: bytes) -> asyncio.Future[None] | None:
        if self._draining is not None:
            self._backlog.append(data)
            return self._draining
        if not self.started:
            self.started = True
            self.status = 200
            self._step({"type": "http.response.start", "status": 200, "headers": self._head})
        return self._step({"type": "http.response.body", "body": data, "more_body": True})

    async def finish(self, data: bytes) -> None:
        waiting = self.write(data)
        if waiting is not None:
            await waiting
        await self._send({"type": "http.response.body", "body": b""})

    def abort(self) -> None:
        """A server closes the connection of an application that returns before its answer is complete."""

    def _step(self, message: MutableMapping[str, Any]) -> asyncio.Future[None] | None:
        sending: Any = self._send(message)
        try:
            future = sending.send(None)
        except StopIteration:
            return self._draining
        self._draining = asyncio.get_running_loop().create_task(self._drain(rest_of(sending, future)))
        return self._draining

    async def _drain(self, sending: Awaitable[None]) -> None:
        await sending
        while self._backlog:
            data = b"".join(self._backlog)
            self._backlog.clear()
            await self._send({"type": "http.response.body", "body": data, "more_body": True})
        self._draining = None


@types.coroutine
def rest_of(waiting: Coroutine[Any, Any, None], future: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that was stepped once and has asked to wait for ``future``."""
    yield future
    yield from waiting
