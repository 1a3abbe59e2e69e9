"""Reports, from the coarsest roll-up that has what is asked for."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.control.types import UsageQuery, UsageRow
from gateway.store.sql.schema import COUNTS, usage_days, usage_hours, usage_models, usage_teams

MOST_SEEKS = 9_000
"""Hours of a year. A team's hours are looked for one by one up to here; beyond, all teams' are read."""

FIELDS = {
    "requests": "requests",
    "calls": "calls",
    "failed": "failed",
    "input": "input_tokens",
    "output": "output_tokens",
    "cached": "cached_tokens",
    "cache_write": "cache_write_tokens",
    "reasoning": "reasoning_tokens",
    "cost": "cost_nano",
    "unpriced": "unpriced",
    "estimated": "estimated",
}


class Span(Struct, frozen=True):
    """A part of the time asked for, in units of its table; ``until`` is exclusive, None open."""

    table: Table
    since: int
    until: int | None


async def read_usage(connection: AsyncConnection, query: UsageQuery) -> list[UsageRow]:
    by = tuple(dict.fromkeys(query.by))
    summed: dict[tuple[Any, ...], list[int]] = {}
    for span in spans(query):
        for row in await connection.execute(grouped(span, query, by)):
            place, sums = tuple(row[: len(by)]), row[len(by) :]
            if "day" in by and span.table is usage_hours:
                place = tuple(part // 24 if name == "day" else part for name, part in zip(by, place, strict=True))
            known = summed.get(place, [0] * len(COUNTS))
            summed[place] = [a + int(b or 0) for a, b in zip(known, sums, strict=True)]
    if not by and not summed:
        summed[()] = [0] * len(COUNTS)
    return [told(by, place, sums) for place, sums in sorted(summed.items())]


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
    sums = [func.sum(columns[name]) for name in COUNTS]
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


def told(by: tuple[str, ...], place: tuple[Any, ...], sums: list[int]) -> UsageRow:
    values: dict[str, Any] = {name: written(name, part) for name, part in zip(by, place, strict=True)}
    values |= {FIELDS[name]: value for name, value in zip(COUNTS, sums, strict=True)}
    return UsageRow(**values)


def written(dimension: str, value: Any) -> str:
    if dimension == "day":
        return f"{datetime.fromtimestamp(value * 86400, UTC):%Y-%m-%d}"
    if dimension == "hour":
        return f"{datetime.fromtimestamp(value * 3600, UTC):%Y-%m-%dT%H:00Z}"
    return str(value)
