"""A client that waits exactly as long as it is told is let in, and not a quarter of a second before.

A program, since it waits for a minute and others need not wait for it:

    python -m tests.proofs.stopwatch FOLDER REDIS_URL

prints what it measured, a line of JSON for each limit, and ends with status 1 if one was not kept.
"""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from tests.faults.load import Answer
from tests.proofs.exact import known
from tests.proofs.site import Site, body, site

EARLY = 0.25
APART = 0.4
MODELS: dict[str, str | tuple[str, ...]] = {"m": "m+p10+o500"}


class Measured(Struct):
    """Seconds: how long clients were told to wait, first for a window that was full, then for the next place in it; and
    what they were told a quarter of a second before the first was over."""

    what: str
    first: float
    second: float
    early: float
    problem: str = ""


async def measured(place: Site, what: str, limits: dict[str, Any], calls: int) -> Measured:
    """Fills a window with calls some time apart, and comes back exactly when told."""
    key = await place.gateways[0].new_key(**limits)
    await known(place, key)
    client = place.client(key)

    async def ask(number: int) -> tuple[Answer, float]:
        answer = await client.call(body("m", f"{what}-{number}", max_tokens=500))
        return answer, time.monotonic()

    try:
        for number in range(calls):
            answer, _ = await ask(number)
            assert answer.status == 200, f"call {number}: {answer}"
            await asyncio.sleep(APART)
        answer, received = await ask(100)
        assert answer.status == 429, f"a window that is full is not: {answer.headers}"
        first = told(answer)
        await sleep_until(received + first - EARLY)
        answer, again = await ask(101)
        early = told(answer)
        assert EARLY - 0.2 < early <= EARLY + 0.02, f"a quarter of a second before it is told {early:g} s"
        await sleep_until(received + first)
        answer, _ = await ask(102)
        assert answer.status == 200, f"after exactly {first:g} s: {answer}"
        answer, received = await ask(103)
        second = told(answer)
        assert second <= APART + 0.15, f"the next place is free {APART:g} s later, not {second:g} s"
        await sleep_until(received + second)
        answer, _ = await ask(104)
        assert answer.status == 200, f"after exactly {second:g} s more: {answer}"
        return Measured(what, first, second, early)
    except AssertionError as error:
        return Measured(what, 0, 0, 0, str(error))
    finally:
        await client.close()


def told(answer: Answer) -> float:
    assert answer.status == 429, f"not refused: {answer.status} {answer.headers}"
    exact, rounded = int(answer.headers["retry-after-ms"]) / 1000, int(answer.headers["retry-after"])
    assert exact <= rounded < exact + 1 or rounded == 60, f"Retry-After is {rounded}, exactly {exact}"
    return exact


async def sleep_until(moment: float) -> None:
    await asyncio.sleep(max(0.0, moment - time.monotonic()))


async def both(folder: Path, redis_url: str) -> list[Measured]:
    """In a process alone, and over two gateways with Redis. The limits of tokens have room for four answers and no
    fifth, however well its prompt is estimated."""
    async with (
        site(folder / "alone", MODELS) as alone,
        site(folder / "shared", MODELS, gateways=2, redis_url=redis_url, sql=True) as shared,
    ):
        return list(
            await asyncio.gather(
                *[
                    measured(place, f"{name}-{kind}", limits, calls)
                    for name, place in (("alone", alone), ("shared", shared))
                    for kind, limits, calls in (("rpm", {"rpm": 4}, 4), ("tpm", {"tpm": 2200}, 4))
                ]
            )
        )


if __name__ == "__main__":
    found = asyncio.run(both(Path(sys.argv[1]), sys.argv[2]))
    for one in found:
        print(msgspec.json.encode(one).decode())
    sys.exit(any(one.problem for one in found))
