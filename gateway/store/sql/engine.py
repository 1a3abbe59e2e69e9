"""The database: where it is, how it is opened, and its transactions.

SQLite is a file in the state directory; PostgreSQL is named by a URL. Neither a message nor a repr holds a password.
"""

import os
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import sqlalchemy
from sqlalchemy import URL, Connection, NullPool, event, exc, func, make_url, select

from gateway.store.sql.connection import AsyncConnection, AsyncEngine
from gateway.store.sql.within import Within

FILE = "record.sqlite3"
POSTGRES = ("postgresql", "postgres", "postgresql+asyncpg")
FORMS = "sqlite:///path/to/file or postgresql://user:password@host/database"
CHANGES = 0x67617465_72656301
"""The advisory lock under which PostgreSQL serialises changes."""

CONNECT_SECONDS = 5
COMMAND_SECONDS = 300
"""What reads or writes all of the record at once may take so long: a full recount is one command."""
SECONDS = 30.0
"""What every other transaction may take, with PostgreSQL: a peer that has vanished without a word is noticed by
nothing else."""
BUSY_MS = 30_000


class RecordError(Exception):
    """The database cannot be used as it is named or as it is. The message says what helps."""


class RecordDown(Exception):
    """The database does not answer now, or did not take what was written; nothing of it was kept."""


def database_url(setting: str | None, state: Path) -> str:
    """The whole URL, with its driver: of the database that is set, else of the file in the state directory. Makes the
    folder and the file of SQLite, readable by their owner alone. Raises RecordError."""
    if not setting:
        return str(_sqlite(URL.create("sqlite", database=str(state / FILE))))
    try:
        url = make_url(setting)
    except (exc.ArgumentError, ValueError):
        raise RecordError(f"the database URL cannot be read; it looks like {FORMS}") from None
    if url.drivername in ("sqlite", "sqlite+aiosqlite"):
        return str(_sqlite(url))
    if url.drivername in POSTGRES:
        if not url.database:
            raise RecordError(f"the database URL names no database; it looks like {FORMS}")
        _connect_arguments(url)
        return url.set(drivername="postgresql+asyncpg").render_as_string(hide_password=False)
    raise RecordError(f"databases of kind {url.drivername!r} are not supported; the URL looks like {FORMS}")


def record_file(setting: str | None, state: Path) -> Path | None:
    """The file that ``database_url`` would open, and make where there is none; None of what is no file of SQLite, or
    cannot be read."""
    try:
        url = make_url(setting) if setting else URL.create("sqlite", database=str(state / FILE))
    except (exc.ArgumentError, ValueError):
        return None
    return Path(url.database) if url.drivername.startswith("sqlite") and url.database else None


def shown(url: str) -> str:
    """The URL without its password."""
    known = make_url(url)
    return known.set(drivername=known.get_backend_name()).render_as_string(hide_password=True)


def _sqlite(url: URL) -> URL:
    if not url.database or url.database == ":memory:":
        raise RecordError("a record in memory would be lost; name a file: sqlite:///path/to/file")
    if url.query:
        raise RecordError("the URL of a SQLite file takes no parameters")
    path = Path(url.database)
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite's files beside it get the same mode
    except OSError as error:
        raise RecordError(f"the record {path} cannot be opened: {error.strerror}") from error
    return url.set(drivername="sqlite+aiosqlite")


def _connect_arguments(url: URL) -> dict[str, Any]:
    """What libpq's parameters of the URL are to asyncpg. Raises RecordError."""
    given = {name: value if isinstance(value, str) else value[-1] for name, value in url.query.items()}
    arguments: dict[str, Any] = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    settings = {"application_name": given.pop("application_name", "gateway")}
    for name in ("host", "port"):
        if name in given:
            arguments[name] = given.pop(name)
    if not str(arguments.get("port", "0")).isdecimal():
        raise RecordError("the database URL's parameter port is a number")
    if "port" in arguments:
        arguments["port"] = int(arguments["port"])
    mode, roots = given.pop("sslmode", None), given.pop("sslrootcert", None)
    if given:
        raise RecordError(
            f"the database URL has the parameter {min(given)!r}, which is not known"
            " (known: application_name, host, port, sslmode, sslrootcert)"
        )
    if roots is not None:
        arguments["ssl"] = _context(mode or "verify-full", roots)
    elif mode is not None:
        if mode not in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full"):
            raise RecordError("sslmode is one of disable, allow, prefer, require, verify-ca, verify-full")
        arguments["ssl"] = _context(mode, None) if mode.startswith("verify") else mode
    return arguments | {"server_settings": settings}


