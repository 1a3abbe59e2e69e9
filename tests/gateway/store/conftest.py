"""Every test of the record runs on every kind of database that this machine has; those of Redis on one of their own."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import started
from tests.servers.records import database, empty_url, kind, record_url
from tests.servers.redis import RedisServer

__all__ = ["database", "empty_url", "kind", "record_url"]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path) as found:
        yield found


@pytest.fixture
async def store(server: RedisServer) -> AsyncIterator[RedisStore]:
    found = await started(server.url)
    yield found
    await found.close()
