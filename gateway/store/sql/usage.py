"""Reports, from the coarsest roll-up that has what is asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import lru_cache
from operator import add
from typing import Any

from msgspec import Struct
from sqlalchemy import BigInteger, ColumnElement, Select, Table, cast, func, select

from gateway.control.types import UsageQuery, UsageRow
from gateway.store.sql.connection import AsyncConnection
from gateway.store.sql.schema import COUNTS, usage_days, usage_hours, usage_models, usage_teams

MOST_SEEKS = 9_000
"""Hours of a year. A team's hours are looked for one by one up to here; beyond, all teams' are read."""

FIELDS = (
    "requests",
    "calls",
    "failed",
    "input_tokens",
    "output_tokens",
    "cached_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "cost_nano",
    "unpriced",
    "estimated",
)
"""What a report calls the counts, in their order."""


class Span(Struct, frozen=True):
    """A part of the time asked for, in units of its table; ``until`` is exclusive, None open."""

    table: Table
    since: int
    until: int | None


async def read_usage(connection: AsyncConnection, query: UsageQuery) -> list[UsageRow]:
    by = tuple(dict.fromkeys(query.by))
    width = len(by)
    summed: dict[tuple[Any, ...], tuple[int, ...]] = {}
    for span in spans(query):
        for row in await connection.execute(grouped(span, query, by)):
            place, sums = row[:width], row[width:]
            if "day" in by and span.table is usage_hours:
                place = tuple([part // 24 if name == "day" else part for name, part in zip(by, place, strict=True)])
            known = summed.get(place)
            summed[place] = sums if known is None else tuple(map(add, known, sums))
    return [told(by, place, summed[place]) for place in sorted(summed)]


def spans(query: UsageQuery) -> Iterator[Span]:
    """Whole days, and the hours at both ends."""
    since = query.since // 3600
    until = None if query.until is None else -(-query.until // 3600)
    first, last = -(-since // 24), None if until is None else until // 24
    if "hour" in query.by or (last is not None and first >= last):
        yield Span(usage_hours, since, until)
        return
    if since < first * 24:
        yield Span(usage_hours, since, first * 24)
    yield Span(coarsest(query), first, last)
    if until is not None and last is not None and last * 24 < until:
        yield Span(usage_hours, last * 24, until)


def coarsest(query: UsageQuery) -> Table:
    if query.key is not None or "key" in query.by:
        return usage_days
    if query.team is not None or "team" in query.by:
        return usage_teams
    return usage_models


def grouped(span: Span, query: UsageQuery, by: tuple[str, ...]) -> Select[Any]:
    columns = span.table.c
    is_hours = span.table is usage_hours
    unit = columns.hour if is_hours else columns.day
    names = ["hour" if name == "day" and is_hours else name for name in by]
    dimensions = [columns[name].label(f"by_{place}") for place, name in enumerate(names)]
    sums = [cast(func.coalesce(func.sum(columns[name]), 0), BigInteger) for name in COUNTS]
    filters = {"team": query.team, "key": query.key, "model": query.model}
    wanted = [columns[name] == value for name, value in filters.items() if value is not None]
    groups = [columns[name] for name in dict.fromkeys(names)]
    statement = select(*dimensions, *sums).where(*wanted, *within(unit, span, query.team is not None))
    return statement.group_by(*groups) if groups else statement


def within(unit: ColumnElement[int], span: Span, seek: bool) -> Iterator[ColumnElement[bool]]:
    """One by one, a database goes straight to a team within each unit of time; over a range it reads all teams."""
    if seek and span.until is not None and span.until - span.since <= MOST_SEEKS:
        yield unit.in_(range(span.since, span.until))
        return
    yield unit >= span.since
    if span.until is not None:
        yield unit < span.until


def told(by: tuple[str, ...], place: tuple[Any, ...], sums: tuple[int, ...]) -> UsageRow:
    values: dict[str, Any] = dict(zip(FIELDS, sums, strict=True))
    for name, part in zip(by, place, strict=True):
        values[name] = day_of(part) if name == "day" else hour_of(part) if name == "hour" else part
    return UsageRow(**values)


@lru_cache(maxsize=1000)
def day_of(day: int) -> str:
    return f"{datetime.fromtimestamp(day * 86400, UTC):%Y-%m-%d}"


@lru_cache(maxsize=1000)
def hour_of(hour: int) -> str:
    return f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H:00Z}"
