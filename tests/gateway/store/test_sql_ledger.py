"""The ledger and its roll-ups: each entry counts once, whatever happens."""

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec
import pytest
from sqlalchemy import func, select, text

from gateway.control.types import Dimension, UsageQuery, UsageRow
from gateway.ledger.entry import Entry
from gateway.limits.types import Period, Scope, Subject
from gateway.store.sql.engine import Database
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.migrate import migrated
from gateway.store.sql.periods import MOST_NAMED
from gateway.store.sql.schema import ledger, usage_days, usage_hours, usage_models, usage_teams, usage_users

NOON = int(datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp())


def entry(id: str = "a", at: float = NOON, **fields: object) -> Entry:
    usual: dict[str, object] = {
        "request": f"req-{id}",
        "team": "t1",
        "key": "k1",
        "user": "u1",
        "model": "gpt",
        "target": "openai/gpt-4o",
        "outcome": "ok",
        "requests": 1,
        "calls": 1,
        "input": 10,
        "output": 5,
        "cached": 4,
        "cache_write": None,
        "reasoning": 2,
        "cost": 1_000,
        "estimated": False,
        "duration": 250,
        "first_token": None,
    }
    return Entry(id=id, at=int(at * 10**6), **(usual | fields))  # type: ignore[arg-type]


def many(count: int, seed: int = 1, days: int = 40) -> list[Entry]:
    chance = random.Random(seed)
    start = NOON - days * 86400
    found = []
    for place in range(count):
        team = f"t{chance.randrange(4)}"
        found.append(
            entry(
                f"{seed}-{place:08}",
                start + chance.random() * days * 86400,
                team=team,
                key=f"{team}k{chance.randrange(3)}",
                user=chance.choice(["", "ann", "bob"]),
                model=chance.choice(["gpt", "llama"]),
                target=chance.choice(["one", "two"]),
                outcome=chance.choice(["ok", "failed", "invalid", "cancelled", "lost", "interrupted", "hit"]),
                requests=chance.randrange(2),
                calls=chance.randrange(4),
                input=chance.randrange(1000),
                output=chance.randrange(1000),
                cached=chance.choice([None, 3]),
                cache_write=chance.choice([None, 7]),
                reasoning=chance.choice([None, 5]),
                cost=chance.choice([None, 0, 10**9, 12345]),
                estimated=chance.random() < 0.2,
                first_token=chance.choice([None, 12]),
            )
        )
    return found


async def kept(database: Database) -> list[Entry]:
    async with database.reading() as connection:
        rows = await connection.execute(select(ledger).order_by(ledger.c.id))
        return [Entry(*row) for row in rows]


async def test_what_is_written_is_there(database: Database) -> None:
    store, entries = LedgerStore(database), many(300)
    await store.write(entries)
    assert await kept(database) == entries
    assert await store.totals() == (300, sum(e.cost or 0 for e in entries))
    assert await store.rollup_drift() == []
    await store.write([])
    assert await kept(database) == entries


async def test_an_entry_counts_once(database: Database) -> None:
    store, entries = LedgerStore(database), many(200)
    for part in (entries[:100], entries[:100], [*entries[50:], *entries[150:]]):
        await store.write(part)
    changed = [msgspec.structs.replace(e, cost=99) for e in entries]
    await store.write(changed)
    assert await kept(database) == entries
    assert await store.rollup_drift() == []
    [total] = await store.report(UsageQuery(since=0))
    assert (total.requests, total.cost_nano) == (sum(e.requests for e in entries), sum(e.cost or 0 for e in entries))


async def test_of_several_writers_each_entry_counts_once(record_url: str) -> None:
    databases = [Database(record_url) for _ in range(4)]
    stores = [LedgerStore(database) for database in databases]
    entries = many(400)

    async def write(store: LedgerStore, seed: int) -> None:
        order = list(entries)
        random.Random(seed).shuffle(order)
        for start in range(0, 400, 50):
            await store.write(order[start : start + 50])

    await asyncio.gather(*(write(store, seed) for seed, store in enumerate(stores)))
    assert await kept(databases[0]) == entries
    assert await stores[0].rollup_drift() == []
    for database in databases:
        await database.close()


async def test_nothing_is_half_written(empty_url: str) -> None:
    """Where a roll-up cannot be written, neither is the ledger."""
    await migrated(empty_url)
    database = Database(empty_url)
    async with database.writing() as connection:
        await connection.execute(text("DROP TABLE usage_users"))
    store = LedgerStore(database)
    with pytest.raises(Exception, match="usage_users"):
        await store.write(many(10))
    assert await kept(database) == []
    await database.close()


