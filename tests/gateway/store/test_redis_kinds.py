"""The ways in which Redis is run: on a socket, with a password, with users, with TLS, as a Cluster, with Sentinels."""

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.caching.store import Found, Wanted
from gateway.limits.types import Granted, Limits, SettledUse, StoreDown
from gateway.sharing.look import Look
from gateway.store.redis.address import parse
from gateway.store.redis.client import PoolClient
from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import ask, opened, until, used, waited
from tests.servers.redis import RedisServer, Sentinels, cluster, say, speaks_tls, stand_in


async def works(url: str) -> None:
    """Everything that a gateway does with it."""
    async with opened(url) as store:
        heard: list[bytes] = []
        joined = asyncio.Event()
        store.listen("changes", heard.append, joined.set)
        verdicts = await asyncio.gather(*(store.limiter.reserve(ask(f"h{n}", Limits(rpm=5)), 60.0) for n in range(9)))
        assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 5
        await store.limiter.settle(tuple(SettledUse(f"h{n}", 3, 3) for n in range(9)))
        assert await used(store) == (15, 0)
        await asyncio.wait_for(joined.wait(), 20)
        await store.publish("changes", b"one")
        await until(lambda: heard == [b"one"])
        assert await store.heartbeat("me", 5.0) == 1


async def shares(url: str) -> None:
    """Kept answers and leases, whose keys lie apart from the counters'."""
    async with opened(url) as store:
        cache, leases, other = store.cache(1 << 20, "me"), store.leases("me", 5.0), store.leases("other", 5.0)
        cache.keep("search", "m", "0", b"kept", 60.0)
        async with asyncio.timeout(5):
            while not await cache.stats():  # noqa: ASYNC110 - it is kept by Redis
                await asyncio.sleep(0.005)
        looked = cache.look("search", "m", "0")
        assert looked is not None and await looked == b"kept"
        zero, one = ("search", "m", "0"), ("search", "m", "1")
        assert [await found(leases.take, what) for what in (zero, one)] == [b"kept", ""]
        assert [await found(other.take, what) for what in (zero, one)] == [b"kept", "me"]
        assert await found(other.claim, zero) == "" and await found(leases.claim, zero) == "other"
        cache.keep("search", "m", "1", b"kept, too", 60.0)
        async with asyncio.timeout(5):
            while await found(other.take, one) != b"kept, too":  # noqa: ASYNC110 - Redis is another process
                await asyncio.sleep(0.005)
        assert await found(other.claim, one) == "", "what is kept is made no more"
        other.release(one)
        async with asyncio.timeout(5):
            while await found(leases.claim, one) != "":  # noqa: ASYNC110
                await asyncio.sleep(0.005)


async def found(ask: Callable[[Wanted, Look], None], what: Wanted) -> Found:
    look = Look(what, lambda *_: None)
    ask(what, look)
    await look
    assert look.known
    return look.found


async def does_not_work(url: str) -> None:
    store = RedisStore(url)
    assert not await store.start()
    with pytest.raises(StoreDown) as caught:
        await store.limiter.reserve(ask("a"), 60.0)
    assert "secret" not in str(caught.value)
    await store.close()


async def test_one_server(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        await works(server.url)
        with server.client() as client:
            client.flushall()
        await works(server.unix_url)


async def test_a_database_of_its_own(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        await works(server.url + "/3")
        with server.client() as client:
            assert client.info("keyspace").keys() == {"db3"}


async def test_a_password(tmp_path: Path) -> None:
    with RedisServer(tmp_path, "--requirepass", "sec/ret") as server:
        await works(server.url.replace("://", "://:sec%2Fret@"))
        await does_not_work(server.url.replace("://", "://:secret2@"))
        await does_not_work(server.url)


async def test_a_user_who_may_do_what_a_gateway_needs(tmp_path: Path) -> None:
    """Nothing but its own keys and channels, no administration."""
    rules = (
        "on >secret resetchannels ~{gw}:* ~{gw:* &{gw}:* -@all +@fast +@read +@write +@scripting +@pubsub -@dangerous"
    )
    with RedisServer(tmp_path) as server:
        with server.client() as client:
            say(client, "ACL", "SETUSER", "gateway", *rules.split())
            say(client, "ACL", "SETUSER", "default", "off")
        await works(server.url.replace("://", "://gateway:secret@"))
        await shares(server.url.replace("://", "://gateway:secret@"))
        await does_not_work(server.url.replace("://", "://gateway:secret2@"))


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[RedisServer, Path]]:
    if not speaks_tls():
        pytest.skip("needs a redis-server that is built with TLS: apt-get install redis-server")
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    ours, key, ca = tmp_path / "cert.pem", tmp_path / "key.pem", tmp_path / "ca.pem"
    ours.write_bytes(b"".join(pem.bytes() for pem in certificate.cert_chain_pems))
    key.write_bytes(certificate.private_key_pem.bytes())
    ca.write_bytes(authority.cert_pem.bytes())
    options = ("--tls-cert-file", str(ours), "--tls-key-file", str(key), "--tls-ca-cert-file", str(ca))
    with RedisServer(tmp_path / "redis", *options, "--tls-auth-clients", "optional", tls=True) as server:
        yield server, tmp_path


async def test_tls(tls: tuple[RedisServer, Path]) -> None:
    server, folder = tls
    await works(f"{server.url}?ssl_ca_certs={folder}/ca.pem")
    with server.client() as client:
        client.config_set("tls-auth-clients", "yes")
        client.flushall()
    await does_not_work(f"{server.url}?ssl_ca_certs={folder}/ca.pem")
    await works(
        f"{server.url}?ssl_ca_certs={folder}/ca.pem&ssl_certfile={folder}/cert.pem&ssl_keyfile={folder}/key.pem"
    )


async def test_tls_of_somebody_else(tls: tuple[RedisServer, Path]) -> None:
    server, folder = tls
    await does_not_work(server.url)
    other = folder / "other.pem"
    other.write_bytes(trustme.CA().cert_pem.bytes())
    await does_not_work(f"{server.url}?ssl_ca_certs={other}")
    await does_not_work(server.url.replace("rediss", "redis"))


@pytest.fixture(scope="module")
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RedisServer]]:
    with cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found


