"""SQLAlchemy's Core, awaited: of ``sqlalchemy.ext.asyncio`` what is used here.

That package brings the ORM along, which nobody here needs: 7 MB of every process, and a tenth of a start. Below it
is what is below this: ``greenlet_spawn`` runs Core's own code in a greenlet that is left whenever the driver waits.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Engine, Executable, ScalarResult, Transaction
from sqlalchemy.util import greenlet_spawn

T = TypeVar("T")
Rows = CursorResult[*tuple[Any, ...]]


class AsyncConnection:
    """One connection. What it returns is there as a whole: the drivers read all rows of an answer at once."""

    def __init__(self, sync: Connection) -> None:
        self._sync = sync

    @property
    def dialect(self) -> Dialect:
        return self._sync.dialect

    async def execute(self, statement: Executable, parameters: Any = None) -> Rows:
        return await greenlet_spawn(self._sync.execute, statement, parameters)

    async def exec_driver_sql(self, statement: str, parameters: Any = None, execution_options: Any = None) -> Rows:
        return await greenlet_spawn(self._sync.exec_driver_sql, statement, parameters, execution_options)

    async def scalar(self, statement: Executable, parameters: Any = None) -> Any:
        return (await self.execute(statement, parameters)).scalar()

    async def scalars(self, statement: Executable, parameters: Any = None) -> ScalarResult[Any]:
        return (await self.execute(statement, parameters)).scalars()

    async def execution_options(self, **options: Any) -> None:
        """For what follows on this connection."""
        await greenlet_spawn(self._sync.execution_options, **options)

    async def run_sync(self, function: Callable[[Connection], T]) -> T:
        """Calls what knows only how to ask without awaiting."""
        return await greenlet_spawn(function, self._sync)

    def begin(self) -> "AsyncTransaction":
        """As ``async with``: kept at its end, or nothing of it where it ends with an error."""
        return AsyncTransaction(self._sync.begin)


class AsyncTransaction:
    def __init__(self, begin: Callable[[], Transaction]) -> None:
        self._begin = begin

    async def __aenter__(self) -> None:
        self._sync = (await greenlet_spawn(self._begin)).__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await greenlet_spawn(self._sync.__exit__, kind, error, trace)


class AsyncEngine:
    """An engine whose driver is asynchronous."""

    def __init__(self, sync_engine: Engine) -> None:
        self.sync_engine = sync_engine

    @property
    def dialect(self) -> Dialect:
        return self.sync_engine.dialect

    @asynccontextmanager
    async def connect(self) -> AsyncIterator[AsyncConnection]:
        sync = await greenlet_spawn(self.sync_engine.connect)
        try:
            yield AsyncConnection(sync)
        finally:
            await completed(greenlet_spawn(sync.close))

    async def dispose(self) -> None:
        await greenlet_spawn(self.sync_engine.dispose)


async def completed(work: Coroutine[Any, Any, None]) -> None:
    """Waits until it is done even when cancelled meanwhile, and is then cancelled: a connection that is half closed
    would come back to a pool that may be gone."""
    task = asyncio.get_running_loop().create_task(work)
    cancelled = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except BaseException:
            break  # it is the task's own, and raised below
    task.result()
    if cancelled is not None:
        raise cancelled
