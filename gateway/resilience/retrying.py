"""How often, and after what waits, a model's targets are asked again."""

from collections.abc import Callable

from msgspec import Struct


def no_draw() -> float:
    return 1.0


class Retrying(Struct, frozen=True):
    """``rounds`` times at most a call goes back to targets that have failed, after a wait drawn from 0 to ``base``
    seconds, then to twice as much, up to ``most``; a provider's Retry-After is never cut short, and not waited for if
    it is longer than ``most``. ``draw`` gives a number from 0 to 1."""

    rounds: int = 0
    base: float = 0.2
    most: float = 5.0
    draw: Callable[[], float] = no_draw
