"""What budgets are held against: the day and month of each subject, as the ledger has them."""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Select, Table, case, func, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.limits.types import SCOPES, Period, Scope, Subject
from gateway.store.sql.schema import usage_days, usage_models, usage_teams, usage_users

DAY_MS = 86_400_000

SOURCES: dict[Scope, tuple[Table, tuple[str, ...]]] = {
    "organisation": (usage_models, ()),
    "team": (usage_teams, ("team",)),
    "key": (usage_days, ("key",)),
    "user": (usage_users, ("team", "user")),
    "model": (usage_models, ("model",)),
}
"""The coarsest roll-up that has a scope's subjects, and the columns that their names are made of."""


async def read_periods(connection: AsyncConnection, at_ms: int, only: Subject | None = None) -> list[Period]:
    """Of every subject that has used anything in the month, or of one. An unknown cost counts nothing."""
    found: list[Period] = []
    for scope in SCOPES if only is None else (only.scope,):
        for *names, tokens, day, month in await connection.execute(used(scope, at_ms, only)):
            if tokens is not None:
                subject = Subject(scope, "/".join(names))
                found.append(Period(subject, at_ms, int(tokens), int(day), int(month)))
    return found


def used(scope: Scope, at_ms: int, only: Subject | None) -> Select[Any]:
    table, names = SOURCES[scope]
    columns = table.c
    tokens = columns.tokens if table is usage_users else columns.input + columns.output
    today, (first, last) = at_ms // DAY_MS, month_of(at_ms)
    sums = (
        func.sum(case((columns.day == today, tokens), else_=literal(0))),
        func.sum(case((columns.day == today, columns.cost), else_=literal(0))),
        func.sum(columns.cost),
    )
    places = [columns[name] for name in names]
    statement = select(*places, *sums).where(columns.day >= first, columns.day < last)
    if only is not None and names:
        parts = only.name.split("/", 1) if scope == "user" else [only.name]
        statement = statement.where(*(column == part for column, part in zip(places, parts, strict=True)))
    return statement.group_by(*places) if names else statement


def month_of(at_ms: int) -> tuple[int, int]:
    """Its first day and the next month's, counted since 1970."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) // 86400, int(following.timestamp()) // 86400
