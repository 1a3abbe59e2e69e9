"""Which exchange meets which fault: drawn from one seed, so that a run can be had again."""

import random
from collections.abc import Callable, Sequence

from msgspec import Struct

from tests.faults.http_kinds import Unfinished, WrongLength, refusal
from tests.faults.kinds import (
    Drip,
    Fault,
    Flipped,
    Garbage,
    HalfClosed,
    Jitter,
    Latency,
    Refused,
    Reset,
    Silence,
    Truncated,
)

Make = Callable[[random.Random], Fault]


class Share(Struct, frozen=True):
    """``share`` of all exchanges draw this; each time it is drawn it befalls so many ``times`` one after the other."""

    share: float
    make: Make
    times: int = 1


class Schedule:
    """The n-th exchange's fault depends on the seed and on n alone."""

    def __init__(self, seed: int, shares: Sequence[Share]) -> None:
        self._seed = seed
        self._shares = tuple(shares)
        self._number = 0
        self._again: list[Share] = []

    def next(self) -> Fault:
        rng = random.Random(f"{self._seed}/{self._number}")
        self._number += 1
        if self._again:
            return self._again.pop().make(rng)
        roll = rng.random()
        for one in self._shares:
            roll -= one.share
            if roll < 0:
                self._again = [one] * (one.times - 1)
                return one.make(rng)
        return Fault()


def always(make: Callable[[], Fault]) -> Schedule:
    """The same fault for every exchange."""
    return Schedule(0, [Share(1, lambda _: make())])


def anywhere(rng: random.Random) -> int:
    """How many bytes of an answer go through before something happens: often none."""
    return rng.choice((0, 1, rng.randrange(200), rng.randrange(2000)))


def silence(rng: random.Random) -> Silence:
    return Silence(heard=rng.random() < 0.5)


WIRE: tuple[tuple[float, Make], ...] = (
    (0.2, lambda rng: Latency(rng.uniform(0.01, 0.1))),
    (0.1, lambda rng: Jitter(rng, 0.02)),
    (0.1, lambda rng: Refused()),
    (0.1, lambda rng: Reset(anywhere(rng))),
    (0.05, silence),
    (0.05, lambda rng: HalfClosed(anywhere(rng))),
    (0.1, lambda rng: Drip(rng.randrange(20, 60), 0.005)),
    (0.1, lambda rng: Truncated(anywhere(rng))),
    (0.1, lambda rng: Garbage(rng)),
)
"""Of faults, the share that each has, for a server of any protocol."""

HTTP: tuple[tuple[float, Make], ...] = (
    (0.1, Flipped),
    (0.1, lambda rng: Unfinished()),
    (0.1, lambda rng: WrongLength(rng.choice(("small", "large", "negative", "twice")))),
)


def mixed(seed: int, share: float) -> Schedule:
    """All faults of a provider: ``share`` of its exchanges meet one, and as many again come in bursts of refusals."""
    kinds = (*WIRE, *HTTP)
    whole = sum(part for part, _ in kinds)
    shares = [Share(share * part / whole, make) for part, make in kinds]
    return Schedule(seed, [*shares, Share(share / 20, refusal, times=10)])


def on_the_wire(seed: int, share: float, without: tuple[Make, ...] = ()) -> Schedule:
    """All faults of a server that speaks something else than HTTP, but for some of ``WIRE``."""
    kinds = [(part, make) for part, make in WIRE if make not in without]
    whole = sum(part for part, _ in kinds)
    return Schedule(seed, [Share(share * part / whole, make) for part, make in kinds])
