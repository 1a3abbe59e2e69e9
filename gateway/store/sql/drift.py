"""The roll-ups, counted again from the ledger."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    case,
    cast,
    except_,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.control.types import Drift
from gateway.store.sql.rollups import DAY, FAILED, HOUR
from gateway.store.sql.schema import (
    COUNTS,
    ledger,
    usage_days,
    usage_hours,
    usage_models,
    usage_teams,
    usage_users,
)

ROLLUPS = (usage_hours, usage_days, usage_teams, usage_models, usage_users)
MOST = 1_000
"""Groups of a roll-up that are told; so many say the same as all."""


async def drifts(connection: AsyncConnection) -> list[Drift]:
    found: list[Drift] = []
    for table in ROLLUPS:
        stored = select(*(cast(c, BigInteger) if c.name in COUNTS else c for c in table.columns))
        wrong = except_(stored, recount(table)).limit(MOST)
        missing = except_(recount(table), stored).limit(MOST)
        found += compare(table, await rows(connection, wrong), await rows(connection, missing))
    return found


async def rows(connection: AsyncConnection, statement: Any) -> list[tuple[Any, ...]]:
    return [tuple(row) for row in await connection.execute(statement)]


def compare(table: Table, stored: list[tuple[Any, ...]], counted: list[tuple[Any, ...]]) -> list[Drift]:
    width = len(table.primary_key.columns)
    names = [column.name for column in table.columns][width:]
    found = {row[:width]: row[width:] for row in stored}
    expected = {row[:width]: row[width:] for row in counted}
    nothing = (0,) * len(names)
    return [
        Drift(what=f"{table.name}.{name}", subject="/".join(map(str, place)), expected=should, found=has)
        for place in sorted(found.keys() | expected.keys())
        for name, should, has in zip(names, expected.get(place, nothing), found.get(place, nothing), strict=True)
        if should != has
    ]


async def rebuild(connection: AsyncConnection) -> None:
    """Within a transaction that writes: SQLite has no other writer then, and PostgreSQL is told to let none in."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE ledger IN SHARE MODE"))
    for table in ROLLUPS:
        await connection.execute(table.delete())
        await connection.execute(table.insert().from_select([c.name for c in table.columns], recount(table)))


def recount(table: Table) -> Select[Any]:
    """What a roll-up should be: hours and users from the ledger, all else from finer roll-ups that are made first."""
    places = [column.name for column in table.primary_key.columns]
    if table is usage_hours:
        return summed(ledger, {**{name: ledger.c[name] for name in places[1:]}, "hour": ledger.c.at // HOUR}, places)
    if table is usage_users:
        return users(places)
    finer = {usage_days: usage_hours, usage_teams: usage_days, usage_models: usage_teams}[table]
    day = finer.c.hour // 24 if finer is usage_hours else finer.c.day
    return summed(finer, {**{name: finer.c[name] for name in places[1:]}, "day": day}, places)


def summed(source: Table, dimensions: dict[str, ColumnElement[Any]], places: list[str]) -> Select[Any]:
    values = entry_counts() if source is ledger else {name: source.c[name] for name in COUNTS}
    groups = [dimensions[name] for name in places]
    sums = [cast(func.coalesce(func.sum(values[name]), 0), BigInteger) for name in COUNTS]
    return select(*groups, *sums).group_by(*(literal_place(place) for place in range(1, len(places) + 1)))


def literal_place(place: int) -> ColumnElement[Any]:
    """GROUP BY 1: an expression with parameters would not be taken for the same one."""
    return text(str(place))  # type: ignore[return-value]


def entry_counts() -> dict[str, ColumnElement[Any]]:
    columns = ledger.c
    failed = columns.outcome.in_(sorted(FAILED))
    return {
        "requests": columns.requests,
        "calls": columns.calls,
        "failed": case((failed, columns.requests), else_=literal(0)),
        "input": columns.input,
        "output": columns.output,
        "cached": columns.cached,
        "cache_write": columns.cache_write,
        "reasoning": columns.reasoning,
        "cost": columns.cost,
        "unpriced": case((columns.cost.is_(None), literal(1)), else_=literal(0)),
        "estimated": case((columns.estimated, literal(1)), else_=literal(0)),
    }


def users(places: list[str]) -> Select[Any]:
    columns = ledger.c
    sums = (columns.requests, columns.input + columns.output, columns.cost)
    return (
        select(
            columns.at // DAY,
            columns.team,
            columns.user,
            *(cast(func.coalesce(func.sum(value), 0), BigInteger) for value in sums),
        )
        .where(columns.user != "")
        .group_by(*(literal_place(place) for place in range(1, len(places) + 1)))
    )
