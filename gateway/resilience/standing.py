"""How one target stands with one key of its provider, as this process knows it."""

import logging
import math
from collections.abc import Iterator
from typing import Protocol

from adapters.errors import ProviderError
from adapters.local.load import Load
from gateway.resilience.breaker import Breaker, BreakerSettings
from gateway.resilience.budget import RetryBudget
from gateway.resilience.latency import Latency
from gateway.resilience.verdicts import verdict_of

log = logging.getLogger("gateway.resilience")

UNADVISED = 1.0
"""Seconds that a target rests which throttles without saying for how long."""

LONGEST_REST = 86_400.0
"""Seconds. Longer advice is a slip."""


class RetrySettings(Protocol):
    """See ``RetryBudget``."""

    @property
    def share(self) -> float: ...
    @property
    def floor(self) -> float: ...


class Standing:
    """``busy`` counts the calls under way, ``asked`` is when the last one began. Every ``begin`` is followed by one
    ``end`` or one ``left``, which are given its ticket. Times are the steady clock's."""

    __slots__ = ("_load", "_load_busy", "_load_until", "asked", "breaker", "budget", "busy", "latency", "name")

    def __init__(self, breaker: BreakerSettings, retry: RetrySettings, name: str = "") -> None:
        self.name = name
        self.busy = 0
        self.asked = -math.inf
        self.breaker = Breaker(breaker)
        self.budget = RetryBudget(retry.share, retry.floor)
        self.latency = Latency()
        self._load: Load | None = None
        self._load_busy = 0
        self._load_until = 0.0

    def begin(self, now: float, retry: bool = False) -> int:
        """A call begins: its ticket. ``retry``: it was asked before, and ``budget.take`` has allowed it."""
        self.busy += 1
        self.asked = now
        if not retry:
            self.budget.asked(now)
        breaker = self.breaker
        return breaker.ticket if now >= breaker.free_from else breaker.begin(now)

    def end(self, ticket: int, now: float, failure: ProviderError | None = None, latency: float | None = None) -> None:
        """It has ended, with an answer or a failure. ``latency``: seconds until the answer began."""
        self.busy -= 1
        if failure is None:
            if self.breaker.succeed(ticket, now):
                log.warning("%s answers again", self.name)
        elif not self._failed(ticket, now, failure):
            return
        if latency is not None:
            self.latency.heard(now, latency)

    def left(self, ticket: int) -> None:
        """It was cancelled, or never sent: that says nothing about the target."""
        self.busy -= 1
        self.breaker.leave(ticket)

    def report(self, load: Load | None, now: float, valid: float) -> None:
        """What the engine says of itself; it holds for ``valid`` seconds."""
        self._load, self._load_busy, self._load_until = load, self.busy, now + valid

    def load(self, now: float) -> Load | None:
        """What the engine has last said, if that still holds."""
        return self._load if now < self._load_until else None

    def since_report(self) -> int:
        """How many more calls we have under way than when the engine spoke; less than 0 if fewer."""
        return self.busy - self._load_busy

    def _failed(self, ticket: int, now: float, failure: ProviderError) -> bool:
        """Whether it was an answer nevertheless."""
        verdict = verdict_of(failure)
        if verdict.rests:
            advised = UNADVISED if failure.retry_after is None else failure.retry_after
            self.breaker.rest(now + min(advised, LONGEST_REST))
        if verdict.counts:
            was_open = not self.breaker.allows(now)
            self.breaker.fail(ticket, now, verdict.opens)
            if not was_open and not self.breaker.allows(now):
                log.warning(
                    "%s has failed too often and is left alone for %.3g s", self.name, self.breaker.opens_at(now)
                )
        elif verdict.alive:
            self.breaker.succeed(ticket, now)
        else:
            self.breaker.leave(ticket)
        return verdict.alive


def named(target: str, credential: str) -> str:
    return f"{target} ({credential})" if credential else target


Place = tuple[str, str]
"""A target's name and a credential's."""


class Standings:
    """All that this process knows. What is known of a target outlives a reload of the configuration."""

    def __init__(self, breaker: BreakerSettings, retry: RetrySettings) -> None:
        self._breaker = breaker
        self._retry = retry
        self._all: dict[Place, Standing] = {}

    def of(self, target: str, credential: str = "") -> Standing:
        """The standing of a target with a credential, the same at every call."""
        standing = self._all.get((target, credential))
        if standing is None:
            standing = self._all[target, credential] = Standing(self._breaker, self._retry, named(target, credential))
        return standing

    def configure(self, breaker: BreakerSettings, retry: RetrySettings) -> None:
        """Other settings, for those that are there as well."""
        self._breaker, self._retry = breaker, retry
        for standing in self._all.values():
            standing.breaker.configure(breaker)
            standing.budget.share, standing.budget.floor = retry.share, retry.floor

    def keep(self, places: set[Place]) -> None:
        """Forgets all others."""
        self._all = {place: standing for place, standing in self._all.items() if place in places}

    def __iter__(self) -> Iterator[tuple[Place, Standing]]:
        return iter(self._all.items())
