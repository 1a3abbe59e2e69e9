"""One call that is under way, for all who ask the same meanwhile.

It runs in a task of its own, so that it belongs to none of them: each hears it from its beginning, whenever they come,
at their own pace, and it is cancelled when the last of them has left. What has been said is kept until its end, up to
``room`` bytes; beyond them nobody more may join, and the slowest of those who listen sets the pace.
"""

import asyncio
from collections.abc import Awaitable, Callable

from adapters.types import Delta, Reply
from gateway.attempts import Emit
from gateway.types import LegResult

Batch = tuple[int, list[Delta]]
"""How far the pieces' indexes are from their places in the leg, and the pieces that one read has brought."""

PIECE = 64
"""Bytes that a piece takes beside its text."""


class Flight:
    """``result`` is the call's own, which belongs to no caller; ``run`` makes the call, and leaves its outcome there.
    ``over`` is told when nothing more will come of it, in any case; who comes in between hears it whole. ``spoken``:
    somebody may have been told a piece already."""

    def __init__(
        self,
        result: LegResult,
        streamed: bool,
        room: int,
        run: Callable[["Flight"], Awaitable[None]],
        over: Callable[["Flight"], None],
    ) -> None:
        self.result = result
        self.streamed = streamed
        self.batches: list[Batch] = []
        self.joinable = True
        self.finished = False
        self.spoken = False
        self._room = room
        self._size = 0
        self._tries = 0
        self._listeners: list[Listener] = []
        self._ready: asyncio.Future[None] | None = None
        self._run = run
        self._over = over
        self._task: asyncio.Task[None] | None = None

    async def hear(self, result: LegResult, emit: Emit | None) -> None:
        """What comes of the call, in ``result``; ``emit`` is told each piece from the first on."""
        loop = asyncio.get_running_loop()
        listener = Listener(self, result, emit, loop.create_future())
        self._listeners.append(listener)
        task = self._task
        if task is None:
            task = self._task = loop.create_task(self._fly())
            task.add_done_callback(self._landed)
        if self.finished:
            listener.end(None)
        elif self.batches:
            listener.catch_up()
        try:
            await listener.over
        finally:
            self._listeners.remove(listener)
            if self._listeners:
                self.caught_up()
            else:
                self.result.given_up = result.given_up  # by the last, of a call that is nobody's any more
                if not task.done():
                    await self.stop()

    def emit(self, result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        """One more batch, for all who listen."""
        if result.attempts != self._tries:  # what an earlier target has said before it failed is void
            self._tries = result.attempts
            self._forget()
        self.spoken = True
        self.batches.append((shift, deltas))
        self._size += size(deltas)
        if self._size > self._room:
            self.joinable = False
        for listener in self._listeners:
            listener.catch_up()
        return None if self.joinable else self._keep_pace()

    @property
    def kept(self) -> bool:
        """Whether all that was said is still here."""
        return self._size <= self._room

    @property
    def listening(self) -> int:
        return len(self._listeners)

    def first_heard(self) -> LegResult:
        """The result of the one who has listened longest."""
        return self._listeners[0].result

    async def stop(self) -> None:
        """Gives the call up, whoever listens."""
        if self._task is not None and not self._task.done():
            self.joinable = False
            self._task.cancel()
            await asyncio.wait([self._task])

    # ------------------------------------------------------------------ inside

    async def _fly(self) -> None:
        bug: BaseException | None = None
        try:
            await self._run(self)
            self.finished = True
        except asyncio.CancelledError as left:
            bug = left
            raise
        except Exception as found:
            bug = found
        finally:
            self.joinable = self.joinable and isinstance(self.result.outcome, Reply)
            for listener in self._listeners:
                listener.end(bug)

    def _landed(self, task: asyncio.Task[None]) -> None:
        """Nothing more will come; also of one that was given up before it began."""
        if not self.finished:
            self.joinable = False
            for listener in self._listeners:
                listener.end(asyncio.CancelledError())
        self._over(self)

    def _keep_pace(self) -> asyncio.Future[None] | None:
        if not any(listener.waits for listener in self._listeners):
            self._forget()
            return None
        if self._ready is None:  # one call may consist of several requests, which wait together
            self._ready = asyncio.get_running_loop().create_future()
        return self._ready

    def caught_up(self) -> None:
        """A listener can take more."""
        if self._ready is not None and not any(listener.waits for listener in self._listeners):
            self._forget()
            if not self._ready.done():
                self._ready.set_result(None)
            self._ready = None

    def _forget(self) -> None:
        self.batches.clear()
        for listener in self._listeners:
            listener.at = 0


class Listener:
    """One who hears a flight. ``at`` is the next batch to be told."""

    __slots__ = ("_emit", "_ended", "_flight", "at", "over", "result", "waits")

    def __init__(self, flight: Flight, result: LegResult, emit: Emit | None, over: "asyncio.Future[None]") -> None:
        self._flight = flight
        self._emit = emit
        self._ended = False
        self.result = result
        self.at = 0
        self.waits = False
        self.over = over

    def catch_up(self) -> None:
        """Tells what has been said meanwhile, as far as it is wanted now."""
        if self._emit is not None and self.at < len(self._flight.batches):
            follow(self.result, self._flight.result)
            try:
                self._tell(self._emit)
            except Exception as bug:  # this caller's alone
                self._emit = None
                if not self.over.done():
                    self.over.set_exception(bug)
        if self._ended and not self.waits and not self.over.done():
            self.over.set_result(None)

    def _tell(self, emit: Emit) -> None:
        batches = self._flight.batches
        while not self.waits and self.at < len(batches):
            shift, deltas = batches[self.at]
            self.at += 1
            ready = emit(self.result, deltas, shift)
            if ready is not None and not ready.done():
                self.waits = True
                ready.add_done_callback(self._go_on)

    def end(self, bug: BaseException | None) -> None:
        """The call is over."""
        self._ended = True
        if bug is None:
            self.catch_up()
        elif not self.over.done():
            self.over.set_exception(Stopped() if isinstance(bug, asyncio.CancelledError) else bug)

    def _go_on(self, ready: asyncio.Future[None]) -> None:
        self.waits = False
        if self.over.done():
            return
        self.catch_up()
        if not self.waits:
            self._flight.caught_up()


class Stopped(Exception):
    """The gateway gives its calls up."""


def size(deltas: list[Delta]) -> int:
    """Bytes that pieces take, about."""
    return sum([PIECE + len(delta.text) + (len(bytes(delta.raw)) if delta.raw else 0) for delta in deltas])


def follow(result: LegResult, flown: LegResult) -> None:
    """What is known of the call by now, for one who hears it."""
    result.target, result.attempts, result.path = flown.target, flown.attempts, flown.path
    result.cache, result.served = result.cache or flown.cache, flown.served
    result.whole = flown.whole
    if result.sent and flown.sent:  # else the call is not streamed, and who hears it counts for themselves
        result.sent[:] = flown.sent
