"""A bound on asking again: a share of what a target is asked at all, so that retries cannot multiply an outage."""

from gateway.resilience.window import Window

SECONDS = 10.0
"""What is looked back on."""

SLICES = 10


class RetryBudget:
    """In the 10 seconds before any retry, that one included, there were at most ``share`` of the calls of these seconds
    plus ``floor`` a second. Nothing is saved up for longer: after a quiet hour there is what ``floor`` gives.

    It errs towards fewer: retries are counted for up to a slice longer, calls for up to a slice less.
    """

    __slots__ = ("_calls", "_retries", "asked", "floor", "share")

    def __init__(self, share: float, floor: float) -> None:
        self.share = share
        self.floor = floor
        self._calls = Window(SECONDS / SLICES, SLICES)
        self._retries = Window(SECONDS / SLICES, SLICES + 1)
        self.asked = self._calls.add
        """Told the time when the target is asked something for the first time. Retries earn no retries."""

    def take(self, now: float) -> bool:
        """Whether it may be asked again; if so, that is counted."""
        if self._retries.total(now) + 1 > self.share * self._calls.total(now) + self.floor * SECONDS:
            return False
        self._retries.add(now)
        return True
