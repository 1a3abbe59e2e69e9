"""An identity provider's tokens, as ``keys`` asks for them. Made only where one is configured: what verifies
signatures takes 10 MB."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from gateway.bearer import BearerError, Identity, JwtSettings, Verifier
from gateway.errors import Unauthenticated, Unverified

log = logging.getLogger("gateway.issuer")


class Issuer:
    """Tokens. ``fetch`` gets the document at an address; ``wall`` is the time in seconds since 1970. Raises ValueError
    for settings that cannot be used."""

    def __init__(
        self, settings: JwtSettings, fetch: Callable[[str], Awaitable[bytes]], wall: Callable[[], float]
    ) -> None:
        self._verifier = Verifier(settings, lambda: fetch(settings.jwks), wall)
        self._reading: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Reads the issuer's keys. Nobody waits for that: those with keys of ours can be served meanwhile."""
        self._reading = asyncio.create_task(self._read())

    async def close(self) -> None:
        await self._verifier.close()
        if self._reading is not None:
            await asyncio.wait([self._reading])

    def known(self, token: bytes) -> Identity | None:
        return self._verifier.known(token)

    async def verify(self, token: bytes) -> Identity:
        """Raises Unauthenticated, and Unverified while the issuer's keys cannot be had."""
        try:
            return await self._verifier.verify(token)
        except BearerError as error:
            if error.why != "unavailable":
                raise Unauthenticated(error.message) from error
            raise Unverified(error.message, retry_after=self._verifier.wait) from error

    async def _read(self) -> None:
        try:
            await self._verifier.start()
        except asyncio.CancelledError:
            return  # closed meanwhile
        if self._verifier.problem is not None:
            log.error("tokens cannot be verified: %s", self._verifier.problem)
