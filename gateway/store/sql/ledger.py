"""The ledger in SQL, and its roll-ups, which are written with it."""

from collections.abc import Sequence
from typing import Any

from msgspec.structs import astuple
from sqlalchemy import Connection, func, select

from gateway.control.types import Drift, UsageQuery, UsageRow
from gateway.ledger.entry import Entry
from gateway.limits.types import Period, Subject
from gateway.store.sql.batch import Add, Insert
from gateway.store.sql.connection import AsyncConnection
from gateway.store.sql.drift import drifts, rebuild
from gateway.store.sql.engine import Database
from gateway.store.sql.mending import is_sound, mended
from gateway.store.sql.periods import EVERYBODY, Wanted, read_periods
from gateway.store.sql.rollups import Rolled, roll
from gateway.store.sql.schema import ledger, usage_days, usage_hours, usage_models, usage_teams, usage_users
from gateway.store.sql.usage import read_usage

RECENT = 5_000
"""Entries among which a target's last are looked for."""


class LedgerStore:
    """All of it raises RecordDown where the database cannot be asked."""

    def __init__(self, database: Database) -> None:
        self._database = database
        rollups = (usage_hours, usage_days, usage_teams, usage_models, usage_users)
        self._insert = Insert(ledger, database.is_postgres)
        self._rollups = [Add(table, database.is_postgres) for table in rollups]

    async def write(self, entries: Sequence[Entry]) -> None:
        """Adds those that are not there yet, by their ids, whole or not at all."""
        unique = {entry.id: entry for entry in entries}
        if not unique:
            return
        new = list(unique.values())
        rolled = roll(new)
        if not is_sound(new, rolled):
            unique = {(entry := mended(each)).id: entry for each in new}
            new = list(unique.values())
            rolled = roll(new)
        write = self._write_lists if self._database.is_postgres else self._write_tuples
        await write(unique, [astuple(entry) for entry in new], rolled)

    async def _write_tuples(self, unique: dict[str, Entry], rows: list[tuple[Any, ...]], rolled: Rolled) -> None:
        """Duplicates are rare, after crashes: only then is it asked which they are, with all writers shut out."""
        async with self._database.writing() as connection:
            point = await connection.run_sync(Connection.begin_nested)
            if await self._insert.tuples(connection, rows) != len(rows):
                await connection.run_sync(lambda _: point.rollback())
                unique = await self._unknown(connection, unique)
                rolled = roll(unique.values())
                if unique:
                    await self._insert.tuples(connection, [astuple(entry) for entry in unique.values()])
            for adding, (_, groups) in zip(self._rollups, rolled.tables(), strict=True):
                if groups:
                    await adding.tuples(connection, [(*place, *sums) for place, sums in groups.items()])

    async def _write_lists(self, unique: dict[str, Entry], rows: list[tuple[Any, ...]], rolled: Rolled) -> None:
        async with self._database.writing() as connection:
            added = await self._insert.lists(connection, sorted(rows))
            if len(added) != len(rows):
                rolled = roll(unique[id] for id in added)
            for adding, (_, groups) in zip(self._rollups, rolled.tables(), strict=True):
                if groups:
                    await adding.lists(connection, [(*place, *sums) for place, sums in sorted(groups.items())])

    async def _unknown(self, connection: AsyncConnection, unique: dict[str, Entry]) -> dict[str, Entry]:
        ids = list(unique)
        known: set[str] = set()
        for start in range(0, len(ids), 10_000):
            part = ids[start : start + 10_000]
            known.update(await connection.scalars(select(ledger.c.id).where(ledger.c.id.in_(part))))
        return {id: entry for id, entry in unique.items() if id not in known}

    async def report(self, query: UsageQuery) -> list[UsageRow]:
        """Read from the roll-ups alone."""
        async with self._database.reading() as connection:
            return await read_usage(connection, query)

    async def periods(self, at_ms: int, wanted: Wanted = EVERYBODY) -> list[Period]:
        """What these subjects have used in the day and month of this moment; who has used nothing is not there."""
        async with self._database.reading() as connection:
            return await read_periods(connection, at_ms, wanted)

    async def period(self, subject: Subject, at_ms: int) -> Period:
        async with self._database.reading() as connection:
            found = await read_periods(connection, at_ms, {subject.scope: (subject.name,)})
        return found[0] if found else Period(subject, at_ms, 0, 0, 0)

    async def last_of(self, target: str, most: int) -> list[tuple[int, int]]:
        """Tokens of prompts and answers as this target has last reported them, the newest first."""
        recent = select(ledger).order_by(ledger.c.id.desc()).limit(RECENT).subquery()
        statement = select(recent.c.input, recent.c.output).where(
            recent.c.target == target, recent.c.outcome == "ok", recent.c.estimated.is_(False), recent.c.calls == 1
        )
        async with self._database.reading() as connection:
            rows = await connection.execute(statement.order_by(recent.c.id.desc()).limit(most))
            return [(input, output) for input, output in rows]

    async def totals(self) -> tuple[int, int]:
        """How many entries there are, and their cost in nano-dollars. Reads all of them."""
        async with self._database.reading(long=True) as connection:
            statement = select(func.count(), func.coalesce(func.sum(ledger.c.cost), 0)).select_from(ledger)
            entries, cost = (await connection.execute(statement)).one()
        return entries, int(cost)

    async def rollup_drift(self) -> list[Drift]:
        """Where the roll-ups are not the sums of the ledger: all of it is counted again."""
        async with self._database.reading(long=True) as connection:
            return await drifts(connection)

    async def rebuild_rollups(self) -> None:
        """Makes the roll-ups anew. Nobody writes meanwhile."""
        async with self._database.writing(long=True) as connection:
            await rebuild(connection)
