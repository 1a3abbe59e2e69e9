"""Counters are held against the ledger a few times after something has changed, whatever becomes of one of them."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from gateway import bookkeeping
from gateway.bookkeeping import Bookkeeping
from gateway.limits.types import StoreDown


class Looks:
    """Counters that cannot be looked at the first time, and a store in which one at a time may look."""

    def __init__(self) -> None:
        self.times = 0
        self.claimed = False

    async def raise_up(self, may: Callable[[], bool]) -> None:
        self.times += 1
        if self.times == 1:
            raise StoreDown("away")

    async def claim(self, what: str, name: str, seconds: float) -> bool:
        found, self.claimed = not self.claimed, True
        return found

    async def give_up(self, what: str) -> None:
        self.claimed = False


async def test_one_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bookkeeping, "SOON", (0.0, 0.0, 0.0))
    looks = Looks()
    kept: Any = SimpleNamespace(
        _redis=looks,
        _counters=looks,
        _clock=SimpleNamespace(steady=lambda: 0.0),
        spool=SimpleNamespace(alive=SimpleNamespace(name="me")),
    )
    kept._raise_up = lambda: Bookkeeping._raise_up(kept)
    await Bookkeeping._look_soon(kept)
    assert looks.times == 3 and not looks.claimed
