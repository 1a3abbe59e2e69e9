"""Who is asking: a bearer key to its team.

Only the SHA-256 of a whole key is kept. A key has a public part, which may be shown and logged, and a secret one:
``sk-gw-<12 characters>-<256 bits>``; keys that an operator chooses may have any form of 32 characters or more.
"""

import fcntl
import os
import secrets
import string
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway.errors import Unauthenticated
from gateway.types import Team

ALPHABET = string.ascii_letters + string.digits
FILE = "keys.json"
CHOSEN = "bootstrap"
"""Stands for the public part of a key that the operator has chosen."""
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
    public = key[6:18] if key.startswith("sk-gw-") else CHOSEN
    return KeyRecord(sha256(key.encode()).hexdigest(), public, team)


class KeysError(Exception):
    """The file of keys cannot be used. The message says where it is and what helps."""


def load(state: Path) -> list[KeyRecord]:
    """The keys kept in a state directory; none before the first start. Raises KeysError."""
    path = state / FILE
    try:
        records = msgspec.json.decode(path.read_bytes(), type=list[KeyRecord])
        Keys(records)
    except FileNotFoundError:
        return []
    except (msgspec.MsgspecError, ValueError) as exc:
        raise KeysError(f"{path} is damaged ({exc}); restore it, or remove it to have a new key made") from exc
    return records


def bootstrap(state: Path, chosen: str | None) -> str | None:
    """Makes the key of team ``default`` where there is none yet. Returns it if it was made here, to be shown once.

    A key that the operator has chosen takes the place of the one they chose before. Raises KeysError.
    """
    with alone(state):
        records = load(state)
        if chosen is None and records:
            return None
        key = chosen or new_key()
        fresh = record(key, "default")
        if fresh not in records:
            save(state, [*(known for known in records if known.public != CHOSEN), fresh])
        return None if chosen else key


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """One process at a time: of two that start at once, the second finds the first one's key."""
    state.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (state / f"{FILE}.lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def save(state: Path, records: list[KeyRecord]) -> None:
    """Replaces the file in one step, readable by its owner alone."""
    partial = state / f"{FILE}.{os.getpid()}"
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(records)) + b"\n")
        file.flush()
        os.fsync(file.fileno())
    partial.replace(state / FILE)
