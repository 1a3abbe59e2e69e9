"""A bound on how many calls a provider gets at once, and on how many wait for their turn.

Local engines queue without limit; what cannot be served soon is better refused at once.
"""

import asyncio
from collections import deque
from typing import Self

from adapters.errors import Unavailable


class Overloaded(Unavailable):
    code = "overloaded"


class Gate:
    """First come, first served. Used as ``async with gate``; raises ``Overloaded`` when the queue is full."""

    def __init__(self, concurrency: int, queue: int) -> None:
        self.concurrency = concurrency
        self.bounds = concurrency, queue
        self._free = concurrency
        self._queue = queue
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def busy(self) -> int:
        """Calls under way."""
        return self.concurrency - self._free

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    async def __aenter__(self) -> Self:
        if self._free:
            self._free -= 1
            return self
        if len(self._waiting) >= self._queue:
            raise Overloaded("the provider's queue is full", retry_after=1.0)
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # the turn came while we were leaving
            elif turn in self._waiting:  # else it was passed over, cancelled as it is
                self._waiting.remove(turn)
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1
