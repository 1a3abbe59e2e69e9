"""Both stores of kept answers, by the same tests; Redis is a real one."""

import asyncio
import inspect
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from gateway.caching.entry import unpack
from gateway.caching.local import LocalCache
from gateway.caching.store import CacheStore
from gateway.store.redis.address import parse
from gateway.store.redis.cache import FAILURES, UNDER_WAY, RedisCache, prefix_of
from gateway.store.redis.client import Client
from gateway.store.redis.opening import open_client
from tests.servers.redis import RedisServer, cluster, say

D1, D2, D3 = "1" * 64, "2" * 64, "3" * 64
BOUND = 20_000


class Kit:
    """A store, and how its time passes."""

    def __init__(self, store: CacheStore, passes: Callable[[float], None] | None = None) -> None:
        self.store = store
        self._passes = passes

    async def look(self, digest: str, team: str = "t", model: str = "m") -> bytes | None:
        found = self.store.look(team, model, digest)
        return await found if inspect.isawaitable(found) else found

    async def keep(self, digest: str, value: bytes, team: str = "t", model: str = "m", ttl: float = 60) -> None:
        self.store.keep(team, model, digest, value, ttl)
        await self.settled()

    async def settled(self) -> None:
        if isinstance(self.store, RedisCache):
            while self.store.under_way:  # noqa: ASYNC110 - nobody is told
                await asyncio.sleep(0.001)

    async def wait(self, seconds: float) -> None:
        if self._passes is not None:
            self._passes(seconds)
        else:
            await asyncio.sleep(seconds)  # the server's time cannot be told

    async def held(self, team: str | None = None, model: str | None = None) -> list[tuple[str, str, int]]:
        return [(one.team, one.model, one.entries) for one in await self.store.stats(team, model)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as found:
        yield found


@pytest.fixture
def empty(server: RedisServer) -> RedisServer:
    with server.client() as client:
        client.flushall()
    return server


@pytest.fixture
async def client(empty: RedisServer) -> AsyncIterator[Client]:
    made = open_client(parse(empty.url))
    yield made
    await made.aclose()


@pytest.fixture
async def redis(client: Client) -> AsyncIterator[Kit]:
    store = RedisCache(client, BOUND, lambda: True)
    yield Kit(store)
    await store.close()


@pytest.fixture(params=["local", "redis"])
def kit(request: pytest.FixtureRequest) -> Kit:
    if request.param == "redis":
        found: Kit = request.getfixturevalue("redis")
        return found
    now = [1000.0]

    def passes(seconds: float) -> None:
        now[0] += seconds

    return Kit(LocalCache(BOUND, lambda: now[0]), passes)


async def test_what_is_kept_is_found_by_its_own_name_only(kit: Kit) -> None:
    assert await kit.look(D1) is None
    await kit.keep(D1, b"one\0\xff")
    assert await kit.look(D1) == b"one\0\xff"
    assert await kit.look(D2) is None
    assert await kit.look(D1, team="u") is None
    assert await kit.look(D1, model="n") is None


async def test_a_value_takes_the_place_of_the_one_before(kit: Kit) -> None:
    await kit.keep(D1, b"x" * 5000)
    [before] = await kit.store.stats()
    await kit.keep(D1, b"two")
    assert await kit.look(D1) == b"two"
    [held] = await kit.store.stats()
    assert (held.team, held.model, held.entries) == ("t", "m", 1)
    assert before.bytes - held.bytes == 4997
    assert 400 < held.bytes < 1000


async def test_each_lives_for_its_own_time(kit: Kit) -> None:
    await kit.keep(D1, b"one", ttl=0.1)
    await kit.keep(D2, b"two", ttl=60)
    assert await kit.look(D1) == b"one"
    await kit.wait(0.11)
    assert await kit.look(D1) is None
    assert await kit.look(D2) == b"two"
    assert await kit.held() == [("t", "m", 1)]


async def test_what_is_written_again_lives_anew(kit: Kit) -> None:
    await kit.keep(D1, b"one", ttl=0.1)
    await kit.keep(D1, b"two", ttl=60)
    await kit.wait(0.11)
    assert await kit.look(D1) == b"two"


async def test_the_oldest_written_make_room(kit: Kit) -> None:
    for number in range(30):
        await kit.keep(f"{number:064}", b"x" * 1000)
    await kit.look(f"{0:064}")
    there = [number for number in range(30) if await kit.look(f"{number:064}") is not None]
    assert there == list(range(30 - len(there), 30))
    assert 10 <= len(there) <= 14
    [held] = await kit.store.stats()
    assert held.entries == len(there)
    assert BOUND - 2000 < held.bytes <= BOUND


async def test_writing_again_makes_young(kit: Kit) -> None:
    await kit.keep(D1, b"x" * 6000)
    await kit.keep(D2, b"x" * 6000)
    await kit.keep(D1, b"x" * 6000)
    await kit.keep(D3, b"x" * 7000)
    assert [await kit.look(digest) is not None for digest in (D1, D2, D3)] == [True, False, True]


async def test_what_has_expired_makes_room_first(kit: Kit) -> None:
    await kit.keep(D1, b"x" * 8000, ttl=60)
    await kit.keep(D2, b"x" * 8000, ttl=0.05)
    await kit.wait(0.06)
    await kit.keep(D3, b"x" * 8000)
    assert [await kit.look(digest) is not None for digest in (D1, D2, D3)] == [True, False, True]


async def test_what_is_larger_than_the_bound_is_not_kept(kit: Kit) -> None:
    await kit.keep(D1, b"one")
    await kit.keep(D2, b"two")
    await kit.keep(D1, b"x" * BOUND)
    assert await kit.look(D1) is None
    assert await kit.look(D2) == b"two"
    assert await kit.held() == [("t", "m", 1)]


async def fill(kit: Kit) -> None:
    for team in ("t", "u"):
        for model in ("m", "a:b/c", "m:m"):
            for digest in (D1, D2):
                await kit.keep(digest, b"x", team, model)


async def test_stats_by_team_and_model(kit: Kit) -> None:
    assert await kit.store.stats() == []
    await fill(kit)
    everything = [(team, model, 2) for team in ("t", "u") for model in ("a:b/c", "m", "m:m")]
    assert await kit.held() == everything
    assert await kit.held("t") == everything[:3]
    assert await kit.held(model="m") == [("t", "m", 2), ("u", "m", 2)]
    assert await kit.held("u", "a:b/c") == [("u", "a:b/c", 2)]
    assert await kit.held("nobody") == []


@pytest.mark.parametrize(
    ("team", "model", "gone"), [(None, None, 12), ("t", None, 6), (None, "m", 4), ("u", "a:b/c", 2), ("x", "m", 0)]
)
async def test_purge(kit: Kit, team: str | None, model: str | None, gone: int) -> None:
    await fill(kit)
    assert await kit.store.purge(team, model) == gone
    for a in ("t", "u"):
        for b in ("m", "a:b/c", "m:m"):
            left = await kit.look(D1, a, b) is not None
            assert left == (team not in (None, a) or model not in (None, b))
    assert sum([entries for _, _, entries in await kit.held()]) == 12 - gone
    assert await kit.store.purge(team, model) == 0
    await kit.keep(D1, b"again")
    assert await kit.look(D1) == b"again"


async def test_purge_of_many(kit: Kit) -> None:
    small = Kit(kit.store, kit._passes)
    for number in range(15):
        await small.keep(f"{number:064}", b"x", model=f"m{number % 3}")
    assert await kit.store.purge(model="m1") == 5
    assert await kit.held() == [("t", "m0", 5), ("t", "m2", 5)]


async def test_what_cannot_be_read_is_told_as_it_is_and_is_a_miss(kit: Kit) -> None:
    await kit.keep(D1, b"no entry of ours")
    found = await kit.look(D1)
    assert found is not None
    assert unpack(found) is None


async def test_many_write_at_once(kit: Kit) -> None:
    for number in range(200):
        kit.store.keep("t", "m", f"{number % 7:064}", b"%d" % number, 60)
        if number % 40 == 39:
            await kit.settled()
    await kit.settled()
    [held] = await kit.store.stats()
    assert held.entries == 7
    values = [await kit.look(f"{number:064}") for number in range(7)]
    assert sorted(int(value or 0) for value in values) == list(range(193, 200))
    one = len(f"{0:064}")
    assert held.bytes < 7 * (1000 + one)


# ---------------------------------------------------------------------- what only Redis can do


def books(server: RedisServer, team: str = "t") -> dict[str, int]:
    """What the books say, and what there is."""
    prefix = prefix_of(team)
    with server.client() as client:
        return {
            "values": len(list(client.scan_iter(match=f"{{gw:{team}}}:cache:v:*"))),
            "written": client.zcard(prefix + "written"),
            "expiry": client.zcard(prefix + "expiry"),
            "sizes": client.hlen(prefix + "sizes"),
            "n": int(client.hget(prefix + "counts", "n") or 0),
        }


async def test_two_processes_write_the_same(redis: Kit, empty: RedisServer) -> None:
    other = open_client(parse(empty.url))
    second = Kit(RedisCache(other, BOUND, lambda: True))
    for number in range(60):
        for one in (redis, second):
            one.store.keep("t", "m", f"{number % 40:064}", b"x" * 900, 60)
        await redis.settled()
        await second.settled()
    found = books(empty)
    assert len(set(found.values())) == 1
    [held] = await redis.store.stats()
    assert held.bytes <= BOUND
    assert held == (await second.store.stats())[0]
    await other.aclose()


async def test_the_books_end_with_the_last_value(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one", ttl=0.05)
    with empty.client() as client:
        left = [client.pttl(prefix_of("t") + name) for name in ("written", "expiry", "sizes", "counts")]
    assert all(0 < ms <= 1050 for ms in left)


async def test_a_flushed_redis_begins_anew(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one")
    with empty.client() as client:
        client.flushall()
    assert await redis.look(D1) is None
    assert await redis.held() == []
    await redis.keep(D1, b"two")
    assert await redis.look(D1) == b"two"
    assert await redis.held() == [("t", "m", 1)]
    assert await redis.store.purge() == 1


@pytest.mark.parametrize("book", ["written", "expiry", "sizes", "counts"])
async def test_a_lost_book_heals(redis: Kit, empty: RedisServer, book: str) -> None:
    await fill(redis)
    with empty.client() as client:
        client.delete(prefix_of("t") + book)
    await redis.keep(D3, b"three")
    assert await redis.look(D3) == b"three"
    assert set(books(empty).values()) == {1}
    assert await redis.held("t") == [("t", "m", 1)]
    assert [entries for _, _, entries in await redis.held("u")] == [2, 2, 2]


async def test_values_that_redis_let_go_are_misses(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one")
    with empty.client() as client:
        client.delete(f"{prefix_of('t')}v:{D1}:m")
    assert await redis.look(D1) is None
    await redis.keep(D1, b"two")
    assert set(books(empty).values()) == {1}


async def test_a_value_of_another_kind_is_a_miss(redis: Kit, empty: RedisServer) -> None:
    with empty.client() as client:
        client.sadd(f"{prefix_of('t')}v:{D1}:m", "x")
    assert await redis.look(D1) is None


async def test_a_look_is_one_get_and_keeping_one_script(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one")
    await redis.keep(D2, b"two")
    with empty.client() as client:
        client.config_resetstat()
        await redis.look(D1)
        await redis.keep(D3, b"three")
        calls = {name: stats["calls"] for name, stats in client.info("commandstats").items()}
    assert calls["cmdstat_get"] == 1
    assert calls["cmdstat_evalsha"] == 1
    assert "cmdstat_eval" not in calls
    assert "cmdstat_sadd" not in calls


async def test_a_look_is_sent_before_it_is_awaited(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one")
    found = redis.store.look("t", "m", D1)
    with empty.client() as client:
        client.flushall()  # Redis has answered by then, or does so first
    assert inspect.isawaitable(found)
    assert await found in (b"one", None)
    redis.store.look("t", "m", D1)  # and need not be awaited


async def test_nothing_is_asked_while_redis_is_away(client: Client, empty: RedisServer) -> None:
    up = False
    kit = Kit(RedisCache(client, BOUND, lambda: up))
    await kit.keep(D1, b"one")
    assert kit.store.look("t", "m", D1) is None
    up = True
    assert await kit.look(D1) is None
    assert await kit.held() == []


async def test_a_silent_redis_costs_a_fifth_of_a_second_and_then_nothing(redis: Kit, empty: RedisServer) -> None:
    await redis.keep(D1, b"one")
    empty.pause()
    try:
        for _ in range(FAILURES):
            began = time.monotonic()
            assert await redis.look(D1) is None
            assert 0.15 < time.monotonic() - began < 1.5  # not the 2 s of who is patient
        assert redis.store.look("t", "m", D1) is None
        for _ in range(3 * UNDER_WAY):
            redis.store.keep("t", "m", D2, b"two", 60)
        assert redis.store.under_way <= UNDER_WAY  # type: ignore[attr-defined]
    finally:
        empty.resume()
    async with asyncio.timeout(10):
        while await redis.look(D1) != b"one":  # noqa: ASYNC110 - Redis is another process
            await asyncio.sleep(0.02)


async def test_who_leaves_takes_nobody_along(redis: Kit, empty: RedisServer) -> None:
    """A caller that is cancelled while looking is cancelled, and others are answered."""
    await redis.keep(D1, b"one")
    empty.pause()
    leaving = asyncio.create_task(redis.look(D1))
    staying = asyncio.create_task(redis.look(D1))
    await asyncio.sleep(0)
    leaving.cancel()
    empty.resume()
    assert await staying == b"one"
    with pytest.raises(asyncio.CancelledError):
        await leaving


async def test_redis_dies_and_comes_back(tmp_path: Path) -> None:
    server = RedisServer(tmp_path).start()
    client = open_client(parse(server.url))
    kit = Kit(RedisCache(client, BOUND, lambda: True))
    try:
        await kit.keep(D1, b"one")
        server.stop()
        assert await kit.look(D1) is None
        await kit.keep(D1, b"one")
        server.start()
        async with asyncio.timeout(10):
            while await kit.look(D1) is None:
                await kit.keep(D1, b"two")
                await asyncio.sleep(0.02)
        assert await kit.store.stats() != []
        assert await kit.store.purge() == 1  # the team is known to the new one, too
    finally:
        await client.aclose()
        server.stop()


async def test_in_a_cluster(tmp_path: Path) -> None:
    """Teams are on different nodes, and each on one."""
    with cluster(tmp_path) as nodes:
        client = open_client(parse("redis+cluster://" + ",".join(f"127.0.0.1:{node.port}" for node in nodes)))
        kit = Kit(RedisCache(client, BOUND, lambda: True))
        try:
            for team in ("a", "b", "c", "d"):
                for number in range(25):
                    await kit.keep(f"{number:064}", b"x" * 1000, team)
            assert [await kit.look(f"{24:064}", team) for team in ("a", "b", "c", "d")] == [b"x" * 1000] * 4
            held = await kit.store.stats()
            assert [one.team for one in held] == ["a", "b", "c", "d"]
            assert all(one.bytes <= BOUND for one in held)
            assert await kit.store.purge(model="m") == sum([one.entries for one in held])
            assert await kit.store.stats() == []
            sizes = []
            for node in nodes:
                with node.client() as own:
                    sizes.append(len([key for key in say(own, "KEYS", "*") if b":cache:" in key]))
            assert sum(sizes) == 1  # the set of teams
        finally:
            await client.aclose()
