"""The first start, and keys that an operator has chosen."""

import asyncio
import subprocess
import sys
import textwrap
from hashlib import sha256

import pytest

from gateway.control.bootstrap import bootstrap
from gateway.control.types import ControlError
from gateway.store.sql.rows import AdminRow, SecretRow
from tests.gateway.control.desk import NOW, Office

ONE, TWO, ROOT = "chosen-key-" + "1" * 30, "chosen-key-" + "2" * 30, "chosen-admin-" + "3" * 30

START = textwrap.dedent("""
    import asyncio, sys
    from gateway.control.bootstrap import bootstrap
    from gateway.store.sql.engine import Database
    from gateway.store.sql.migrate import migrate
    from gateway.store.sql.record import Record

    async def start():
        database = Database(sys.argv[1])
        made = await bootstrap(Record(database, lambda: 1800000000))
        await database.close()
        return made

    sys.stdin.read(1)
    migrate(sys.argv[1])
    made = asyncio.run(start())
    print(made.key.key if made.key else "-", made.admin.key if made.admin else "-")
""")


def digest(key: str) -> bytes:
    return sha256(key.encode()).digest()


async def secrets(office: Office) -> dict[bytes, SecretRow]:
    async with office.record.snapshot() as snapshot:
        return {row.digest: row async for rows in snapshot.secrets() for row in rows}


async def admins(office: Office) -> list[AdminRow]:
    async with office.record.snapshot() as snapshot:
        return await snapshot.admins()


async def test_the_first_start(office: Office) -> None:
    made = await bootstrap(office.record)
    assert made.key is not None and made.admin is not None
    assert made.key.key.startswith("sk-gw-") and made.admin.key.startswith("ak-gw-")
    assert [team.name for team in await office.control.teams()] == ["default"]
    assert [(key.id, key.team) for key in await office.control.keys()] == [(made.key.id, "default")]
    assert [(admin.id, admin.role) for admin in await office.control.admins()] == [(made.admin.id, "owner")]
    assert [line.actor for line in await office.control.log()] == ["start"] * 3
    before = await office.everything()
    again = await bootstrap(office.record)
    assert (again.key, again.admin) == (None, None)
    assert await office.everything() == before


def start(url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", START, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def test_several_processes_that_start_at_once(office: Office, record_url: str) -> None:
    started = [start(record_url) for _ in range(5)]
    loop = asyncio.get_running_loop()
    ends = await asyncio.gather(*(loop.run_in_executor(None, process.communicate, "!") for process in started))
    assert [error for _, error in ends] == [""] * 5
    told = sorted(out.split() for out, _ in ends)
    assert told[:4] == [["-", "-"]] * 4
    key, admin = told[4]
    assert (await secrets(office)).keys() == {digest(key)}
    assert [row.digest for row in await admins(office)] == [digest(admin)]


async def test_chosen_keys(office: Office) -> None:
    made = await bootstrap(office.record, key=ONE, admin=ROOT)
    assert (made.key, made.admin) == (None, None)
    assert (await secrets(office)).keys() == {digest(ONE)}
    assert [(row.id, row.role, row.digest) for row in await admins(office)] == [("bootstrap", "owner", digest(ROOT))]
    before = await office.everything()
    await bootstrap(office.record, key=ONE, admin=ROOT)
    await bootstrap(office.record)
    assert await office.everything() == before


async def test_a_chosen_key_takes_the_place_of_the_one_before(office: Office) -> None:
    await bootstrap(office.record, key=ONE, admin=ROOT)
    await bootstrap(office.record, key=TWO, admin=ROOT + "4")
    found = await secrets(office)
    assert (found[digest(ONE)].expires, found[digest(TWO)].expires) == (NOW, None)
    assert [row.digest for row in await admins(office)] == [digest(ROOT + "4")]
    await bootstrap(office.record, key=ONE)
    found = await secrets(office)
    assert (found[digest(ONE)].expires, found[digest(TWO)].expires) == (None, NOW)
    assert [key.id for key in await office.control.keys()] == ["bootstrap"]


async def test_what_was_made_before_stays(office: Office) -> None:
    made = await bootstrap(office.record)
    await bootstrap(office.record, key=ONE, admin=ROOT)
    assert made.key is not None and made.admin is not None
    assert (await secrets(office)).keys() == {digest(made.key.key), digest(ONE)}
    assert {row.digest for row in await admins(office)} == {digest(made.admin.key), digest(ROOT)}


async def test_what_was_revoked_is_not_back_after_a_restart(office: Office) -> None:
    await bootstrap(office.record, key=ONE, admin=ROOT)
    await office.control.create_admin("other", "owner")
    await office.control.revoke_key("bootstrap")
    await office.control.revoke_admin("bootstrap")
    await bootstrap(office.record, key=ONE, admin=ROOT)
    assert [row.dead for row in (await secrets(office)).values()] == [True]
    assert {row.id: row.dead for row in await admins(office)}["bootstrap"]
    await bootstrap(office.record, key=TWO, admin=ROOT + "4")
    assert not (await secrets(office))[digest(TWO)].dead
    assert not {row.id: row.dead for row in await admins(office)}["bootstrap"]


async def test_a_chosen_key_that_is_somebody_elses(office: Office) -> None:
    await bootstrap(office.record)
    await office.control.create_team("t")
    theirs = await office.control.create_key("t")
    viewer = await office.control.create_admin("v", "viewer")
    async with office.refused("conflict", "is a key of team 't' already", "GATEWAY_BOOTSTRAP_KEY"):
        await bootstrap(office.record, key=theirs.key)
    async with office.refused("conflict", "is the viewer's admin key", "GATEWAY_ADMIN_KEY"):
        await bootstrap(office.record, admin=viewer.key)


@pytest.mark.parametrize("key", ["", "short", "x" * 31, "x" * 513, "x" * 40 + "\n", "x " * 20, "ü" * 40])
async def test_what_cannot_be_chosen(office: Office, key: str) -> None:
    for name in ("key", "admin"):
        with pytest.raises(ControlError, match=r"^GATEWAY_\w+_KEY must be at (least 32 printable|most 512)"):
            await bootstrap(office.record, **{name: key})
    with pytest.raises(ControlError, match="must not be the same"):
        await bootstrap(office.record, key=ONE, admin=ONE)
    assert await office.control.teams() == []
