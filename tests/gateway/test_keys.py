"""Keys: nobody comes in without one that is known, in its time, and of the right kind."""

from hashlib import sha256

import pytest

from gateway.directory import Defaults, Directory
from gateway.errors import Unauthenticated
from gateway.keys import Admins, Keys, Last
from gateway.store.sql.rows import AdminRow, SecretRow, TeamRow
from gateway.types import Caller

NOW = 1000.0
KEY, OLD, DEAD = b"sk-gw-key", b"sk-gw-old", b"sk-gw-dead"
ADMIN, PAST = b"ak-gw-admin", b"ak-gw-past"


def digest(key: bytes) -> bytes:
    return sha256(key).digest()


@pytest.fixture
def directory() -> Directory:
    directory = Directory(Defaults())
    rows = [
        SecretRow(digest(KEY), "k", "red", None, False, None),
        SecretRow(digest(OLD), "k", "red", int(NOW), False, None),
        SecretRow(digest(DEAD), "d", "red", None, True, None),
    ]
    admins = [
        AdminRow(digest(ADMIN), "a", "ann", "owner", None, False),
        AdminRow(digest(PAST), "p", "pat", "owner", int(NOW), False),
    ]
    directory.load([TeamRow("red", False, None)], {row.digest: row for row in rows}, [], admins)
    return directory


@pytest.fixture
def keys(directory: Directory) -> Keys:
    return Keys(directory, lambda: NOW)


@pytest.mark.parametrize("header", [b"Bearer " + KEY, b"bearer  " + KEY, b"BEARER " + KEY + b" "])
def test_a_key_is_its_teams(keys: Keys, header: bytes) -> None:
    caller = keys.caller(header)
    assert isinstance(caller, Caller) and (caller.team, caller.key) == ("red", "k")


@pytest.mark.parametrize(
    "header",
    [
        None,
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic abc",
        KEY,
        b"Bearer \xff\xfe",
        b"Bearer " + b"x" * 100_000,
        b"Bearer " + KEY + b"x",
        b"Bearer " + KEY + b", Bearer " + KEY,
        b"Bearer " + DEAD,
        b"Bearer ey.a.b",
    ],
)
def test_nobody_comes_in_without_a_key(keys: Keys, header: bytes | None) -> None:
    with pytest.raises(Unauthenticated):
        keys.caller(header)


def test_a_key_has_its_time(keys: Keys) -> None:
    with pytest.raises(Unauthenticated, match="has expired, or was replaced"):
        keys.caller(b"Bearer " + OLD)


def test_a_connections_last_key_is_known_without_a_look(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    last = Last()
    caller = keys.caller(b"Bearer " + KEY, last)
    monkeypatch.setattr("gateway.keys.sha256", None)
    assert caller is not None and keys.caller(b"Bearer " + KEY, last) is caller


def test_another_key_on_the_same_connection_is_looked_at(keys: Keys) -> None:
    last = Last()
    assert keys.caller(b"Bearer " + KEY, last) is not None
    for header in (b"Bearer " + KEY + b"x", b"Bearer " + DEAD, b"", b"Bearer " + KEY[:-1]):
        with pytest.raises(Unauthenticated):
            keys.caller(header, last)
    assert keys.caller(b"Bearer " + KEY, last) is not None


def test_a_connections_last_key_is_good_no_longer_than_any(directory: Directory) -> None:
    now, last = NOW - 1, Last()
    keys = Keys(directory, lambda: now)
    assert keys.caller(b"Bearer " + OLD, last) is not None and keys.caller(b"Bearer " + OLD, last) is not None
    now = NOW
    with pytest.raises(Unauthenticated):
        keys.caller(b"Bearer " + OLD, last)
    assert keys.caller(b"Bearer " + KEY, last) is not None
    directory.change([], [SecretRow(digest(KEY), "k", "red", None, True, None)], [], [])
    with pytest.raises(Unauthenticated):
        keys.caller(b"Bearer " + KEY, last)
    directory.change([TeamRow("red", True, None)], [SecretRow(digest(KEY), "k", "red", None, False, None)], [], [])
    with pytest.raises(Unauthenticated):
        keys.caller(b"Bearer " + KEY, last)


def test_an_admin_key_asks_no_model_and_a_teams_key_opens_no_admin_plane(directory: Directory, keys: Keys) -> None:
    admins = Admins(directory, lambda: NOW)
    assert admins.admin(b"Bearer " + ADMIN).id == "a"
    with pytest.raises(Unauthenticated, match="an admin key"):
        keys.caller(b"Bearer " + ADMIN)
    for header in (None, b"Bearer " + KEY, ADMIN, b"Bearer " + PAST, b"Bearer "):
        with pytest.raises(Unauthenticated):
            admins.admin(header)


class Signed:
    """Knows one token, and verifies another."""

    def known(self, token: bytes) -> Caller | None:
        return Caller("red", "", 2000.0, user="ann") if token == b"ey.known.x" else None

    async def verify(self, token: bytes) -> Caller:
        if token != b"ey.new.x":
            raise Unauthenticated("the token's signature is not good")
        return Caller("red" if token == b"ey.new.x" else "gone", "", 2000.0, user="bob")


async def test_a_token_stands_for_a_team_where_that_is_configured(directory: Directory) -> None:
    keys = Keys(directory, lambda: NOW, Signed())
    known = keys.caller(b"Bearer ey.known.x")
    assert known is not None and (known.team, known.user) == ("red", "ann")
    assert keys.caller(b"Bearer ey.new.x") is None
    assert (await keys.verified(b"Bearer ey.new.x")).user == "bob"
    assert (await keys.asking(b"Bearer " + KEY)).key == "k"
    with pytest.raises(Unauthenticated, match="signature"):
        await keys.verified(b"Bearer ey.bad.x")


async def test_a_token_of_an_unknown_team_is_nobodys(directory: Directory) -> None:
    directory.change([TeamRow("red", True, None)], [], [], [])
    with pytest.raises(Unauthenticated, match="team"):
        await Keys(directory, lambda: NOW, Signed()).verified(b"Bearer ey.new.x")
