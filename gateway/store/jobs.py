"""Jobs and what has come of them, in a SQLite file of the state directory that all workers share.

What is kept are answers, not prompts: who works on a job has its prompts in memory. Rows whose worker has died are
ended by whoever meets them. All of it is one thread's, since SQLite blocks.
"""

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from gateway.store.alive import Alive

FOLDER = "jobs"
FILE = "jobs.sqlite3"

SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY,
    team TEXT NOT NULL,
    kind TEXT NOT NULL,
    owner TEXT NOT NULL,
    prompts INTEGER NOT NULL,
    pending BLOB NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    ended REAL,
    status INTEGER,
    error BLOB,
    size INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX IF NOT EXISTS jobs_of_team ON jobs (team, ended);
CREATE INDEX IF NOT EXISTS jobs_by_end ON jobs (ended);
CREATE TABLE IF NOT EXISTS outputs (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    output BLOB NOT NULL,
    finish TEXT,
    PRIMARY KEY (job, place)
) WITHOUT ROWID;
"""

T = TypeVar("T")


class Bounds(Struct, frozen=True):
    """Of each team: ``open`` jobs that have not ended, and of those that have, the ``kept`` last ones, but no more than
    ``size`` bytes of answers. ``seconds`` after its end a job is forgotten."""

    open: int = 64
    kept: int = 1024
    size: int = 256 * 1024 * 1024
    seconds: float = 3600.0


class Failure(Struct, frozen=True):
    """How a job that has failed is answered."""

    status: int
    body: bytes


class Output(Struct, frozen=True):
    """What there is of one prompt's answer; ``finish`` is None until it is complete."""

    data: bytes
    finish: str | None = None


class Job(Struct, frozen=True):
    """A job as it stands. ``outputs`` are by the places of their prompts; in the place of one that is not there yet
    stands ``pending``."""

    prompts: int
    pending: bytes
    started: bool
    ended: bool
    failure: Failure | None
    outputs: dict[int, Output]


