"""Usage, the audit log, and whether the accounts agree."""

from typing import Any

import pytest

from gateway.control.conservation import InFlight, audit
from gateway.control.types import AuditReport, Drift, UsageQuery
from gateway.ledger.entry import Entry
from gateway.limits.types import Count, Period, Subject
from gateway.store.sql.schema import usage_hours
from tests.gateway.control.desk import NOW, Office

MOMENT = NOW * 1000


def entry(id: str, key: str = "k", cost: int = 100) -> Entry:
    at = NOW * 10**6
    return Entry(id, at, "r", "t", key, "u", "m", "p/m", "ok", 1, 1, 10, 5, None, None, None, cost, False, 1, None)


class Gateway:
    """Counters and a spool that play."""

    def __init__(self, *used: Period, spooled: int = 0) -> None:
        self.used = {period.subject: period for period in used}
        self.waiting = spooled
        self.seeded: list[Period] = []
        self.later: list[dict[Subject, Period]] = []

    def spooled(self) -> int:
        return self.waiting

    async def in_flight(self) -> InFlight:
        return InFlight(7, 8)

    async def counters(self) -> tuple[Count, ...]:
        if self.later:
            self.used |= self.later.pop(0)
        return tuple(Count(period, 1, 2, 3) for period in self.used.values())

    async def seed(self, periods: tuple[Period, ...]) -> None:
        self.seeded += periods
        self.used |= {period.subject: period for period in periods}


async def no_sleep(_: float) -> None:
    pass


TEAM, USER = Subject("team", "t"), Subject("user", "t/u")


def period(subject: Subject, tokens: int = 15, nano: int = 100) -> Period:
    return Period(subject, MOMENT, tokens, nano, nano)


async def check(office: Office, gateway: Gateway | None, repair: bool = False) -> AuditReport:
    return await audit(office.ledger, gateway, NOW, repair, no_sleep)


async def test_all_agree(office: Office) -> None:
    await office.ledger.write([entry("a")])
    gateway = Gateway(period(TEAM), period(USER), period(Subject("team", "new"), 0, 0), spooled=4)
    assert await check(office, gateway) == AuditReport(
        at=NOW,
        entries=1,
        cost_nano=100,
        in_flight_nano=7,
        in_flight_tokens=8,
        spooled=4,
        counters=3,
        drifts=(),
    )


async def test_without_a_gateway(office: Office) -> None:
    await office.ledger.write([entry("a")])
    report = await office.control.audit(False)
    assert (report.entries, report.counters, report.spooled, report.drifts) == (1, None, None, ())
    assert (report.in_flight_nano, report.in_flight_tokens) == (None, None)


async def test_rollups_that_are_wrong(office: Office) -> None:
    await office.ledger.write([entry("a")])
    async with office.database.writing() as connection:
        await connection.execute(usage_hours.update().values(cost=99))
    [drift] = (await office.control.audit(False)).drifts
    assert (drift.what, drift.expected, drift.found, drift.repaired) == ("usage_hours.cost", 100, 99, False)
    [drift] = (await office.control.audit(True)).drifts
    assert drift.repaired
    assert (await office.control.audit(False)).drifts == ()


async def test_counters_that_are_wrong(office: Office) -> None:
    await office.ledger.write([entry("a")])
    gateway = Gateway(period(TEAM, nano=90), period(USER))
    expected = tuple(
        Drift(what=what, subject="team/t", expected=100, found=90)
        for what in ("counter.nano_day", "counter.nano_month")
    )
    assert (await check(office, gateway)).drifts == expected
    assert gateway.seeded == []
    report = await check(office, gateway, repair=True)
    assert [drift.repaired for drift in report.drifts] == [True, True]
    assert gateway.seeded == [period(TEAM)]
    assert (await check(office, gateway)).drifts == ()


