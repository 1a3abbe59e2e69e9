"""Whether it is worth asking."""

from collections.abc import Callable


class Breaker:
    """Opens after so many failures in a row, and closes with the first success. ``changed`` is told what ``is_open``
    has become."""

    def __init__(self, failures: int, changed: Callable[[bool], None]) -> None:
        self._most = failures
        self._changed = changed
        self._failures = 0
        self.is_open = False
        self.has_doubts = False
        """Whether the last time has failed."""

    def succeed(self) -> None:
        self._failures = 0
        self.has_doubts = False
        if self.is_open:
            self.is_open = False
            self._changed(False)

    def fail(self) -> None:
        self._failures += 1
        self.has_doubts = True
        if self._failures >= self._most and not self.is_open:
            self.is_open = True
            self._changed(True)
