"""Operations of one turn of the event loop travel together."""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

import msgspec
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as NoAnswer

from gateway.limits.types import StoreDown
from gateway.store.redis.client import Client
from gateway.store.redis.script import Script
from gateway.store.redis.words import PREFIX, Operation, keys_of

log = logging.getLogger("gateway.redis")

MOST = 64
"""Rows in one batch, so that Redis is not kept from others for long. A reservation is a row, and so is each hold that
is settled or renewed, and each subject that is counted."""
LANES = 2
"""Batches under way at once. One is on the wire while the next is worked on; more would only make them smaller."""

TURNS = 6
"""Turns of the event loop from bytes that lie in the socket to an answer that is understood."""
LATE = 0.02
"""Seconds by which a loop that has nothing else to do is never late."""
MOST_SECONDS = 2.0

Answer = tuple[int, Any]
"""The server's time in milliseconds, and what it says to the operation: False where the counters are missing."""


class Unanswered(StoreDown):
    """It was sent, and may have been done, or may be done yet."""


class Pending:
    __slots__ = ("answered", "operation", "rows")

    def __init__(self, operation: Operation, rows: int, answered: asyncio.Future[Answer]) -> None:
        self.operation = operation
        self.rows = rows
        self.answered = answered


class Batches:
    """Of every batch ``answered`` is told the server's epoch, or ``unanswered`` is called. ``time`` replaces the
    server's clock, in milliseconds. Redis must say something within ``seconds``."""

    def __init__(
        self,
        client: Client,
        seconds: float,
        answered: Callable[[str | None], None],
        unanswered: Callable[[], None],
        time: Callable[[], int] | None = None,
    ) -> None:
        self._client = client
        self._answered = answered
        self._unanswered = unanswered
        self._time = time
        self._seconds = seconds
        self._script = Script("limits.lua")
        self._waiting: deque[Pending] = deque()
        self._tasks: set[asyncio.Task[None]] = set()
        self._scheduled = False
        self._heard = 0.0

    def submit(self, operation: Operation, rows: int = 1) -> asyncio.Future[Answer]:
        """The future raises StoreDown, or Unanswered if it was sent."""
        loop = asyncio.get_running_loop()
        pending = Pending(operation, rows, loop.create_future())
        self._waiting.append(pending)
        if not self._scheduled and len(self._tasks) < LANES:
            self._scheduled = True
            loop.call_soon(self._start)
        return pending.answered

    async def close(self) -> None:
        for pending in self._waiting:
            fail(pending, StoreDown("the gateway is stopping"))
        self._waiting.clear()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and len(self._tasks) < LANES:
            batch = self._next()
            if not batch:
                return
            task = asyncio.get_running_loop().create_task(self._send(batch))
            self._tasks.add(task)
            task.add_done_callback(self._ended)

    def _next(self) -> list[Pending]:
        """Without those who have left meanwhile."""
        batch, room = [], MOST
        while self._waiting and (room == MOST or self._waiting[0].rows <= room):
            pending = self._waiting.popleft()
            if not pending.answered.done():
                batch.append(pending)
                room -= pending.rows
        return batch

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._waiting and not self._scheduled:
            self._start()

    async def _send(self, batch: list[Pending]) -> None:
        operations = [pending.operation for pending in batch]
        time = self._time() if self._time is not None else 0
        packed = msgspec.msgpack.encode((PREFIX, time, operations))
        try:
            answer = await self._within(self._script.run(self._client, keys_of(operations), packed))
            at, epoch, answers = msgspec.msgpack.decode(answer)
        except asyncio.CancelledError:
            for pending in batch:
                fail(pending, Unanswered("the gateway is stopping"))
            raise
        except (RedisError, OSError, msgspec.DecodeError) as error:  # TimeoutError is an OSError
            self._failed(batch, error)
            return
        self._answered(epoch or None)
        for pending, one in zip(batch, answers, strict=True):
            if not pending.answered.done():
                pending.answered.set_result((at, one))

    async def _within(self, work: Coroutine[Any, Any, Any]) -> Any:
        """What comes of the work. Raises TimeoutError after so many seconds in which Redis has said nothing at all: one
        that answers others is alive, if busy. A loop that was late itself, with other work or without a processor,
        first reads what has arrived meanwhile, and allows for its own delay."""
        loop, seconds = asyncio.get_running_loop(), self._seconds
        task = loop.create_task(work)
        try:
            began = loop.time()
            due = began + seconds
            while True:
                await asyncio.wait((task,), timeout=max(0.0, due - loop.time()))
                for _ in range(TURNS):
                    if task.done():
                        self._heard = loop.time()
                        return task.result()
                    await asyncio.sleep(0)
                now = loop.time()
                late = now - due
                due = max(self._heard + seconds, now + min(late, seconds) if late > LATE else 0.0)
                if due <= now or now > began + MOST_SECONDS:
                    raise TimeoutError
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait((task,))

    def _failed(self, batch: list[Pending], error: Exception) -> None:
        """Those who wait fail with those who were sent: they would only wait as long again."""
        reason = reason_of(error)
        log.debug("redis: %s", error)
        waiting, self._waiting = self._waiting, deque()
        for pending in batch:
            fail(pending, Unanswered(reason))
        for pending in waiting:
            fail(pending, StoreDown(reason))
        self._unanswered()


def fail(pending: Pending, error: StoreDown) -> None:
    if not pending.answered.done():
        pending.answered.set_exception(error)


def reason_of(error: Exception) -> str:
    """What may be told to anybody: neither addresses nor what Redis says of users."""
    if isinstance(error, (TimeoutError, NoAnswer)):
        return "Redis did not answer in time"
    return f"Redis cannot be asked ({type(error).__name__})"
