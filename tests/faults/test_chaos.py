"""A real gateway, and a way to its providers on which things go wrong: whatever it is, every call ends in time, with
the right answer or a typed failure; and afterwards nothing is missing from the record, reserved, or left open.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio
from msgspec import Struct

from tests.faults.asking import STATUSES, Asker, Call, Came, Models
from tests.faults.gateway import Gateway, target
from tests.faults.http_kinds import Refusal, Unfinished, WrongLength
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
from tests.faults.processes import until
from tests.faults.proxy import Proxy
from tests.faults.schedule import Schedule, Share, anywhere
from tests.proofs.site import Site, site

pytestmark = pytest.mark.asyncio(loop_scope="module")

MODELS: dict[str, str | tuple[str, ...]] = {
    "a": "a+p9+o12+f",
    "b": "b+p7+o9+f+g2",
    "rescued": (target("first+p5+o6+f"), target("second+p6+o7+f", more=", fallback: true")),
    "ages": (target("ages+p8+o4+j", "open"),),
}
KNOWN: Models = {
    "a": ("a+p9+o12+f",),
    "b": ("b+p7+o9+f+g2",),
    "rescued": ("first+p5+o6+f", "second+p6+o7+f"),
    "ages": ("ages+p8+o4+j",),
}
TIMEOUTS = ", timeouts: {connect: 0.5, first_byte: 0.5, idle: 0.5, total: 1.5, first_token: 0.8}"
BOUND = 2 * 1.5 + 2
"""Seconds: two targets one after the other, and a machine that is busy."""
ALONE = "retry: {rounds: 0}\nbreaker: {failures: 10000, ratio: 1, least: 100000}"
"""Neither asked again nor left alone: what is tried here are the faults."""

USAGE = {"stream_options": {"include_usage": True}}


def calls(name: str) -> list[Call]:
    """Whole and in pieces, of one model and of several, in all dialects."""
    made = []
    for number in range(4):
        for place, (dialect, models, stream, more) in enumerate(
            (
                ("chat", ("a",), False, {}),
                ("chat", ("a",), True, USAGE),
                ("chat", ("b",), True, {}),
                ("text", ("a",), False, {}),
                ("text", ("b", "a"), True, USAGE),
                ("thiggle", ("a", "b", "rescued"), False, {}),
                ("thiggle", ("rescued",), True, {}),
                ("chat", ("a", "b"), False, {"fanout": {"mode": "all", "strict": False}}),
                ("typed", ("ages",), False, {}),
                ("lamini", ("a",), False, {}),
            )
        ):
            user = f"{name}-{number}-{place}"
            who = "" if dialect == "lamini" else f" @{user}"
            made.append(Call(dialect, models, f"prompt #{number}{who}", user, stream, more))  # type: ignore[arg-type]
    return made


async def asked(place: Site, name: str, at_once: int = 10) -> list[Came]:
    client, asker = place.client(), Asker(KNOWN, BOUND, statuses=STATUSES)
    waiting = calls(name)
    came: list[Came] = []

    async def caller() -> None:
        while waiting:
            came.append(await asker.ask(client, waiting.pop()))

    await asyncio.gather(*[caller() for _ in range(at_once)])
    await client.close()
    return came


def told(came: list[Came]) -> str:
    return "\n".join([f"{one.call.dialect} {one.call.models} stream={one.call.stream}: {one.wrong}" for one in came])


async def at_rest(gateway: Gateway) -> tuple[int, dict[str, int]]:
    """How many files it has open, and what its tasks run."""
    [seen] = (await gateway.seen()).values()
    [held] = gateway.held().values()
    return held.files, dict(seen.tasks)


KINDS: dict[str, Callable[[random.Random], Fault]] = {
    "latency": lambda rng: Latency(0.1),
    "jitter": lambda rng: Jitter(rng, 0.05),
    "refused": lambda rng: Refused(),
    "reset": lambda rng: Reset(anywhere(rng)),
    "silence": lambda rng: Silence(heard=rng.random() < 0.5),
    "half-closed": lambda rng: HalfClosed(anywhere(rng)),
    "drip": lambda rng: Drip(8, 0.05),
    "truncated": lambda rng: Truncated(anywhere(rng)),
    "garbage": Garbage,
    "flipped": Flipped,
    "unfinished": lambda rng: Unfinished(),
    "length small": lambda rng: WrongLength("small"),
    "length large": lambda rng: WrongLength("large"),
    "length negative": lambda rng: WrongLength("negative"),
    "length twice": lambda rng: WrongLength("twice"),
    "throttled": lambda rng: Refusal(429, rng.choice((None, "1", "soon")), rng.choice(("json", "html", "empty"))),
    "5xx": lambda rng: Refusal(rng.choice((500, 502, 503, 529)), None, rng.choice(("json", "html", "empty"))),
}
HARMLESS = {"latency", "jitter"}


class Begun(Struct):
    """A gateway under watch, and what it had open before anything went wrong."""

    place: Site
    proxy: Proxy
    files: int
    tasks: dict[str, int]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def begun(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Begun]:
    folder = tmp_path_factory.mktemp("chaos")
    async with site(folder, MODELS, proxied_provider=True, provider_more=TIMEOUTS, more=ALONE, watched=True) as place:
        warm = await asked(place, "warm")
        assert all(one.end == "answered" and not one.codes and not one.wrong for one in warm), told(warm)
        await place.settled()
        assert place.proxy is not None
        yield Begun(place, place.proxy, *await at_rest(place.gateways[0]))


@pytest.mark.parametrize("kind", KINDS)
async def test_on_the_way_to_a_provider(kind: str, begun: Begun) -> None:
    """Half of all exchanges meet it."""
    place, proxy = begun.place, begun.proxy
    proxy.injected.clear()
    proxy.schedule = Schedule(7, [Share(0.5, KINDS[kind])])
    came = await asked(place, kind.replace(" ", "-"))
    proxy.schedule = None
    if kind == "throttled":
        await asyncio.sleep(1.1)  # whoever throttles without advice is left alone for a second
    wrong = [one for one in came if one.wrong]
    assert not wrong, told(wrong)
    assert proxy.injected[kind] > 5, proxy.injected
    answered = [one for one in came if one.end == "answered"]
    assert answered and (len(answered) < len(came)) == (kind not in HARMLESS), "too few, or none, have failed"
    await place.proved(10)


async def test_nothing_is_left_behind(begun: Begun) -> None:
    """After all of them: connections that are not used end within seconds, and all tasks are those of the beginning."""
    [gateway] = begun.place.gateways

    async def closed() -> bool:
        return (await at_rest(gateway))[0] <= begun.files

    await until(closed, 10, f"more than {begun.files} files are open", pause=0.2)
    assert (await at_rest(gateway))[1] == begun.tasks
