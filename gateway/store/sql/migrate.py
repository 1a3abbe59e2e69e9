"""Brings a database to the form that this code knows. Processes that start together do it one after the other."""

import asyncio
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import (
    Column,
    Connection,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    column,
    func,
    inspect,
    make_url,
    select,
    table,
)

from gateway.store.sql.connection import AsyncConnection, AsyncEngine
from gateway.store.sql.engine import RecordError, create_engine, is_down, reason, shown
from gateway.store.sql.schema import metadata

FOLDER = Path(__file__).parent / "migrations"
LOCK = 0x67617465_72656302
"""The advisory lock under which PostgreSQL is migrated."""


def migrate(url: str) -> None:
    """Takes a URL as ``database_url`` gives it. For those who run no event loop yet. Raises RecordError."""
    asyncio.run(migrated(url))


async def migrated(url: str) -> None:
    """As ``migrate``, in an event loop, which it holds up. Alembic is imported only where an older form is there."""
    engine = create_engine(url, pooled=False)
    try:
        async with engine.connect() as connection:
            if await is_current(connection, url):
                return
        await upgrade(engine, url)
    except Exception as error:
        if is_down(error):
            raise RecordError(f"{shown(url)} cannot be opened: {reason(error)}") from error
        raise
    finally:
        await engine.dispose()


def revisions() -> list[str]:
    """Those that this code knows, from the first to the last: the numbers in the files' names."""
    return sorted(path.stem[1:].partition("_")[0] for path in (FOLDER / "versions").glob("v*.py"))


async def is_current(connection: AsyncConnection, url: str) -> bool:
    """Raises RecordError where the database is ahead of this code."""
    if not await connection.run_sync(lambda sync: inspect(sync).has_table("alembic_version")):
        return False
    found = await connection.scalar(select(column("version_num")).select_from(table("alembic_version")))
    known = revisions()
    if found is not None and found not in known:
        raise RecordError(
            f"{shown(url)} has revision {found}, which is newer than this gateway knows (up to {known[-1]});"
            " run the newer gateway, or restore a backup of before"
        )
    return bool(found == known[-1])


async def upgrade(engine: AsyncEngine, url: str) -> None:
    path = make_url(url).database if engine.dialect.name == "sqlite" else None
    with alone(path):
        if path is not None:
            async with engine.connect() as connection:
                await connection.run_sync(write_ahead)
        async with engine.connect() as connection:
            await connection.execution_options(writing=True)
            async with connection.begin():
                if path is None:
                    await connection.execute(select(func.pg_advisory_xact_lock(LOCK)))
                if not await is_current(connection, url):
                    await connection.run_sync(run)


@contextmanager
def alone(path: str | None) -> Iterator[None]:
    """One process at a time for a SQLite file: while its mode changes, SQLite does not wait for others."""
    if path is None:
        yield
        return
    descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
    with os.fdopen(descriptor, "wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def write_ahead(connection: Connection) -> None:
    """Not possible within a transaction, so past SQLAlchemy; the file remembers it."""
    cursor = connection.connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.close()


def run(connection: Connection) -> None:
    """To the newest form: what is empty at once, what is there step by step."""
    if inspect(connection).has_table("alembic_version"):
        step_by_step(connection)
    else:
        at_once(connection)


def at_once(connection: Connection) -> None:
    """What all steps come to, with their mark. Without Alembic, which costs a first start 0.1 s and 10 MB that stay."""
    mark = Table(
        "alembic_version",
        MetaData(),
        Column("version_num", String(32), nullable=False),
        PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
    )
    metadata.create_all(connection, checkfirst=False)  # a table that is there is not ours: that is an error
    mark.create(connection)
    connection.execute(mark.insert().values(version_num=revisions()[-1]))


def step_by_step(connection: Connection) -> None:
    from alembic import command  # here, since few starts need it, and it is large
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
