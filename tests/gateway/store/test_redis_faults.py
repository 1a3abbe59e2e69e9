"""Redis stops, dies, comes back and forgets; who asks is answered all the same, and nothing counts twice."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.limits.types import Ask, Granted, Limits, Period, Rough, SettledUse, StoreDown
from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import KEY, LOOSE, ask, executed, rough, started, until, used, waited
from tests.servers.redis import RedisServer

SLOW = 0.3
"""Seconds: 0.2 that anybody waits, and some."""


async def let_in(store: RedisStore, id: str) -> bool:
    try:
        await store.limiter.reserve(ask(id), 60.0)
    except StoreDown:
        return False
    return True


async def none_let_in(store: RedisStore, ids: list[str]) -> None:
    assert not any(await asyncio.gather(*[let_in(store, id) for id in ids]))


async def test_one_turn_is_one_call(server: RedisServer, store: RedisStore) -> None:
    before = executed(server)
    verdicts = await asyncio.gather(*(store.limiter.reserve(ask(f"h{n}", Limits(rpm=30)), 60.0) for n in range(50)))
    assert executed(server) - before == 1
    assert sum(isinstance(verdict, Granted) for verdict in verdicts) == 30
    assert all(isinstance(verdict, Granted) for verdict in verdicts[:30])
    await asyncio.gather(*(store.limiter.settle((SettledUse(f"h{n}", 1, 1),)) for n in range(200)))
    assert executed(server) - before == 1 + 4  # 64 at most in one
    assert await used(store) == (30, 0)


async def test_a_server_that_has_forgotten_the_script(server: RedisServer, store: RedisStore) -> None:
    with server.client() as client:
        client.script_flush()
    assert await let_in(store, "a")


async def test_a_stopped_redis_keeps_nobody_waiting(server: RedisServer, store: RedisStore) -> None:
    assert await let_in(store, "before")
    server.pause()
    assert await waited(none_let_in(store, [f"during{n}" for n in range(200)])) < SLOW
    for _ in range(3):
        await let_in(store, "again")
    assert not store.limiter.up
    assert await waited(none_let_in(store, ["open"])) < 0.1
    assert await waited(store.limiter.settle((SettledUse("before", 7, 7),))) < 0.1
    assert store.limiter.unsettled > 0
    server.resume()
    await until(lambda: store.limiter.up and store.limiter.unsettled == 0)
    assert await let_in(store, "after")
    assert await used(store) == (7, 10)  # of what was sent meanwhile nothing is left


async def test_a_settle_whose_answer_is_lost_counts_once(server: RedisServer, store: RedisStore) -> None:
    await store.limiter.reserve(ask("a"), 60.0)
    server.pause()
    assert await waited(store.limiter.settle((SettledUse("a", 5, 5),))) < SLOW
    server.resume()  # and does what it was sent, and is sent it again
    await until(lambda: store.limiter.unsettled == 0)
    assert await used(store) == (5, 0)


async def test_a_killed_redis_comes_back_empty_and_is_filled(server: RedisServer) -> None:
    changes: list[bool] = []
    rebuilt = 0

    async def rebuild() -> None:
        nonlocal rebuilt
        rebuilt += 1
        if rebuilt == 2:
            raise RuntimeError("the ledger is away")
        await own.limiter.seed((Period(KEY, int(time.time() * 1000), 1, 2, 40),), only_empty=True)

    async def counted(uses: tuple[SettledUse, ...]) -> tuple[SettledUse, ...]:
        return tuple([use for use in uses if use.id == "a"])

    own = RedisStore(server.url, rebuild, changes.append, counted)
    await own.start()
    await until(lambda: own.limiter.up)
    assert (await used(own), changes) == ((40, 0), [True])
    await own.limiter.reserve(ask("a"), 60.0)
    first = own.limiter.epoch
    server.stop()
    for n in range(20):
        assert await waited(none_let_in(own, [f"during{n}"])) < SLOW
    assert changes == [True, False]
    await own.limiter.settle((SettledUse("a", 5, 5), SettledUse("elsewhere", 6, 6, (KEY,), int(time.time() * 1000))))
    server.start()
    await until(lambda: own.limiter.up and own.limiter.unsettled == 0)
    assert (rebuilt, changes) == (3, [True, False, True])
    assert own.limiter.epoch not in (None, first)
    assert await used(own) == (46, 0)
    await own.close()


async def test_flushed_under_way(server: RedisServer) -> None:
    let_go = asyncio.Event()

    async def rebuild() -> None:
        await let_go.wait()
        await own.limiter.seed((Period(KEY, int(time.time() * 1000), 1, 2, 40),), only_empty=True)

    own = RedisStore(server.url, rebuild)
    let_go.set()
    await own.start()
    await until(lambda: own.limiter.up)
    let_go.clear()
    with server.client() as client:
        client.flushall()
    with pytest.raises(StoreDown, match="rebuilt"):
        await own.limiter.reserve(ask("a"), 60.0)
    assert not own.limiter.up
    with pytest.raises(StoreDown, match="rebuilt"):
        await own.limiter.reserve(ask("b"), 60.0)
    with pytest.raises(StoreDown, match="rebuilt"):
        await own.limiter.renew(("a",), 60.0)
    await own.limiter.settle((SettledUse("elsewhere", 6, 6, (KEY,), int(time.time() * 1000)),))
    let_go.set()
    await until(lambda: own.limiter.up and own.limiter.unsettled == 0)
    assert await used(own) == (46, 0)
    assert isinstance(await own.limiter.reserve(ask("a"), 60.0), Granted)
    await own.close()


@pytest.mark.parametrize("wish", [ask, rough])
async def test_what_was_under_way_counts_in_the_new_counters(
    server: RedisServer, wish: Callable[[str], Ask | Rough]
) -> None:
    """What had ended before is the ledger's to say."""
    own, other = await started(server.url), await started(server.url)
    for id in ("mine", "ended"):
        await own.limiter.reserve(wish(id), 60.0)
    await other.limiter.reserve(wish("theirs"), 60.0)
    await own.limiter.settle((SettledUse("ended", 100, 100),))
    with server.client() as client:
        client.flushall()
    with pytest.raises(StoreDown):
        await own.limiter.reserve(ask("a"), 60.0)
    await until(lambda: own.limiter.up)
    for _ in range(2):
        await own.limiter.settle((SettledUse("mine", 5, 5), SettledUse("ended", 100, 100)))
    assert await used(own) == (5, 0)
    for _ in range(2):
        await other.limiter.settle((SettledUse("theirs", 7, 7),))  # the other has not noticed anything
    await until(lambda: other.limiter.unsettled == 0)
    assert await used(own) == (12, 0)
    await own.close()
    await other.close()


