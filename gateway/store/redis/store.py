"""One Redis, and all that a gateway has in it."""

from collections.abc import Awaitable, Callable
from typing import Any

from gateway.limits.types import SettledUse
from gateway.store.redis.address import parse
from gateway.store.redis.batches import patiently
from gateway.store.redis.bus import Listener, publish
from gateway.store.redis.cache import RedisCache
from gateway.store.redis.census import Census
from gateway.store.redis.client import Word
from gateway.store.redis.leases import Leases
from gateway.store.redis.limiter import RedisLimiter
from gateway.store.redis.opening import open_client
from gateway.store.redis.words import PREFIX


class RedisStore:
    """``url`` is as in ``address``: raises BadAddress. Nothing connects before ``start``. ``rebuild``, ``changed``
    and ``counted`` are the limiter's."""

    def __init__(
        self,
        url: str,
        rebuild: Callable[[], Awaitable[None]] | None = None,
        changed: Callable[[bool], None] | None = None,
        counted: Callable[[tuple[SettledUse, ...]], Awaitable[tuple[SettledUse, ...]]] | None = None,
    ) -> None:
        self.address = parse(url)
        self._client = open_client(self.address)
        self._census = Census(self._client)
        self._listeners: list[Listener] = []
        self._caches: list[RedisCache] = []
        self._leases: list[Leases] = []
        self.limiter = RedisLimiter(self._client, rebuild, changed, counted)

    async def start(self) -> bool:
        """Whether Redis answers; if not, it is asked again and again from now on."""
        return await self.limiter.start()

    async def publish(self, channel: str, message: bytes) -> int:
        """To all who listen now, this process included; how many they are, or fewer. Raises StoreDown."""
        return await publish(self._client, channel, message)

    def listen(self, channel: str, heard: Callable[[bytes], None], joined: Callable[[], None] | None = None) -> None:
        """From now on until the end, whatever becomes of the connection. ``joined`` is called whenever it has begun
        anew: something may have been missed."""
        listener = Listener(self._client, channel, heard, joined)
        listener.start()
        self._listeners.append(listener)

    def cache(self, max_bytes: int, name: str = "") -> RedisCache:
        """Kept answers, of so many bytes a team. Nobody waits for them while Redis is not alive. ``name`` is this
        replica's."""
        cache = RedisCache(self._client, max_bytes, self.limiter.is_alive, name)
        self._caches.append(cache)
        return cache

    def leases(self, name: str, seconds: float) -> Leases:
        """What this replica alone makes, for so many seconds; asked for only while Redis has answered."""
        leases = Leases(self._client, name, seconds, self.limiter.has_answered)
        self._leases.append(leases)
        return leases

    async def heartbeat(self, name: str, ttl: float) -> int:
        """Says for ``ttl`` seconds that this replica is there; how many are. Raises StoreDown."""
        return await self._census.heartbeat(name, ttl)

    async def leave(self, name: str) -> int:
        """Says that it is there no more. Raises StoreDown."""
        return await self._census.leave(name)

    async def claim(self, what: str, name: str, seconds: float) -> bool:
        """Whether this replica alone may do so, for so many seconds. Raises StoreDown."""
        return await self._say("SET", PREFIX + what, name, "NX", "PX", int(seconds * 1000)) is not None

    async def give_up(self, what: str) -> None:
        """Leaves what was claimed to others. Raises StoreDown."""
        await self._say("DEL", PREFIX + what)

    async def stand_still(self, name: str, ttl: float) -> int:
        """Says that this replica brings nothing to the ledger now; how many do so. Raises StoreDown."""
        await self._say("SADD", PREFIX + "still", name)
        await self._say("PEXPIRE", PREFIX + "still", int(ttl * 1000))
        return int(await self._say("SCARD", PREFIX + "still"))

    async def _say(self, *command: Word) -> Any:
        async with patiently():
            return await self._client.call(*command)

    async def close(self) -> None:
        for listener in self._listeners:
            await listener.close()
        for leases in self._leases:
            await leases.close()
        for cache in self._caches:
            await cache.close()
        await self.limiter.close()
        await self._client.aclose()
