"""Processes that start at once on an empty database; what a database must be."""

import asyncio
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from sqlalchemy import Connection, inspect, text
from sqlalchemy.exc import DBAPIError

from gateway.store.sql.connection import AsyncConnection
from gateway.store.sql.engine import FILE, Database, RecordError, create_engine, database_url
from gateway.store.sql.migrate import FOLDER, at_once, migrate, migrated, revisions, step_by_step
from gateway.store.sql.schema import metadata
from tests.servers import postgres

START = textwrap.dedent("""
    import sys
    from gateway.store.sql.migrate import migrate
    sys.stdin.read(1)
    migrate(sys.argv[1])
    print("alembic" in sys.modules)
""")


def start(url: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-W", "error", "-c", START, url]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


async def wait(process: "subprocess.Popen[str]") -> tuple[str, str]:
    return await asyncio.get_running_loop().run_in_executor(None, process.communicate)


async def differences(url: str) -> list[object]:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = create_engine(url, pooled=False)
    async with engine.connect() as connection:
        found = await connection.run_sync(
            lambda sync: list(compare_metadata(MigrationContext.configure(sync), metadata))
        )
    await engine.dispose()
    return found


async def test_several_processes_start_at_once_on_an_empty_database(empty_url: str) -> None:
    started = [start(empty_url) for _ in range(5)]
    for process in started:  # they have all imported what they need
        assert process.stdin is not None
        process.stdin.write("!")
        process.stdin.flush()
    ends = await asyncio.gather(*map(wait, started))
    assert [error for _, error in ends] == [""] * 5
    assert [process.returncode for process in started] == [0] * 5
    assert await differences(empty_url) == []


async def test_who_finds_it_done_imports_no_alembic(record_url: str) -> None:
    assert await wait(start(record_url)) == ("False\n", "")


async def test_who_finds_nothing_imports_no_alembic(empty_url: str) -> None:
    process = start(empty_url)
    assert await wait(process) == ("False\n", "")
    assert await differences(empty_url) == []


async def test_the_steps_come_to_what_is_made_at_once(empty_url: str) -> None:
    """Tables, and the mark by which Alembic knows how far they are."""
    marks = []
    database = Database(empty_url)
    for make in (step_by_step, at_once):
        async with database.writing() as connection:
            await connection.run_sync(make)
        assert await differences(empty_url) == []
        async with database.writing() as connection:
            rows = await connection.execute(text("SELECT * FROM alembic_version"))
            marks.append((rows.all(), await connection.run_sync(mark)))
            await connection.run_sync(metadata.drop_all)
            await connection.execute(text("DROP TABLE alembic_version"))
    await database.close()
    assert marks[0] == marks[1]
    assert marks[0][0] == [(revisions()[-1],)]


def mark(connection: Connection) -> tuple[str, object]:
    """Alembic's own table."""
    found = inspect(connection)
    return repr(found.get_columns("alembic_version")), found.get_pk_constraint("alembic_version")


async def test_one_from_before_the_first_step_takes_all_steps(empty_url: str) -> None:
    database = Database(empty_url)
    async with database.writing() as connection:
        await connection.execute(text("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)"))
    await database.close()
    process = start(empty_url)
    assert await wait(process) == ("True\n", "")
    assert await differences(empty_url) == []


async def test_tables_that_are_not_ours_are_left_alone(empty_url: str) -> None:
    database = Database(empty_url)
    async with database.writing() as connection:
        await connection.execute(text("CREATE TABLE usage_days (day INTEGER)"))
    with pytest.raises((RecordError, DBAPIError), match="usage_days"):
        await migrated(empty_url)
    async with database.reading() as connection:
        assert await connection.run_sync(lambda sync: sync.dialect.get_table_names(sync)) == ["usage_days"]
    await database.close()


async def test_one_that_is_ahead_is_refused(empty_url: str) -> None:
    await migrated(empty_url)
    database = Database(empty_url)
    async with database.writing() as connection:
        await connection.execute(text("UPDATE alembic_version SET version_num = '0999'"))
    await database.close()
    with pytest.raises(RecordError, match="revision 0999, which is newer than this gateway knows"):
        await migrated(empty_url)


async def test_one_that_fails_leaves_nothing(empty_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """All steps are one transaction."""

    def broken(connection: object) -> None:
        run(connection)  # type: ignore[arg-type]
        raise ZeroDivisionError

    from gateway.store.sql.migrate import run

    monkeypatch.setattr("gateway.store.sql.migrate.run", broken)
    with pytest.raises(ZeroDivisionError):
        await migrated(empty_url)
    monkeypatch.undo()
    database = Database(empty_url)
    async with database.reading() as connection:
        assert await connection.run_sync(lambda sync: sync.dialect.get_table_names(sync)) == []
    await database.close()
    await migrated(empty_url)
    assert await differences(empty_url) == []


async def test_the_schema_is_what_sqlite_makes_of_it(tmp_path: Path) -> None:
    """What no comparison of columns shows: rows without rowids, and ids that are not used again."""

    async def made(connection: AsyncConnection) -> list[str]:
        rows = await connection.execute(
            text("SELECT sql FROM sqlite_master WHERE sql > '' AND tbl_name <> 'alembic_version'")
        )
        return ["".join(row[0].split()) for row in rows]

    urls = [database_url(f"sqlite:///{tmp_path}/{name}", tmp_path) for name in ("a", "b")]
    databases = [Database(url) for url in urls]
    async with databases[0].writing() as left, databases[1].writing() as right:
        await left.run_sync(step_by_step)
        await right.run_sync(at_once)
        assert sorted(await made(left)) == sorted(await made(right))
        assert sum("WITHOUTROWID" in statement for statement in await made(left)) == 8
    for database in databases:
        await database.close()


def test_the_steps_are_a_chain() -> None:
    from alembic.script import ScriptDirectory

    script = ScriptDirectory(str(FOLDER))
    assert [step.revision for step in script.walk_revisions()][::-1] == revisions()
    assert script.get_heads() == revisions()[-1:]


def test_without_a_loop(tmp_path: Path) -> None:
    url = database_url(None, tmp_path)
    migrate(url)
    migrate(url)
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600


def test_one_that_is_not_there() -> None:
    with pytest.raises(RecordError, match=r"postgresql://u:\*\*\*@127.0.0.1:9/d cannot be opened") as caught:
        migrate(database_url("postgres://u:hunter2@127.0.0.1:9/d", Path("/")))
    assert "hunter2" not in str(caught.value)


def test_one_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"something else, and long enough to be looked at" * 50)
    with pytest.raises(RecordError, match="file is not a database"):
        migrate(database_url(None, tmp_path))


@pytest.mark.parametrize("way", ["url", "socket_url"] if postgres.binaries() else [])
def test_ways_to_postgres(way: str) -> None:
    server = postgres.postgres()
    with pytest.raises(RecordError, match='database "nowhere" does not exist'):
        migrate(database_url(getattr(server, way)("nowhere"), Path("/")))


@pytest.mark.parametrize("_", ["postgresql"] if postgres.binaries() else [])
def test_a_wrong_password_is_not_told(_: str) -> None:
    url = postgres.postgres().url().replace(postgres.PASSWORD, "hunter2")
    with pytest.raises(RecordError, match="password authentication failed") as caught:
        migrate(database_url(url, Path("/")))
    assert "hunter2" not in str(caught.value)
