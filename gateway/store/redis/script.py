"""Lua that Redis runs in one piece."""

import asyncio
import hashlib
from importlib.resources import files
from typing import Any

from redis.exceptions import NoScriptError

from gateway.store.redis.client import Client, Word


class Script:
    """A file of this package. It is sent once, and known by its digest from then on."""

    def __init__(self, name: str) -> None:
        self.text = files(__package__).joinpath(name).read_bytes()
        self.sha = hashlib.sha1(self.text, usedforsecurity=False).hexdigest()

    def start(self, client: Client, keys: list[str], *arguments: Word) -> "asyncio.Future[Any] | None":
        """The answer to come, if it can be asked for at once; it may be that the script is not known there."""
        return client.start("EVALSHA", self.sha, len(keys), *keys, *arguments)

    def start_whole(self, client: Client, keys: list[str], *arguments: Word) -> "asyncio.Future[Any] | None":
        """The same, of a server that does not know it."""
        return client.start("EVAL", self.text, len(keys), *keys, *arguments)

    async def run(self, client: Client, keys: list[str], *arguments: Word) -> Any:
        """Raises redis-py's errors, and OSError."""
        try:
            return await client.call("EVALSHA", self.sha, len(keys), *keys, *arguments)
        except NoScriptError:  # a server that has started since, or a new master; nothing was done
            return await client.call("EVAL", self.text, len(keys), *keys, *arguments)
