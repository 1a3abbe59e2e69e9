"""What is said to ``limits.lua``, and what it answers."""

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw
from msgspec.structs import astuple

from gateway.limits.types import (
    Ask,
    Count,
    Granted,
    Hold,
    Kind,
    Limits,
    Period,
    Refused,
    Rough,
    SettledUse,
    Standing,
    Subject,
    TooClose,
    Verdict,
)

TAG = "{gw}"
"""One hash tag for all keys: a Cluster keeps them on one node, where one script can see them all."""
PREFIX = TAG + ":"
KEYS = [PREFIX + "holds", PREFIX + "expiry", PREFIX + "epoch", PREFIX + "last"]
"""What a Cluster finds the node by. What belongs to a subject or to a hold lies beside."""

KINDS: tuple[Kind, ...] = ("requests/min", "tokens/min", "tokens/day", "concurrent", "USD/day", "USD/month")

Operation = tuple[Any, ...]

encode = msgspec.msgpack.Encoder().encode

OTHERWISE = 0
"""The answer where the counters have been set by the ledger meanwhile."""


def name_of(subject: Subject) -> str:
    return f"{subject.scope}/{subject.name}"


def reserve(ask: Ask, ttl: float) -> Operation:
    claims = [
        (
            f"{claim.subject.scope}/{claim.subject.name}",
            claim.requests,
            claim.tokens,
            claim.nano,
            *astuple(claim.limits),
        )
        for claim in ask.claims
    ]
    holds = []
    for hold in ask.holds:
        flat: list[str | int] = [hold.id]
        for share in hold.shares:
            flat += (share.claim, share.tokens, share.nano)
        holds.append(flat)
    return ("reserve", int(ttl * 1000), claims, holds)


class Alike:
    """Those who are limited alike by a rough wish: who they are, and what is said of them each time."""

    __slots__ = ("limited", "subjects", "words")

    def __init__(self, limited: Sequence[tuple[Subject, Limits]]) -> None:
        self.limited = limited
        self.subjects = [subject for subject, _ in limited]
        self.words = Raw(encode([(name_of(subject), *astuple(limits)) for subject, limits in limited]))


def reserve_easily(alike: Alike, ask: Rough, ttl: float) -> Operation:
    return ("easily", int(ttl * 1000), alike.words, ask.wishes)


def settle(uses: Sequence[SettledUse], epoch: str | None = None) -> Operation:
    """``epoch``: not, but OTHERWISE, if the counters have another one by now."""
    rows = [
        (use.id, use.tokens, use.nano, [name_of(one) for one in use.subjects] if use.subjects else (), use.at)
        for use in uses
    ]
    return ("settle", rows) if epoch is None else ("settle", rows, epoch)


def restore(holds: tuple[tuple[Hold, Ask], ...], ttl: float) -> Operation:
    rows = []
    for hold, ask in holds:
        row: list[str | int] = [hold.id]
        for share in hold.shares:
            row += (name_of(ask.claims[share.claim].subject), share.tokens, share.nano)
        rows.append(row)
    return ("restore", int(ttl * 1000), rows)


def renew(holds: tuple[str, ...], ttl: float) -> Operation:
    return ("renew", int(ttl * 1000), holds)


def seed(periods: tuple[Period, ...], only_empty: bool) -> Operation:
    rows = [(name_of(p.subject), p.at, p.tokens_day, p.nano_day, p.nano_month) for p in periods]
    return ("seed", only_empty, rows)


def adjust(periods: tuple[Period, ...]) -> Operation:
    return ("adjust", [(name_of(p.subject), p.tokens_day, p.nano_day, p.nano_month) for p in periods])


def counts(subjects: tuple[Subject, ...]) -> Operation:
    return ("counts", list(map(name_of, subjects)))


def standing(subjects: Sequence[Subject], found: Any) -> Standing | None:
    if not found:
        return None
    place, kind, limit, remaining, reset = found
    return Standing(subjects[place], KINDS[kind], limit, remaining, reset / 1000)


def verdict(subjects: Sequence[Subject], at: int, answer: list[Any]) -> Verdict:
    """``subjects`` are those of the claims. Raises TooClose."""
    if answer[0] == 1:
        _, requests, tokens, soft, gone = answer
        passed = tuple(filter(None, [standing(subjects, one) for one in soft])) if soft else ()
        spent = tuple([Period(subjects[place], at, day, nano, month) for place, day, nano, month in gone])
        return Granted(at, standing(subjects, requests), standing(subjects, tokens), passed, False, spent)
    if answer[0] == 2:
        raise TooClose
    _, longest, wait, never, requests, tokens = answer
    found = standing(subjects, longest)
    assert found is not None
    seconds = None if wait is False else wait / 1000
    return Refused(found, seconds, never, standing(subjects, requests), standing(subjects, tokens))


def count(subject: Subject, at: int, answer: list[int]) -> Count:
    tokens, nano, month, *reserved = answer
    return Count(Period(subject, at, tokens, nano, month), *reserved)
