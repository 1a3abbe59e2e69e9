"""Core awaited: transactions end as they should, and connections come back, whoever is cancelled."""

import asyncio

import pytest
from sqlalchemy import Connection, QueuePool, text
from sqlalchemy.exc import DBAPIError

from gateway.store.sql.connection import AsyncConnection, completed
from gateway.store.sql.engine import Database

ADD = text("INSERT INTO teams VALUES (:name, 1, :no, NULL, '{}', '[]')")
NAMES = text("SELECT name FROM teams ORDER BY name")


def out(database: Database) -> int:
    """How many connections are in use."""
    pool = database.engine.sync_engine.pool
    assert isinstance(pool, QueuePool)
    return pool.checkedout()


async def add(connection: AsyncConnection, name: str) -> None:
    await connection.execute(ADD, {"name": name, "no": False})


async def names(database: Database) -> list[str]:
    async with database.engine.connect() as connection:
        return list(await connection.scalars(NAMES))


async def test_a_transaction_is_kept_at_its_end(database: Database) -> None:
    async with database.engine.connect() as connection, connection.begin():
        await add(connection, "a")
    assert await names(database) == ["a"]
    assert out(database) == 0


async def test_or_nothing_of_it(database: Database) -> None:
    with pytest.raises(ZeroDivisionError):
        async with database.engine.connect() as connection, connection.begin():
            await add(connection, "a")
            raise ZeroDivisionError
    assert await names(database) == []
    assert out(database) == 0


async def test_part_of_it_can_be_taken_back(database: Database) -> None:
    async with database.engine.connect() as connection, connection.begin():
        await add(connection, "a")
        point = await connection.run_sync(Connection.begin_nested)
        await add(connection, "b")
        await connection.run_sync(lambda _: point.rollback())
    assert await names(database) == ["a"]


async def test_what_the_database_refuses_is_raised(database: Database) -> None:
    async with database.engine.connect() as connection:
        with pytest.raises(DBAPIError):
            await connection.scalar(text("SELECT nothing FROM nowhere"))
        with pytest.raises(DBAPIError):
            await connection.exec_driver_sql("SELECT nothing FROM nowhere")
    assert out(database) == 0


async def test_who_is_cancelled_keeps_nothing_and_no_connection(database: Database) -> None:
    begun = asyncio.Event()

    async def write() -> None:
        async with database.engine.connect() as connection, connection.begin():
            await add(connection, "a")
            begun.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await begun.wait()
    assert out(database) == 1
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert out(database) == 0
    assert await names(database) == []


async def test_who_is_cancelled_at_the_end_waits_for_it() -> None:
    closing, may = asyncio.Event(), asyncio.Event()
    closed = False

    async def close() -> None:
        nonlocal closed
        closing.set()
        await may.wait()
        closed = True

    task = asyncio.create_task(completed(close()))
    for _ in range(2):
        await closing.wait()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=0)
        assert not done
    may.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert closed


async def test_what_goes_wrong_at_the_end_is_raised() -> None:
    async def close() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await completed(close())
