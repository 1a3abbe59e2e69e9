"""What one replica at a time may do, for as long as it says that it is still at it."""

import asyncio
from collections.abc import Callable

from redis.exceptions import RedisError

from gateway.limits.types import StoreDown
from gateway.store.redis.batches import reason_of
from gateway.store.redis.client import SECONDS, Client
from gateway.store.redis.script import Script


class Leases:
    """``name`` is this replica's. ``up`` says whether Redis is likely to answer; while it is not, it is not asked.
    Every method raises StoreDown, after 0.2 s at the latest."""

    def __init__(self, client: Client, name: str, up: Callable[[], bool]) -> None:
        self._client = client
        self._name = name
        self._up = up
        self._script = Script("lease.lua")

    async def claim(self, what: str, seconds: float) -> str | None:
        """The name of the replica that holds it; None if this one does from now on."""
        return await self._say(what, "claim", seconds) or None

    async def renew(self, what: str, seconds: float) -> bool:
        """Whether this replica still holds it."""
        return not await self._say(what, "renew", seconds)

    async def release(self, what: str) -> None:
        await self._say(what, "release", 0)

    async def _say(self, what: str, verb: str, seconds: float) -> str:
        if not self._up():
            raise StoreDown("Redis is away")
        key = f"{{gw:{what}}}:lease"
        try:
            async with asyncio.timeout(SECONDS):
                found: bytes = await self._script.run(self._client, [key], verb, self._name, int(seconds * 1000))
        except (RedisError, OSError) as error:
            raise StoreDown(reason_of(error)) from None
        return found.decode()
