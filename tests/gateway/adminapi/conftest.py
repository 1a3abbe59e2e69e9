import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.caching.local import LocalCache
from gateway.control.local import LocalControl
from gateway.store.sql.engine import Database, database_url
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.record import Record
from tests.gateway.adminapi.plane import Plane
from tests.servers.records import sqlite_template


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
async def owner(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    async with plane.client() as client:
        yield client


@pytest.fixture
async def record(tmp_path: Path) -> AsyncIterator[Plane]:
    """The admin plane on a record in SQL."""
    url = database_url(None, tmp_path)
    template = await asyncio.get_running_loop().run_in_executor(None, sqlite_template)
    (tmp_path / "record.sqlite3").write_bytes(template)
    database = Database(url)
    record, ledger = Record(database, time.time), LedgerStore(database)
    cache = LocalCache(1 << 20, time.monotonic)
    yield Plane(lambda actor: LocalControl(record, ledger, actor, kept=lambda: cache), time.time)
    await database.close()
