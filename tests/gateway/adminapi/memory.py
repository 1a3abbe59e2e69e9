"""A Control in memory: what the admin plane and the command line ask of one, without SQL."""

from typing import Any

import msgspec
from msgspec import UNSET

from gateway.caching.store import Held
from gateway.control.types import (
    Actor,
    AdminView,
    AuditReport,
    ControlError,
    Drift,
    KeyChanges,
    KeyView,
    LimitsChanges,
    LimitsView,
    LogView,
    Metadata,
    NewAdmin,
    NewKey,
    Purged,
    Role,
    TeamChanges,
    TeamView,
    UsageQuery,
    UsageRow,
)
from gateway.limits.types import Limits, Scope

NOW = 1_796_054_400  # 2026-11-30T16:00:00Z
RANK = {"viewer": 0, "operator": 1, "owner": 2}

replace = msgspec.structs.replace


class Memory:
    """What all actors share."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.teams: dict[str, TeamView] = {}
        self.keys: dict[str, KeyView] = {}
        self.admins: dict[str, AdminView] = {}
        self.limits: dict[tuple[Scope, str], Limits] = {}
        self.lines: list[LogView] = []
        self.rows: list[UsageRow] = []
        self.held: list[Held] = []
        self.queries: list[UsageQuery] = []
        self.drifts: tuple[Drift, ...] = ()
        self.broken: Exception | None = None

    def state(self) -> bytes:
        """Everything that can be changed."""
        return msgspec.msgpack.encode([self.teams, self.keys, self.admins, list(self.limits.items()), self.lines])

    def control(self, actor: Actor) -> "MemoryControl":
        return MemoryControl(self, actor)


class MemoryControl:
    def __init__(self, memory: Memory, actor: Actor) -> None:
        self._m = memory
        self._actor = actor

    def _enter(self, role: Role, action: str, kind: str, subject: str) -> None:
        if self._m.broken:
            raise self._m.broken
        if RANK[self._actor.role] < RANK[role]:
            raise ControlError("forbidden", f"this takes the role {role}")
        for text in (subject,):
            if not text.isprintable() or len(text) > 200:
                raise ControlError("invalid", "a name holds characters that cannot be printed, or too many", "name")
        if role != "viewer":
            at = len(self._m.lines) + 1
            self._m.lines.append(
                LogView(
                    id=at, at=NOW, actor=self._actor.name, action=action, kind=kind, subject=subject, after={"n": 1}
                )
            )

    async def create_team(
        self,
        name: str,
        *,
        models: tuple[str, ...] | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> TeamView:
        if name in self._m.teams:
            raise ControlError("conflict", f"there is a team {name!r} already", "name")
        if len(tags) > 32:
            raise ControlError("invalid", "at most 32 tags", "tags")
        own = merged(Limits(), limits)
        self._enter("operator", "create", "team", name)
        view = TeamView(name=name, created=NOW, models=models, metadata=metadata or {}, tags=tags, limits=own)
        self._m.teams[name] = view
        return view

    async def teams(self) -> list[TeamView]:
        self._enter("viewer", "", "", "")
        return list(self._m.teams.values())

    async def team(self, name: str) -> TeamView:
        self._enter("viewer", "", "", "")
        if name not in self._m.teams:
            raise ControlError("not_found", f"there is no team {name!r}", "team")
        return self._m.teams[name]

    async def change_team(self, name: str, changes: TeamChanges) -> TeamView:
        view = await self.team(name)
        self._enter("operator", "change", "team", name)
        self._m.teams[name] = replace(view, **said(changes))
        return self._m.teams[name]

    async def create_key(
        self,
        team: str,
        *,
        name: str = "",
        models: tuple[str, ...] | None = None,
        expires: int | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> NewKey:
        await self.team(team)
        if expires is not None and expires <= NOW:
            raise ControlError("invalid", "expires lies in the past", "expires")
        own = merged(Limits(), limits)
        self._enter("operator", "create", "key", name)
        id = f"key{len(self._m.keys) + 1:09d}"
        self._m.keys[id] = KeyView(
            id=id,
            team=team,
            name=name,
            created=NOW,
            expires=expires,
            models=models,
            metadata=metadata or {},
            tags=tags,
            limits=own,
        )
        return NewKey(key=f"sk-gw-{id}-secret", id=id, team=team, name=name, expires=expires)

    async def keys(self, team: str | None = None) -> list[KeyView]:
        self._enter("viewer", "", "", "")
        return [key for key in self._m.keys.values() if team in (None, key.team)]

    async def key(self, id: str) -> KeyView:
        self._enter("viewer", "", "", "")
        if id not in self._m.keys:
            raise ControlError("not_found", f"there is no key {id!r}", "key")
        return self._m.keys[id]

    async def change_key(self, id: str, changes: KeyChanges) -> KeyView:
        view = await self.key(id)
        self._enter("operator", "change", "key", id)
        state: Any = {True: "disabled", False: "active", UNSET: view.state}[changes.disabled]
        self._m.keys[id] = replace(view, state=state, **said(changes))
        return self._m.keys[id]

    async def rotate_key(self, id: str, grace: int) -> NewKey:
        view = await self.key(id)
        self._enter("operator", "rotate", "key", id)
        self._m.keys[id] = replace(view, grace=NOW + grace)
        return NewKey(key=f"sk-gw-{id}-fresh", id=id, team=view.team, name=view.name, grace=NOW + grace)

    async def revoke_key(self, id: str) -> KeyView:
        view = await self.key(id)
        self._enter("operator", "revoke", "key", id)
        self._m.keys[id] = replace(view, revoked=NOW, state="revoked")
        return self._m.keys[id]

    async def create_admin(self, name: str, role: Role, *, expires: int | None = None) -> NewAdmin:
        self._enter("owner", "create", "admin", name)
        id = f"adm{len(self._m.admins) + 1:09d}"
        self._m.admins[id] = AdminView(id=id, name=name, role=role, created=NOW, expires=expires)
        return NewAdmin(key=f"ak-gw-{id}-secret", id=id, name=name, role=role, expires=expires)

    async def admins(self) -> list[AdminView]:
        self._enter("viewer", "", "", "")
        return list(self._m.admins.values())

    async def revoke_admin(self, id: str) -> AdminView:
        if id not in self._m.admins:
            raise ControlError("not_found", f"there is no admin key {id!r}")
        self._enter("owner", "revoke", "admin", id)
        self._m.admins[id] = replace(self._m.admins[id], revoked=NOW)
        return self._m.admins[id]

    async def limits(self) -> list[LimitsView]:
        self._enter("viewer", "", "", "")
        return [LimitsView(scope=scope, subject=name, limits=own) for (scope, name), own in self._m.limits.items()]

    async def set_limits(self, scope: Scope, subject: str, changes: LimitsChanges) -> LimitsView:
        own = merged(self._m.limits.get((scope, subject), Limits()), changes)
        self._enter("operator", "set", "limits", subject)
        self._m.limits[scope, subject] = own
        return LimitsView(scope=scope, subject=subject, limits=own)

    async def clear_limits(self, scope: Scope, subject: str) -> None:
        if (scope, subject) not in self._m.limits:
            raise ControlError("not_found", "there are no limits of it")
        self._enter("operator", "clear", "limits", subject)
        del self._m.limits[scope, subject]

    async def cache(self, team: str | None = None, model: str | None = None) -> list[Held]:
        self._enter("viewer", "", "", "")
        return [one for one in self._m.held if team in (None, one.team) and model in (None, one.model)]

    async def purge_cache(self, team: str | None = None, model: str | None = None) -> Purged:
        gone = await self.cache(team, model)
        if team == "":
            raise ControlError("not_found", "there is no team ''", "team")
        self._enter("operator", "purge", "cache", f"{team}/{model}")
        self._m.held = [one for one in self._m.held if one not in gone]
        return Purged(team=team, model=model, entries=sum([one.entries for one in gone]))

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        self._enter("viewer", "", "", "")
        self._m.queries.append(query)
        return self._m.rows

    async def log(self, *, since: int | None = None, subject: str | None = None, last: int = 100) -> list[LogView]:
        self._enter("viewer", "", "", "")
        found = [line for line in self._m.lines if line.at >= (since or 0) and subject in (None, line.subject)]
        return found[::-1][:last]

    async def audit(self, repair: bool) -> AuditReport:
        self._enter("operator" if repair else "viewer", "audit", "record", "")
        return AuditReport(
            at=NOW,
            entries=3,
            cost_nano=1_500_000_001,
            in_flight_nano=0,
            in_flight_tokens=0,
            spooled=0,
            counters=2,
            drifts=tuple([replace(drift, repaired=repair) for drift in self._m.drifts]),
        )


def merged(before: Limits, changes: LimitsChanges | None) -> Limits:
    values = {} if changes is None else said(changes)
    for name, value in values.items():
        if isinstance(value, int) and value < 1:
            raise ControlError("invalid", f"{name} must be at least 1", name)
    return replace(before, **{name: None if value == "unlimited" else value for name, value in values.items()})


def said(changes: Any) -> dict[str, Any]:
    return {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
