"""A time that is kept also by what does not end at once when it is cancelled."""

import asyncio
from types import TracebackType

GRACE = 2.5
"""Seconds between two attempts; a connection that is closed in order takes up to two."""


class Within:
    """As ``asyncio.timeout``, whose one cancellation is not enough where what it interrupts goes on to say goodbye on
    the very connection that says nothing: a ping that is cancelled rolls back, and waits as before. So it is cancelled
    again, every ``grace`` seconds, until it ends. ``seconds``: None is no bound."""

    def __init__(self, seconds: float | None, grace: float = GRACE) -> None:
        self._seconds = seconds
        self._grace = grace
        self._cancels = 0
        self._timer: asyncio.TimerHandle | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task = task
        self._before = task.cancelling()
        if self._seconds is not None:
            self._timer = asyncio.get_running_loop().call_later(self._seconds, self._expire)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._timer is not None:
            self._timer.cancel()
        left = self._task.cancelling()
        for _ in range(self._cancels):
            left = self._task.uncancel()
        if self._cancels and left <= self._before and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def _expire(self) -> None:
        self._cancels += 1
        self._task.cancel()
        self._timer = asyncio.get_running_loop().call_later(self._grace, self._expire)
