"""Holds of this process that are not settled yet, should Redis forget them."""

from gateway.limits.types import Ask, SettledUse, Subject


class Living:
    """When Redis loses its counters, they are filled from the ledger, which knows what legs came to that have ended. Of
    those under way then, the use is told with the subjects that it counts in, as one of which Redis has no hold."""

    def __init__(self) -> None:
        self._made: dict[str, tuple[tuple[Subject, ...], int]] = {}
        self._uprooted: dict[str, tuple[tuple[Subject, ...], int]] = {}

    def __len__(self) -> int:
        return len(self._made) + len(self._uprooted)

    def add(self, ask: Ask, at: int) -> None:
        claims = ask.claims
        for hold in ask.holds:
            self._made[hold.id] = (tuple([claims[share.claim].subject for share in hold.shares]), at)

    def uproot(self) -> None:
        """Redis has forgotten all that were made."""
        self._uprooted.update(self._made)
        self._made.clear()

    def settle(self, use: SettledUse) -> tuple[SettledUse, SettledUse | None]:
        """The use as it is to be told; and as it is to be told again, if Redis has forgotten the hold unnoticed."""
        if (found := self._made.pop(use.id, None)) is not None:
            return use, None if use.subjects else SettledUse(use.id, use.tokens, use.nano, *found)
        if (found := self._uprooted.pop(use.id, None)) is not None and not use.subjects:
            return SettledUse(use.id, use.tokens, use.nano, *found), None
        return use, None