@pytest.mark.parametrize("wish", [ask, rough])
async def test_what_is_under_way_is_known_in_full(store: RedisStore, wish: Callable[[str], Ask | Rough]) -> None:
    """As it is needed to make it again."""
    limiter = store.limiter
    for id in ("a", "b"):
        await limiter.reserve(wish(id), 60.0)
    assert limiter.living() == ["a", "b"]
    assert limiter.under_way() == [(ask(id).holds[0], ask(id)) for id in ("a", "b")]
    told = limiter.tell((SettledUse("a", 1, 1),))
    assert limiter.living() == ["b"]  # from now on, whatever becomes of it
    await told
    assert await used(store) == (1, 10)


async def test_two_replicas_fill_it_once(server: RedisServer) -> None:
    """What one has already let in is not overwritten by the other."""
    one, other = await started(server.url), RedisStore(server.url)
    await one.limiter.reserve(ask("a"), 60.0)
    await one.limiter.settle((SettledUse("a", 5, 5),))
    await other.limiter.seed((Period(KEY, int(time.time() * 1000), 1, 2, 3),), only_empty=True)
    await other.limiter.begin_epoch()
    assert await used(one) == (5, 0)
    assert other.limiter.epoch == one.limiter.epoch
    await one.close()
    await other.close()


