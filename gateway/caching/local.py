"""Answers kept in this process."""

from collections.abc import Callable
from typing import NamedTuple

from gateway.caching.store import Held

OVERHEAD = 512
"""Bytes that an entry takes beside its texts and its value: three tables' rows, and objects' heads."""

Key = tuple[str, str, str]


class Slot(NamedTuple):
    value: bytes
    until: float
    ttl: float
    size: int


class LocalCache:
    """A CacheStore. ``now`` is a steady clock, in seconds. But for ``stats`` and ``purge``, nothing here takes longer
    the more is kept."""

    def __init__(self, max_bytes: int, now: Callable[[], float]) -> None:
        self._most = max_bytes
        self._now = now
        self._slots: dict[Key, Slot] = {}  # the oldest written first
        self._by_ttl: dict[float, dict[Key, None]] = {}  # each the first to expire first: routes have few times
        self.bytes = 0

    def configure(self, max_bytes: int) -> None:
        self._most = max_bytes

    def look(self, team: str, model: str, digest: str) -> bytes | None:
        slot = self._slots.get((team, model, digest))
        if slot is None or slot.until <= self._now():
            return None
        return slot.value

    def keep(self, team: str, model: str, digest: str, value: bytes, ttl: float) -> None:
        now, key = self._now(), (team, model, digest)
        self._expire(now)
        if key in self._slots:
            self._drop(key)
        size = len(value) + len(team) + len(model) + len(digest) + OVERHEAD
        if size > self._most:
            return
        self._slots[key] = Slot(value, now + ttl, ttl, size)
        self._by_ttl.setdefault(ttl, {})[key] = None
        self.bytes += size
        while self.bytes > self._most:
            self._drop(next(iter(self._slots)))

    async def stats(self, team: str | None = None, model: str | None = None) -> list[Held]:
        self._expire(self._now())
        found: dict[tuple[str, str], tuple[int, int]] = {}
        for key, slot in self._slots.items():
            if (team is None or key[0] == team) and (model is None or key[1] == model):
                entries, size = found.get(key[:2], (0, 0))
                found[key[:2]] = entries + 1, size + slot.size
        return [Held(team=a, model=b, entries=n, bytes=size) for (a, b), (n, size) in sorted(found.items())]

    async def purge(self, team: str | None = None, model: str | None = None) -> int:
        self._expire(self._now())
        gone = [key for key in self._slots if team in (None, key[0]) and model in (None, key[1])]
        for key in gone:
            self._drop(key)
        return len(gone)

    def _expire(self, now: float) -> None:
        for ttl, keys in list(self._by_ttl.items()):
            while keys:
                key = next(iter(keys))
                if self._slots[key].until > now:
                    break
                self._drop(key)
            if not keys:
                self._by_ttl.pop(ttl, None)

    def _drop(self, key: Key) -> None:
        slot = self._slots.pop(key)
        del self._by_ttl[slot.ttl][key]
        self.bytes -= slot.size
