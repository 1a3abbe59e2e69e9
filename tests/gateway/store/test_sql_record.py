"""What replicas read of the record: all of it once, then each change."""

import asyncio
from hashlib import sha256

import msgspec
import pytest

from gateway.control.types import AdminView, KeyView, TeamView
from gateway.limits.types import Limits
from gateway.store.sql.change import REMEMBERED
from gateway.store.sql.engine import Database
from gateway.store.sql.record import MOST_CHANGES, Record
from gateway.store.sql.rows import AdminRow, LimitsRow, SecretRow, TeamRow
from gateway.store.sql.schema import key_secrets

NOW = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.now = float(NOW)

    def __call__(self) -> float:
        return self.now


def digest(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()


def row(secret: str, key: str = "k1", expires: int | None = None, dead: bool = False) -> SecretRow:
    return SecretRow(bytes.fromhex(digest(secret)), key, "t", expires, dead, ("gpt-*",))


TEAM = TeamView(name="t", created=NOW, models=("a", "b/*"), metadata={"cost": "ü"}, tags=("x",), limits=Limits(rpm=5))
KEY = KeyView(id="k1", team="t", name="n", created=NOW, models=("gpt-*",), limits=Limits(usd_day=10**18))
ADMIN = AdminView(id="a1", name="ann", role="owner", created=NOW, expires=NOW + 5)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def record(database: Database, clock: Clock) -> Record:
    return Record(database, clock)


async def fill(record: Record) -> None:
    async with record.changing() as change:
        await change.add_team(TEAM)
        await change.record("start", "create", "team", "t", None, TEAM)
        await change.add_key(KEY, digest("one"))
        await change.record("start", "create", "key", "k1", None, KEY)
        await change.add_admin(ADMIN, digest("root"))
        await change.record("start", "create", "admin", "a1", None, ADMIN)


async def secrets(record: Record) -> list[SecretRow]:
    async with record.snapshot() as snapshot:
        return [row async for rows in snapshot.secrets() for row in rows]


async def test_what_is_put_is_read(record: Record) -> None:
    await fill(record)
    async with record.reading() as reader:
        assert await reader.team("t") == TEAM and await reader.teams() == [TEAM]
        assert await reader.key("k1") == KEY and await reader.keys(None) == await reader.keys("t") == [KEY]
        assert await reader.keys("u") == []
        assert await reader.admin("a1") == ADMIN and await reader.admins() == [ADMIN]
        assert (await reader.team("u"), await reader.key("k2"), await reader.admin("a2")) == (None, None, None)
        assert (await reader.owner_of(digest("one")), await reader.owner_of(digest("two"))) == (KEY, None)
        [line] = await reader.log(None, "k1", 10)
        assert msgspec.convert(line.after, KeyView) == KEY
        assert [line.id for line in await reader.log(NOW, None, 2)] == [3, 2]
        assert await reader.log(NOW + 1, None, 10) == []


async def test_a_snapshot(record: Record) -> None:
    assert await record.last_change() == 0
    async with record.snapshot() as snapshot:
        assert (snapshot.last, await snapshot.teams()) == (0, [])
    await fill(record)
    async with record.snapshot() as snapshot:
        assert snapshot.last == await record.last_change() == 3
        assert await snapshot.teams() == [TeamRow("t", False, ("a", "b/*"))]
        assert await snapshot.admins() == [
            AdminRow(bytes.fromhex(digest("root")), "a1", "ann", "owner", NOW + 5, False)
        ]
        assert sorted(await snapshot.limits(), key=lambda row: row.scope) == [
            LimitsRow("key", "k1", Limits(usd_day=10**18)),
            LimitsRow("team", "t", Limits(rpm=5)),
        ]
    assert await secrets(record) == [row("one")]


async def test_a_snapshot_is_of_one_moment(record: Record) -> None:
    await fill(record)
    async with record.snapshot() as snapshot:
        async with record.changing() as change:
            await change.set_team(msgspec.structs.replace(TEAM, disabled=True))
            await change.record("x", "change", "team", "t")
        assert snapshot.last == 3 and await snapshot.teams() == [TeamRow("t", False, ("a", "b/*"))]
    changes = await record.changes_since(3)
    assert (changes.last, changes.more, changes.teams) == (4, False, (TeamRow("t", True, ("a", "b/*")),))


async def test_more_secrets_than_are_read_at_once(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.store.sql.record.CHUNK", 7)
    await fill(record)
    async with record.changing() as change:
        for number in range(2, 30):
            await change.add_key(msgspec.structs.replace(KEY, id=f"k{number}"), digest(f"secret {number}"))
    assert sorted(row.key for row in await secrets(record)) == sorted(f"k{number}" for number in range(1, 30))


async def test_rotated_secrets(record: Record, clock: Clock) -> None:
    await fill(record)
    async with record.changing() as change:
        await change.set_secret("k1", digest("two"), NOW + 100)
    assert {row.digest: row for row in await secrets(record)} == {
        row.digest: row for row in (row("one", expires=NOW + 100), row("two"))
    }
    async with record.changing() as change:
        assert (await change.key("k1") or KEY).grace == NOW + 100
        await change.set_secret("k1", digest("three"), NOW + 50)
        assert (await change.key("k1") or KEY).grace == NOW + 50
        assert await change.secret("k1") == digest("three")
        await change.record("x", "rotate", "key", "k1")
    changes = await record.changes_since(3)
    assert {row.digest: row for row in changes.secrets} == {
        row.digest: row for row in (row("one", expires=NOW), row("two", expires=NOW + 50), row("three"))
    }
    clock.now += 51 + REMEMBERED
    async with record.changing() as change:
        assert (await change.key("k1") or KEY).grace is None
        await change.set_secret("k1", digest("four"), change.now)
    assert {row.digest for row in await secrets(record)} == {row(name).digest for name in ("three", "four")}


@pytest.mark.parametrize(("of_key", "of_secret", "expires"), [(5, None, 5), (None, 7, 7), (5, 7, 5), (7, 5, 5)])
async def test_the_earlier_end_counts(
    database: Database, record: Record, of_key: int | None, of_secret: int | None, expires: int
) -> None:
    await fill(record)
    async with record.changing() as change:
        await change.set_key(msgspec.structs.replace(KEY, expires=of_key))
        await change.connection.execute(key_secrets.update().values(expires=of_secret))
    assert await secrets(record) == [row("one", expires=expires)]


@pytest.mark.parametrize("fields", [{"disabled": True}, {"revoked": NOW}])
async def test_dead_keys_are_told(record: Record, fields: dict[str, object]) -> None:
    await fill(record)
    async with record.changing() as change:
        await change.set_key(msgspec.structs.replace(KEY, **fields))
        await change.record("x", "change", "key", "k1")
    assert (await record.changes_since(3)).secrets == (row("one", dead=True),)


async def test_changes_of_limits_and_admins(record: Record) -> None:
    await fill(record)
    async with record.changing() as change:
        await change.set_limits("user", "t/a/b", Limits(rpm=-1))
        await change.record("x", "set", "limits", "user/t/a/b")
        await change.set_limits("organisation", "", Limits(tpd=9))
        await change.record("x", "set", "limits", "organisation")
        await change.set_limits("team", "t", Limits())
        await change.record("x", "clear", "limits", "team/t")
        await change.set_admin(msgspec.structs.replace(ADMIN, revoked=NOW))
        await change.record("x", "revoke", "admin", "a1")
    changes = await record.changes_since(3)
    assert (changes.last, changes.teams, changes.secrets) == (7, (), ())
    assert set(changes.limits) == {
        LimitsRow("user", "t/a/b", Limits(rpm=-1)),
        LimitsRow("organisation", "", Limits(tpd=9)),
        LimitsRow("team", "t", None),
    }
    assert [admin.dead for admin in changes.admins] == [True]
    assert await record.changes_since(7) == msgspec.structs.replace(changes, limits=(), admins=())


async def test_what_is_no_change_of_the_record_is_passed_over(record: Record) -> None:
    """Of a purge of the cache, the log alone knows."""
    await fill(record)
    async with record.changing() as change:
        await change.record("x", "purge", "cache", "*/*")
        await change.set_team(msgspec.structs.replace(TEAM, disabled=True))
        await change.record("x", "change", "team", "t")
    changes = await record.changes_since(3)
    assert (changes.last, [one.disabled for one in changes.teams]) == (5, [True])


async def test_limits_come_with_the_team_and_key_that_they_were_made_with(record: Record) -> None:
    await fill(record)
    changes = await record.changes_since(0)
    assert set(changes.limits) == {
        LimitsRow("team", "t", Limits(rpm=5)),
        LimitsRow("key", "k1", Limits(usd_day=10**18)),
    }


async def test_many_changes_come_in_pieces(record: Record) -> None:
    await fill(record)
    async with record.changing() as change:
        for _ in range(MOST_CHANGES):
            await change.record("x", "change", "team", "t")
    first = await record.changes_since(0)
    assert (first.last, first.more) == (MOST_CHANGES, True)
    second = await record.changes_since(first.last)
    assert (second.last, second.more) == (MOST_CHANGES + 3, False)


async def test_whoever_follows_misses_no_change(record_url: str) -> None:
    """Several processes change things at once; a reader that goes on from the last line that it saw has seen all."""
    databases = [Database(record_url) for _ in range(4)]
    records = [Record(database, Clock()) for database in databases]
    await fill(records[0])
    names = {f"{writer}.{number}" for writer in range(3) for number in range(10)}

    async def write(writer: int) -> None:
        for number in range(10):
            async with records[writer].changing() as change:
                await change.record("x", "change", "team", "t")
                team = TeamView(name=f"{writer}.{number}", created=NOW)
                await change.add_team(team)
                await change.record("x", "create", "team", team.name)

    seen: set[str] = set()
    writing = asyncio.gather(*map(write, range(3)))
    last = 0
    while not writing.done() or last < await records[3].last_change():
        changes = await records[3].changes_since(last)
        last = changes.last
        seen |= {team.name for team in changes.teams}
        await asyncio.sleep(0)
    await writing
    assert seen == names | {"t"}
    for database in databases:
        await database.close()


async def test_nothing_of_a_change_that_fails(record: Record) -> None:
    await fill(record)
    with pytest.raises(ZeroDivisionError):
        async with record.changing() as change:
            await change.set_team(msgspec.structs.replace(TEAM, disabled=True))
            await change.record("x", "change", "team", "t")
            raise ZeroDivisionError
    async with record.reading() as reader:
        assert await reader.team("t") == TEAM
    assert await record.last_change() == 3