async def test_a_caller_who_leaves_leaves_nothing_reserved(server: RedisServer, store: RedisStore) -> None:
    tasks = [asyncio.create_task(store.limiter.reserve(ask(f"h{n}"), 60.0)) for n in range(50)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: store.limiter.unsettled == 0)
    assert await used(store) == (0, 0)


async def test_redis_is_away_from_the_start(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    store = RedisStore(server.url)
    assert not await store.start()
    with pytest.raises(StoreDown):
        await store.limiter.reserve(ask("a"), 60.0)
    await store.limiter.settle((SettledUse("a", 1, 1),))
    with server:
        await until(lambda: store.limiter.up and store.limiter.unsettled == 0)
        assert isinstance(await store.limiter.reserve(ask("a"), 60.0), Granted)
        await store.close()


async def test_a_replica_that_only_reads_is_no_redis(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "master") as master,
        RedisServer(tmp_path / "replica", "--replicaof", "127.0.0.1", str(master.port)) as replica,
    ):
        store = RedisStore(replica.url)
        assert not await store.start()
        with pytest.raises(StoreDown):
            await store.limiter.reserve(ask("a"), 60.0)
        await store.close()


async def test_a_full_redis_says_so_and_changes_nothing(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        store = await started(server.url)
        with server.client() as client:
            client.config_set("maxmemory", "1")
        with pytest.raises(StoreDown):
            await store.limiter.reserve(ask("a"), 60.0)
        with server.client() as client:
            client.config_set("maxmemory", "0")
        await until(lambda: store.limiter.up and store.limiter.unsettled == 0)
        assert await used(store) == (0, 0)
        await store.close()


async def test_what_is_kept_is_bounded(tmp_path: Path) -> None:
    from gateway.store.redis.kept import Kept

    kept = Kept(3)
    kept.add([(SettledUse(f"h{n}", n, n), None) for n in range(5)])
    assert (len(kept), kept.lost) == (3, 2)
    assert [use.id for use in kept.first(2)] == ["h2", "h3"]
    kept.give_back(iter(["h4", "h5"]))
    assert [(use.id, use.tokens) for use in kept.first(9)] == [("h3", 3), ("h4", 4), ("h5", 0)]
    first = kept.first(2)
    kept.add([(SettledUse("h3", 30, 30), None)])
    kept.remove(first)
    assert {use.id: use.tokens for use in kept.first(9)} == {"h5": 0, "h3": 30}


async def test_closing_tells_what_is_kept_and_leaves_nothing_open(server: RedisServer) -> None:
    store = await started(server.url)
    await store.limiter.reserve(ask("a"), 60.0)
    server.pause()
    await store.limiter.settle((SettledUse("a", 5, 5),))
    server.resume()
    await store.close()
    again = await started(server.url)
    assert await used(again) == (5, 0)
    await again.close()
    with server.client() as client:
        await until(lambda: len(client.client_list()) == 1)


async def test_ttl(server: RedisServer, store: RedisStore) -> None:
    """On the server's own clock."""
    await store.limiter.reserve(ask("b", LOOSE), 1.0)
    await store.limiter.renew(("b",), 10.0)
    await store.limiter.reserve(ask("a", LOOSE), 1.0)
    assert await used(store) == (0, 20)
    await asyncio.sleep(1.01)
    await store.limiter.renew(("nobody",), 10.0)
    assert await used(store) == (0, 10)


async def test_counters_that_do_not_know_all_let_nobody_in(store: RedisStore) -> None:
    """What was used without Redis is told before anything else is asked."""
    limiter = store.limiter
    use = SettledUse("elsewhere", 5, 5, (KEY,), int(time.time() * 1000))
    limiter._keep([(use, None)], limiter.epoch)
    assert not limiter.up
    with pytest.raises(StoreDown):
        await limiter.reserve(ask("a"), 60.0)
    await until(lambda: limiter.up)
    assert (await used(store))[0] == 5
    limiter._kept.give_back(iter(["nothing"]))
    assert limiter.up  # of which nothing was used
