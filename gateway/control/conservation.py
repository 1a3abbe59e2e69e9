"""Whether all accounts agree: the ledger, its roll-ups, and the counters that budgets are held against."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

import msgspec
from msgspec import Struct

from gateway.control.types import AuditReport, Drift
from gateway.limits.calendar import calendar_at
from gateway.limits.types import Count, Period, Scope, Subject
from gateway.store.sql.ledger import LedgerStore

ROUNDS = 10
PAUSE = 0.3
"""Seconds: what has ended is in SQL somewhat later."""

FIELDS = ("tokens_day", "nano_day", "nano_month")


class InFlight(Struct, frozen=True):
    """What is reserved for calls under way."""

    nano: int
    tokens: int


class Running(Protocol):
    """What a gateway has outside the record."""

    def spooled(self) -> int:
        """How many entries wait for SQL."""

    async def in_flight(self) -> InFlight:
        """Raises StoreDown."""

    async def counters(self) -> tuple[Count, ...]:
        """Of every subject that is counted now, all at the same day and month. Raises StoreDown."""

    async def seed(self, periods: tuple[Period, ...]) -> None:
        """Sets what was used. Raises StoreDown."""


async def audit(
    ledger: LedgerStore,
    running: Running | None,
    now: int,
    repair: bool,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AuditReport:
    """Reads the whole ledger. ``repair`` makes roll-ups and counters what the ledger says."""
    drifts = await ledger.rollup_drift()
    if repair and drifts:
        await ledger.rebuild_rollups()
        left = {(drift.what, drift.subject) for drift in await ledger.rollup_drift()}
        drifts = [msgspec.structs.replace(drift, repaired=(drift.what, drift.subject) not in left) for drift in drifts]
    counters: int | None = None
    in_flight: InFlight | None = None
    if running is not None:
        counters, found = await settled(ledger, running, sleep)
        if repair and found and await seeded(ledger, running, found, sleep):
            _, left_over = await settled(ledger, running, sleep)
            still = {(drift.what, drift.subject) for drift in told(left_over)}
            drifts += [
                msgspec.structs.replace(drift, repaired=(drift.what, drift.subject) not in still)
                for drift in told(found)
            ]
        else:
            drifts += told(found)
        in_flight = await running.in_flight()
    entries, cost = await ledger.totals()
    return AuditReport(
        at=now,
        entries=entries,
        cost_nano=cost,
        in_flight_nano=None if in_flight is None else in_flight.nano,
        in_flight_tokens=None if in_flight is None else in_flight.tokens,
        spooled=None if running is None else running.spooled(),
        counters=counters,
        drifts=tuple(drifts),
    )


Difference = dict[str, tuple[int, int]]
"""By field: what the ledger says, and what the counter says."""


async def settled(
    ledger: LedgerStore, running: Running, sleep: Callable[[float], Awaitable[None]]
) -> tuple[int, dict[Subject, Difference]]:
    """How many counters there are, and those that never agreed. Calls end while one looks, and reach the counters
    before the ledger: so a counter that has agreed once is right, and of the others the smallest difference is told."""
    smallest: dict[Subject, Difference] = {}
    counted: set[Subject] = set()
    for number in range(ROUNDS):
        counts = await running.counters()
        found = await differences(ledger, counts)
        fresh = {count.used.subject for count in counts} - counted
        counted |= fresh
        for subject in list(smallest):
            if subject not in found:
                del smallest[subject]
            elif size(found[subject]) < size(smallest[subject]):
                smallest[subject] = found[subject]
        smallest |= {subject: found[subject] for subject in fresh if subject in found}
        if not smallest:
            break
        if number < ROUNDS - 1:
            await sleep(PAUSE)
    return len(counted), smallest


async def differences(ledger: LedgerStore, counts: tuple[Count, ...]) -> dict[Subject, Difference]:
    if not counts:
        return {}
    by_day: dict[int, dict[Subject, Period]] = {}
    wanted: dict[Scope, set[str]] = {}
    for count in counts:
        wanted.setdefault(count.used.subject.scope, set()).add(count.used.subject.name)
    found: dict[Subject, Difference] = {}
    for count in counts:
        used = count.used
        day = calendar_at(used.at).day
        if day not in by_day:
            by_day[day] = {period.subject: period for period in await ledger.periods(used.at, wanted)}
        expected = by_day[day].get(used.subject, Period(used.subject, used.at, 0, 0, 0))
        different = {
            name: (getattr(expected, name), getattr(used, name))
            for name in FIELDS
            if getattr(expected, name) != getattr(used, name)
        }
        if different:
            found[used.subject] = different
    return found


def size(different: Difference) -> int:
    return sum(abs(expected - found) for expected, found in different.values())


async def seeded(
    ledger: LedgerStore, running: Running, wrong: dict[Subject, Difference], sleep: Callable[[float], Awaitable[None]]
) -> bool:
    """Sets the counters to what the ledger says, in a moment in which it says all; False if there was none."""
    for _ in range(ROUNDS):
        counts = [count for count in await running.counters() if count.used.subject in wrong]
        periods = tuple([await ledger.period(count.used.subject, count.used.at) for count in counts])
        if running.spooled() == 0:
            await running.seed(periods)
            return True
        await sleep(PAUSE)
    return False


def told(found: dict[Subject, Difference]) -> list[Drift]:
    return [
        Drift(
            what=f"counter.{field}",
            subject="/".join(filter(None, subject_parts(subject))),
            expected=expected,
            found=has,
        )
        for subject, different in found.items()
        for field, (expected, has) in different.items()
    ]


def subject_parts(subject: Subject) -> tuple[str, str]:
    return (subject.scope, subject.name)
