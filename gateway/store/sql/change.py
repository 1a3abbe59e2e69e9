"""Changes to the record. Each is one transaction with a line in the audit log, by which replicas hear of it."""

from typing import Any

import msgspec
from sqlalchemy import or_

from gateway.control.types import AdminView, KeyView, TeamView
from gateway.limits.types import Limits, Scope
from gateway.store.sql.reader import Reader
from gateway.store.sql.rows import LIMIT_NAMES, NONE, written
from gateway.store.sql.schema import admins, audit, key_secrets, keys, limits, teams

REMEMBERED = 30 * 86400
"""Seconds that a secret which is good no more stays in the record, so that every replica hears that it is not."""


class Change(Reader):
    """What is written here is kept if the transaction ends well. Whoever uses it has checked what they write."""

    async def add_team(self, view: TeamView) -> None:
        await self.connection.execute(teams.insert(), team_columns(view))
        await self.set_limits("team", view.name, view.limits)

    async def set_team(self, view: TeamView) -> None:
        await self.connection.execute(teams.update().where(teams.c.name == view.name), team_columns(view))

    async def add_key(self, view: KeyView, digest: str) -> None:
        await self.connection.execute(keys.insert(), key_columns(view))
        await self.set_secret(view.id, digest, self.now)
        await self.set_limits("key", view.id, view.limits)

    async def set_key(self, view: KeyView) -> None:
        await self.connection.execute(keys.update().where(keys.c.id == view.id), key_columns(view))

    async def set_secret(self, key: str, digest: str, until: int) -> None:
        """A key's new secret: the present one is good until then, any older one no more."""
        mine, columns = key_secrets.c.key == key, key_secrets.c
        old = mine & (columns.expires < self.now - REMEMBERED)
        await self.connection.execute(key_secrets.delete().where(or_(old, columns.digest == digest)))
        await self.connection.execute(
            key_secrets.update().where(mine, columns.expires > self.now).values(expires=self.now)
        )
        await self.connection.execute(key_secrets.update().where(mine, columns.expires.is_(None)).values(expires=until))
        row = {"digest": digest, "key": key, "created": self.now, "expires": None}
        await self.connection.execute(key_secrets.insert(), row)

    async def add_admin(self, view: AdminView, digest: str) -> None:
        await self.connection.execute(admins.insert(), {**msgspec.structs.asdict(view), "digest": digest})

    async def set_admin(self, view: AdminView, digest: str | None = None) -> None:
        values = msgspec.structs.asdict(view) | ({} if digest is None else {"digest": digest})
        await self.connection.execute(admins.update().where(admins.c.id == view.id), values)

    async def set_limits(self, scope: Scope, subject: str, own: Limits) -> None:
        """No limits at all are not kept."""
        await self.connection.execute(limits.delete().where(limits.c.scope == scope, limits.c.subject == subject))
        if own != NONE:
            row: dict[str, Any] = {"scope": scope, "subject": subject}
            await self.connection.execute(limits.insert(), row | {name: getattr(own, name) for name in LIMIT_NAMES})

    async def record(
        self, actor: str, action: str, kind: str, subject: str, before: object = None, after: object = None
    ) -> None:
        """The change's line in the audit log. ``before`` and ``after`` are what operators see of it: no secrets."""
        row = {
            "at": self.now,
            "actor": actor,
            "action": action,
            "kind": kind,
            "subject": subject,
            "before": None if before is None else written(before),
            "after": None if after is None else written(after),
        }
        await self.connection.execute(audit.insert(), row)


def team_columns(view: TeamView) -> dict[str, Any]:
    return {
        "name": view.name,
        "created": view.created,
        "disabled": view.disabled,
        "models": None if view.models is None else written(view.models),
        "metadata": written(view.metadata),
        "tags": written(view.tags),
    }


def key_columns(view: KeyView) -> dict[str, Any]:
    return {
        "id": view.id,
        "team": view.team,
        "name": view.name,
        "created": view.created,
        "expires": view.expires,
        "disabled": view.disabled,
        "revoked": view.revoked,
        "models": None if view.models is None else written(view.models),
        "metadata": written(view.metadata),
        "tags": written(view.tags),
    }
