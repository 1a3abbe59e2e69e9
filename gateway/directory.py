"""Who may ask what, in memory: teams, keys and limits as the record in SQL has them, over what ``routing.yaml`` says.

It is loaded at the start and told of every change; a request never waits for it. What is asked often is made ready
once.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache

from msgspec import Struct

from gateway.limits.types import Limits, Scope, Subject
from gateway.store.sql.rows import AdminRow, LimitsRow, SecretRow, TeamRow
from gateway.types import Caller

UNLIMITED = -1
"""Stands in the database for a limit that lifts what ``routing.yaml`` says."""

READY = 50_000
"""Callers that are kept ready. Beyond, all are made anew when they next come."""

NONE = Limits()
FIELDS = Limits.__struct_fields__


class Defaults(Struct, frozen=True):
    """What ``routing.yaml`` says of limits: for every subject of a scope, and for named ones."""

    every: Mapping[Scope, Limits] = {}
    named: Mapping[tuple[Scope, str], Limits] = {}


class Directory:
    """Answers at once. ``changed`` hears of every load and change."""

    def __init__(self, defaults: Defaults, changed: Callable[[], None] = lambda: None) -> None:
        self._defaults = defaults
        self._changed = changed
        self._teams: dict[str, TeamRow] = {}
        self._secrets: dict[bytes, SecretRow] = {}
        self._admins: dict[bytes, AdminRow] = {}
        self._overrides: dict[tuple[Scope, str], Limits] = {}
        self._ready: dict[bytes, Caller] = {}
        self._limited: dict[tuple[Scope, str], tuple[Subject, Limits] | None] = {}
        self.version = 0
        """Another number whenever what was known of a key may no longer hold."""
        self.users_limited = False
        self.models_limited = False
        self._forget()

    # ------------------------------------------------------------------ asked by requests

    def caller(self, digest: bytes) -> Caller | None:
        """Whose key has this SHA-256; None if nobody's, or if it may not be used (its time is ``expires``)."""
        return self._ready.get(digest) or self._make(digest)

    def team(self, name: str, user: str, expires: float) -> Caller | None:
        """Who asks by a token in this team's name; None if there is no such team, or not now."""
        row = self._teams.get(name)
        if row is None or row.disabled:
            return None
        return Caller(name, "", expires, allowed(row.models), self._all(("organisation", ""), ("team", name)), user)

    def limited(self, scope: Scope, name: str) -> tuple[Subject, Limits] | None:
        """The subject with its limits, if it has any."""
        at = (scope, name)
        try:
            return self._limited[at]
        except KeyError:
            found = self.limits(scope, name)
            made = None if found == NONE else (Subject(scope, name), found)
            if len(self._limited) >= READY:
                self._limited.clear()
            self._limited[at] = made
            return made

    def limits(self, scope: Scope, name: str) -> Limits:
        """What holds for a subject: what the database says of it, then what is configured for it, then for all."""
        every = self._defaults.every.get(scope, NONE)
        return over(
            self._overrides.get((scope, name), NONE), over(self._defaults.named.get((scope, name), NONE), every)
        )

    def may_be_limited(self) -> dict[Scope, frozenset[str] | None]:
        """Of each scope, the names that have limits of their own, some of which may lift what holds otherwise; None:
        all of it has limits. A scope in which nobody has any is not there."""
        found: dict[Scope, set[str]] = {}
        for scope, name in (*self._overrides, *self._defaults.named):
            found.setdefault(scope, set()).add(name)
        every = {scope: None for scope, limits in self._defaults.every.items() if limits != NONE}
        return {scope: frozenset(names) for scope, names in found.items()} | every

    def admin(self, digest: bytes) -> AdminRow | None:
        """Whose admin key has this SHA-256, if it may be used (but for its time)."""
        row = self._admins.get(digest)
        return None if row is None or row.dead else row

    # ------------------------------------------------------------------ told by the record

    def load(
        self,
        teams: Iterable[TeamRow],
        secrets: dict[bytes, SecretRow],
        limits: Iterable[LimitsRow],
        admins: Iterable[AdminRow],
    ) -> None:
        """Takes the place of all that was known. ``secrets`` are by their digests."""
        self._teams = {team.name: team for team in teams}
        self._secrets = secrets
        self._admins = {admin.digest: admin for admin in admins}
        self._overrides = {(row.scope, row.subject): row.limits for row in limits if row.limits is not None}
        self._forget()

    def change(
        self,
        teams: Iterable[TeamRow],
        secrets: Iterable[SecretRow],
        limits: Iterable[LimitsRow],
        admins: Iterable[AdminRow],
    ) -> None:
        """What has changed, as it is now: of a key all its secrets, also those that are good no more."""
        self._teams.update({team.name: team for team in teams})
        self._secrets.update({secret.digest: secret for secret in secrets})
        for admin in admins:
            self._admins = {digest: known for digest, known in self._admins.items() if known.id != admin.id}
            self._admins[admin.digest] = admin
        for row in limits:
            if row.limits is None:
                self._overrides.pop((row.scope, row.subject), None)
            else:
                self._overrides[row.scope, row.subject] = row.limits
        self._forget()

    def configure(self, defaults: Defaults) -> None:
        """``routing.yaml`` says something else now."""
        self._defaults = defaults
        self._forget()

    def _all(self, *named: tuple[Scope, str]) -> tuple[tuple[Subject, Limits], ...]:
        return tuple([found for scope, name in named if (found := self.limited(scope, name))])

    def _forget(self) -> None:
        """What was made ready is stale."""
        self.version += 1
        self._ready = {}
        self._limited = {}
        scopes = {scope for (scope, _) in (*self._overrides, *self._defaults.named)}
        every = {scope for scope, limits in self._defaults.every.items() if limits != NONE}
        self.users_limited = "user" in scopes | every
        self.models_limited = "model" in scopes | every
        self._changed()

    def _make(self, digest: bytes) -> Caller | None:
        row = self._secrets.get(digest)
        team = None if row is None else self._teams.get(row.team)
        if row is None or row.dead or team is None or team.disabled:
            return None
        limited = self._all(("organisation", ""), ("team", row.team), ("key", row.key))
        may = both(allowed(team.models), allowed(row.models))
        caller = Caller(row.team, row.key, math.inf if row.expires is None else row.expires, may, limited)
        if len(self._ready) >= READY:
            self._ready = {}
        self._ready[digest] = caller
        return caller


