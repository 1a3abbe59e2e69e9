"""A connection to Redis that is closed while something is written to it is lost, as any other."""

import asyncio

import pytest
import uvloop
from redis.asyncio import Connection
from redis.exceptions import RedisError

from gateway.store.redis.address import parse
from gateway.store.redis.client import PoolClient
from tests.servers.redis import RedisServer


def test_closed_as_it_is_written_to(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As only uvloop, on which the gateway runs, says it."""

    class Closed(Connection):
        async def on_connect_check_health(self, check_health: bool = True) -> None:
            self._writer.transport.abort()  # type: ignore[union-attr]
            await asyncio.sleep(0)
            await super().on_connect_check_health(check_health)

    async def work(url: str) -> None:
        client = PoolClient(parse(url))
        client._pool.connection_class = Closed
        try:
            with pytest.raises((RedisError, OSError)):
                await client.call("PING")
        finally:
            await client.aclose()

    with (
        RedisServer(tmp_path_factory.mktemp("redis")) as server,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        runner.run(work(server.url))
