"""A process of its own that asks as fast as it can: ``python redis_hammer.py URL NAME CALLS TOKENS NANO LIMITS``.

Says how many it was let in for, and what they used; each uses a little less than it reserved."""

import asyncio
import sys

import msgspec

from gateway.limits.types import Ask, Claim, Granted, Hold, Limits, SettledUse, Share, Subject
from gateway.store.redis.store import RedisStore

AT_ONCE = 50


async def hammer(url: str, name: str, calls: int, tokens: int, nano: int, limits: Limits) -> tuple[int, int, int]:
    store = RedisStore(url)
    await store.start()
    while not store.limiter.up:  # noqa: ASYNC110 - the first of all these processes is filling the counters
        await asyncio.sleep(0.01)
    admitted = used_tokens = used_nano = 0
    left = iter(range(calls))
    subject = Subject("key", "k")

    async def caller() -> None:
        nonlocal admitted, used_tokens, used_nano
        for number in left:
            id = f"{name}-{number}"
            ask = Ask((Claim(subject, limits, 1, tokens, nano),), (Hold(id, (Share(0, tokens, nano),)),))
            if isinstance(await store.limiter.reserve(ask, 60.0), Granted):
                admitted += 1
                used_tokens, used_nano = used_tokens + tokens, used_nano + nano - number % 3
                await store.limiter.settle((SettledUse(id, tokens, nano - number % 3),))

    await asyncio.gather(*(caller() for _ in range(AT_ONCE)))
    await store.close()
    return admitted, used_tokens, used_nano


if __name__ == "__main__":
    url, name, calls, tokens, nano, limits = sys.argv[1:]
    found = hammer(url, name, int(calls), int(tokens), int(nano), msgspec.json.decode(limits, type=Limits))
    print(*asyncio.run(found))
