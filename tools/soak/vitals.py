"""What a gateway has of the machine over time, and whether it grows."""

import time
from collections import Counter

from msgspec import Struct, field

from tests.faults.gateway import Gateway
from tests.faults.proc import Held, connections, other_files

MEGABYTE = 1 << 20


class Sample(Struct, frozen=True):
    at: float
    held: Held


class Rest(Struct):
    """A gateway of which nothing is asked: how many connections it has from callers, to providers, and to Redis and
    SQL, of which it keeps some; what else is open, by its name; what tasks run; and how
    many pieces of memory are in use."""

    callers: int = 0
    providers: int = 0
    stores: int = 0
    others: Counter[str] = field(default_factory=Counter)
    tasks: Counter[str] = field(default_factory=Counter)
    blocks: int = 0


async def resting(gateway: Gateway, provider: int) -> Rest:
    """``provider`` is the port of all providers."""
    rest = Rest()
    for pid in gateway.serving:
        ends = connections(pid)
        callers, providers = sum(one.here == gateway.port for one in ends), sum(one.there == provider for one in ends)
        rest.callers += callers
        rest.providers += providers
        rest.stores += len(ends) - callers - providers
        rest.others.update(other_files(pid))
    for seen in (await gateway.seen()).values():
        rest.tasks.update(seen.tasks)
        rest.blocks += seen.blocks
    return rest


class Vitals:
    """Of one process, which lives all the time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.samples: list[Sample] = []

    def take(self) -> None:
        for held in self._gateway.held().values():
            self.samples.append(Sample(time.monotonic(), held))

    def later(self, share: float) -> list[Sample]:
        """Those after this share of the time."""
        begin = self.samples[0].at + share * (self.samples[-1].at - self.samples[0].at)
        return [one for one in self.samples if one.at >= begin]


def slope(samples: list[Sample]) -> float:
    """By how many bytes a second memory grows: the line that fits best."""
    if len(samples) < 2:
        return 0.0
    at = sum(one.at for one in samples) / len(samples)
    memory = sum(one.held.memory for one in samples) / len(samples)
    below = sum((one.at - at) ** 2 for one in samples)
    return sum((one.at - at) * (one.held.memory - memory) for one in samples) / below if below else 0.0


def growth(samples: list[Sample]) -> float:
    """Bytes, over all the time of these samples, along that line."""
    return slope(samples) * (samples[-1].at - samples[0].at) if samples else 0.0
