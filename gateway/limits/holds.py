"""Who has reserved what, until when; and what is remembered of those who never came back."""

from collections.abc import Iterator

from gateway.limits.accounts import Account, Place, Used
from gateway.limits.types import Ask, Rough, SettledUse
from gateway.limits.windows import Bucket

REMEMBERED = 48 * 3600 * 1000
"""Milliseconds that an expired hold may still be settled, and that a use which is told twice is recognised."""

Reserved = tuple[Account, Bucket | None, Used, Used, int, int]
"""A share of a hold: the account, the bucket of its window, its day, its month; tokens and nano-dollars."""


class Held:
    """``until`` is when it expires, or, once it has, when it is forgotten."""

    __slots__ = ("id", "queue", "shares", "until")

    def __init__(self, id: str, until: int, queue: float, shares: list[Reserved]) -> None:
        self.id = id
        self.until = until
        self.queue = queue
        self.shares = shares


class Holds:
    """Living holds in one queue for each time to live, so that the first of a queue is the first to expire."""

    def __init__(self) -> None:
        self.kept: dict[str, tuple[list[Place], int, int]] = {}
        """Holds that live as long as this process, and have reserved the same tokens and nano-dollars everywhere."""
        self._queues: dict[float, dict[str, Held]] = {}
        self._expired: dict[str, Held] = {}
        self._told: dict[str, int] = {}

    def add(self, id: str, until: int, ttl: float, shares: list[Reserved]) -> None:
        queue = self._queues.get(ttl)
        if queue is None:
            queue = self._queues[ttl] = {}
        queue[id] = Held(id, until, ttl, shares)

    def pop(self, id: str) -> Held | None:
        """The living hold, which lives no longer."""
        if (kept := self.kept.pop(id, None)) is not None:
            places, tokens, nano = kept
            return Held(id, 0, 0.0, [(*place, tokens, nano) for place in places])
        for queue in self._queues.values():
            held = queue.pop(id, None)
            if held is not None:
                return held
        return None

    def pop_expired(self, id: str) -> Held | None:
        """The hold that had expired, which is no longer remembered."""
        return self._expired.pop(id, None)

    def expire(self, now: int, most: int) -> Iterator[Held]:
        """Those whose time is up, the first first. They are remembered."""
        for _ in range(most):
            first = min(self._firsts(), key=lambda held: (held.until, held.id), default=None)
            if first is None or first.until > now:
                return
            del self._queues[first.queue][first.id]
            first.until = now + REMEMBERED
            self._expired[first.id] = first
            yield first

    def next_expiry(self) -> int | None:
        return min((held.until for held in self._firsts()), default=None)

    def note(self, id: str, now: int) -> None:
        """Remembers that the use of this hold has been told."""
        self._told[id] = now + REMEMBERED

    def is_told(self, id: str) -> bool:
        return id in self._told

    def forget(self, now: int) -> None:
        """Lets go of what has been remembered for long enough, and of queues that nobody stands in."""
        while self._expired and (first := next(iter(self._expired.values()))).until <= now:
            del self._expired[first.id]
        while self._told and self._told[id := next(iter(self._told))] <= now:
            del self._told[id]
        for ttl in [ttl for ttl, queue in self._queues.items() if not queue]:
            del self._queues[ttl]

    def _firsts(self) -> Iterator[Held]:
        for queue in self._queues.values():
            if queue:
                yield next(iter(queue.values()))


def with_subjects(use: SettledUse, ask: Ask | Rough, at: int) -> SettledUse:
    """The use with all in whom it counts, for a store that does not know its hold."""
    if isinstance(ask, Rough):
        subjects = tuple([subject for subject, _ in ask.limited])
    else:
        [hold] = [hold for hold in ask.holds if hold.id == use.id]
        subjects = tuple([ask.claims[share.claim].subject for share in hold.shares])
    return SettledUse(use.id, use.tokens, use.nano, subjects, at)
