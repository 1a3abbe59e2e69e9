"""Several pieces of work for one caller, a few at a time: none is left running, and no failure is forgotten."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any


async def in_turns(count: int, at_once: int, work: Callable[[int], Awaitable[None]]) -> None:
    """Does the work of each place, in their order, so many at once. Raises the first failure; then, or when the caller
    is cancelled, the rest is given up and waited for."""
    places = iter(range(count))

    async def some() -> None:
        for place in places:
            await work(place)

    tasks = [asyncio.create_task(some()) for _ in range(min(count, at_once))]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:  # not a TaskGroup: before 3.13, one that fails while it is cancelled forgets that it was
        await give_up(tasks)
    raise_first(tasks)


def current_task() -> asyncio.Task[None]:
    task = asyncio.current_task()
    assert task is not None
    return task


def at_once(work: Coroutine[Any, Any, object]) -> None:
    """Does what need not wait for anything, or no more, without a task."""
    try:
        work.send(None)
    except StopIteration:
        return
    work.close()
    raise AssertionError("it waits for something")


async def give_up(tasks: list[asyncio.Task[None]]) -> None:
    """Cancels those that still run, and waits until they have ended."""
    rest = [task for task in tasks if not task.done()]
    for task in rest:
        task.cancel()
    if rest:
        await asyncio.wait(rest)


def raise_first(tasks: list[asyncio.Task[None]]) -> None:
    """Raises what one of these ended tasks has failed by, if any has. All failures count as seen then; asyncio would
    log the others as forgotten."""
    failures = [failure for task in tasks if not task.cancelled() and (failure := task.exception())]
    if failures:
        raise failures[0]
