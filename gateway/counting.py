"""Who keeps the counters: this process alone, or Redis for all of them; and what happens while Redis is away."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Literal, Protocol

import msgspec

from gateway.limits.local import LocalLimiter
from gateway.limits.types import Ask, Claim, Granted, Limits, Period, SettledUse, StoreDown, Subject, Verdict

LIFE = 60.0
"""Seconds after which a hold in Redis expires that nobody has settled or renewed."""

ALONE = 30 * 86_400.0
"""The same in process, where holds end with the process at the latest."""

AT_ONCE = 500
"""Holds renewed by one command."""

replace = msgspec.structs.replace

Policy = Literal["local", "deny", "allow"]


class LocalCounting:
    """All counters in this process: it must be the only one."""

    def __init__(self, limiter: LocalLimiter) -> None:
        self._limiter = limiter
        self.spare = limiter.spare
        self.settle = limiter.spent

    def now(self, ask: Ask) -> Verdict | None:
        return self._limiter.admit(ask, ALONE)

    async def later(self, ask: Ask) -> Verdict:
        raise AssertionError("the answer is always there at once")


class Shared(Protocol):
    """A store that several processes share."""

    @property
    def up(self) -> bool: ...
    @property
    def epoch(self) -> str | None:
        """Which life of its counters this is."""

    async def reserve(self, ask: Ask, ttl: float) -> Verdict: ...
    async def settle(self, uses: tuple[SettledUse, ...]) -> None: ...
    async def renew(self, holds: tuple[str, ...], ttl: float) -> None: ...


class SharedCounting:
    """Counters in Redis. While it is away ``policy`` holds: ``local`` keeps this replica's share of every limit, out of
    ``replicas`` alike; what is let in meanwhile is told to Redis later."""

    def __init__(
        self, shared: Shared, policy: Policy, clock_ms: Callable[[], int], replicas: Callable[[], int]
    ) -> None:
        self._shared = shared
        self._policy = policy
        self._clock_ms = clock_ms
        self._replicas = replicas
        self._share = LocalLimiter(clock_ms)
        self._living: dict[str, tuple[str | None, Ask, int]] = {}
        self._elsewhere: dict[str, tuple[Ask, int]] = {}
        self._uses: list[SettledUse] = []
        self._telling: set[asyncio.Task[None]] = set()
        self._renewing: asyncio.Task[None] | None = None

    def spare(
        self, hold: str, limited: Sequence[tuple[Subject, Limits]], tokens: int, nano: int, now: int
    ) -> Granted | None:
        """Redis is always asked in full."""
        return None

    def now(self, ask: Ask) -> Verdict | None:
        if self._shared.up or self._policy == "deny":
            return None
        return self._without(ask)

    async def later(self, ask: Ask) -> Verdict:
        try:
            verdict = await self._shared.reserve(ask, LIFE)
        except StoreDown:
            if self._policy == "deny":
                raise
            return self._without(ask)
        if isinstance(verdict, Granted):
            for hold in ask.holds:
                self._living[hold.id] = (self._shared.epoch, ask, verdict.at)
            if self._policy == "local":
                self._share.granted(ask, ALONE)  # what Redis has let in here is a part of this replica's share
        return verdict

    def settle(self, hold: str, tokens: int, nano: int) -> None:
        """What ends in one turn of the event loop is told together."""
        use = SettledUse(hold, tokens, nano)
        epoch, ask, at = self._living.pop(hold, (None, None, 0))
        elsewhere = self._elsewhere.pop(use.id, None)
        if self._policy == "local":
            self._share.settled((use,))
        if elsewhere is not None:
            use = with_subjects(use, *elsewhere)
        elif ask is not None and epoch != self._shared.epoch and self._shared.up:
            use = with_subjects(use, ask, at)  # counters that were rebuilt meanwhile do not have the hold
        if not self._uses:
            asyncio.get_running_loop().call_soon(self._tell)
        self._uses.append(use)

    def _tell(self) -> None:
        uses, self._uses = self._uses, []
        task = asyncio.get_running_loop().create_task(self._shared.settle(tuple(uses)))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    def known(self, periods: tuple[Period, ...]) -> None:
        """What the ledger says was used until now: where a share of a budget begins, should Redis go away."""
        self._share.seeded(periods, only_empty=False)

    def start(self) -> None:
        self._renewing = asyncio.create_task(self._renew())

    async def close(self) -> None:
        """What was to be told is told, or kept by the store."""
        if self._uses:
            self._tell()
        if self._telling:
            await asyncio.wait(self._telling)
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    def _without(self, ask: Ask) -> Verdict:
        if self._policy == "allow":
            verdict: Verdict = Granted(self._clock_ms(), degraded=True)
        else:
            verdict = replace(self._share.admit(self._portion(ask), ALONE), degraded=True)
        if isinstance(verdict, Granted):
            for hold in ask.holds:
                self._elsewhere[hold.id] = (ask, verdict.at)
        return verdict

    def _portion(self, ask: Ask) -> Ask:
        """The same wish, of this replica's share of every limit."""
        replicas = max(1, self._replicas())
        if replicas == 1:
            return ask
        counts = self._share.counted(tuple([claim.subject for claim in ask.claims]))
        claims = [
            replace(claim, limits=portion(claim, count.used, replicas))
            for claim, count in zip(ask.claims, counts, strict=True)
        ]
        return Ask(tuple(claims), ask.holds)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LIFE / 4)
            living = list(self._living)
            for start in range(0, len(living), AT_ONCE):
                try:
                    await self._shared.renew(tuple(living[start : start + AT_ONCE]), LIFE)
                except StoreDown:
                    break


def with_subjects(use: SettledUse, ask: Ask, at: int) -> SettledUse:
    """The use with all in whom it counts, for a store that does not know its hold."""
    [hold] = [hold for hold in ask.holds if hold.id == use.id]
    subjects = tuple([ask.claims[share.claim].subject for share in hold.shares])
    return SettledUse(use.id, use.tokens, use.nano, subjects, at)


def portion(claim: Claim, used: Period, replicas: int) -> Limits:
    """One replica's share: at least one request, and of what a budget has left its part."""
    limits = claim.limits
    changes: dict[str, Any] = {}
    for name in ("rpm", "tpm", "concurrent"):
        most = getattr(limits, name)
        if most is not None:
            changes[name] = max(1, most // replicas)
    for name, gone in (("tpd", used.tokens_day), ("usd_day", used.nano_day), ("usd_month", used.nano_month)):
        most = getattr(limits, name)
        if most is not None:
            changes[name] = min(most, gone + max(0, most - gone) // replicas)
    return replace(limits, **changes)
