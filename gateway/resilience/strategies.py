"""In which order the targets of a model are asked: functions of one type, each a way to rank them.

What they have in common: those that are fallbacks come after all others, as they are written. A target that is there
with several keys is one target: it is ranked once, and its keys stand side by side, in a random order. Whom its breaker
does not allow to be asked comes last of all. Where two are ranked alike, chance decides by their weights.
"""

import math
import random
from collections.abc import Callable, Sequence
from functools import partial

from adapters.types import Usage
from gateway.ledger.cost import cost
from gateway.types import Target

Order = Callable[[Sequence[Target], float], tuple[Target, ...]]
"""Says in which order the targets of a model are asked, the steady clock's time being so much."""

Keys = list[Target]
"""One target, with each of its keys."""

Rank = Callable[[Keys, float], tuple[float, ...]]
"""The lowest is asked first."""

EXPLORE = 1.0
"""Seconds between two tries of a target that is not known to answer fast or slowly."""

FULL = 0.95
"""The part of an engine's cache in use from which it sets back requests that it has begun."""

UNKNOWN_USE = 0.5
"""An engine that does not say how full its cache is stands between those that are empty and those that are full."""

TYPICAL = Usage(3000, 1000)
"""What prices are compared by: most calls read more than they write."""


def weighted(rng: random.Random) -> Order:
    """First tries are shared out by weight; the rest follow in a random order of the same weights."""
    return by(lambda keys, now: (), rng)


def fastest(rng: random.Random) -> Order:
    """Who has begun to answer soonest of late. Who is not known, or no longer, is found out about: it goes first while
    it has no call under way, once a second at most; otherwise it stands behind those that are known."""
    return by(soonest, rng)


def least_busy(rng: random.Random) -> Order:
    """Who has the fewest calls for its weight: by the engine's own account where it gives one, else by what we have
    under way there, and as much besides as others have at those that tell. An engine whose cache is full stands behind
    the others; between equals, the emptier cache goes first."""

    def order(targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        if len(targets) == 1:
            return (targets[0],)
        return by(partial(idlest, of_others(targets, now)), rng)(targets, now)

    return order


def cheapest(rng: random.Random, wall: Callable[[], float]) -> Order:
    """Who costs least now (``wall`` is the wall clock) for a typical call. Who has no known price is asked last."""

    def price(keys: Keys, now: float) -> tuple[float, ...]:
        rates = keys[0].rates
        found = None if rates is None else cost(rates.at(int(wall() * 1e6)), TYPICAL)
        return (math.inf if found is None else found,)

    return by(price, rng)


def by(rank: Rank, rng: random.Random) -> Order:
    """An order of the kind that is described at the top."""

    def order(targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        if len(targets) == 1:
            return (targets[0],)
        first: list[Keys] = []
        last: list[Keys] = []
        for keys in together(targets):
            if len(keys) > 1:
                rng.shuffle(keys)
            (last if keys[0].fallback else first).append(keys)
        if len(first) > 1:
            first.sort(key=lambda keys: (rank(keys, now), -(rng.random() ** (1 / keys[0].weight))))
        wanted = [target for keys in (*first, *last) for target in keys]
        closed = [target for target in wanted if not allowed(target, now)]
        return (*[target for target in wanted if target not in closed], *closed) if closed else tuple(wanted)

    return order


def together(targets: Sequence[Target]) -> list[Keys]:
    """Each target with its keys, in the order in which they are written."""
    found: list[Keys] = []
    of: dict[tuple[str, bool], Keys] = {}
    for target in targets:
        if not target.credential:
            found.append([target])
        elif (keys := of.get((target.name, target.fallback))) is not None:
            keys.append(target)
        else:
            of[target.name, target.fallback] = keys = [target]
            found.append(keys)
    return found


def allowed(target: Target, now: float) -> bool:
    """Whether its breaker lets a call through."""
    return target.standing is None or target.standing.breaker.allows(now)


def soonest(keys: Keys, now: float) -> tuple[float, ...]:
    standings = [target.standing for target in keys if target.standing is not None]
    known = [latency for one in standings if (latency := one.latency.estimate(now)) is not None]
    if known:
        return (1, min(known))
    idle = bool(standings) and all(one.busy == 0 and now - one.asked >= EXPLORE for one in standings)
    return (0 if idle else 2, 0)


def of_others(targets: Sequence[Target], now: float) -> float:
    """How many calls that are not ours the engines have that tell, on average."""
    found = [
        max(0.0, load.running + load.waiting - one.busy + one.since_report())
        for target in targets
        if (one := target.standing) is not None
        and (load := one.load(now)) is not None
        and load.running is not None
        and load.waiting is not None
    ]
    return sum(found) / len(found) if found else 0.0


def idlest(unknown: float, keys: Keys, now: float) -> tuple[float, ...]:
    """``unknown`` is what an engine is taken to have besides our calls that does not tell."""
    standings = [target.standing for target in keys if target.standing is not None]
    depth: float = sum([one.busy for one in standings])
    use = UNKNOWN_USE
    load = standings[0].load(now) if standings else None
    if load is None or (load.running is None and load.waiting is None):
        depth += unknown
    if load is not None:
        said = (load.running or 0.0) + (load.waiting or 0.0)
        if load.running is None or load.waiting is None:
            depth = max(depth, said)  # a part of it only
        else:
            depth = max(0.0, said + sum([one.since_report() for one in standings]))
        use = UNKNOWN_USE if load.cache_use is None else load.cache_use
    return (use >= FULL, depth / keys[0].weight, use)
