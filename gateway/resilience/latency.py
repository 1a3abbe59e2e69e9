"""How soon a target begins to answer, as far as that is known."""

SHARE = 0.3
"""How much the last answer counts against all before it."""

KNOWN_FOR = 120.0
"""Seconds after which what was known is forgotten: a target that was slow once is to be tried again."""


class Latency:
    """An average in which older answers count ever less. Times are the steady clock's."""

    __slots__ = ("_at", "_average")

    def __init__(self) -> None:
        self._average = 0.0
        self._at: float | None = None

    def heard(self, now: float, seconds: float) -> None:
        """An answer has come that began after so many seconds."""
        if self._at is None or now - self._at > KNOWN_FOR:
            self._average = seconds
        else:
            self._average += SHARE * (seconds - self._average)
        self._at = now

    def estimate(self, now: float) -> float | None:
        """Seconds; None is unknown."""
        return None if self._at is None or now - self._at > KNOWN_FOR else self._average
