"""What entries add to each roll-up."""

from collections.abc import Iterable

from msgspec import Struct
from sqlalchemy import Table

from gateway.ledger.entry import Entry, Outcome
from gateway.store.sql.schema import COUNTS, usage_days, usage_hours, usage_models, usage_teams, usage_users

HOUR = 3600 * 10**6
"""Microseconds, as an entry's ``at``."""
DAY = 24 * HOUR

FAILED: frozenset[Outcome] = frozenset(("failed", "invalid", "interrupted"))
"""Requests that gave no answer, and not because nobody wanted it any more."""

Group = tuple[int | str, ...]
Sums = dict[Group, list[int]]


class Rolled(Struct, frozen=True):
    """Sums by the primary keys of their tables. ``requests`` and ``failed`` count legs; ``unpriced`` and ``estimated``
    count entries, so that nothing unknown at a leg's earlier targets is passed over."""

    hours: Sums
    days: Sums
    teams: Sums
    models: Sums
    users: Sums

    def tables(self) -> tuple[tuple[Table, Sums], ...]:
        return (
            (usage_hours, self.hours),
            (usage_days, self.days),
            (usage_teams, self.teams),
            (usage_models, self.models),
            (usage_users, self.users),
        )


def roll(entries: Iterable[Entry]) -> Rolled:
    hours: Sums = {}
    users: Sums = {}
    for entry in entries:
        place = (entry.at // HOUR, entry.team, entry.key, entry.model, entry.target)
        sums = hours.get(place)
        if sums is None:
            sums = hours[place] = [0] * len(COUNTS)
        requests, cost = entry.requests, entry.cost
        sums[0] += requests
        sums[1] += entry.calls
        if entry.outcome in FAILED:
            sums[2] += requests
        sums[3] += entry.input
        sums[4] += entry.output
        sums[5] += entry.cached or 0
        sums[6] += entry.cache_write or 0
        sums[7] += entry.reasoning or 0
        if cost is None:
            sums[9] += 1
        else:
            sums[8] += cost
        if entry.estimated:
            sums[10] += 1
        if entry.user:
            who = (entry.at // DAY, entry.team, entry.user)
            used = users.get(who)
            if used is None:
                used = users[who] = [0, 0, 0]
            used[0] += requests
            used[1] += entry.input + entry.output
            used[2] += cost or 0
    days = without(((hour // 24, *names), sums) for (hour, *names), sums in hours.items())  # type: ignore[operator]
    teams = without(((day, team, *names), sums) for (day, team, _, *names), sums in days.items())
    models = without(((day, *names), sums) for (day, _, *names), sums in teams.items())
    return Rolled(hours, days, teams, models, users)


def without(groups: Iterable[tuple[Group, list[int]]]) -> Sums:
    """Adds up what has become one group."""
    summed: Sums = {}
    for place, sums in groups:
        known = summed.get(place)
        summed[place] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
    return summed
