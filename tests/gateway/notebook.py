"""A spool that only remembers, and what is settled with nobody: for what is metered without a gateway around it."""

from gateway.estimates import Guess
from gateway.ledger.entry import Begun, Ended, Entry
from gateway.limits.types import SettledUse
from gateway.metering import Accounts, LegMeter
from gateway.store.spool import SpoolFull
from gateway.types import Clock
from tests.gateway.playing import CLOCK


class Notebook:
    """A Book. ``full``: the disk has no room. Makes real meters that write into it."""

    def __init__(self, clock: Clock = CLOCK, *, strict: bool = True, full: bool = False) -> None:
        self.full = full
        self.begun: list[Begun] = []
        self.ended: list[Ended] = []
        self.settled: list[SettledUse] = []
        self.accounts = Accounts(clock, self, self._settle, strict)

    def begin(self, begun: Begun) -> None:
        if self.full:
            raise SpoolFull("the disk is full")
        self.begun.append(begun)

    def end(self, ended: Ended) -> None:
        self.ended.append(ended)

    def _settle(self, hold: str, tokens: int, nano: int) -> None:
        self.settled.append(SettledUse(hold, tokens, nano))

    @property
    def entries(self) -> list[Entry]:
        return [entry for ended in self.ended for entry in ended.entries]

    def meter(
        self, hold: str = "leg.0", *, held: bool = True, guess: Guess | None = None, at: int = 1_000_000
    ) -> LegMeter:
        return LegMeter(self.accounts, "red", "k", "ann", "r", hold, at, "m", held, guess)
