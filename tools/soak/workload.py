"""What the callers of a soak ask: everything that a gateway is asked on an ordinary day, drawn from a seed."""

import random
from collections.abc import Callable

from msgspec import Struct

from tests.faults.asking import Call, Models
from tests.faults.gateway import target

MODELS: dict[str, str | tuple[str, ...]] = {
    "quick": "quick+p12+o6+f",
    "slow": "slow+p9+o20+d60+f",
    "pieces": "pieces+p7+o12+g5+f",
    "quiet": "quiet+p8+o10+g3+q+f",
    "rescued": (target("broken+s500"), target("rescue+p20+o4+f", more=", fallback: true")),
    "ages": (target("ages+p8+o4+j", "open"),),
}
KNOWN: Models = {
    "quick": ("quick+p12+o6+f",),
    "slow": ("slow+p9+o20+d60+f",),
    "pieces": ("pieces+p7+o12+g5+f",),
    "quiet": ("quiet+p8+o10+g3+q+f",),
    "rescued": ("rescue+p20+o4+f",),
    "ages": ("ages+p8+o4+j",),
}
SPEAKING = ("quick", "slow", "pieces", "quiet", "rescued")

LIMITS = "{organisation: {usd_per_day: 1000, tpd: 1000000000}, team: {usd_per_month: 1000}}"

TEAMS: dict[str, dict[str, int]] = {"red": {"rpm": 1_000_000}, "blue": {"tpm": 100_000_000}, "green": {"concurrent": 2}}
"""Each with its limits: green is often over its own."""

USAGE = {"stream_options": {"include_usage": True}}

Make = Callable[[random.Random, str], list[Call]]


def who(user: str) -> str:
    """Makes a prompt that is asked by one caller alone, and says by whom."""
    return f"tell me of #{sum(user.encode())} @{user}"


def whole(rng: random.Random, user: str) -> list[Call]:
    dialect = rng.choice(("chat", "chat", "text", "thiggle"))
    return [Call(dialect, (rng.choice(SPEAKING),), who(user), user)]  # type: ignore[arg-type]


def streamed(rng: random.Random, user: str) -> list[Call]:
    more = rng.choice((USAGE, {}))
    return [Call(rng.choice(("chat", "text")), (rng.choice(SPEAKING),), who(user), user, True, more)]


def several(rng: random.Random, user: str) -> list[Call]:
    models = tuple(rng.sample(SPEAKING, rng.randrange(2, 5)))
    dialect, stream = rng.choice(("chat", "text", "thiggle")), rng.random() < 0.4
    return [Call(dialect, models, who(user), user, stream)]  # type: ignore[arg-type]


def typed(rng: random.Random, user: str) -> list[Call]:
    return [Call("typed", ("ages",), who(user), user)]


def identical(rng: random.Random, user: str) -> list[Call]:
    """The same from several at once, at temperature 0; often it has been asked before."""
    prompt = f"what everybody asks, number {rng.randrange(200)}"
    model, stream = rng.choice(("quick", "pieces", "slow")), rng.random() < 0.4
    more = {"temperature": 0, **(USAGE if stream else {})}
    return [Call("chat", (model,), prompt, f"{user}-{place}", stream, more) for place in range(rng.randrange(2, 6))]


def leaving(rng: random.Random, user: str) -> list[Call]:
    """At any moment: before there is an answer, or in its middle."""
    if rng.random() < 0.5:
        model, stream = rng.choice(("slow", "pieces", "quiet")), rng.random() < 0.5
        return [Call("chat", (model,), who(user), user, stream, leaves=rng.random() * 0.1)]
    return [Call("chat", (rng.choice(("pieces", "quiet")),), who(user), user, True, leaves_at=rng.randrange(8))]


def reading_slowly(rng: random.Random, user: str) -> list[Call]:
    return [Call("chat", ("pieces", "quick"), who(user), user, True, USAGE, pause=rng.random() * 0.1)]


SHARES: tuple[tuple[float, Make], ...] = (
    (0.32, whole),
    (0.20, streamed),
    (0.12, several),
    (0.08, typed),
    (0.12, identical),
    (0.12, leaving),
    (0.04, reading_slowly),
)


class Workload(Struct):
    """The n-th of all is the same in every run with this seed."""

    seed: int
    number: int = 0

    def next(self) -> list[Call]:
        """Calls that are made at the same time."""
        rng, user = random.Random(f"{self.seed}/call/{self.number}"), f"s{self.seed}-{self.number}"
        self.number += 1
        [make] = rng.choices([make for _, make in SHARES], [share for share, _ in SHARES])
        return make(rng, user)
