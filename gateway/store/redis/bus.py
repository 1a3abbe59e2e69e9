"""What replicas tell each other at once. Who does not listen just then does not hear it."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from gateway.store.redis.batches import PATIENCE, patiently, reason_of
from gateway.store.redis.client import Client, closed_is_lost
from gateway.store.redis.words import PREFIX

log = logging.getLogger("gateway.redis")

PAUSE = 0.5
"""Seconds between two tries to listen."""
SILENCE = 2.0
"""Seconds of silence, after which the other side is asked if it is there; and after as many again taken for gone."""


async def publish(client: Client, channel: str, message: bytes) -> int:
    """How many have heard it, as far as the server that was asked knows. Raises StoreDown."""
    async with patiently():
        return int(await client.call("PUBLISH", PREFIX + channel, message))


class Listener:
    """Listens for ever. ``heard`` is called with each message. ``joined`` is called whenever it has begun to listen:
    what was said before, also during a break, is missing."""

    def __init__(
        self,
        client: Client,
        channel: str,
        heard: Callable[[bytes], None],
        joined: Callable[[], None] | None = None,
        *,
        pause: float = PAUSE,
        silence: float = SILENCE,
    ) -> None:
        self._client = client
        self._channel = PREFIX + channel
        self._heard = heard
        self._joined = joined
        self._pause = pause
        self._silence = silence
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._listen())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _listen(self) -> None:
        while True:
            try:
                await self._session()
            except (RedisError, OSError) as error:
                log.debug("redis: listening: %s", reason_of(error))
            except Exception:
                log.exception("redis: listening")
            await asyncio.sleep(self._pause)

    async def _session(self) -> None:
        """Until it breaks."""
        redis = self._client.subscriber()
        pubsub = redis.pubsub()
        try:
            async with asyncio.timeout(PATIENCE):
                with closed_is_lost():
                    await pubsub.subscribe(self._channel)
                while (await self._next(pubsub, PATIENCE) or {}).get("type") != "subscribe":
                    pass
            if self._joined is not None:
                self._joined()
            asked = False
            while True:
                message = await self._next(pubsub, self._silence)
                if message is None:
                    if asked:
                        raise TimeoutError
                    asked = True
                    with closed_is_lost():
                        await pubsub.ping()
                    continue
                asked = False
                if message["type"] == "message":
                    self._heard(message["data"])
        finally:
            await pubsub.aclose()  # type: ignore[no-untyped-call]
            await redis.aclose()

    async def _next(self, pubsub: PubSub, seconds: float) -> dict[str, Any] | None:
        found: dict[str, Any] | None = await pubsub.get_message(timeout=seconds)
        return found
