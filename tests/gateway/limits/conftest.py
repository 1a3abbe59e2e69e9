"""Both limiters: in this process, and in a real Redis, under a clock that tests set."""

from collections.abc import AsyncIterator, Iterator

import pytest

from gateway.limits.local import LocalLimiter
from gateway.limits.types import Limiter
from gateway.store.redis.address import parse
from gateway.store.redis.limiter import RedisLimiter
from gateway.store.redis.opening import open_client
from tests.gateway.limits.asking import Asking, Time
from tests.servers.redis import RedisServer


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def asking() -> Asking:
    return Asking()


@pytest.fixture(params=["local", "redis"])
async def limiter(request: pytest.FixtureRequest, clock: Time) -> AsyncIterator[Limiter]:
    if request.param == "local":
        yield LocalLimiter(clock)
        return
    server: RedisServer = request.getfixturevalue("redis_server")
    with server.client() as admin:
        admin.flushall()
    client = open_client(parse(server.unix_url))
    found = RedisLimiter(client, time=clock)
    await found.begin_epoch()
    await found.start()
    yield found
    await found.close()
    await client.aclose()
