"""Which target a leg asks next, after those before have failed: the order, the keys, the second rounds, the waits.

Pure: it is told the time and what came of each try. First every target is asked once, without waiting; those that may
answer a little later are then asked again, round by round, as far as their budgets of retries go.
"""

import math
from collections.abc import Sequence

from adapters.errors import ProviderError, Throttled
from gateway.gate import Overloaded
from gateway.resilience.backoff import wait
from gateway.resilience.retrying import Retrying
from gateway.resilience.verdicts import verdict_of
from gateway.types import Target


class Resting(Overloaded):
    """It has failed too often of late to be asked."""

    code = "resting"


class Course:
    """``targets`` in the order in which to ask; ``until`` is the moment after which nobody waits for an answer. Times
    are the steady clock's."""

    def __init__(self, targets: Sequence[Target], retrying: Retrying, until: float = math.inf) -> None:
        self._left = list(targets)
        self._retrying = retrying
        self._until = until
        self._round = 0
        self._later: list[tuple[float, Target]] = []
        self._passed: list[Target] = []

    def failed(self, target: Target, failure: ProviderError, now: float) -> bool:
        """Notes what a target has failed by. False if no other would do better."""
        verdict, retrying = verdict_of(failure), self._retrying
        if not verdict.elsewhere:
            return False
        if not verdict.key and target.credential:  # its other keys would meet the same
            self._left = [other for other in self._left if other.name != target.name]
        if verdict.again and self._round < retrying.rounds:
            pause = wait(self._round, retrying.draw(), retrying.base, retrying.most, failure.retry_after)
            if pause is not None and verdict.rests and target.standing is not None:
                pause = max(pause, target.standing.breaker.opens_at(now))
            if pause is not None and pause <= retrying.most and now + pause < self._until:
                self._later.append((now + pause, target))
        return True

    def next(self, now: float) -> Target | float | None:
        """The target to ask; or the seconds to wait before asking this again; None if there is none left."""
        while True:
            while self._left:
                target = self._left.pop(0)
                if is_up(target, now):
                    return target
                self._passed.append(target)
            if not self._later:
                return None
            due = min([ready for ready, _ in self._later])
            if due > now:
                return due - now
            self._round += 1
            self._left = [target for ready, target in self._later if ready <= now and has_budget(target, now)]
            self._later = [pair for pair in self._later if pair[0] > now]

    def passed_over(self, now: float) -> ProviderError:
        """Why nobody was asked: all rest. Tells when the first of them may be asked again."""
        breakers = [target.standing.breaker for target in self._passed if target.standing is not None]
        soonest = min([breaker.opens_at(now) for breaker in breakers], default=0.0)
        if breakers and all(breaker.rests(now) for breaker in breakers):
            return Throttled("the provider is throttling requests", retry_after=soonest)
        return Resting("the provider has failed too often of late; it is asked again soon", retry_after=soonest)


def is_up(target: Target, now: float) -> bool:
    """Whether a target may be asked now."""
    return target.standing is None or target.standing.breaker.allows(now)


def has_budget(target: Target, now: float) -> bool:
    """Whether it may be asked again; if so, that is counted."""
    return target.standing is None or target.standing.budget.take(now)