@pytest.mark.parametrize(
    "fields",
    [
        {"user": "nul\0"},
        {"user": "half \ud800 a character"},
        {"user": "x" * 100_000},
        {"user": "ü" * 3000, "model": "ü" * 3000, "target": "ü" * 3000},
        {"request": "\0"},
        {"request": "ü"},
        {"input": 10**30},
        {"output": 2**63 - 1, "cost": 2**63 - 1},
        {"cost": -(10**30)},
    ],
    ids=lambda fields: ",".join(fields),
)
async def test_one_strange_entry_does_not_keep_others_out(database: Database, fields: dict[str, object]) -> None:
    store = LedgerStore(database)
    entries = [entry("a"), entry("b", NOON, **fields), entry("c")]
    await store.write(entries)
    await store.write(entries)
    assert [found.id for found in await kept(database)] == ["a", "b", "c"]
    assert await store.rollup_drift() == []
    assert {found.user for found in await kept(database)} >= {"u1"}


# ------------------------------------------------------------------ reports


def counted(entries: Sequence[Entry], query: UsageQuery) -> dict[tuple[str, ...], dict[str, int]]:
    """As a report should be, from the entries alone."""
    since = query.since // 3600
    until = 10**9 if query.until is None else -(-query.until // 3600)
    sums: dict[tuple[str, ...], dict[str, int]] = {}
    for e in entries:
        moment = datetime.fromtimestamp(e.at // 10**6, UTC)
        values = {"day": f"{moment:%Y-%m-%d}", "hour": f"{moment:%Y-%m-%dT%H:00Z}"}
        wanted = {"team": query.team, "key": query.key, "model": query.model}
        if not since <= e.at // 3_600_000_000 < until:
            continue
        if any(value is not None and getattr(e, name) != value for name, value in wanted.items()):
            continue
        place = tuple(values.get(name) or getattr(e, name) for name in query.by)
        found = sums.setdefault(place, dict.fromkeys(UsageRow.__struct_fields__[6:], 0))
        for name, value in {
            "requests": e.requests,
            "calls": e.calls,
            "failed": e.requests if e.outcome in ("failed", "invalid", "interrupted") else 0,
            "input_tokens": e.input,
            "output_tokens": e.output,
            "cached_tokens": e.cached or 0,
            "cache_write_tokens": e.cache_write or 0,
            "reasoning_tokens": e.reasoning or 0,
            "cost_nano": e.cost or 0,
            "unpriced": e.cost is None,
            "estimated": e.estimated,
        }.items():
            found[name] += value
    return sums


BYS: list[tuple[Dimension, ...]] = [
    (),
    ("model", "day"),
    ("day", "model"),
    ("team",),
    ("key", "hour"),
    ("target",),
    ("hour", "day", "team"),
]
QUERIES = [
    UsageQuery(since=NOON - since, until=until and NOON - until, by=by, **filters)
    for since in (30 * 86400 + 1234, 36 * 3600, 5000)
    for until in (None, 4000)
    for by in BYS
    for filters in ({}, {"team": "t1"}, {"key": "t2k1", "model": "gpt"})
]


async def test_reports_are_what_the_entries_say(database: Database) -> None:
    store, entries = LedgerStore(database), many(800)
    await store.write(entries)
    for query in QUERIES:
        rows = await store.report(query)
        expected = counted(entries, query)
        if not query.by:
            expected.setdefault((), dict.fromkeys(UsageRow.__struct_fields__[6:], 0))
        assert [tuple(getattr(row, name) for name in query.by) for row in rows] == sorted(expected), query
        for row, place in zip(rows, sorted(expected), strict=True):
            assert {name: getattr(row, name) for name in expected[place]} == expected[place], query


async def test_until_now_counts_the_present_hour(database: Database) -> None:
    store = LedgerStore(database)
    await store.write([entry("a", NOON + 100), entry("b", NOON - 1)])
    [row] = await store.report(UsageQuery(since=NOON, until=NOON + 200))
    assert row.requests == 1
    [row] = await store.report(UsageQuery(since=NOON - 7200, until=NOON))
    assert row.requests == 1


async def test_a_report_names_only_what_was_asked_for(database: Database) -> None:
    store = LedgerStore(database)
    await store.write([entry(cached=None)])
    [row] = await store.report(UsageQuery(since=NOON, by=("model", "hour")))
    assert msgspec.to_builtins(row) == {
        "model": "gpt",
        "hour": "2026-11-30T12:00Z",
        "requests": 1,
        "calls": 1,
        "failed": 0,
        "input_tokens": 10,
        "output_tokens": 5,
        "cached_tokens": 0,
        "cache_write_tokens": 0,
        "reasoning_tokens": 2,
        "cost_nano": 1000,
        "unpriced": 0,
        "estimated": 0,
    }


# ------------------------------------------------------------------ periods


async def test_periods_are_of_the_day_and_month_in_utc(database: Database) -> None:
    store = LedgerStore(database)
    moment = int(datetime(2026, 12, 2, 0, 0, 5, tzinfo=UTC).timestamp())
    await store.write(
        [
            entry("a", moment - 6 - 86400, cost=1),  # November
            entry("b", moment - 6, cost=10),  # yesterday
            entry("c", moment, cost=100),
            entry("d", moment + 60, cost=None, user="", key="k2", model="llama", team="t2"),
        ]
    )
    at = moment * 1000
    periods = {(period.subject.scope, period.subject.name): period for period in await store.periods(at)}
    assert {name: (p.tokens_day, p.nano_day, p.nano_month) for name, p in periods.items()} == {
        ("organisation", ""): (30, 100, 110),
        ("team", "t1"): (15, 100, 110),
        ("team", "t2"): (15, 0, 0),
        ("key", "k1"): (15, 100, 110),
        ("key", "k2"): (15, 0, 0),
        ("model", "gpt"): (15, 100, 110),
        ("model", "llama"): (15, 0, 0),
        ("user", "t1/u1"): (15, 100, 110),
    }
    for period in periods.values():
        assert period.at == at
        assert await store.period(period.subject, at) == period
    assert await store.period(Subject("user", "t1/a/b"), at) == Period(Subject("user", "t1/a/b"), at, 0, 0, 0)
    assert await store.period(Subject("organisation"), 0) == Period(Subject("organisation"), 0, 0, 0, 0)


async def test_periods_of_some(database: Database) -> None:
    store = LedgerStore(database)
    names = [*[f"u{number}" for number in range(20)], "a/b"]
    await store.write([entry(str(place), user=name) for place, name in enumerate(names)])
    at = NOON * 1000

    async def asked(wanted: dict[Scope, frozenset[str] | None]) -> set[tuple[str, str]]:
        return {(one.subject.scope, one.subject.name) for one in await store.periods(at, wanted)}

    assert await asked({}) == set()
    assert await asked({"team": None, "key": frozenset()}) == {("team", "t1")}
    some = frozenset({"t1/u3", "t1/a/b", "t2/u3", "of-no-team"})
    assert await asked({"user": some}) == {("user", "t1/u3"), ("user", "t1/a/b")}
    more = some | {f"t1/nobody{number}" for number in range(MOST_NAMED)}
    assert await asked({"user": more}) == {("user", "t1/u3"), ("user", "t1/a/b")}
    assert await asked({"organisation": frozenset({""}), "model": frozenset({"gpt", "x"})}) == {
        ("organisation", ""),
        ("model", "gpt"),
    }
    assert len(await asked({"user": None})) == len(names)


# ------------------------------------------------------------------ drift


async def test_drift_is_found_and_mended(database: Database) -> None:
    store = LedgerStore(database)
    await store.write([*many(50), entry("last")])
    async with database.writing() as connection:
        await connection.execute(usage_hours.update().where(usage_hours.c.key == "k1").values(cost=7))
        await connection.execute(usage_users.delete().where(usage_users.c.user == "u1"))
        await connection.execute(usage_days.update().where(usage_days.c.key == "k1").values(output=0))
    drifts = {(drift.what, drift.subject): (drift.expected, drift.found) for drift in await store.rollup_drift()}
    hour, day = NOON // 3600, NOON // 86400
    assert drifts[("usage_hours.cost", f"{hour}/t1/k1/gpt/openai/gpt-4o")] == (1000, 7)
    assert drifts[("usage_users.tokens", f"{day}/t1/u1")] == (15, 0)
    assert drifts[("usage_days.output", f"{day}/t1/k1/gpt/openai/gpt-4o")] == (5, 0)
    await store.rebuild_rollups()
    assert await store.rollup_drift() == []
    assert await store.totals() == (51, (await store.report(UsageQuery(since=0)))[0].cost_nano)


async def test_rebuilding_loses_nothing_that_is_written_meanwhile(record_url: str) -> None:
    databases = [Database(record_url) for _ in range(2)]
    left, right = map(LedgerStore, databases)

    async def write() -> None:
        for start in range(0, 1000, 50):
            await left.write(entries[start : start + 50])

    entries = many(1000)
    writing = asyncio.create_task(write())
    for _ in range(4):
        await right.rebuild_rollups()
    await writing
    assert await right.rollup_drift() == []
    assert await left.totals() == (1000, sum(e.cost or 0 for e in entries))
    for database in databases:
        await database.close()


async def test_every_rollup_has_the_whole_sum(database: Database) -> None:
    store = LedgerStore(database)
    await store.write(many(500))
    async with database.reading() as connection:
        sums = [
            await connection.scalar(select(func.sum(table.c.cost)))
            for table in (ledger, usage_hours, usage_days, usage_teams, usage_models)
        ]
    assert len(set(sums)) == 1
