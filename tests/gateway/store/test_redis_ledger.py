"""Counters are set by the ledger while a replica has uses that it could not tell: nothing counts twice, nothing stays
reserved."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from gateway.limits.types import Ask, Period, SettledUse, StoreDown
from gateway.store.redis.limiter import life_of
from gateway.store.redis.store import RedisStore
from tests.faults.proxy import Proxy, proxied
from tests.gateway.store.redising import KEY, ask, started, until, used
from tests.servers.redis import RedisServer


@pytest.fixture
async def other(server: RedisServer) -> AsyncIterator[RedisStore]:
    found = await started(server.url)
    yield found
    await found.close()


class Cut:
    """A replica that Redis can be taken away from. ``in_ledger`` are the legs whose entries SQL may have."""

    def __init__(self, proxy: Proxy) -> None:
        self.proxy = proxy
        self.in_ledger: set[str] = set()
        self.asked = 0
        self.store = RedisStore(f"redis://127.0.0.1:{proxy.port}", counted=self.counted)

    async def counted(self, uses: tuple[SettledUse, ...]) -> tuple[SettledUse, ...]:
        self.asked += 1
        return tuple([use for use in uses if use.id in self.in_ledger])

    async def keeps(self, *uses: SettledUse) -> None:
        """What ended while Redis was away."""
        self.proxy.set("refuse")
        self.proxy.reset()
        await self.store.limiter.settle(uses)
        assert self.store.limiter.unsettled == len(uses)

    async def comes_back(self) -> None:
        self.proxy.set("pass")
        await until(lambda: self.store.limiter.up and self.store.limiter.unsettled == 0)


@pytest.fixture
async def cut(server: RedisServer) -> AsyncIterator[Cut]:
    async with proxied(server.port) as proxy:
        found = Cut(proxy)
        await found.store.start()
        await until(lambda: found.store.limiter.up)
        yield found
        await found.store.close()


def month(nano: int) -> Period:
    return Period(KEY, int(time.time() * 1000), nano, nano, nano)


async def test_what_could_not_be_told_is_told_later(cut: Cut, other: RedisStore) -> None:
    for id in ("a", "b"):
        await cut.store.limiter.reserve(ask(id), 60.0)
    cut.in_ledger = {"a", "b"}
    await cut.keeps(SettledUse("a", 3, 3), SettledUse("b", 4, 4))
    assert await used(other) == (0, 20)
    await cut.comes_back()
    assert (await used(other), cut.asked) == ((7, 0), 0)


async def test_what_was_added_by_the_ledger_is_not_told_as_well(cut: Cut, other: RedisStore) -> None:
    for id in ("a", "b"):
        await cut.store.limiter.reserve(ask(id), 60.0)
    await cut.keeps(SettledUse("a", 3, 3), SettledUse("b", 4, 4))
    cut.in_ledger = {"a"}
    await other.limiter.adjust((month(3),))
    assert await used(other) == (3, 20)
    await cut.comes_back()
    assert (await used(other), cut.asked) == ((7, 0), 1)


async def test_a_repair_counts_as_that_too(cut: Cut, other: RedisStore) -> None:
    await cut.store.limiter.reserve(ask("a"), 60.0)
    await cut.keeps(SettledUse("a", 3, 3))
    cut.in_ledger = {"a"}
    await other.limiter.seed((month(3),), only_empty=False)
    await cut.comes_back()
    assert await used(other) == (3, 0)


async def test_counters_that_others_have_filled_anew(server: RedisServer, cut: Cut, other: RedisStore) -> None:
    """Of the three legs one was in the ledger when it was read, one had ended, and one was under way."""
    for id in ("a", "b", "c"):
        await cut.store.limiter.reserve(ask(id), 60.0)
    await cut.keeps(SettledUse("a", 3, 3), SettledUse("b", 4, 4))
    cut.in_ledger = {"a"}
    with server.client() as client:
        client.flushall()
    await other.limiter.seed((month(3),), only_empty=False)
    await other.limiter.begin_epoch()
    await cut.comes_back()
    assert await used(other) == (7, 0)
    await cut.store.limiter.settle((SettledUse("c", 5, 5),))
    assert await used(other) == (12, 0)


async def test_setting_counters_loses_no_hold(cut: Cut, other: RedisStore) -> None:
    """They live as long as the counters do, however often these are corrected."""
    await cut.store.limiter.reserve(ask("a"), 60.0)
    first = other.limiter.epoch
    for _ in range(2):
        await other.limiter.adjust((month(1),))
    assert other.limiter.epoch == f"{first}:2"
    for _ in range(2):
        await cut.store.limiter.settle((SettledUse("a", 5, 5),))
    assert await used(other) == (7, 0)


async def test_what_has_expired_is_given_back_though_nobody_calls(other: RedisStore) -> None:
    await other.limiter.reserve(ask("a"), 0.01)
    assert await used(other) == (0, 10)
    for _ in range(200):
        if await used(other) == (0, 0):
            break
        await other.start()
    assert await used(other) == (0, 0)


async def test_a_hold_that_is_made_again_too_late_is_not(other: RedisStore) -> None:
    """What was told of it came first."""
    late: Ask = ask("a")
    use = SettledUse("a", 5, 5, (KEY,), int(time.time() * 1000))
    await other.limiter.settle((use,))
    await other.limiter.restore(((late.holds[0], late),), 60.0)
    assert await used(other) == (5, 0)


async def test_a_reservation_without_an_answer_says_nothing_of_when_a_use_was_kept(cut: Cut, other: RedisStore) -> None:
    """What the ledger set before is no reason not to tell what has ended since."""
    await other.limiter.seed((month(100),), only_empty=False)
    await cut.store.start()
    await cut.store.limiter.reserve(ask("a"), 60.0)
    cut.in_ledger = {"a"}
    cut.proxy.set("refuse")
    cut.proxy.reset()
    with pytest.raises(StoreDown):
        await cut.store.limiter.reserve(ask("b"), 60.0)
    await cut.store.limiter.settle((SettledUse("a", 30, 30),))
    await cut.comes_back()
    assert (await used(other), cut.asked) == ((130, 0), 0)


async def test_what_is_added_while_the_ledger_is_asked_is_not_told_as_well(
    cut: Cut, other: RedisStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await cut.store.limiter.reserve(ask("a"), 60.0)
    await cut.keeps(SettledUse("a", 3, 3))
    await other.limiter.adjust((month(1),))

    async def counted(uses: tuple[SettledUse, ...]) -> tuple[SettledUse, ...]:
        found = await cut.counted(uses)
        if not cut.in_ledger:
            cut.in_ledger = {"a"}
            await other.limiter.adjust((month(3),))
        return found

    monkeypatch.setattr(cut.store.limiter, "_counted", counted)
    await cut.comes_back()
    assert (await used(other), cut.asked) == ((4, 0), 2)


async def test_what_was_on_its_way_to_lost_counters_is_held_against_the_ledger_whatever_is_kept_since(
    server: RedisServer, cut: Cut, other: RedisStore
) -> None:
    """A caller leaves just after the loss has been noticed: what is given back for them is of the new life already."""
    limiter = cut.store.limiter
    await limiter.reserve(ask("a"), 60.0)
    with server.client() as client:
        client.flushall()
    await other.limiter.seed((month(3),), only_empty=False)
    await other.limiter.begin_epoch()
    cut.in_ledger = {"a"}
    before = limiter.epoch
    first = asyncio.ensure_future(limiter.reserve(ask("b"), 60.0))
    for _ in range(3):
        await asyncio.sleep(0)
    told = limiter.tell((SettledUse("a", 3, 3),))
    await first
    assert limiter.epoch != before and not told.done()
    leaving = asyncio.ensure_future(limiter.reserve(ask("c"), 60.0))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving, told])
    await limiter.settle((SettledUse("b", 4, 4),))
    await until(lambda: limiter.up and limiter.unsettled == 0)
    assert (await used(other), cut.asked) == ((7, 0), 1)


async def test_counters_that_went_back_are_forgotten_though_they_were_set_since(other: RedisStore) -> None:
    before = other.limiter.epoch
    assert before is not None
    await other.limiter.adjust((month(1),))
    other.limiter._went_back(before)
    await until(lambda: life_of(other.limiter.epoch) not in (None, life_of(before)))
