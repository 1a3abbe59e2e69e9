"""What the record says, as operators see it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import RowMapping, Select, func, select

from gateway.control.types import AdminView, KeyView, LimitsView, LogView, TeamView
from gateway.limits.types import Limits, Scope
from gateway.store.sql.connection import AsyncConnection
from gateway.store.sql.rows import NONE, admin_view, key_view, limits_of, log_view, team_view
from gateway.store.sql.schema import admins, audit, key_secrets, keys, limits, teams


class Reader:
    """Within one transaction. ``now`` is in seconds since 1970."""

    def __init__(self, connection: AsyncConnection, now: int) -> None:
        self.connection = connection
        self.now = now

    async def team(self, name: str) -> TeamView | None:
        row = await self._one(select(teams).where(teams.c.name == name))
        return None if row is None else team_view(row, await self.limits_of("team", name) or NONE)

    async def teams(self) -> list[TeamView]:
        own = await self._limits("team")
        rows = await self._all(select(teams).order_by(teams.c.name))
        return [team_view(row, own.get(row["name"], NONE)) for row in rows]

    async def key(self, id: str) -> KeyView | None:
        row = await self._one(select(keys).where(keys.c.id == id))
        if row is None:
            return None
        grace = (await self._graces(key_secrets.c.key == id)).get(id)
        return key_view(row, await self.limits_of("key", id) or NONE, grace, self.now)

    async def keys(self, team: str | None) -> list[KeyView]:
        """The oldest first."""
        own, graces = await self._limits("key"), await self._graces()
        statement = select(keys).order_by(keys.c.team, keys.c.created, keys.c.id)
        rows = await self._all(statement if team is None else statement.where(keys.c.team == team))
        return [key_view(row, own.get(row["id"], NONE), graces.get(row["id"]), self.now) for row in rows]

    async def namesake(self, team: str, name: str) -> str | None:
        """The id of the team's key of this name that has not been revoked."""
        wanted = (keys.c.team == team, keys.c.name == name, keys.c.revoked.is_(None))
        row = await self._one(select(keys.c.id).where(*wanted).limit(1))
        return None if row is None else str(row["id"])

    async def has_keys(self) -> bool:
        return await self._one(select(keys.c.id).limit(1)) is not None

    async def owner_of(self, digest: str) -> KeyView | None:
        """The key that has this secret, also if it is good no more."""
        row = await self._one(select(key_secrets.c.key).where(key_secrets.c.digest == digest))
        return None if row is None else await self.key(row["key"])

    async def secret(self, key: str) -> str | None:
        """The digest of a key's present secret."""
        row = await self._one(
            select(key_secrets.c.digest).where(key_secrets.c.key == key, key_secrets.c.expires.is_(None))
        )
        return None if row is None else str(row["digest"])

    async def admin(self, id: str) -> AdminView | None:
        row = await self._one(select(admins).where(admins.c.id == id))
        return None if row is None else admin_view(row)

    async def admin_of(self, digest: str) -> AdminView | None:
        row = await self._one(select(admins).where(admins.c.digest == digest))
        return None if row is None else admin_view(row)

    async def admins(self) -> list[AdminView]:
        rows = await self._all(select(admins).order_by(admins.c.created, admins.c.id))
        return [admin_view(row) for row in rows]

    async def limits(self) -> list[LimitsView]:
        rows = await self._all(select(limits).order_by(limits.c.scope, limits.c.subject))
        return [LimitsView(scope=row["scope"], subject=row["subject"], limits=limits_of(row)) for row in rows]

    async def limits_of(self, scope: Scope, subject: str) -> Limits | None:
        row = await self._one(select(limits).where(limits.c.scope == scope, limits.c.subject == subject))
        return None if row is None else limits_of(row)

    async def log(self, since: int | None, subject: str | None, last: int) -> list[LogView]:
        statement = select(audit).order_by(audit.c.id.desc()).limit(last)
        if since is not None:
            statement = statement.where(audit.c.at >= since)
        if subject is not None:
            statement = statement.where(audit.c.subject == subject)
        return [log_view(row) for row in await self._all(statement)]

    async def _limits(self, scope: Scope) -> dict[str, Limits]:
        rows = await self._all(select(limits).where(limits.c.scope == scope))
        return {row["subject"]: limits_of(row) for row in rows}

    async def _graces(self, *wanted: Any) -> dict[str, int]:
        """Until when the secrets before the present ones are good, by key."""
        statement = (
            select(key_secrets.c.key, func.max(key_secrets.c.expires).label("grace"))
            .where(key_secrets.c.expires > self.now, *wanted)
            .group_by(key_secrets.c.key)
        )
        return {row["key"]: row["grace"] for row in await self._all(statement)}

    async def _one(self, statement: Select[Any]) -> RowMapping | None:
        row: RowMapping | None = (await self.connection.execute(statement)).mappings().one_or_none()
        return row

    async def _all(self, statement: Select[Any]) -> Sequence[RowMapping]:
        rows: Sequence[RowMapping] = (await self.connection.execute(statement)).mappings().all()
        return rows
