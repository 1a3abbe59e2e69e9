"""Who keeps the counters: this process alone, or Redis for all of them; and what happens while Redis is away."""

import asyncio
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Literal, Protocol

import msgspec

from gateway.limits.calendar import calendar_at
from gateway.limits.holds import with_subjects
from gateway.limits.local import LocalLimiter
from gateway.limits.types import (
    Ask,
    Claim,
    Granted,
    Hold,
    Limits,
    Period,
    Rough,
    SettledUse,
    StoreDown,
    Subject,
    TooClose,
    Verdict,
)

LIFE = 60.0
"""Seconds after which a hold in Redis expires that nobody has settled or renewed."""

ALONE = 30 * 86_400.0
"""The same in process, where holds end with the process at the latest."""

MARGIN = 8
"""One part in so many of what is left of a budget is not shared out."""

KNOWN = 10_000
"""Subjects of which it is known what they have used, before those are looked for that no longer count."""

CLOSELY = 1000
"""Milliseconds for which those are looked at closely for whom a rough wish did not fit."""

AT_ONCE = 500
"""Holds renewed by one command."""

replace = msgspec.structs.replace

Policy = Literal["local", "deny", "allow"]
Limited = Sequence[tuple[Subject, Limits]]


class LocalCounting:
    """All counters in this process: it must be the only one."""

    at_once = True

    def __init__(self, limiter: LocalLimiter) -> None:
        self._limiter = limiter
        self.spare = limiter.spare
        self.settle = limiter.spent

    def may_be_rough(self, limited: Limited) -> bool:
        return False

    def was_too_close(self, limited: Limited) -> None:
        pass

    def now(self, ask: Ask) -> Verdict | None:
        return self._limiter.admit(ask, ALONE)

    async def later(self, ask: Ask | Rough) -> Verdict:
        raise AssertionError("the answer is always there at once")

    def alone(self, ask: Ask) -> Verdict:
        raise AssertionError("nobody else is asked")


class Shared(Protocol):
    """A store that several processes share."""

    @property
    def up(self) -> bool: ...
    async def reserve(self, ask: Ask | Rough, ttl: float) -> Verdict: ...
    def tell(self, uses: tuple[SettledUse, ...]) -> "asyncio.Future[Any]":
        """Ends holds, whether it is awaited or not. What cannot be told now is told later."""

    def living(self) -> list[str]:
        """The holds that were granted here and are not settled."""

    def under_way(self) -> list[tuple[Hold, Ask]]:
        """The same, each with what it was asked for with."""

    async def renew(self, holds: tuple[str, ...], ttl: float) -> None: ...


