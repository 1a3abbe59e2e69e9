"""The clock of one connection."""

import asyncio
import math
from collections.abc import Callable


class Alarm:
    """One timer, never later than what is due. Progress only moves what is due: whoever is rung finds out whether the
    time has come, and if not, sets the alarm anew. So an exchange that goes well touches no timer at all."""

    __slots__ = ("_handle", "_loop", "_ring", "at")

    def __init__(self, loop: asyncio.AbstractEventLoop, ring: Callable[[], None]) -> None:
        self._loop = loop
        self._ring: Callable[[], None] | None = ring
        self._handle: asyncio.TimerHandle | None = None
        self.at = math.inf
        """When it rings. Compare before calling ``by``: nearly always it is early enough."""

    def by(self, due: float) -> None:
        """Rings at ``due`` if not before."""
        if due < self.at:
            if self._handle is not None:
                self._handle.cancel()
            self.at = due
            self._handle = self._loop.call_at(due, self._rings)

    def off(self) -> None:
        """For good: it forgets whom to ring."""
        self._ring = None
        if self._handle is not None:
            self._handle.cancel()

    def _rings(self) -> None:
        self._handle = None
        self.at = math.inf
        if self._ring is not None:
            self._ring()