class JobStore:
    """Opened by the first who needs it. ``lost`` is what becomes of a job whose process has died."""

    def __init__(self, state: Path, wall: Callable[[], float], lost: Failure, bounds: Bounds | None = None) -> None:
        self._folder = state / FOLDER
        self._wall = wall
        self._lost = lost
        self.bounds = bounds or Bounds()
        self._thread = ThreadPoolExecutor(1, "jobs")
        self._database: sqlite3.Connection | None = None
        self._alive: Alive | None = None

    async def add(self, id: str, team: str, kind: str, prompts: int, pending: bytes) -> bool:
        """A new job of this process's; False if the team has too many open ones."""
        return await self._call(lambda: self._add(id, team, kind, prompts, pending))

    async def write(self, id: str, outputs: dict[int, Output]) -> None:
        """What has come of some prompts; the job has started by that, even if it is nothing yet."""
        await self._call(lambda: self._write(id, outputs))

    async def end(self, id: str, outputs: dict[int, Output], failure: Failure | None = None) -> None:
        """The last of it. A job that has failed keeps no outputs."""
        await self._call(lambda: self._end(id, outputs, failure))

    async def find(self, id: str, team: str, kind: str) -> Job | None:
        """The team's job; None if there is none, or none any more."""
        return await self._call(lambda: self._find(id, team, kind))

    async def sweep(self) -> None:
        """Forgets what is old. Does nothing where nothing was ever kept."""
        await self._call(self._sweep, only_if_there=True)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._close)
        self._thread.shutdown()

    async def _call(self, work: Callable[[], T], only_if_there: bool = False) -> T:
        def within() -> T:
            if self._database is None:
                if only_if_there and not (self._folder / FILE).exists():
                    return None  # type: ignore[return-value]
                self._open()
            return work()

        return await asyncio.get_running_loop().run_in_executor(self._thread, within)

    # ------------------------------------------------------------------ in the thread

    def _open(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self._folder / FILE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's files beside it get the same mode
        database = sqlite3.connect(path, timeout=10, isolation_level=None, check_same_thread=False)
        database.execute("PRAGMA auto_vacuum = FULL")
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        database.execute("PRAGMA foreign_keys = ON")
        database.execute("PRAGMA secure_delete = ON")
        database.executescript(SCHEMA)
        self._alive = Alive(self._folder)
        self._database = database

    def _close(self) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if self._alive is not None:
            self._alive.close()
            self._alive = None

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        assert self._database is not None
        self._database.execute("BEGIN IMMEDIATE")
        try:
            yield self._database
        except BaseException:
            self._database.execute("ROLLBACK")
            raise
        self._database.execute("COMMIT")

    def _add(self, id: str, team: str, kind: str, prompts: int, pending: bytes) -> bool:
        assert self._alive is not None
        with self._transaction() as database:
            self._bury(database)
            unended = "SELECT count(*) FROM jobs WHERE team = ? AND ended IS NULL"
            [open_jobs] = database.execute(unended, (team,)).fetchone()
            if open_jobs >= self.bounds.open:
                return False
            database.execute(
                "INSERT INTO jobs (id, team, kind, owner, prompts, pending) VALUES (?, ?, ?, ?, ?, ?)",
                (id, team, kind, self._alive.name, prompts, pending),
            )
        return True

    def _write(self, id: str, outputs: dict[int, Output]) -> None:
        with self._transaction() as database:
            if database.execute("UPDATE jobs SET started = 1 WHERE id = ? AND ended IS NULL", (id,)).rowcount:
                put(database, id, outputs)

    def _end(self, id: str, outputs: dict[int, Output], failure: Failure | None) -> None:
        with self._transaction() as database:
            if failure is None:
                put(database, id, outputs)
            else:
                database.execute("DELETE FROM outputs WHERE job = ?", (id,))
            database.execute(
                "UPDATE jobs SET started = 1, ended = ?, status = ?, error = ?, size ="
                " (SELECT coalesce(sum(length(output)), 0) FROM outputs WHERE job = jobs.id) WHERE id = ?",
                (self._wall(), failure and failure.status, failure and failure.body, id),
            )
            [team] = database.execute("SELECT team FROM jobs WHERE id = ?", (id,)).fetchone()
            self._trim(database, team)

    def _find(self, id: str, team: str, kind: str) -> Job | None:
        with self._transaction() as database:
            self._bury(database)
            self._forget(database)
            found = database.execute(
                "SELECT prompts, pending, started, ended, status, error FROM jobs"
                " WHERE id = ? AND team = ? AND kind = ?",
                (id, team, kind),
            ).fetchone()
            rows = database.execute("SELECT place, output, finish FROM outputs WHERE job = ?", (id,)) if found else ()
            outputs = {place: Output(data, finish) for place, data, finish in rows}
        if found is None:
            return None
        prompts, pending, started, ended, status, error = found
        failure = None if status is None else Failure(status, error)
        return Job(prompts, pending, bool(started), ended is not None, failure, outputs)

    def _bury(self, database: sqlite3.Connection) -> None:
        """Ends the jobs whose process has died."""
        assert self._alive is not None
        owners = database.execute("SELECT DISTINCT owner FROM jobs WHERE ended IS NULL").fetchall()
        for [owner] in owners:
            if not self._alive.is_alive(owner):
                database.execute(
                    "DELETE FROM outputs WHERE job IN (SELECT id FROM jobs WHERE owner = ? AND ended IS NULL)", (owner,)
                )
                database.execute(
                    "UPDATE jobs SET ended = ?, status = ?, error = ? WHERE owner = ? AND ended IS NULL",
                    (self._wall(), self._lost.status, self._lost.body, owner),
                )

    def _forget(self, database: sqlite3.Connection) -> int:
        return database.execute("DELETE FROM jobs WHERE ended < ?", (self._wall() - self.bounds.seconds,)).rowcount

    def _trim(self, database: sqlite3.Connection, team: str) -> None:
        """Forgets the team's oldest jobs beyond its bounds."""
        kept = size = 0
        ended = database.execute(
            "SELECT id, size FROM jobs WHERE team = ? AND ended IS NOT NULL ORDER BY ended DESC, rowid DESC", (team,)
        ).fetchall()
        for id, bytes_of_it in ended:
            kept, size = kept + 1, size + bytes_of_it
            if kept > 1 and (kept > self.bounds.kept or size > self.bounds.size):
                database.execute("DELETE FROM jobs WHERE id = ?", (id,))

    def _sweep(self) -> None:
        with self._transaction() as database:
            self._bury(database)
            forgotten = self._forget(database)
        if forgotten:
            assert self._database is not None
            self._database.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # what was forgotten is to be gone


def put(database: sqlite3.Connection, id: str, outputs: dict[int, Output]) -> None:
    database.executemany(
        "INSERT INTO outputs (job, place, output, finish) VALUES (?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET output = excluded.output, finish = excluded.finish",
        [(id, place, output.data, output.finish) for place, output in outputs.items()],
    )
