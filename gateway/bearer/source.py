"""The issuer's keys as they are now, from a file or by a function that fetches them.

Keys that were had once stay in use while nothing newer can be had. A token that names an unknown key has them read
again, at most twice a minute, so that a new key is known at once and a forger cannot make the gateway ask for ever.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from gateway.bearer.keyset import MOST_BYTES, BadKeys, Key, parse
from gateway.bearer.types import BearerError

Fetch = Callable[[], Awaitable[bytes]]

PAUSE = 30.0
"""Seconds between two readings, unless a file has changed."""

FRESH = 600.0
"""Seconds after which fetched keys are fetched again."""

PATIENCE = 10.0
"""Seconds that a reading may take."""

WATCH = 5.0
"""Seconds after which a file is looked at again."""


class Source:
    """``changed`` is called when other keys than before are in use. ``wall`` is in seconds."""

    def __init__(
        self, file: Path | None, fetch: Fetch | None, wall: Callable[[], float], changed: Callable[[], None]
    ) -> None:
        if (file is None) == (fetch is None):
            raise ValueError("keys come from a file or are fetched: one of both")
        self._file, self._fetch, self._wall, self._changed = file, fetch, wall, changed
        self._keys: tuple[Key, ...] = ()
        self._read: bytes | None = None
        self._stamp: tuple[int, int, int] | None = None
        self._tried = self._next = float("-inf")
        self._running: asyncio.Task[None] | None = None
        self.problem: str | None = None

    @property
    def wait(self) -> float:
        """Seconds until a token that comes then has them read again."""
        return 1.0 if self._file is not None else max(0.0, self._tried + PAUSE - self._wall())

    def look(self) -> None:
        """Starts to read again in the background, if it is time. Needs a running loop."""
        if self._wall() >= self._next:
            self._start()

    async def keys(self) -> tuple[Key, ...]:
        """The keys in use. Raises BearerError where there never were any."""
        if self._file is not None:
            self._tried = self._wall()
            await self.refresh()
        elif not self._keys:
            await self.again()
        else:
            self.look()
        if not self._keys:
            raise BearerError(
                "unavailable", "the issuer's keys cannot be had at the moment, so no token can be verified"
            )
        return self._keys

    async def again(self) -> tuple[Key, ...]:
        """The keys after another look at where they come from, if the last was not just now."""
        if self._running is not None or self._wall() >= self._tried + PAUSE:
            await self.refresh()
        return self._keys

    async def refresh(self) -> None:
        """Reads the keys now; one reading serves all who wait for it. What fails is kept in ``problem``."""
        await asyncio.shield(self._start())

    async def close(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    def _start(self) -> "asyncio.Task[None]":
        if self._running is None:
            self._tried = self._wall()
            self._next = self._tried + (FRESH if self._fetch is not None else WATCH)
            self._running = asyncio.create_task(self._refresh())
        return self._running

    async def _refresh(self) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self._fetch() if self._fetch is not None else self._from_file()
            if data is not None and data != self._read:
                self._keys, self._read = parse(data), data
                self._changed()
            self.problem = None
        except BadKeys as exc:
            self.problem = str(exc)
        except Exception as exc:  # whatever a fetch may raise
            self.problem = f"the issuer's keys cannot be read: {type(exc).__name__}"
            if str(exc):
                self.problem += f" ({exc})"
        finally:
            if self.problem is not None:
                self._next = min(self._next, self._wall() + PAUSE)
            self._running = None

    def _from_file(self) -> bytes | None:
        """The file's bytes, or None where it is as it was."""
        assert self._file is not None
        state = self._file.stat()
        stamp = (state.st_mtime_ns, state.st_size, state.st_ino)
        if stamp == self._stamp:
            return None
        if state.st_size > MOST_BYTES:
            raise BadKeys(f"the JWK Set is larger than {MOST_BYTES >> 20} MB")
        data = self._file.read_bytes()
        self._stamp = stamp
        return data
