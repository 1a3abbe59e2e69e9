"""Tokens that were verified once are known until they expire; new ones are verified with the issuer's keys."""

from collections import OrderedDict
from collections.abc import Callable
from hashlib import sha256
from importlib import import_module
from pathlib import Path

from gateway.bearer.keyset import candidates
from gateway.bearer.settings import JwtSettings, unusable
from gateway.bearer.source import Fetch, Source
from gateway.bearer.token import header_of, identity, verified
from gateway.bearer.types import BearerError, Identity

MOST_KNOWN = 10_000
"""Verified tokens that are remembered, by digest: those used last."""


class Verifier:
    """For one issuer. ``fetch`` gets the document at ``settings.jwks`` where that is an address, and follows no
    redirects; ``wall`` is the time in seconds since 1970; ``base`` is where a relative path begins. Raises ValueError
    for settings that cannot be used, and ImportError without PyJWT and cryptography."""

    def __init__(
        self, settings: JwtSettings, fetch: Fetch | None, wall: Callable[[], float], base: Path = Path()
    ) -> None:
        if (wrong := unusable(settings)) is not None:
            raise ValueError(wrong)
        import_module("jwt")
        import_module("cryptography")
        self._settings = settings
        self._wall = wall
        self._known: OrderedDict[bytes, Identity] = OrderedDict()
        if settings.remote:
            self._source = Source(None, fetch, wall, self._known.clear)
        else:
            self._source = Source(base / settings.jwks, None, wall, self._known.clear)

    @property
    def problem(self) -> str | None:
        """What went wrong when the issuer's keys were last read; None if nothing did."""
        return self._source.problem

    @property
    def wait(self) -> float:
        """Seconds after which the issuer's keys are looked for again, where there are none."""
        return self._source.wait

    async def start(self) -> None:
        """Reads the keys before the first token comes; see ``problem`` for how that went."""
        await self._source.refresh()

    async def close(self) -> None:
        await self._source.close()

    def known(self, token: bytes) -> Identity | None:
        """Who is asking, if this token has been verified and has not expired since. Needs a running loop."""
        self._source.look()
        digest = sha256(token).digest()
        found = self._known.get(digest)
        if found is None:
            return None
        if self._wall() >= found.expires:
            del self._known[digest]
            return None
        self._known.move_to_end(digest)
        return found

    async def verify(self, token: bytes) -> Identity:
        """Who is asking. Raises BearerError."""
        header = header_of(token, self._settings)
        keys = candidates(await self._source.keys(), header.kid, header.alg)
        if not keys:
            keys = candidates(await self._source.again(), header.kid, header.alg)
        if not keys:
            raise BearerError("key", "the token is signed with a key that the issuer does not have (header kid)")
        found = identity(verified(token, header, keys), self._settings, self._wall())
        self._known[sha256(token).digest()] = found
        if len(self._known) > MOST_KNOWN:
            self._known.popitem(last=False)
        return found