class SharedCounting:
    """Counters in Redis. While it is away ``policy`` holds. ``local`` keeps this replica's share of every limit: of
    requests and tokens per minute one part in ``replicas``, in which what Redis has let in here counts as well; of
    budgets one part of what was left when Redis was last heard, less a margin. What is let in meanwhile is told to
    Redis later."""

    at_once = False

    def __init__(
        self, shared: Shared, policy: Policy, clock_ms: Callable[[], int], replicas: Callable[[], int]
    ) -> None:
        self._shared = shared
        self.policy = policy
        self._clock_ms = clock_ms
        self._replicas = replicas
        self._share = LocalLimiter(clock_ms)
        self._gone: dict[Subject, Period] = {}
        self._worth = KNOWN
        """When to look for what need not be known any more."""
        self._close: dict[Limited, int] = {}
        """Until when a rough wish is not tried for these."""
        self._elsewhere: dict[str, tuple[Ask, int]] = {}
        self._spending: set[Subject] = set()
        self._uses: list[SettledUse] = []
        self._telling: set[asyncio.Future[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    def spare(
        self, wishes: Sequence[tuple[str, int, int]], limited: Sequence[tuple[Subject, Limits]], now: int
    ) -> Granted | None:
        """Nothing is let in before Redis has been asked."""
        return None

    def may_be_rough(self, limited: Limited) -> bool:
        if self._close and (until := self._close.get(limited)) is not None:
            if self._clock_ms() < until:
                return False
            del self._close[limited]
        return self._shared.up

    def was_too_close(self, limited: Limited) -> None:
        if len(self._close) >= KNOWN:
            self._close.clear()
        self._close[limited] = self._clock_ms() + CLOSELY

    def now(self, ask: Ask) -> Verdict | None:
        if self._shared.up or self.policy == "deny":
            return None
        return self.alone(ask)

    async def later(self, ask: Ask | Rough) -> Verdict:
        try:
            verdict = await self._shared.reserve(ask, LIFE)
        except StoreDown:
            if self.policy == "deny":
                raise
            if isinstance(ask, Rough):
                raise TooClose(away=True) from None
            return self.alone(ask)
        if self.policy == "local" and isinstance(verdict, Granted):
            self._share.noticed(ask)
            gone = self._gone
            for period in verdict.gone:
                gone[period.subject] = period
            if len(gone) > self._worth:
                self._forget(verdict.at)
            if self._spending:
                self._heard_of(verdict.gone)
        return verdict

    def settle(self, hold: str, tokens: int, nano: int) -> None:
        """What ends in one turn of the event loop is told together."""
        use = SettledUse(hold, tokens, nano)
        if self._elsewhere and (elsewhere := self._elsewhere.pop(hold, None)) is not None:
            self._share.settled((use,))
            use = with_subjects(use, *elsewhere)
        else:
            self._share.over(hold, tokens)
        if not self._uses:
            self._loop.call_soon(self._tell)
        self._uses.append(use)

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()  # to ask each time is a call of the kernel

    def under_way(self) -> tuple[tuple[Hold, Ask], ...]:
        """The holds of all legs that are under way, wherever they were made."""
        here = [(hold, ask) for id, (ask, _) in self._elsewhere.items() for hold in ask.holds if hold.id == id]
        return (*self._shared.under_way(), *here)

    def known(self, periods: tuple[Period, ...]) -> None:
        """What the ledger says was used until now. Redis may have said more already, since it was reserved."""
        for period in periods:
            before = self._gone.get(period.subject)
            self._gone[period.subject] = period if before is None else later_of(before, period)

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

    def _heard_of(self, gone: Sequence[Period]) -> None:
        """What was spent without Redis is in what it says now."""
        for period in gone:
            subject = period.subject
            if subject in self._spending:
                self._spending.discard(subject)
                self._share.seeded((Period(subject, period.at, 0, 0, 0),), only_empty=False)

    def _forget(self, now: int) -> None:
        """What was gone of months that are over."""
        month = calendar_at(now).month
        self._gone = {subject: known for subject, known in self._gone.items() if calendar_at(known.at).month == month}
        self._worth = max(KNOWN, 2 * len(self._gone))

    def _tell(self) -> None:
        uses, self._uses = self._uses, []
        told = self._shared.tell(tuple(uses))
        if not told.done():
            self._telling.add(told)
            told.add_done_callback(self._telling.discard)

    def alone(self, ask: Ask) -> Verdict:
        """Without Redis, which cannot be asked now."""
        if self.policy == "allow":
            verdict: Verdict = Granted(self._clock_ms(), degraded=True)
        else:
            verdict = replace(self._share.admit(self._portion(ask), ALONE), degraded=True)
        if isinstance(verdict, Granted):
            for hold in ask.holds:
                self._elsewhere[hold.id] = (ask, verdict.at)
            self._spending.update([claim.subject for claim in ask.claims])
        return verdict

    def _portion(self, ask: Ask) -> Ask:
        """The same wish, of this replica's share of every limit. No call takes more tokens than a minute's share: it
        would never be let in, though the limit itself has room for it."""
        replicas, now = max(1, self._replicas()), self._clock_ms()
        claims = []
        for claim in ask.claims:
            gone = self._gone.get(claim.subject) or Period(claim.subject, now, 0, 0, 0)
            limits = portion(claim.limits, of_now(gone, now), replicas)
            claims.append(replace(claim, limits=limits, tokens=capped(claim, limits)))
        return Ask(tuple(claims), tuple([fewer(hold, ask.claims, claims) for hold in ask.holds]))

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(LIFE / 4)
            living = self._shared.living()
            for start in range(0, len(living), AT_ONCE):
                try:
                    await self._shared.renew(tuple(living[start : start + AT_ONCE]), LIFE)
                except StoreDown:
                    break


def capped(claim: Claim, share: Limits) -> int:
    """The tokens to ask for of a share."""
    whole, part = claim.limits.tpm, share.tpm
    return claim.tokens if whole is None or part is None or claim.tokens > whole else min(claim.tokens, part)


def fewer(hold: Hold, before: Sequence[Claim], after: Sequence[Claim]) -> Hold:
    """The hold, with no more tokens than its claims have now."""
    shares = []
    for share in hold.shares:
        was, now = before[share.claim].tokens, after[share.claim].tokens
        shares.append(share if was == now else replace(share, tokens=share.tokens * now // was))
    return Hold(hold.id, tuple(shares))


def later_of(before: Period, after: Period) -> Period:
    """What is gone by either account; of a day or month that has begun since, by the later one."""
    then, now = of_now(before, after.at), after
    return Period(
        after.subject,
        after.at,
        max(then.tokens_day, now.tokens_day),
        max(then.nano_day, now.nano_day),
        max(then.nano_month, now.nano_month),
    )


def of_now(period: Period, now: int) -> Period:
    """What of it counts in the day and month of this moment."""
    then, today = calendar_at(period.at), calendar_at(now)
    same_day, same_month = then.day == today.day, then.month == today.month
    return Period(
        period.subject,
        now,
        period.tokens_day if same_day else 0,
        period.nano_day if same_day else 0,
        period.nano_month if same_month else 0,
    )


def portion(limits: Limits, gone: Period, replicas: int) -> Limits:
    """One replica's share: at least one request, and of what a budget has left its part, less a margin for what others
    have used since it was heard of."""
    changes: dict[str, Any] = {}
    for name in ("rpm", "tpm", "concurrent"):
        most = getattr(limits, name)
        if most is not None:
            changes[name] = max(1, most // replicas)
    for name, used in (("tpd", gone.tokens_day), ("usd_day", gone.nano_day), ("usd_month", gone.nano_month)):
        most = getattr(limits, name)
        if most is not None:
            left = max(0, most - used)
            changes[name] = (left - left // MARGIN) // replicas if replicas > 1 else left
    return replace(limits, **changes)
