"""Where answers are kept: in this process or in Redis, with the same meaning."""

from collections.abc import Awaitable
from typing import Protocol

from msgspec import Struct


class Held(Struct, frozen=True, kw_only=True):
    """What is kept of one team's answers of one model, with all that keeping it takes."""

    team: str
    model: str
    entries: int
    bytes: int


Wanted = tuple[str, str, str]
"""A team, a model, and the digest of what is asked."""

Found = bytes | str | None
"""A kept answer; or the name of who makes it now, empty where that is who asks; None where nobody could say."""


class CacheStore(Protocol):
    """Values by team, model and digest, each until its time is over. Bounded: the oldest written make room."""

    def configure(self, max_bytes: int) -> None:
        """Another bound, from the next value on that is kept."""

    def look(self, team: str, model: str, digest: str) -> "bytes | None | Awaitable[bytes | None]":
        """The value, at once where it is known at once. What has begun goes on whether it is awaited or not; it takes
        0.2 s at most, and never raises: a store that is away has nothing."""

    def keep(self, team: str, model: str, digest: str, value: bytes, ttl: float) -> None:
        """From now on for ``ttl`` seconds, in place of what was there. Never waits and never raises. A value that is
        larger than the bound is not kept."""

    async def stats(self, team: str | None = None, model: str | None = None) -> list[Held]:
        """What is kept now, by team and model. Raises StoreDown."""

    async def purge(self, team: str | None = None, model: str | None = None) -> int:
        """Forgets what is kept, of all teams and models or of one; how many values. Raises StoreDown."""
