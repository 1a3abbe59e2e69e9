"""Who is asking: a bearer key or token to its caller.

A key has a public part, which may be shown and logged, and a secret one: ``sk-gw-<12 characters>-<256 bits>``. Only the
SHA-256 of the whole is known here. Keys of the admin plane begin with ``ak-gw-``, and open nothing else.
"""

from collections.abc import Callable
from hashlib import sha256
from hmac import compare_digest
from typing import Protocol

from gateway.directory import Directory
from gateway.errors import Unauthenticated
from gateway.store.sql.rows import AdminRow
from gateway.types import Caller

HOW = "send the header 'Authorization: Bearer <key>'"


class Identity(Protocol):
    """Whom a token speaks for, until when in seconds since 1970."""

    @property
    def team(self) -> str: ...
    @property
    def user(self) -> str: ...
    @property
    def expires(self) -> float: ...


class Tokens(Protocol):
    """Knows tokens that somebody else has signed."""

    def known(self, token: bytes) -> Identity | None:
        """Of one that was verified before, and still holds."""

    async def verify(self, token: bytes) -> Identity:
        """Raises Unauthenticated, and Unverified while it cannot be known whether the token holds."""


class Last:
    """Whose key came last on one connection, as the directory knew it in this version. Most clients send the same one
    with each request."""

    __slots__ = ("authorization", "caller", "version")

    def __init__(self) -> None:
        self.authorization = b""
        self.caller: Caller | None = None
        self.version = -1


class Keys:
    """``wall`` tells the time, in seconds since 1970; ``tokens`` knows those that somebody else has signed, where that
    is configured."""

    def __init__(self, directory: Directory, wall: Callable[[], float], tokens: Tokens | None = None) -> None:
        self._directory = directory
        self._wall = wall
        self._tokens = tokens

    def caller(self, authorization: bytes | None, last: Last | None = None) -> Caller | None:
        """Who holds the key of this header; None for a token that must be verified first. ``last`` is the connection's,
        where that is known. Raises Unauthenticated."""
        if authorization is None:
            raise Unauthenticated(f"no API key; {HOW}")
        version = self._directory.version
        if last is not None and last.version == version and compare_digest(authorization, last.authorization):
            caller = last.caller
        else:
            if authorization[:7].lower() != b"bearer ":
                raise Unauthenticated(f"the Authorization header is not a bearer key; {HOW}")
            key = authorization[7:].strip()
            caller = self._directory.caller(sha256(key).digest())
            if caller is None:
                return self._otherwise(key)
            if last is not None:
                last.authorization, last.caller, last.version = authorization, caller, version
        assert caller is not None
        if caller.expires <= self._wall():
            raise Unauthenticated("the API key has expired, or was replaced by a new one")
        return caller

    async def verified(self, authorization: bytes | None) -> Caller:
        """Who holds the token of this header, for which ``caller`` has no answer. Raises Unauthenticated and
        Unverified."""
        assert authorization is not None and self._tokens is not None
        identity = await self._tokens.verify(authorization[7:].strip())
        return self._in_team(identity.team, identity.user, identity.expires)

    async def asking(self, authorization: bytes | None) -> Caller:
        """Either of the two."""
        return self.caller(authorization) or await self.verified(authorization)

    def _otherwise(self, key: bytes) -> Caller | None:
        """A key that the directory does not know."""
        if self._tokens is not None and looks_signed(key):
            identity = self._tokens.known(key)
            return None if identity is None else self._in_team(identity.team, identity.user, identity.expires)
        if key.startswith(b"ak-gw-"):
            raise Unauthenticated("this is an admin key, which opens /admin/ alone; send a team's key (sk-gw-...)")
        raise Unauthenticated("the API key is not known, or it is disabled, revoked, or was replaced")

    def _in_team(self, team: str, user: str, expires: float) -> Caller:
        caller = self._directory.team(team, user, expires)
        if caller is None:
            raise Unauthenticated("the token names a team that is not known here, or that is disabled")
        return caller


class Admins:
    """Whose admin key a header holds."""

    def __init__(self, directory: Directory, wall: Callable[[], float]) -> None:
        self._directory = directory
        self._wall = wall

    def admin(self, authorization: bytes | None) -> AdminRow:
        """Raises Unauthenticated."""
        if authorization is None or authorization[:7].lower() != b"bearer ":
            raise Unauthenticated("no admin key; send the header 'Authorization: Bearer <admin key>'")
        admin = self._directory.admin(sha256(authorization[7:].strip()).digest())
        if admin is None:
            raise Unauthenticated("the admin key is not known, or it was revoked or replaced")
        if admin.expires is not None and admin.expires <= self._wall():
            raise Unauthenticated("the admin key has expired")
        return admin


def looks_signed(key: bytes) -> bool:
    """Whether it has the form of a JWT (RFC 7519), which no key has."""
    return key.startswith(b"ey") and key.count(b".") == 2
