"""What legs came to, as long as it could not be told."""

from collections.abc import Iterable

from gateway.limits.holds import with_subjects
from gateway.limits.types import SettledUse
from gateway.store.redis.living import Made, Told

MOST = 100_000


class Kept:
    """The oldest are lost first; ``lost`` counts them. Each is kept once, by its id: what was used goes before what is
    only given back."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._uses: dict[str, SettledUse] = {}
        self._made: dict[str, Made] = {}
        """What their holds were, for those that are told should Redis have forgotten them."""
        self.lost = 0
        self.owing = 0
        """How many of them have used something that the counters do not know of: they allow too much until they do."""

    def __len__(self) -> int:
        return len(self._uses)

    def add(self, uses: Iterable[Told]) -> None:
        for use, made in uses:
            self._drop(use.id)
            self._uses[use.id] = use
            if made is not None:
                self._made[use.id] = made
            self.owing += owes(use)
        while len(self._uses) > self._most:
            self._drop(next(iter(self._uses)))
            self.lost += 1

    def give_back(self, holds: Iterable[str]) -> None:
        """Nobody knows whether these were reserved; nothing was used in their name so far."""
        self.add([(SettledUse(id, 0, 0), None) for id in holds if id not in self._uses])

    def uproot(self) -> None:
        """Redis has forgotten all holds."""
        for id, made in self._made.items():
            self._uses[id] = with_subjects(self._uses[id], *made)
        self._made.clear()

    def first(self, most: int) -> tuple[SettledUse, ...]:
        return tuple(use for use, _ in zip(self._uses.values(), range(most), strict=False))

    def remove(self, uses: tuple[SettledUse, ...]) -> None:
        """Those that have been told; one that has been kept anew meanwhile stays."""
        for use in uses:
            if self._uses.get(use.id) is use:
                self._drop(use.id)

    def let_go(self, uses: tuple[SettledUse, ...]) -> None:
        """The counters have these from elsewhere: only what was reserved for them is to be given back."""
        self.remove(uses)
        self.give_back(use.id for use in uses)

    def _drop(self, id: str) -> None:
        use = self._uses.pop(id, None)
        self._made.pop(id, None)
        if use is not None:
            self.owing -= owes(use)


def owes(use: SettledUse) -> bool:
    return use.tokens > 0 or use.nano > 0
