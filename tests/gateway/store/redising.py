"""What the tests of Redis share."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from gateway.limits.types import Ask, Claim, Hold, Limits, Rough, Share, StoreDown, Subject
from gateway.store.redis.store import RedisStore
from tests.servers.redis import RedisServer

KEY = Subject("key", "k")
LOOSE = Limits(usd_month=10**15)


def ask(id: str, limits: Limits = LOOSE, tokens: int = 10, nano: int = 10) -> Ask:
    return Ask((Claim(KEY, limits, 1, tokens, nano),), (Hold(id, (Share(0, tokens, nano),)),))


def rough(id: str, limits: Limits = LOOSE, tokens: int = 10, nano: int = 10) -> Rough:
    return Rough(((KEY, limits),), [(id, tokens, nano)])


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """How long it took."""
    begun = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for may be in another process
            await asyncio.sleep(0.005)
    return time.monotonic() - begun


async def started(url: str) -> RedisStore:
    """With counters that may be used. To be closed."""
    store = RedisStore(url)
    await store.start()
    await until(lambda: store.limiter.up)
    return store


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[RedisStore]:
    """The same, closed at the end: what stays open is a warning, which fails whatever test runs then."""
    store = await started(url)
    try:
        yield store
    finally:
        await store.close()


async def waited(call: Coroutine[Any, Any, Any]) -> float:
    """Seconds until ``call`` has ended, whether or not Redis was there. Those by which a busy machine woke this process
    too late are taken off, twice: once as such, and once since who was late itself allows the answer as much."""
    late = 0.0

    async def watch() -> None:
        nonlocal late
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            late += time.monotonic() - begun - 0.01

    watching = asyncio.create_task(watch())
    begun = time.monotonic()
    try:
        await call
    except StoreDown:
        pass
    finally:
        watching.cancel()
    return time.monotonic() - begun - 2 * late


async def used(store: RedisStore) -> tuple[int, int]:
    """Nano-dollars of this month: used and reserved."""
    [count] = await store.limiter.counts((KEY,))
    return count.used.nano_month, count.reserved_nano_month


def executed(server: RedisServer) -> int:
    """How many scripts it has run."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(int(stats.get(f"cmdstat_{name}", {}).get("calls", 0)) for name in ("evalsha", "eval"))
