"""What a failure says about whom to ask next, and about who has failed: one table.

What must not be asked elsewhere is said by the errors themselves (``fall_back``), and goes before the table.
"""

from msgspec import Struct

from adapters.errors import (
    Garbled,
    Invalid,
    NotConnected,
    ProviderError,
    Rejected,
    Throttled,
    TimedOut,
    Unauthorized,
    Unavailable,
    Unknown,
)
from gateway.gate import Overloaded


class Verdict(Struct, frozen=True, kw_only=True):
    """``elsewhere``: another target may answer. ``again``: the same one may, a little later. ``key``: it concerns the
    key alone, so the provider's other keys are asked before other targets.

    For the breaker of who was asked: ``counts``: a failure of the target. ``opens``: ... and one is enough. ``rests``:
    it is left alone until the moment that it has named. ``alive``: it has done its part, whatever we make of its
    answer. None of these: it says nothing about the target, as when it was not even asked.
    """

    elsewhere: bool = False
    again: bool = False
    key: bool = False
    counts: bool = False
    opens: bool = False
    rests: bool = False
    alive: bool = False


TABLE: dict[type[ProviderError], Verdict] = {
    ProviderError: Verdict(elsewhere=True),
    Rejected: Verdict(alive=True),  # TooLong and Filtered too: whom to ask then is the model's to say
    Unauthorized: Verdict(elsewhere=True, key=True, counts=True, opens=True),
    Throttled: Verdict(elsewhere=True, again=True, key=True, rests=True),
    Unavailable: Verdict(elsewhere=True, again=True, counts=True),
    Unknown: Verdict(elsewhere=True),
    Overloaded: Verdict(elsewhere=True),  # our own gate, not the target
    TimedOut: Verdict(elsewhere=True, counts=True),  # it may still be at work on it: asking again may cost twice
    NotConnected: Verdict(elsewhere=True, again=True, counts=True),
    Garbled: Verdict(elsewhere=True, again=True, counts=True),
    Invalid: Verdict(elsewhere=True, alive=True),
}
"""The class that stands nearest to the error's own counts."""

NOTHING = Verdict()
ANSWERED = Verdict(alive=True)


def verdict_of(error: ProviderError) -> Verdict:
    """What follows from a failure."""
    verdict = next(TABLE[kind] for kind in type(error).__mro__ if kind in TABLE)
    if error.fall_back:
        return verdict
    return ANSWERED if verdict.alive else NOTHING