def over(upper: Limits, lower: Limits) -> Limits:
    """Limit by limit: the upper one where it says something."""
    if upper == NONE:
        return lower
    values = []
    for name in FIELDS:
        said = getattr(upper, name)
        values.append(None if said == UNLIMITED else getattr(lower, name) if said is None else said)
    return Limits(*values)


def allowed(patterns: tuple[str, ...] | None) -> Callable[[str], bool] | None:
    """Whether a model's name is on an allow-list, in which ``*`` stands for any characters. None: no list."""
    if patterns is None:
        return None
    plain = frozenset([pattern for pattern in patterns if "*" not in pattern])
    wild = [pattern.split("*") for pattern in patterns if "*" in pattern]

    @lru_cache(maxsize=256)
    def may(name: str) -> bool:
        return name in plain or any(matches(parts, name) for parts in wild)

    return may


def matches(parts: list[str], name: str) -> bool:
    """Whether a name is these parts, in order, with anything between them. Each part is taken where it first fits,
    which leaves the most for the others: nothing is ever tried twice."""
    first, last = parts[0], parts[-1]
    if len(name) < len(first) + len(last) or not name.startswith(first) or not name.endswith(last):
        return False
    at, end = len(first), len(name) - len(last)
    for part in parts[1:-1]:
        found = name.find(part, at, end)
        if found < 0:
            return False
        at = found + len(part)
    return True


def both(one: Callable[[str], bool] | None, other: Callable[[str], bool] | None) -> Callable[[str], bool] | None:
    if one is None or other is None:
        return one or other
    return lambda name: one(name) and other(name)
