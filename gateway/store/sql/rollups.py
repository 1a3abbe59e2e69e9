"""What entries add to each roll-up."""

from collections.abc import Iterable
from operator import attrgetter

from msgspec import Struct
from sqlalchemy import Table

from gateway.ledger.entry import Entry, Outcome
from gateway.store.sql.schema import usage_days, usage_hours, usage_models, usage_teams, usage_users

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
    groups: dict[Group, list[Entry]] = {}
    users: Sums = {}
    for entry in entries:
        place = (entry.at // HOUR, entry.team, entry.key, entry.model, entry.target)
        group = groups.get(place)
        if group is None:
            groups[place] = [entry]
        else:
            group.append(entry)
        if entry.user:
            who = (entry.at // DAY, entry.team, entry.user)
            used = users.get(who)
            if used is None:
                used = users[who] = [0, 0, 0]
            used[0] += entry.requests
            used[1] += entry.input + entry.output
            used[2] += entry.cost or 0
    hours = {place: sums_of(group) for place, group in groups.items()}
    days = without(((hour // 24, *names), sums) for (hour, *names), sums in hours.items())  # type: ignore[operator]
    teams = without(((day, team, *names), sums) for (day, team, _, *names), sums in days.items())
    models = without(((day, *names), sums) for (day, _, *names), sums in teams.items())
    return Rolled(hours, days, teams, models, users)


REQUESTS, CALLS, INPUT, OUTPUT, ESTIMATED = map(attrgetter, ("requests", "calls", "input", "output", "estimated"))
CACHED, CACHE_WRITE, REASONING, COST = map(attrgetter, ("cached", "cache_write", "reasoning", "cost"))


def sums_of(entries: list[Entry]) -> list[int]:
    """In the order of ``COUNTS``. Groups are large under load: the loops are C's."""
    costs = [cost for cost in map(COST, entries) if cost is not None]
    return [
        sum(map(REQUESTS, entries)),
        sum(map(CALLS, entries)),
        sum([entry.requests for entry in entries if entry.outcome in FAILED]),
        sum(map(INPUT, entries)),
        sum(map(OUTPUT, entries)),
        sum(filter(None, map(CACHED, entries))),
        sum(filter(None, map(CACHE_WRITE, entries))),
        sum(filter(None, map(REASONING, entries))),
        sum(costs),
        len(entries) - len(costs),
        sum(map(ESTIMATED, entries)),
    ]


def without(groups: Iterable[tuple[Group, list[int]]]) -> Sums:
    """Adds up what has become one group."""
    summed: Sums = {}
    for place, sums in groups:
        known = summed.get(place)
        summed[place] = sums if known is None else [a + b for a, b in zip(known, sums, strict=True)]
    return summed
