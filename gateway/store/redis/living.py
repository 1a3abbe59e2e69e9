"""Holds of this process that are not settled yet, to be renewed; and should Redis forget them."""

from gateway.limits.holds import with_subjects
from gateway.limits.types import Ask, Hold, Rough, SettledUse

Made = tuple[Ask | Rough, int]
"""What a hold was asked for with, and when it was granted, by the server's clock in milliseconds."""

Told = tuple[SettledUse, Made | None]
"""A use as it is to be told; and what its hold was, by which it is to be told again if Redis has forgotten that."""


class Living:
    """When Redis loses its counters, they are filled from the ledger, which knows what legs came to that have ended. Of
    those under way then, the use is told with the subjects that it counts in, as one of which Redis has no hold."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}
        self._uprooted: dict[str, Made] = {}

    def __len__(self) -> int:
        return len(self._made) + len(self._uprooted)

    def add(self, ask: Ask | Rough, at: int) -> None:
        made = ask, at
        for id in ask.ids():
            self._made[id] = made

    def uproot(self) -> None:
        """Redis has forgotten all that were made."""
        self._uprooted.update(self._made)
        self._made.clear()

    def settle(self, use: SettledUse) -> Told:
        made = self._made.pop(use.id, None)
        if made is not None:
            return use, None if use.subjects else made
        if self._uprooted and (made := self._uprooted.pop(use.id, None)) is not None and not use.subjects:
            return with_subjects(use, *made), None
        return use, None

    def ids(self) -> list[str]:
        return [*self._made, *self._uprooted]

    def holds(self) -> list[tuple[Hold, Ask]]:
        """Each with what it was asked for with."""
        found: list[tuple[Hold, Ask]] = []
        for id, (ask, _) in (*self._made.items(), *self._uprooted.items()):
            whole = ask.whole() if isinstance(ask, Rough) else ask
            found += [(hold, whole) for hold in whole.holds if hold.id == id]
        return found
