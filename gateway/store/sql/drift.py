"""The roll-ups, counted again from the ledger."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Select,
    Table,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    text,
    union_all,
)

from gateway.control.types import Drift
from gateway.store.sql.connection import AsyncConnection
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
    """Each roll-up is held against the ledger, or against a finer one that is right."""
    found: list[Drift] = []
    right: set[Table] = set()
    for table in ROLLUPS:
        wrong = await compared(connection, table, recount(table, right))
        found += wrong
        if not wrong:
            right.add(table)
    return found


async def compared(connection: AsyncConnection, table: Table, counted: Select[Any]) -> list[Drift]:
    """Both are read once: what was counted on the left, what is stored on the right, a group of both in one row."""
    places = [column.name for column in table.primary_key.columns]
    names = [column.name for column in table.columns][len(places) :]
    expected = counted.subquery()
    zeros: list[Any] = [literal_column("0").label(f"zero_{name}") for name in names]
    left = select(*(expected.c[name] for name in [*places, *names]), *zeros)
    right = select(*(table.c[name] for name in places), *zeros, *(table.c[name] for name in names))
    columns = list(union_all(left, right).subquery().columns)
    groups, values = columns[: len(places)], columns[len(places) :]
    pairs = [
        (func.sum(should), func.sum(has))
        for should, has in zip(values[: len(names)], values[len(names) :], strict=True)
    ]
    statement = (
        select(*groups, *(side for pair in pairs for side in pair))
        .group_by(*groups)
        .having(or_(*(should != has for should, has in pairs)))
        .order_by(*groups)
        .limit(MOST)
    )
    found: list[Drift] = []
    for row in await connection.execute(statement):
        subject = "/".join(map(str, row[: len(places)]))
        sums = [int(value) for value in row[len(places) :]]
        for name, should, has in zip(names, sums[::2], sums[1::2], strict=True):
            if should != has:
                found.append(Drift(what=f"{table.name}.{name}", subject=subject, expected=should, found=has))
    return found


async def rebuild(connection: AsyncConnection) -> None:
    """Within a transaction that writes: SQLite has no other writer then, and PostgreSQL is told to let none in."""
    if connection.dialect.name == "postgresql":
        await connection.execute(text("LOCK TABLE ledger IN SHARE MODE"))
    for table in ROLLUPS:
        await connection.execute(table.delete())
        columns = [column.name for column in table.columns]
        await connection.execute(table.insert().from_select(columns, recount(table, set(ROLLUPS))))


FINER = {usage_days: usage_hours, usage_teams: usage_days, usage_models: usage_teams}


def recount(table: Table, right: set[Table]) -> Select[Any]:
    """What a roll-up should be, from a finer one that is right if there is one, else from the ledger."""
    places = [column.name for column in table.primary_key.columns]
    if table is usage_users:
        return users(places)
    finer = FINER.get(table)
    if finer is None or finer not in right:
        unit = ledger.c.at // (HOUR if table is usage_hours else DAY)
        return summed(ledger, [unit, *(ledger.c[name] for name in places[1:])], places)
    day = finer.c.hour // 24 if finer is usage_hours else finer.c.day
    return summed(finer, [day, *(finer.c[name] for name in places[1:])], places)


def summed(source: Table, groups: list[Any], places: list[str]) -> Select[Any]:
    values = entry_counts() if source is ledger else {name: source.c[name] for name in COUNTS}
    sums = [cast(func.coalesce(func.sum(values[name]), 0), BigInteger).label(name) for name in COUNTS]
    return select(*(group.label(name) for group, name in zip(groups, places, strict=True)), *sums).group_by(
        *(literal_place(place) for place in range(1, len(places) + 1))
    )


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
    sums = {"requests": columns.requests, "tokens": columns.input + columns.output, "cost": columns.cost}
    return (
        select(
            (columns.at // DAY).label("day"),
            columns.team,
            columns.user,
            *(cast(func.coalesce(func.sum(value), 0), BigInteger).label(name) for name, value in sums.items()),
        )
        .where(columns.user != "")
        .group_by(*(literal_place(place) for place in range(1, len(places) + 1)))
    )