async def test_a_cluster(nodes: list[RedisServer]) -> None:
    url = "redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)
    await works(url)
    holding = []
    for node in nodes:
        with node.client() as client:
            if client.dbsize():
                holding.append(node)
    assert len(holding) == 1  # one hash tag


async def test_a_cluster_is_found_through_any_node(nodes: list[RedisServer]) -> None:
    for node in nodes:
        with node.client() as client:
            client.flushall()
    await works(f"redis+cluster://127.0.0.1:1,127.0.0.1:{nodes[2].port}")


async def test_the_node_of_a_cluster_stops(nodes: list[RedisServer]) -> None:
    """No replica takes its place: it is waited for."""
    async with opened(f"redis+cluster://127.0.0.1:{nodes[0].port}") as store:
        before = await used(store)
        [holding] = [node for node in nodes if dbsize(node)]
        await store.limiter.reserve(ask("c1"), 60.0)
        holding.pause()
        try:
            for n in range(4):
                assert await waited(store.limiter.reserve(ask(f"during{n}"), 60.0)) < 0.3
            assert not store.limiter.up
            await store.limiter.settle((SettledUse("c1", 4, 4),))
        finally:
            holding.resume()
        await until(lambda: store.limiter.up and store.limiter.unsettled == 0, 20)
        assert await used(store) == (before[0] + 4, 0)


async def test_the_node_of_a_cluster_dies(tmp_path: Path) -> None:
    """A replica takes its place."""
    with cluster(tmp_path) as nodes:
        async with opened("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)) as store:
            [holding] = [node for node in nodes if dbsize(node)]
            others = [node for node in nodes if node is not holding]
            with stand_in(holding, others, tmp_path / "stand-in"), holding.client() as client:
                await store.limiter.reserve(ask("a"), 60.0)
                client.set("{gw}:mark", 1)
                assert client.wait(1, 2000) == 1  # the replica has the mark, and all that came before
                holding.stop()
                with pytest.raises(StoreDown):
                    await store.limiter.reserve(ask("b"), 60.0)
                await store.limiter.settle((SettledUse("a", 4, 4),))
                await until(lambda: store.limiter.up and store.limiter.unsettled == 0, 20)
                assert await used(store) == (4, 0)


def dbsize(node: RedisServer) -> int:
    with node.client() as client:
        return int(client.dbsize())


@pytest.mark.parametrize("how", ["dies", "hangs"])
async def test_sentinels_and_a_failover(tmp_path: Path, how: str) -> None:
    with Sentinels(tmp_path) as sentinels:
        if how == "dies":
            await works(sentinels.url)
        with sentinels.master.client() as client:
            client.flushall()
        async with opened(sentinels.url) as store:
            heard: list[bytes] = []
            joined: list[None] = []
            store.listen("changes", heard.append, lambda: joined.append(None))
            await until(lambda: len(joined) == 1)
            await store.limiter.reserve(ask("a"), 60.0)
            with sentinels.replica.client() as client:
                await until(lambda: client.hlen("{gw}:holds") == 1)
            if how == "dies":
                sentinels.master.stop()
            else:
                sentinels.master.pause()
            with pytest.raises(StoreDown):
                await store.limiter.reserve(ask("b"), 60.0)
            await store.limiter.settle((SettledUse("a", 4, 4),))
            await until(lambda: store.limiter.up and store.limiter.unsettled == 0, 20)
            assert await used(store) == (4, 0)
            await until(lambda: len(joined) > 1)
            await store.publish("changes", b"after")
            await until(lambda: heard == [b"after"])
            with sentinels.replica.client() as client:
                assert client.role()[0] in (b"master", "master")
            if how == "hangs":
                sentinels.master.resume()  # as somebody's replica
                await store.limiter.reserve(ask("c"), 60.0)
                assert await used(store) == (4, 10)


async def test_sentinels_that_do_not_know_the_service(tmp_path: Path) -> None:
    with Sentinels(tmp_path) as sentinels:
        await does_not_work(sentinels.url + "-other")


async def test_a_sentinel_that_hangs_is_not_asked_first_nor_forgotten(tmp_path: Path) -> None:
    """By however many at once it is found out."""
    with Sentinels(tmp_path) as sentinels:
        sentinels.pause(0)
        client = PoolClient(parse(sentinels.url))
        assert client._sentinel is not None
        first, *others = client._sentinel.sentinels
        try:
            assert await asyncio.gather(*[client.call("PING") for _ in range(8)]) == [b"PONG"] * 8
            assert client._sentinel.sentinels[0] in others
            assert set(client._sentinel.sentinels) == {first, *others}
        finally:
            await client.aclose()
        assert not any(each.is_connected for each in connections(first))


def connections(client: Any) -> list[Any]:
    pool = client.connection_pool
    return [*pool._available_connections, *pool._in_use_connections]
