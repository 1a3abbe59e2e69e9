"""A bound that holds for what does not end when it is told to."""

import asyncio
import time

import pytest

from gateway.store.sql.within import Within


async def test_what_ends_in_time_is_left_alone() -> None:
    async with Within(0.05, 0.01):
        await asyncio.sleep(0)
    await asyncio.sleep(0.1)
    async with Within(None):
        await asyncio.sleep(0.1)


async def test_what_ends_when_it_is_cancelled() -> None:
    with pytest.raises(TimeoutError):
        async with Within(0.05):
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_what_has_to_be_cancelled_again_and_again() -> None:
    before, told = time.monotonic(), 0
    with pytest.raises(TimeoutError):
        async with Within(0.05, 0.05):
            while told < 4:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    told += 1
            raise asyncio.CancelledError
    assert told == 4 and time.monotonic() - before >= 0.2
    task = asyncio.current_task()
    assert task is not None and task.cancelling() == 0


async def test_another_failure_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        async with Within(0.05):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ZeroDivisionError from None
    await asyncio.sleep(0)


async def test_who_cancels_the_task_is_heard() -> None:
    async def work() -> None:
        async with Within(0.05, 0.01):
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                await asyncio.sleep(0.1)
                raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
