"""What is asked of a comparison, and what comes of it."""

import math
from typing import Any

from msgspec import Struct


class Alike(Struct, frozen=True):
    """When two values count as the same.

    Numbers do whose difference, as they are written in decimals, is at most ``tolerance``. Arrays do position by
    position, or as ``sets``: then order and repeats do not count.
    """

    tolerance: float = 0.0
    sets: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance must be a finite number of at least 0, and is {self.tolerance}")


class Majority(Struct, frozen=True):
    """One value of many voters'. ``agreement`` has its shape: for each leaf, the share (0 to 1) of all voters that have
    the same leaf at the same place. Empty objects and arrays are leaves."""

    value: Any
    agreement: Any
