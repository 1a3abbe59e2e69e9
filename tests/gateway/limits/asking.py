"""Asks in few words, and both limiters under one clock."""

from collections.abc import Sequence
from itertools import count

from gateway.limits.types import Ask, Claim, Granted, Hold, Limits, Refused, Rough, Scope, Share, Subject, Verdict

NOON = 1_798_113_600_000
"""Milliseconds: 2026-12-24, 12:00 UTC."""
DAY, MINUTE = 86_400_000, 60_000

KEY, TEAM, MODEL = Subject("key", "k"), Subject("team", "t"), Subject("model", "m")


class Time:
    """Milliseconds since 1970, as they are set."""

    def __init__(self, now: int = NOON) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


class Asking:
    """Each hold with a new id."""

    def __init__(self) -> None:
        self._numbers = count()

    def ask(
        self, *claims: tuple[Subject, Limits], tokens: int = 0, nano: int = 0, legs: int = 1, name: str | None = None
    ) -> Ask:
        """So many legs, each the same in every subject."""
        ids = [f"h{next(self._numbers)}" if name is None else f"{name}{leg}" for leg in range(legs)]
        shares = tuple(Share(place, tokens, nano) for place in range(len(claims)))
        return Ask(
            tuple(Claim(subject, limits, legs, tokens * legs, nano * legs) for subject, limits in claims),
            tuple(Hold(id, shares) for id in ids),
        )

    def rough(self, *limited: tuple[Subject, Limits], tokens: int = 0, nano: int = 0) -> Rough:
        return Rough(limited, [(f"h{next(self._numbers)}", tokens, nano)])


def subject(scope: Scope, name: str) -> Subject:
    return Subject(scope, name)


def granted(verdict: Verdict) -> Granted:
    assert isinstance(verdict, Granted), verdict
    return verdict


def refused(verdict: Verdict) -> Refused:
    assert isinstance(verdict, Refused), verdict
    return verdict


def ids(asks: Sequence[Ask]) -> tuple[str, ...]:
    return tuple(hold.id for ask in asks for hold in ask.holds)
