"""What operators see and say. The same values travel through the command line, ``/admin/`` and the record in SQL.

Times are seconds since 1970, whole. Lists of models are allow-lists, where ``*`` stands for any characters; None allows
all.
"""

from typing import Any, Literal, Protocol

from msgspec import UNSET, Struct, UnsetType

from gateway.caching.store import Held
from gateway.limits.types import Limits, Scope

Role = Literal["viewer", "operator", "owner"]
"""``viewer`` reads; ``operator`` also changes teams, keys and limits; ``owner`` also makes and revokes admin keys."""

Period = Literal["day", "month"]

Metadata = dict[str, str]


class ControlError(Exception):
    """An operator's request that cannot be done. ``code``: ``invalid`` (400), ``forbidden`` (403), ``not_found`` (404),
    ``conflict`` (409). ``field`` is what is wrong, where it is one thing."""

    def __init__(self, code: Literal["invalid", "forbidden", "not_found", "conflict"], message: str, field: str = ""):
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Actor(Struct, frozen=True):
    """Who changes something: ``cli:<user>``, ``admin:<id>``, ``start`` or ``routing.yaml``."""

    name: str
    role: Role = "owner"


class TeamView(Struct, frozen=True, kw_only=True):
    name: str
    created: int
    disabled: bool = False
    models: tuple[str, ...] | None = None
    metadata: Metadata = {}
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()


class KeyView(Struct, frozen=True, kw_only=True):
    """``id`` is the public part, which stays the same when the key is rotated. ``grace`` is until when the secret
    before the present one is good, where it still is. ``state`` is told by whoever shows it."""

    id: str
    team: str
    name: str
    created: int
    expires: int | None = None
    revoked: int | None = None
    disabled: bool = False
    grace: int | None = None
    models: tuple[str, ...] | None = None
    metadata: Metadata = {}
    tags: tuple[str, ...] = ()
    limits: Limits = Limits()
    state: Literal["active", "disabled", "expired", "revoked"] = "active"


class NewKey(Struct, frozen=True, kw_only=True):
    """The only time that a secret is told."""

    key: str
    id: str
    team: str
    name: str
    expires: int | None = None
    grace: int | None = None


class AdminView(Struct, frozen=True, kw_only=True):
    id: str
    name: str
    role: Role
    created: int
    expires: int | None = None
    revoked: int | None = None


class NewAdmin(Struct, frozen=True, kw_only=True):
    key: str
    id: str
    name: str
    role: Role
    expires: int | None = None


class LimitsView(Struct, frozen=True, kw_only=True):
    """``source``: ``database`` (an override), or ``routing.yaml``."""

    scope: Scope
    subject: str
    limits: Limits
    source: Literal["database", "routing.yaml"] = "database"


class LogView(Struct, frozen=True, kw_only=True):
    """One change. ``before`` and ``after`` hold no secrets and no digests; None where there was or is nothing."""

    id: int
    at: int
    actor: str
    action: str
    kind: str
    subject: str
    before: Any = None
    after: Any = None


class TeamChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed."""

    disabled: bool | UnsetType = UNSET
    models: tuple[str, ...] | None | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET


class KeyChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str | UnsetType = UNSET
    disabled: bool | UnsetType = UNSET
    models: tuple[str, ...] | None | UnsetType = UNSET
    metadata: Metadata | UnsetType = UNSET
    tags: tuple[str, ...] | UnsetType = UNSET
    expires: int | None | UnsetType = UNSET


Most = int | Literal["unlimited"] | None
"""A limit as it is set: a number, ``unlimited`` against what ``routing.yaml`` says, or None to take it back."""


class LimitsChanges(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is given is changed. Money is nano-dollars here; the command line and ``/admin/`` take dollars."""

    rpm: Most | UnsetType = UNSET
    tpm: Most | UnsetType = UNSET
    tpd: Most | UnsetType = UNSET
    concurrent: Most | UnsetType = UNSET
    usd_day: Most | UnsetType = UNSET
    usd_month: Most | UnsetType = UNSET
    soft_usd_day: Most | UnsetType = UNSET
    soft_usd_month: Most | UnsetType = UNSET


