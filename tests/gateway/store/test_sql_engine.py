"""URLs of databases, and their transactions."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select, text

from gateway.store.sql.engine import FILE, Database, RecordDown, RecordError, database_url, shown
from gateway.store.sql.schema import teams


def test_a_file_of_the_state_directory_that_only_its_owner_reads(tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert database_url(None, state) == f"sqlite+aiosqlite:///{state}/{FILE}"
    assert database_url("", state) == database_url(None, state)
    assert (state / FILE).stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "postgresql+asyncpg"])
def test_postgres(scheme: str) -> None:
    url = database_url(f"{scheme}://u:p%40ss@db.example:5433/gw?sslmode=require", Path("/"))
    assert url == "postgresql+asyncpg://u:p%40ss@db.example:5433/gw?sslmode=require"
    assert shown(url) == "postgresql://u:***@db.example:5433/gw?sslmode=require"
    assert "p@ss" not in repr(Database(url)) and "p%40ss" not in repr(Database(url))


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("mysql://u:hunter2@h/d", "databases of kind 'mysql' are not supported"),
        ("hunter2", "cannot be read; it looks like sqlite:///path"),
        ("postgresql://u:hunter2@h:port/d", "cannot be read"),
        ("postgresql://u:hunter2@h", "names no database"),
        ("postgresql://u:hunter2@h/d?sslmod=require", "parameter 'sslmod', which is not known"),
        ("postgresql://u:hunter2@h/d?sslmode=yes", "sslmode is one of disable"),
        ("postgresql://u:hunter2@h/d?sslrootcert=/nowhere.pem", "sslrootcert '/nowhere.pem' cannot be read"),
        ("postgresql://u:hunter2@h/d?port=x", "port is a number"),
        ("sqlite://", "in memory would be lost"),
        ("sqlite:///:memory:", "in memory would be lost"),
        ("sqlite:////proc/nowhere/x", "cannot be opened"),
        ("sqlite:///x?mode=ro", "takes no parameters"),
    ],
)
def test_what_is_no_database(setting: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(RecordError, match=message) as caught:
        database_url(setting, tmp_path)
    assert "hunter2" not in str(caught.value)


async def put(database: Database, name: str) -> None:
    async with database.writing() as connection:
        row = {"name": name, "created": 1, "disabled": False, "metadata": "{}", "tags": "[]"}
        await connection.execute(teams.insert(), row)


async def names(database: Database) -> list[str]:
    async with database.reading() as connection:
        return list(await connection.scalars(select(teams.c.name).order_by(teams.c.name)))


async def test_kept_whole_or_not_at_all(database: Database) -> None:
    await put(database, "a")
    with pytest.raises(ZeroDivisionError):
        async with database.writing() as connection:
            await connection.execute(teams.update().values(name="b"))
            raise ZeroDivisionError
    assert await names(database) == ["a"]


async def test_a_reader_sees_one_moment(database: Database) -> None:
    await put(database, "a")
    async with database.reading() as connection:
        assert await connection.scalar(select(teams.c.name)) == "a"
        await put(database, "b")
        assert len((await connection.execute(select(teams))).all()) == 1
    assert await names(database) == ["a", "b"]


async def test_changes_come_one_at_a_time(record_url: str) -> None:
    """Each finds what the one before it left: none is lost, in as many processes as there are engines here."""
    databases = [Database(record_url) for _ in range(4)]
    await put(databases[0], "a")

    async def count_up(database: Database) -> None:
        for _ in range(5):
            async with database.changing() as connection:
                found = (await connection.scalars(select(teams.c.created))).one()
                await asyncio.sleep(0.002)
                await connection.execute(teams.update().values(created=found + 1))

    await asyncio.gather(*map(count_up, databases))
    async with databases[0].reading() as connection:
        assert await connection.scalar(select(teams.c.created)) == 21
    for database in databases:
        await database.close()


async def test_a_wrong_question_is_not_an_absent_database(database: Database) -> None:
    with pytest.raises(Exception, match="nowhere") as caught:
        async with database.reading() as connection:
            await connection.execute(text("SELECT 1 FROM nowhere"))
    assert isinstance(caught.value, RecordDown) == (not database.is_postgres)  # SQLite calls both operational


async def test_a_database_that_is_away() -> None:
    database = Database(database_url("postgresql://u:hunter2@127.0.0.1:9/d", Path("/")))
    with pytest.raises(RecordDown, match=r"postgresql://u:\*\*\*@127.0.0.1:9/d cannot be asked"):
        await put(database, "a")
    await database.close()
