"""How many replicas there are."""

from gateway.store.redis.batches import patiently
from gateway.store.redis.client import Client
from gateway.store.redis.script import Script
from gateway.store.redis.words import PREFIX

KEY = PREFIX + "replicas"


class Census:
    def __init__(self, client: Client) -> None:
        self._client = client
        self._script = Script("census.lua")

    async def heartbeat(self, name: str, ttl: float) -> int:
        """The replica of this name counts for ``ttl`` seconds more. How many count, itself included. Raises
        StoreDown."""
        return await self._count(name, max(1, int(ttl * 1000)))

    async def leave(self, name: str) -> int:
        return await self._count(name, 0)

    async def replicas(self) -> int:
        return await self._count("", 0)

    async def _count(self, name: str, ms: int) -> int:
        async with patiently():
            return int(await self._script.run(self._client, [KEY], name, ms))
