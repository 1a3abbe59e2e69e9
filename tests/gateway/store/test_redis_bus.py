"""What replicas tell each other, and how many they are."""

import asyncio
from collections.abc import AsyncIterator
from functools import partial

import pytest

from gateway.limits.types import StoreDown
from gateway.store.redis.address import parse
from gateway.store.redis.bus import Listener, publish
from gateway.store.redis.client import Client
from gateway.store.redis.opening import open_client
from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import started, until
from tests.servers.redis import RedisServer


@pytest.fixture
async def client(server: RedisServer) -> AsyncIterator[Client]:
    found = open_client(parse(server.url))
    yield found
    await found.aclose()


async def test_told_at_once_to_everybody(server: RedisServer) -> None:
    stores = [await started(server.url) for _ in range(3)]
    heard: list[tuple[int, bytes]] = []
    joined: list[int] = []

    def hear(number: int, message: bytes) -> None:
        heard.append((number, message))

    for number, store in enumerate(stores):
        store.listen("keys", partial(hear, number), partial(joined.append, number))
        store.listen("others", partial(hear, 9))
    await until(lambda: len(joined) == 3)
    await stores[0].publish("keys", "k1 Ü".encode())
    assert await until(lambda: len(heard) == 3) < 0.5
    assert sorted(heard) == [(n, "k1 Ü".encode()) for n in range(3)]
    for store in stores:
        await store.close()
    with server.client() as admin:
        await until(lambda: len(admin.client_list()) == 1)


async def test_whoever_listens_listens_again(server: RedisServer, client: Client) -> None:
    heard: list[bytes] = []
    joined: list[int] = []
    listener = Listener(client, "keys", heard.append, lambda: joined.append(1), pause=0.05)
    listener.start()
    await until(lambda: len(joined) == 1)
    with server.client() as admin:
        admin.client_kill_filter(_type="pubsub")
    await until(lambda: len(joined) == 2)
    server.stop()
    with pytest.raises(StoreDown):
        await publish(client, "keys", b"lost")
    server.start()
    await until(lambda: len(joined) == 3)
    await publish(client, "keys", b"heard")
    await until(lambda: heard == [b"heard"])
    await listener.close()


async def test_silence_is_looked_into(server: RedisServer, client: Client) -> None:
    """A side that is gone without a word is noticed; one that has nothing to say is not left."""
    joined: list[int] = []
    listener = Listener(client, "keys", lambda _: None, lambda: joined.append(1), pause=0.05, silence=0.1)
    listener.start()
    await until(lambda: len(joined) == 1)
    await asyncio.sleep(0.5)
    assert len(joined) == 1
    server.pause()
    await asyncio.sleep(0.5)
    server.resume()
    await until(lambda: len(joined) == 2)
    await listener.close()


async def test_one_that_fails_to_hear_hears_on(server: RedisServer, client: Client) -> None:
    heard: list[bytes] = []

    def hear(message: bytes) -> None:
        if message == b"bad":
            raise ValueError(message)
        heard.append(message)

    joined: list[int] = []
    listener = Listener(client, "keys", hear, lambda: joined.append(1), pause=0.05)
    listener.start()
    await until(lambda: len(joined) == 1)
    await publish(client, "keys", b"bad")
    await until(lambda: len(joined) == 2)
    await publish(client, "keys", b"good")
    await until(lambda: heard == [b"good"])
    await listener.close()


async def test_how_many_replicas(server: RedisServer) -> None:
    one, other = RedisStore(server.url), RedisStore(server.url)
    assert await one.heartbeat("one", 10.0) == 1
    assert await other.heartbeat("other", 0.15) == 2
    assert await one.heartbeat("one", 10.0) == 2
    await asyncio.sleep(0.2)
    assert await one.heartbeat("one", 10.0) == 1
    assert await other.heartbeat("other", 10.0) == 2
    assert await one.leave("one") == 1
    server.stop()
    with pytest.raises(StoreDown):
        await one.heartbeat("one", 10.0)
    await one.close()
    await other.close()