Dimension = Literal["team", "key", "model", "target", "day", "hour"]
DIMENSIONS: tuple[Dimension, ...] = ("team", "key", "model", "target", "day", "hour")


class UsageQuery(Struct, frozen=True, kw_only=True):
    """``since`` (inclusive) and ``until`` (exclusive) are seconds since 1970, taken to the hour they lie in; ``until``
    None is now. ``by`` are the columns in whose order the rows are told; empty is one row."""

    since: int
    until: int | None = None
    by: tuple[Dimension, ...] = ()
    team: str | None = None
    key: str | None = None
    model: str | None = None


class UsageRow(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One row of a report: the dimensions asked for (``day`` as 2026-11-30, ``hour`` as 2026-11-30T14:00Z), and sums.
    ``cost_nano`` is what is known; ``unpriced`` counts requests whose price is not known, ``estimated`` those whose
    tokens are estimates, ``failed`` those that gave no answer."""

    team: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    model: str | UnsetType = UNSET
    target: str | UnsetType = UNSET
    day: str | UnsetType = UNSET
    hour: str | UnsetType = UNSET
    requests: int
    calls: int
    failed: int
    input_tokens: int
    output_tokens: int
    cached_tokens: int
    cache_write_tokens: int
    reasoning_tokens: int
    cost_nano: int
    unpriced: int
    estimated: int


class Drift(Struct, frozen=True, kw_only=True):
    """One thing that two accounts say differently. Money is nano-dollars."""

    what: str
    subject: str
    expected: int
    found: int
    repaired: bool = False


class AuditReport(Struct, frozen=True, kw_only=True):
    """``in_flight`` is what is reserved for calls under way, ``spooled`` how many entries wait for SQL. No drift is the
    law of conservation kept: reserved = committed + released + in flight, and ledger = roll-ups = budget counters.
    What only a running gateway knows is None where none was asked: a spool may hold what a dead one has left."""

    at: int
    entries: int
    cost_nano: int
    in_flight_nano: int | None = None
    in_flight_tokens: int | None = None
    spooled: int | None = None
    counters: int | None = None
    drifts: tuple[Drift, ...] = ()


class Purged(Struct, frozen=True, kw_only=True):
    """How many kept answers were let go, of which team and model; None is all."""

    team: str | None = None
    model: str | None = None
    entries: int


class Control(Protocol):
    """Everything that can be done. Raises ControlError for what cannot. The record itself, or a running gateway's
    ``/admin/``, stands behind it."""

    async def create_team(
        self,
        name: str,
        *,
        models: tuple[str, ...] | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> TeamView: ...
    async def teams(self) -> list[TeamView]: ...
    async def team(self, name: str) -> TeamView: ...
    async def change_team(self, name: str, changes: TeamChanges) -> TeamView: ...

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
    ) -> NewKey: ...
    async def keys(self, team: str | None = None) -> list[KeyView]: ...
    async def key(self, id: str) -> KeyView: ...
    async def change_key(self, id: str, changes: KeyChanges) -> KeyView: ...
    async def rotate_key(self, id: str, grace: int) -> NewKey:
        """A new secret; the present one is good for ``grace`` more seconds, any older one no more."""

    async def revoke_key(self, id: str) -> KeyView: ...

    async def create_admin(self, name: str, role: Role, *, expires: int | None = None) -> NewAdmin: ...
    async def admins(self) -> list[AdminView]: ...
    async def revoke_admin(self, id: str) -> AdminView: ...

    async def limits(self) -> list[LimitsView]: ...
    async def set_limits(self, scope: Scope, subject: str, changes: LimitsChanges) -> LimitsView: ...
    async def clear_limits(self, scope: Scope, subject: str) -> None: ...

    async def cache(self, team: str | None = None, model: str | None = None) -> list[Held]:
        """The answers that are kept, by team and model."""

    async def purge_cache(self, team: str | None = None, model: str | None = None) -> Purged: ...

    async def usage(self, query: UsageQuery) -> list[UsageRow]: ...
    async def log(self, *, since: int | None = None, subject: str | None = None, last: int = 100) -> list[LogView]:
        """The newest first."""

    async def audit(self, repair: bool) -> AuditReport: ...
