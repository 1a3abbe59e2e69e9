"""Many rows in one statement, the shortest way that each database has: tuples to SQLite, a list for each column to
PostgreSQL. SQLAlchemy writes the statements, once; what it knows of a database is imported for that one alone."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Table, TableValuedAlias, bindparam, func, select

from gateway.store.sql.connection import AsyncConnection

Rows = Sequence[tuple[Any, ...]]


class Insert:
    """Adds the rows whose primary key is not there yet: as ``lists`` to PostgreSQL, else as ``tuples``."""

    def __init__(self, table: Table, is_postgres: bool) -> None:
        self._names = [column.name for column in table.columns]
        self._statement: Any = inserting_lists(table) if is_postgres else inserting_tuples(table)

    async def tuples(self, connection: AsyncConnection, rows: Rows) -> int:
        """How many were added."""
        options = {"preserve_rowcount": True}
        return (await connection.exec_driver_sql(self._statement, list(rows), execution_options=options)).rowcount

    async def lists(self, connection: AsyncConnection, rows: Rows) -> list[Any]:
        """The primary keys of those that were added; of the first column where there are several."""
        found = await connection.scalars(self._statement, by_column(self._names, rows))
        return list(found)


class Add:
    """Adds the rows, and what they count to the rows that are there: as ``lists`` to PostgreSQL, else as ``tuples``."""

    def __init__(self, table: Table, is_postgres: bool) -> None:
        self._names = [column.name for column in table.columns]
        self._statement: Any = adding_lists(table) if is_postgres else adding_tuples(table)

    async def tuples(self, connection: AsyncConnection, rows: Rows) -> None:
        await connection.exec_driver_sql(self._statement, list(rows))

    async def lists(self, connection: AsyncConnection, rows: Rows) -> None:
        """Rows that are there are taken in the order given: the same in all processes, or they wait for each other."""
        await connection.execute(self._statement, by_column(self._names, rows))


def inserting_tuples(table: Table) -> str:
    from sqlalchemy.dialects import sqlite

    return str(sqlite.insert(table).on_conflict_do_nothing().compile(dialect=sqlite.dialect()))


def inserting_lists(table: Table) -> Any:
    from sqlalchemy.dialects import postgresql  # here: 4 MB that SQLite does not need

    names = [column.name for column in table.columns]
    listed = postgresql.insert(table).from_select(names, select(unnested(table)))
    return listed.on_conflict_do_nothing().returning(*table.primary_key.columns)


def adding_tuples(table: Table) -> str:
    from sqlalchemy.dialects import sqlite

    return str(adding(table, sqlite.insert(table)).compile(dialect=sqlite.dialect()))


def adding_lists(table: Table) -> Any:
    from sqlalchemy.dialects import postgresql  # here: 4 MB that SQLite does not need

    names = [column.name for column in table.columns]
    return adding(table, postgresql.insert(table).from_select(names, select(unnested(table))))


def adding(table: Table, statement: Any) -> Any:
    """An insertion that adds the counted columns to those of a row that is there."""
    sums = {column.name: column + statement.excluded[column.name] for column in table.columns if not column.primary_key}
    return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=sums)


def unnested(table: Table) -> TableValuedAlias:
    """One parameter for each column, by its name: the list of its values."""
    lists = [bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns]
    names = [column.name for column in table.columns]
    return func.unnest(*lists).table_valued(*names, name="given").render_derived()


def by_column(names: list[str], rows: Rows) -> dict[str, list[Any]]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
