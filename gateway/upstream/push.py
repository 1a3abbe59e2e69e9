"""Hands a streamed body on, no faster than it is taken."""

import asyncio
from collections import deque
from collections.abc import Callable

from gateway.upstream.inflate import Inflater
from gateway.upstream.types import Feed


class Push:
    """One streamed body: ``take`` each piece as it arrives. While ``held``, the connection is not to be read.

    ``resumed`` is called when a hold is over and everything taken so far has been handed on, or has failed.
    """

    __slots__ = ("_feed", "_inflater", "_queue", "_resumed", "held")

    def __init__(self, feed: Feed, resumed: Callable[[Exception | None], None]) -> None:
        self._feed = feed
        self._resumed = resumed
        self._inflater: Inflater | None = None
        self._queue: deque[bytes] | None = None  # a transport may deliver once more after it was paused
        self.held: asyncio.Future[None] | None = None

    def take(self, piece: bytes) -> None:
        """Raises what ``feed`` raises."""
        if self.held is None:
            waiting = self._feed(piece)
            if waiting is not None:
                self._hold(waiting)
        else:
            self._enqueue(piece)

    def inflate(self, piece: bytes, encoding: bytes) -> None:
        """The same for a compressed body; raises Garbled when it cannot be read."""
        if self._inflater is None:
            self._inflater = Inflater(encoding)
        self._enqueue(piece)
        self._drain()

    def close(self) -> None:
        """The body has ended. Raises Garbled if a compressed one was cut short."""
        if self._inflater is not None:
            self._inflater.close()

    def drop(self) -> None:
        """Nobody wants the rest. What ``feed`` gave us to wait for is its maker's again."""
        if self.held is not None:
            self.held.remove_done_callback(self._released)
            self.held = None

    def _enqueue(self, piece: bytes) -> None:
        if self._queue is None:
            self._queue = deque()
        self._queue.append(piece)

    def _hold(self, waiting: asyncio.Future[None]) -> None:
        self.held = waiting
        waiting.add_done_callback(self._released)

    def _released(self, waiting: asyncio.Future[None]) -> None:
        error = None if waiting.cancelled() else waiting.exception()
        if self.held is not waiting:  # dropped in the turn in which it was done
            return
        self.held = None
        try:
            if error is not None:
                raise error
            self._drain()
        except Exception as failure:
            self._resumed(failure)
            return
        if self.held is None:
            self._resumed(None)

    def _drain(self) -> None:
        while self.held is None and (piece := self._next()):
            waiting = self._feed(piece)
            if waiting is not None:
                self._hold(waiting)

    def _next(self) -> bytes:
        inflater, queue = self._inflater, self._queue
        if inflater is None:
            return queue.popleft() if queue else b""
        while queue:
            inflater.push(queue.popleft())
        return inflater.pull()
