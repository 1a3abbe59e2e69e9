"""Who is asking: a bearer key to its team.

Only the SHA-256 of a whole key is kept. A key has a public part, which may be shown and logged, and a secret one:
``sk-gw-<12 characters>-<256 bits>``; keys that an operator chooses may have any form of 32 characters or more.
"""

import os
import secrets
import string
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.errors import Unauthenticated
from gateway.types import Team

ALPHABET = string.ascii_letters + string.digits
FILE = "keys.json"
HOW = "send the header 'Authorization: Bearer <key>'"


class KeyRecord(Struct, frozen=True):
    """A key as it is kept: ``digest`` is the hex SHA-256, ``public`` the part that may be shown."""

    digest: str
    public: str
    team: str


class Keys:
    """All keys, in memory."""

    def __init__(self, records: list[KeyRecord]) -> None:
        self._teams = {bytes.fromhex(record.digest): Team(record.team) for record in records}

    def team(self, authorization: bytes | None) -> Team:
        """The team whose key this header holds. Raises Unauthenticated; there is no default team."""
        if authorization is None:
            raise Unauthenticated(f"no API key; {HOW}")
        if authorization[:7].lower() != b"bearer ":
            raise Unauthenticated(f"the Authorization header is not a bearer key; {HOW}")
        team = self._teams.get(sha256(authorization[7:].strip()).digest())
        if team is None:
            raise Unauthenticated("the API key is not known")
        return team


def new_key() -> str:
    """A key with 12 public characters and 256 bits of secret."""
    public = "".join(secrets.choice(ALPHABET) for _ in range(12))
    return f"sk-gw-{public}-{secrets.token_urlsafe(32)}"


def record(key: str, team: str) -> KeyRecord:
    public = key[6:18] if key.startswith("sk-gw-") else "bootstrap"
    return KeyRecord(sha256(key.encode()).hexdigest(), public, team)


def load(state: Path) -> list[KeyRecord]:
    """The keys kept in a state directory; none before the first start."""
    try:
        return msgspec.json.decode((state / FILE).read_bytes(), type=list[KeyRecord])
    except FileNotFoundError:
        return []


def bootstrap(state: Path, chosen: str | None) -> str | None:
    """Makes the key of team ``default`` where there is none yet. Returns it if it is new, to be shown once.

    A key that the operator has chosen is added whenever it is not known yet.
    """
    records = load(state)
    if chosen is None and records:
        return None
    key = chosen or new_key()
    fresh = record(key, "default")
    if any(known.digest == fresh.digest for known in records):
        return None
    save(state, [*records, fresh])
    return None if chosen else key


def save(state: Path, records: list[KeyRecord]) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    partial = state / f"{FILE}.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(records)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(state / FILE)
