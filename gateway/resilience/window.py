"""How often something happened of late, in constant memory and time."""

from collections import deque
from math import floor


class Window:
    """Counts of the last ``slices`` slices of time, each ``width`` seconds long, the one that runs included: so of
    between ``(slices - 1) * width`` and ``slices * width`` seconds. Times must not run backwards."""

    __slots__ = ("_current", "_ends", "_past", "_slice", "_width")

    def __init__(self, width: float, slices: int) -> None:
        self._width = width
        self._past = deque([0] * (slices - 1), slices - 1)
        self._current = 0
        self._slice = 0
        self._ends = 0.0

    def add(self, now: float) -> None:
        if now >= self._ends:
            self._turn(now)
        self._current += 1

    def total(self, now: float) -> int:
        if now >= self._ends:
            self._turn(now)
        return sum(self._past) + self._current

    def clear(self) -> None:
        self._past.extend([0] * len(self._past))
        self._current = 0

    def _turn(self, now: float) -> None:
        slice = floor(now / self._width)
        gone = slice - self._slice
        if gone > 0:
            past = self._past
            past.append(self._current)
            past.extend([0] * min(gone - 1, len(past)))
            self._current = 0
            self._slice = slice
        self._ends = (self._slice + 1) * self._width