def _context(mode: str, roots: str | None) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=roots)
    except OSError as error:
        raise RecordError(f"sslrootcert {roots!r} cannot be read: {error.strerror or error}") from error
    context.check_hostname = mode == "verify-full"
    return context


def create_engine(url: str, *, pooled: bool = True) -> AsyncEngine:
    """For a URL as ``database_url`` gives it. A transaction that is to write has the execution option ``writing``."""
    known = make_url(url)
    pool: dict[str, Any] = (
        {"pool_size": 4, "max_overflow": 4, "pool_timeout": 10} if pooled else {"poolclass": NullPool}
    )
    if known.get_backend_name() == "postgresql":
        ping = {"pool_pre_ping": True, "pool_recycle": 1800} if pooled else {}
        arguments = _connect_arguments(known)
        plain = known.set(query={})
        return AsyncEngine(
            sqlalchemy.create_engine(plain, hide_parameters=True, connect_args=arguments, **pool, **ping)
        )
    engine = sqlalchemy.create_engine(known, hide_parameters=True, connect_args={"timeout": BUSY_MS / 1000}, **pool)
    event.listen(engine, "connect", _opened)
    event.listen(engine, "begin", _begun)
    return AsyncEngine(engine)


def _opened(connection: Any, _: object) -> None:
    """SQLite's driver would begin transactions by itself, too late. WAL is the file's: migrations turn it on."""
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in (f"busy_timeout = {BUSY_MS}", "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -16000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begun(connection: Connection) -> None:
    """Whoever will write says so first: a reader cannot become a writer when another one has written meanwhile."""
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


class Database:
    """One engine, and the transactions on it. Each raises RecordDown where the database cannot be asked, or has not
    done all of it within ``seconds`` (and some for hanging up); those that take ``long`` within 300."""

    def __init__(self, url: str, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._shown = shown(url)
        self.engine = create_engine(url)
        self.is_postgres = self.engine.dialect.name == "postgresql"

    def __repr__(self) -> str:
        return f"Database({self._shown})"

    @asynccontextmanager
    async def reading(self, long: bool = False) -> AsyncIterator[AsyncConnection]:
        """Everything that is read is of one moment."""
        options = {"isolation_level": "REPEATABLE READ"} if self.is_postgres else {}
        async with self._connected(options, long) as connection:
            yield connection

    @asynccontextmanager
    async def writing(self, long: bool = False) -> AsyncIterator[AsyncConnection]:
        """Kept at the end, whole or not at all."""
        async with self._connected({"writing": True}, long) as connection:
            yield connection

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[AsyncConnection]:
        """As ``writing``, one at a time in all processes."""
        async with self.writing() as connection:
            if self.is_postgres:
                await connection.execute(select(func.pg_advisory_xact_lock(CHANGES)))
            yield connection

    @asynccontextmanager
    async def _connected(self, options: dict[str, Any], long: bool) -> AsyncIterator[AsyncConnection]:
        # A file is nobody who could vanish, and who waits for its lock says so after ``BUSY_MS``.
        bounded = self.is_postgres and not long
        try:
            async with Within(self._seconds if bounded else None), self.engine.connect() as connection:
                await connection.execution_options(**options)
                async with connection.begin():
                    yield connection
        except Exception as error:
            if is_down(error):
                raise RecordDown(f"{self._shown} cannot be asked: {reason(error)}") from error
            raise

    async def close(self) -> None:
        await self.engine.dispose()


def is_down(error: Exception) -> bool:
    """Whether it is the database's state that is to blame, and not what it was asked."""
    if isinstance(error, exc.DBAPIError):
        return not isinstance(error, exc.IntegrityError | exc.DataError | exc.ProgrammingError)
    if isinstance(error, OSError | TimeoutError | exc.TimeoutError):
        return True
    return type(error).__module__.startswith("asyncpg.")  # raised as it is while connecting


def reason(error: Exception) -> str:
    """The first line of what the driver says."""
    said = str(error.orig if isinstance(error, exc.DBAPIError) else error) or type(error).__name__
    return said.splitlines()[0].rpartition("'>: ")[2]
