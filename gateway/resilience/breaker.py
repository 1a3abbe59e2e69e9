"""When a target that fails is left alone, and when it is tried again.

Every call is given a ticket when it begins and shows it when it ends. A ticket is good while the breaker stays in the
state in which it was given: what began before it opened says nothing about it afterwards.
"""

import math
from typing import Literal, Protocol

from gateway.resilience.window import Window

State = Literal["closed", "open", "half_open"]

UNJUDGED = 0
"""The ticket of a call that is made although the breaker does not allow it: how it ends is nothing to it."""

SLICES = 10
SHORTEST = 0.001
"""Seconds; a window of none has no calls."""

SOON = 1.0
"""Seconds after which to come back while a probe is under way."""


class BreakerSettings(Protocol):
    """It opens after ``failures`` in a row, or when ``ratio`` of the calls of the last ``window`` seconds have failed
    and they were ``least`` at least; then for ``pause`` seconds, and for twice as long each time that a probe fails, up
    to ``most_pause``."""

    @property
    def failures(self) -> int: ...
    @property
    def ratio(self) -> float: ...
    @property
    def least(self) -> int: ...
    @property
    def window(self) -> float: ...
    @property
    def pause(self) -> float: ...
    @property
    def most_pause(self) -> float: ...


class Breaker:
    """Closed, until the target fails; open, until the pause is over; then half open while one call probes it, whose
    success closes it. Besides, it may ``rest``: that ends by itself. Times are the steady clock's."""

    __slots__ = (
        "_calls",
        "_failed",
        "_in_a_row",
        "_pause",
        "_rest",
        "_state",
        "_until",
        "free_from",
        "settings",
        "ticket",
    )

    def __init__(self, settings: BreakerSettings) -> None:
        self.ticket = UNJUDGED + 1
        """Of the calls that begin now, while it is closed."""
        self.free_from = -math.inf
        """From when on it allows every call; nobody knows when while it is not closed. Most calls ask no more."""
        self._state: State = "closed"
        self._in_a_row = 0
        self._until = self._rest = -math.inf
        self._pause = settings.pause
        self.configure(settings)

    def configure(self, settings: BreakerSettings) -> None:
        """Goes by other settings from now on. What it knows stays, but for the calls of its window."""
        self.settings = settings
        width = max(settings.window, SHORTEST) / SLICES
        self._calls = Window(width, SLICES)
        self._failed = Window(width, SLICES)
        if self._state == "closed":
            self._pause = settings.pause

    def state(self, now: float) -> State:
        """Who rests is as good as open; whose pause is over is open no longer, but waits for a probe."""
        if self._state == "closed":
            return "open" if now < self._rest else "closed"
        return "half_open" if self._state == "open" and now >= max(self._until, self._rest) else self._state

    def allows(self, now: float) -> bool:
        """Whether a call may be made now."""
        return now >= self.free_from or (self._state == "open" and now >= self._until and now >= self._rest)

    def rests(self, now: float) -> bool:
        """Whether it is only at rest: it has asked to be left alone, and has not failed."""
        return self._state == "closed" and now < self._rest

    def opens_at(self, now: float) -> float:
        """Seconds from now until a call may be made, as far as is known; 0 if it may."""
        if self._state == "half_open":
            return max(SOON, self._rest - now)
        return max(0.0, self._rest - now, self._until - now if self._state == "open" else 0.0)

    # ------------------------------------------------------------------ what it is told

    def begin(self, now: float) -> int:
        """A call begins: its ticket, which must come back by ``succeed``, ``fail`` or ``leave``."""
        if self._state == "closed":
            return self.ticket
        return self._enter("half_open") if self.allows(now) else UNJUDGED

    def succeed(self, ticket: int, now: float) -> bool:
        """Whether it has closed by this."""
        if ticket != self.ticket:
            return False
        if self._state == "closed":
            self._in_a_row = 0
            self._calls.add(now)
            return False
        self._close()
        return True

    def fail(self, ticket: int, now: float, at_once: bool = False) -> None:
        """``at_once``: this one is enough to open it."""
        if ticket != self.ticket:
            return
        if self._state == "half_open":
            self._pause *= 2
            self._open(now)
            return
        self._in_a_row += 1
        self._calls.add(now)
        self._failed.add(now)
        if at_once or self._in_a_row >= self.settings.failures or self._too_many(now):
            self._open(now)

    def leave(self, ticket: int) -> None:
        """The call has ended without a word about the target: if it was the probe, the next one is."""
        if ticket == self.ticket and self._state == "half_open":
            self._enter("open")

    def rest(self, until: float) -> None:
        """Allows no call until then. Of several such moments the last holds."""
        if until > self._rest:
            self._rest = until
            if self._state == "closed":
                self.free_from = until

    # ------------------------------------------------------------------ how

    def _too_many(self, now: float) -> bool:
        calls = self._calls.total(now)
        return calls >= self.settings.least and self._failed.total(now) >= self.settings.ratio * calls

    def _open(self, now: float) -> None:
        self._until = now + min(self._pause, self.settings.most_pause)
        self._enter("open")

    def _close(self) -> None:
        self._in_a_row = 0
        self._pause = self.settings.pause
        self._calls.clear()
        self._failed.clear()
        self._enter("closed")

    def _enter(self, state: State) -> int:
        self._state = state
        self.free_from = self._rest if state == "closed" else math.inf
        self.ticket += 1
        return self.ticket