async def test_what_ends_meanwhile_is_no_drift(office: Office) -> None:
    """The counter is ahead of the ledger, never right at once, but every difference goes away."""
    await office.ledger.write([entry("a")])
    gateway = Gateway(period(TEAM, nano=300))
    gateway.later = [{}, {TEAM: period(TEAM, nano=250)}, {TEAM: period(TEAM)}, {TEAM: period(TEAM, nano=400)}]
    assert (await check(office, gateway)).drifts == ()


async def test_the_smallest_difference_is_told(office: Office) -> None:
    await office.ledger.write([entry("a")])
    gateway = Gateway(period(TEAM, nano=300))
    gateway.later = [{}, {TEAM: period(TEAM, nano=101)}, {TEAM: period(TEAM, nano=500)}]
    assert {drift.found for drift in (await check(office, gateway)).drifts} == {101}


async def test_counters_are_not_set_while_entries_wait(office: Office) -> None:
    """The ledger does not have them yet: what they cost would be forgotten."""
    await office.ledger.write([entry("a")])
    gateway = Gateway(period(TEAM, nano=90), spooled=1)
    report = await check(office, gateway, repair=True)
    assert gateway.seeded == [] and [drift.repaired for drift in report.drifts] == [False, False]


async def test_usage(office: Office) -> None:
    await office.control.create_team("t")
    key = await office.control.create_key("t")
    await office.ledger.write([entry("a", key.id), entry("b")])
    [row] = await office.control.usage(UsageQuery(since=NOW - 40 * 86400, until=NOW + 1, key=key.id, by=("key",)))
    assert (row.key, row.requests, row.cost_nano) == (key.id, 1, 100)
    assert await office.control.usage(UsageQuery(since=0, model="gone", by=("team",))) == []
    [row] = await office.control.usage(UsageQuery(since=0))
    assert row.requests == 2


async def test_usage_of_what_there_is_not(office: Office) -> None:
    """A row of zeros would look like a team that used nothing. What was used of a model stays."""
    await office.ledger.write([entry("a")])
    async with office.refused("not_found", "there is no team 'nosuch'", "team"):
        await office.control.usage(UsageQuery(since=0, team="nosuch"))
    async with office.refused("not_found", "there is no key 'nosuch'", "key"):
        await office.control.usage(UsageQuery(since=0, key="nosuch"))
    [row] = await office.control.usage(UsageQuery(since=0, model="m", by=("target",)))
    assert (row.target, row.requests) == ("p/m", 1)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"since": -1}, "since"),
    ({"since": 10**30}, "since"),
    ({"since": 5, "until": 5}, "until"),
    ({"since": 5, "until": 10**30}, "until"),
    ({"since": 0, "by": ("planet",)}, "by"),
    ({"since": 0, "team": "\0"}, "team"),
    ({"since": 0, "key": "\ud800"}, "key"),
    ({"since": 0, "model": "x" * 513}, "model"),
]


@pytest.mark.parametrize(("fields", "field"), BAD)
async def test_what_is_no_query(office: Office, fields: dict[str, Any], field: str) -> None:
    async with office.refused("invalid", field, field):
        await office.control.usage(UsageQuery(**fields))


@pytest.mark.parametrize(
    ("fields", "field"), [({"last": 0}, "last"), ({"since": -5}, "since"), ({"subject": "\0"}, "subject")]
)
async def test_what_is_no_log(office: Office, fields: dict[str, Any], field: str) -> None:
    async with office.refused("invalid", field, field):
        await office.control.log(**fields)


async def test_the_log_is_bounded_and_the_newest_first(office: Office) -> None:
    for number in range(4):
        office.now = NOW + number
        await office.control.create_team(f"t{number}")
    assert [line.subject for line in await office.control.log(last=2)] == ["t3", "t2"]
    assert [line.subject for line in await office.control.log(since=NOW + 3)] == ["t3"]
    assert [line.subject for line in await office.control.log(subject="t0")] == ["t0"]
