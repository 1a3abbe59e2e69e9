"""The record as the gateway uses it: read whole at the start, then followed change by change."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from msgspec import Struct
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from gateway.limits.types import Scope
from gateway.store.sql.change import Change
from gateway.store.sql.connection import AsyncConnection
from gateway.store.sql.engine import Database
from gateway.store.sql.reader import Reader
from gateway.store.sql.rows import AdminRow, LimitsRow, SecretRow, TeamRow, limits_of, models_of
from gateway.store.sql.schema import admins, audit, key_secrets, keys, limits, teams

CHUNK = 5_000
"""Keys that are read at once: some milliseconds of the event loop."""

MOST_CHANGES = 500


class Changes(Struct, frozen=True):
    """What has changed, as it is now. ``last`` is where to go on from; ``more`` says that there is more already. Of a
    key that has changed there are all its secrets, also those that are good no more."""

    last: int
    more: bool
    teams: tuple[TeamRow, ...]
    secrets: tuple[SecretRow, ...]
    limits: tuple[LimitsRow, ...]
    admins: tuple[AdminRow, ...]


class Snapshot:
    """All of one moment. ``last`` is the last change that is in it."""

    def __init__(self, connection: AsyncConnection, last: int) -> None:
        self._connection = connection
        self.last = last

    async def teams(self) -> list[TeamRow]:
        return await read_teams(self._connection)

    async def admins(self) -> list[AdminRow]:
        return await read_admins(self._connection)

    async def limits(self) -> list[LimitsRow]:
        rows = (await self._connection.execute(select(limits))).mappings()
        return [LimitsRow(row["scope"], row["subject"], limits_of(row)) for row in rows]

    async def secrets(self) -> AsyncIterator[list[SecretRow]]:
        """In pieces, for there may be millions."""
        make, after = SecretMaker(), ""
        while True:
            page = select(keys.c.id).where(keys.c.id > after).order_by(keys.c.id).limit(CHUNK).subquery()
            last = await self._connection.scalar(select(func.max(page.c.id)))
            if last is None:
                return
            both = (keys.c.id > after, keys.c.id <= last, key_secrets.c.key > after, key_secrets.c.key <= last)
            yield make.rows((await self._connection.execute(secrets_of().where(*both))).all())
            after = last


class Record:
    """All of it raises RecordDown where the database cannot be asked. ``wall`` is in seconds since 1970."""

    def __init__(self, database: Database, wall: Callable[[], float]) -> None:
        self._database = database
        self._wall = wall

    def now(self) -> int:
        return int(self._wall())

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Reader]:
        async with self._database.reading() as connection:
            yield Reader(connection, self.now())

    @asynccontextmanager
    async def changing(self) -> AsyncIterator[Change]:
        """One change at a time, of all processes; kept at the end, whole or not at all."""
        async with self._database.changing() as connection:
            yield Change(connection, self.now())

    @asynccontextmanager
    async def snapshot(self) -> AsyncIterator[Snapshot]:
        async with self._database.reading() as connection:
            yield Snapshot(connection, await last_of(connection))

    async def last_change(self) -> int:
        """0 before the first one. Cheap, to be asked often."""
        async with self._database.reading() as connection:
            return await last_of(connection)

    async def changes_since(self, last: int) -> Changes:
        async with self._database.reading() as connection:
            statement = select(audit.c.id, audit.c.kind, audit.c.subject).where(audit.c.id > last)
            rows = (await connection.execute(statement.order_by(audit.c.id).limit(MOST_CHANGES))).all()
            if not rows:  # as every half second
                return Changes(last=last, more=False, teams=(), secrets=(), limits=(), admins=())
            named: dict[str, set[str]] = {kind: set() for kind in ("team", "key", "limits", "admin")}
            for _, kind, subject in rows:
                if kind in named:  # the log has more than changes of the record: purges of the cache, say
                    named[kind].add(subject)
            own = {parse_subject(subject) for subject in named["limits"]}
            own |= {("team", name) for name in named["team"]} | {("key", id) for id in named["key"]}
            return Changes(
                last=rows[-1][0],
                more=len(rows) == MOST_CHANGES,
                teams=tuple(await read_teams(connection, teams.c.name.in_(named["team"]))),
                secrets=tuple(await read_secrets(connection, key_secrets.c.key.in_(named["key"]))),
                limits=tuple(await read_limits(connection, own)),
                admins=tuple(await read_admins(connection, admins.c.id.in_(named["admin"]))),
            )


def subject_of(scope: Scope, subject: str) -> str:
    """How the audit log names whose limits they are."""
    return f"{scope}/{subject}" if subject else scope


def parse_subject(text: str) -> tuple[Scope, str]:
    scope, _, subject = text.partition("/")
    return scope, subject  # type: ignore[return-value]


async def last_of(connection: AsyncConnection) -> int:
    return await connection.scalar(select(func.max(audit.c.id))) or 0


async def read_teams(connection: AsyncConnection, *wanted: ColumnElement[bool]) -> list[TeamRow]:
    rows = await connection.execute(select(teams.c.name, teams.c.disabled, teams.c.models).where(*wanted))
    return [TeamRow(name, disabled, models and models_of(models)) for name, disabled, models in rows]


async def read_admins(connection: AsyncConnection, *wanted: ColumnElement[bool]) -> list[AdminRow]:
    rows = (await connection.execute(select(admins).where(*wanted))).mappings()
    return [
        AdminRow(
            bytes.fromhex(row["digest"]),
            row["id"],
            row["name"],
            row["role"],
            row["expires"],
            row["revoked"] is not None,
        )
        for row in rows
    ]


async def read_limits(connection: AsyncConnection, own: set[tuple[Scope, str]]) -> list[LimitsRow]:
    """Of each of these subjects, also of those that have none any more."""
    if not own:
        return []
    each = [and_(limits.c.scope == scope, limits.c.subject == subject) for scope, subject in sorted(own)]
    rows = (await connection.execute(select(limits).where(or_(*each)))).mappings()
    found = {(row["scope"], row["subject"]): limits_of(row) for row in rows}
    return [LimitsRow(scope, subject, found.get((scope, subject))) for scope, subject in sorted(own)]


async def read_secrets(connection: AsyncConnection, *wanted: ColumnElement[bool]) -> list[SecretRow]:
    return SecretMaker().rows((await connection.execute(secrets_of().where(*wanted))).all())


def secrets_of() -> Select[Any]:
    key, secret = keys.c, key_secrets.c
    columns = (secret.digest, key.id, key.team, secret.expires, key.expires, key.disabled, key.revoked, key.models)
    return select(*columns).join_from(keys, key_secrets, secret.key == key.id)


class SecretMaker:
    """Makes rows of memory of rows of SQL. Many keys have the same team and the same models: these are made once."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._models: dict[str | None, tuple[str, ...] | None] = {None: None}

    def rows(self, rows: Any) -> list[SecretRow]:
        names, models_known, made = self._names, self._models, []
        for digest, key, team, secret_expires, key_expires, disabled, revoked, models in rows:
            if models not in models_known:
                models_known[models] = models_of(models)
            if secret_expires is None:
                expires = key_expires
            elif key_expires is None:
                expires = secret_expires
            else:
                expires = min(secret_expires, key_expires)
            dead = bool(disabled) or revoked is not None
            team = names.setdefault(team, team)
            made.append(SecretRow(bytes.fromhex(digest), key, team, expires, dead, models_known[models]))
        return made
