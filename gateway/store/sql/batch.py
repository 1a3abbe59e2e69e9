"""Many rows in one statement, the shortest way that each database has: tuples to SQLite, a list for each column to
PostgreSQL. SQLAlchemy writes the statements, once."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ARRAY, Table, TableValuedAlias, bindparam, func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

Rows = Sequence[tuple[Any, ...]]


class Insert:
    """Adds the rows whose primary key is not there yet."""

    def __init__(self, table: Table) -> None:
        self._names = [column.name for column in table.columns]
        self._tuples = str(sqlite.insert(table).on_conflict_do_nothing().compile(dialect=sqlite.dialect()))
        self._lists = (
            postgresql.insert(table)
            .from_select(self._names, select(unnested(table)))
            .on_conflict_do_nothing()
            .returning(*table.primary_key.columns)
        )

    async def tuples(self, connection: AsyncConnection, rows: Rows) -> int:
        """How many were added."""
        options = {"preserve_rowcount": True}
        return (await connection.exec_driver_sql(self._tuples, list(rows), execution_options=options)).rowcount

    async def lists(self, connection: AsyncConnection, rows: Rows) -> list[Any]:
        """The primary keys of those that were added; of the first column where there are several."""
        found = await connection.scalars(self._lists, by_column(self._names, rows))
        return list(found)


class Add:
    """Adds the rows, and what they count to the rows that are there."""

    def __init__(self, table: Table) -> None:
        self._names = [column.name for column in table.columns]
        counted = [column for column in table.columns if not column.primary_key]

        def adding(statement: Any) -> Any:
            sums = {column.name: column + statement.excluded[column.name] for column in counted}
            return statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=sums)

        self._tuples = str(adding(sqlite.insert(table)).compile(dialect=sqlite.dialect()))
        listed = postgresql.insert(table).from_select(self._names, select(unnested(table)))
        self._lists = adding(listed)

    async def tuples(self, connection: AsyncConnection, rows: Rows) -> None:
        await connection.exec_driver_sql(self._tuples, list(rows))

    async def lists(self, connection: AsyncConnection, rows: Rows) -> None:
        """Rows that are there are taken in the order given: the same in all processes, or they wait for each other."""
        await connection.execute(self._lists, by_column(self._names, rows))


def unnested(table: Table) -> TableValuedAlias:
    """One parameter for each column, by its name: the list of its values."""
    lists = [bindparam(column.name, type_=ARRAY(column.type)) for column in table.columns]
    names = [column.name for column in table.columns]
    return func.unnest(*lists).table_valued(*names, name="given").render_derived()


def by_column(names: list[str], rows: Rows) -> dict[str, list[Any]]:
    return dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
