"""What budgets are held against: the day and month of each subject, as the ledger has them."""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, Table, case, func, literal, select, tuple_

from gateway.limits.types import SCOPES, Period, Scope, Subject
from gateway.store.sql.connection import AsyncConnection
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


MOST_NAMED = 500
"""Subjects that are asked for by their names; of more, the whole scope is read."""

Wanted = Mapping[Scope, Collection[str] | None]
"""Subjects: of each scope those of these names, or (None) all."""

EVERYBODY: Wanted = dict.fromkeys(SCOPES)


async def read_periods(connection: AsyncConnection, at_ms: int, wanted: Wanted = EVERYBODY) -> list[Period]:
    """Of those who have used anything in the month. An unknown cost counts nothing."""
    found: list[Period] = []
    for scope, named in wanted.items():
        if named is not None and not named:
            continue
        only = None if named is None else frozenset(named)
        for *names, tokens, day, month in await connection.execute(used(scope, at_ms, only)):
            name = "/".join(names)
            if tokens is not None and (only is None or name in only):
                found.append(Period(Subject(scope, name), at_ms, int(tokens), int(day), int(month)))
    return found


def used(scope: Scope, at_ms: int, only: Collection[str] | None) -> Select[Any]:
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
    if only is not None and places and len(only) <= MOST_NAMED:
        statement = statement.where(among(places, only))
    return statement.group_by(*places) if names else statement


def among(places: list[Any], names: Collection[str]) -> ColumnElement[bool]:
    if len(places) == 1:
        return places[0].in_(names)  # type: ignore[no-any-return]
    return tuple_(*places).in_([tuple(name.split("/", 1)) for name in names if "/" in name])


def month_of(at_ms: int) -> tuple[int, int]:
    """Its first day and the next month's, counted since 1970."""
    moment = datetime.fromtimestamp(at_ms / 1000, UTC)
    first = datetime(moment.year, moment.month, 1, tzinfo=UTC)
    following = datetime(moment.year + moment.month // 12, moment.month % 12 + 1, 1, tzinfo=UTC)
    return int(first.timestamp()) // 86400, int(following.timestamp()) // 86400
