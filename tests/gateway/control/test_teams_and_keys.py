"""Teams and keys, from their making to their end."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from typing import Any

import msgspec
import pytest

from gateway.control.types import KeyChanges, KeyView, LimitsChanges, TeamChanges, TeamView
from gateway.limits.types import NANO, Limits
from gateway.store.sql.rows import SecretRow
from tests.gateway.control.desk import NOW, Office


async def secrets(office: Office) -> dict[bytes, SecretRow]:
    async with office.record.snapshot() as snapshot:
        return {row.digest: row async for rows in snapshot.secrets() for row in rows}


def digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


async def test_a_team(office: Office) -> None:
    made = await office.control.create_team(
        "search",
        models=("gpt-*", "llama"),
        metadata={"cost centre": "42 ü"},
        tags=("prod", "prod"),
        limits=LimitsChanges(rpm=100, usd_month=5 * NANO, tpm="unlimited"),
    )
    assert made == TeamView(
        name="search",
        created=NOW,
        models=("gpt-*", "llama"),
        metadata={"cost centre": "42 ü"},
        tags=("prod",),
        limits=Limits(rpm=100, usd_month=5 * NANO, tpm=-1),
    )
    assert await office.control.team("search") == made
    await office.control.create_team("a")
    assert [team.name for team in await office.control.teams()] == ["a", "search"]
    changed = await office.control.change_team("search", TeamChanges(disabled=True, models=None, tags=()))
    assert changed == msgspec.structs.replace(made, disabled=True, models=None, tags=())
    assert await office.control.team("search") == changed
    lines = await office.control.log(subject="search")
    assert [(line.actor, line.action, line.kind, line.at) for line in lines] == [
        ("cli:test", "change", "team", NOW),
        ("cli:test", "create", "team", NOW),
    ]
    assert (lines[0].before["disabled"], lines[0].after["disabled"], lines[1].before) == (False, True, None)


async def test_a_change_that_changes_nothing_is_no_change(office: Office) -> None:
    await office.control.create_team("t")
    key = await office.control.create_key("t")
    before = await office.everything()
    await office.control.change_team("t", TeamChanges(disabled=False))
    await office.control.change_key(key.id, KeyChanges(name=""))
    await office.control.set_limits("team", "t", LimitsChanges(rpm=None))
    assert await office.everything() == before


async def test_a_key(office: Office) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key(
        "t", name="ci", models=("*",), expires=NOW + 10, metadata={"a": ""}, tags=("x",), limits=LimitsChanges(tpd=1)
    )
    assert made.key.startswith(f"sk-gw-{made.id}-") and len(made.id) == 12 and len(made.key) > 60
    view = await office.control.key(made.id)
    assert view == KeyView(
        id=made.id,
        team="t",
        name="ci",
        created=NOW,
        expires=NOW + 10,
        models=("*",),
        metadata={"a": ""},
        tags=("x",),
        limits=Limits(tpd=1),
    )
    assert (await secrets(office)).keys() == {digest(made.key)}
    changed = await office.control.change_key(made.id, KeyChanges(disabled=True, expires=None, name=""))
    assert (changed.state, changed.expires, changed.name) == ("disabled", None, "")
    assert await office.control.keys("t") == await office.control.keys() == [changed]


async def test_states_of_a_key(office: Office) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key("t", expires=NOW + 10)
    states = [(await office.control.key(made.id)).state]
    office.now += 10
    states.append((await office.control.key(made.id)).state)
    states.append((await office.control.revoke_key(made.id)).state)
    assert states == ["active", "expired", "revoked"]


async def test_rotation(office: Office) -> None:
    await office.control.create_team("t")
    first = await office.control.create_key("t", name="n", expires=NOW + 1000)
    second = await office.control.rotate_key(first.id, 60)
    assert (second.id, second.name, second.team, second.grace) == (first.id, "n", "t", NOW + 60)
    assert second.expires == NOW + 1000 and second.key != first.key
    assert (await office.control.key(first.id)).grace == NOW + 60
    assert {row: (await secrets(office))[row].expires for row in await secrets(office)} == {
        digest(first.key): NOW + 60,
        digest(second.key): NOW + 1000,
    }
    third = await office.control.rotate_key(first.id, 0)
    assert third.grace is None and (await office.control.key(first.id)).grace is None
    found = await secrets(office)
    assert [found[digest(made.key)].expires for made in (first, second, third)] == [NOW, NOW, NOW + 1000]
    [line, *_] = await office.control.log(subject=first.id)
    assert (line.action, line.before["grace"], line.after["grace"]) == ("rotate", NOW + 60, None)


async def test_a_revoked_key_is_at_its_end(office: Office) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key("t", name="n")
    revoked = await office.control.revoke_key(made.id)
    assert revoked.revoked == NOW
    before = await office.everything()
    assert await office.control.revoke_key(made.id) == revoked
    assert await office.everything() == before
    async with office.refused("conflict", "is revoked, which is for ever", "id"):
        await office.control.rotate_key(made.id, 0)
    async with office.refused("conflict", "is revoked, which is for ever", "id"):
        await office.control.change_key(made.id, KeyChanges(disabled=False))
    assert (await office.control.create_key("t", name="n")).name == "n"  # the name is free again


async def test_an_expired_key_is_not_rotated(office: Office) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key("t", expires=NOW + 1)
    office.now += 1
    async with office.refused("conflict", "has expired; set another expiry first"):
        await office.control.rotate_key(made.id, 60)


async def test_no_secret_and_no_digest_is_told_twice(office: Office) -> None:
    await office.control.create_team("t")
    first = await office.control.create_key("t")
    second = await office.control.rotate_key(first.id, 60)
    admin = await office.control.create_admin("ann", "viewer")
    told = msgspec.json.encode(await office.everything()).decode()
    for key in (first.key, second.key, admin.key):
        assert key not in told and key.rpartition("-")[2] not in told and digest(key).hex() not in told


async def test_names_are_not_used_twice(office: Office) -> None:
    await office.control.create_team("t")
    await office.control.create_team("u")
    await office.control.create_key("t", name="n")
    await office.control.create_key("u", name="n")
    await office.control.create_key("t")
    other = await office.control.create_key("t")
    async with office.refused("conflict", "there is a team 't' already", "name"):
        await office.control.create_team("t")
    async with office.refused("conflict", "team 't' has a key named 'n' already", "name"):
        await office.control.create_key("t", name="n")
    async with office.refused("conflict", "team 't' has a key named 'n' already", "name"):
        await office.control.change_key(other.id, KeyChanges(name="n"))


Call = Callable[[str], Awaitable[object]]

UNKNOWN = ["nobody", "", "t\0", "' OR 1=1 --", "x" * 1000, "\ud800"]


async def test_who_is_not_there(office: Office) -> None:
    control = office.control
    of_teams: list[Call] = [
        control.team,
        lambda name: control.change_team(name, TeamChanges()),
        control.create_key,
        control.keys,
    ]
    of_keys: list[Call] = [
        control.key,
        lambda name: control.change_key(name, KeyChanges()),
        lambda name: control.rotate_key(name, 0),
        control.revoke_key,
    ]
    for name in UNKNOWN:
        for call in of_teams:
            async with office.refused("not_found", "there is no team", "team"):
                await call(name)
        for call in of_keys:
            async with office.refused("not_found", "there is no key", "id"):
                await call(name)
        async with office.refused("not_found", "there is no admin key", "id"):
            await control.revoke_admin(name)


NAMES = [
    "",
    " ",
    "a b",
    "-a",
    ".a",
    "a" * 65,
    "a\n",
    "a\r\nX-Evil: 1",
    "a\0",
    "x'; DROP TABLE teams; --",
    '"',
    "<script>alert(1)</script>",
    "ü",
    "a/b",
    "%2e",
    "\ud800",
    "\u202e",
    "a*",
]


async def test_what_is_no_name(office: Office) -> None:
    await office.control.create_team("t")
    for name in NAMES:
        async with office.refused("invalid", "name must be 1 to 64 letters, digits", "name"):
            await office.control.create_team(name)
        async with office.refused("invalid", "name must be 1 to 64 letters, digits", "name"):
            await office.control.create_admin(name, "viewer")
        if name:
            async with office.refused("invalid", "name must be 1 to 64 letters, digits", "name"):
                await office.control.create_key("t", name=name)


async def test_what_is_a_name(office: Office) -> None:
    for name in ("a", "0", "a" * 64, "A.b_c-9", "null", "select"):
        await office.control.create_team(name)
        made = await office.control.create_key(name, name=name)
        assert (await office.control.key(made.id)).name == name


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"models": ("",)}, "names of models", "models"),
    ({"models": ("a" * 257,)}, "at most 256 characters", "models"),
    ({"models": ("a\nb",)}, "names of models", "models"),
    ({"models": ("<b>",)}, "names of models", "models"),
    ({"models": ("a",) * 1001}, "holds 1001 entries; at most 1000", "models"),
    ({"tags": tuple(map(str, range(10_000)))}, "holds 10000 entries; at most 64", "tags"),
    ({"tags": ("",)}, "1 to 64 printable characters", "tags"),
    ({"tags": ("a" * 65,)}, "1 to 64 printable characters", "tags"),
    ({"tags": ("a\r\n",)}, "1 to 64 printable characters", "tags"),
    ({"metadata": {str(n): "" for n in range(65)}}, "holds 65 pairs; at most 64", "metadata"),
    ({"metadata": {"": ""}}, "names must be 1 to 64", "metadata"),
    ({"metadata": {"a" * 65: ""}}, "names must be 1 to 64", "metadata"),
    ({"metadata": {"a": "b" * 513}}, "at most 512 printable", "metadata"),
    ({"metadata": {"a": "\0"}}, "at most 512 printable", "metadata"),
    ({"metadata": {"a": "\ud800"}}, "at most 512 printable", "metadata"),
    ({"limits": LimitsChanges(rpm=0)}, "rpm must be above 0", "rpm"),
    ({"limits": LimitsChanges(usd_day=2, soft_usd_day=3)}, "soft_usd_day must not be above usd_day", "soft_usd_day"),
]
OF_KEYS: list[tuple[dict[str, Any], str, str]] = [
    ({"expires": NOW}, "lies in the past: it would be over at once", "expires"),
    ({"expires": NOW - 1}, "lies in the past: 2027-01-15T07:59:59Z", "expires"),
    ({"expires": NOW - 86400}, "in the past: 2027-01-14T08:00:00Z", "expires"),
    ({"expires": 10**30}, "not after the year 9999", "expires"),
    ({"expires": -1}, "lies in the past: before 1970", "expires"),
]


@pytest.mark.parametrize(("fields", "message", "field"), BAD + OF_KEYS)
async def test_what_is_refused(office: Office, fields: dict[str, Any], message: str, field: str) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key("t")
    async with office.refused("invalid", message, field):
        await office.control.create_key("t", **fields)
    if "expires" not in fields:
        async with office.refused("invalid", message, field):
            await office.control.create_team("u", **fields)
    if "limits" in fields:
        async with office.refused("invalid", message, field):
            await office.control.set_limits("team", "t", fields["limits"])
        return
    async with office.refused("invalid", message, field):
        await office.control.change_key(made.id, KeyChanges(**fields))
    if "expires" not in fields:
        async with office.refused("invalid", message, field):
            await office.control.change_team("t", TeamChanges(**fields))


@pytest.mark.parametrize(
    ("grace", "said"), [(-1, "-1 seconds"), (367 * 86400, "367 days"), (10**30, "1000"), (86400.0, "86400.0 seconds")]
)
async def test_what_is_no_grace(office: Office, grace: Any, said: str) -> None:
    await office.control.create_team("t")
    made = await office.control.create_key("t")
    async with office.refused("invalid", f"grace must be 0 to 366 days, .*, not {said}", "grace"):
        await office.control.rotate_key(made.id, grace)
