"""Records to be thrown away, of every kind that this machine has."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path

import pytest

from gateway.store.sql.engine import Database, database_url
from gateway.store.sql.migrate import migrated
from gateway.store.sql.schema import metadata
from tests.servers import postgres

EMPTY = f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)} RESTART IDENTITY"

KINDS = ("sqlite", "postgresql") if postgres.binaries() else ("sqlite",)


@cache
def sqlite_template() -> bytes:
    """A file that has been migrated."""
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(migrated(database_url(None, Path(folder))))
        return (Path(folder) / "record.sqlite3").read_bytes()


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def empty_url(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    """A database with nothing in it, as its URL for ``create_engine``."""
    if kind == "sqlite":
        yield database_url(None, tmp_path)
        return
    name = await postgres.postgres().create()
    yield database_url(postgres.postgres().url(name), tmp_path)
    await postgres.postgres().drop(name)


@pytest.fixture
async def record_url(kind: str, tmp_path: Path) -> AsyncIterator[str]:
    """A database that has been migrated; its tables are to stay as they are, for the next test."""
    loop = asyncio.get_running_loop()
    if kind == "sqlite":
        url = database_url(None, tmp_path)
        (tmp_path / "record.sqlite3").write_bytes(await loop.run_in_executor(None, sqlite_template))
        yield url
        return
    server = postgres.postgres()
    template = await loop.run_in_executor(None, postgres.template)
    name = server.free.pop() if server.free else await server.create(template)
    yield database_url(server.url(name), tmp_path)
    await server.execute(EMPTY, name)
    server.free.append(name)


@pytest.fixture
async def database(record_url: str) -> AsyncIterator[Database]:
    opened = Database(record_url)
    yield opened
    await opened.close()
