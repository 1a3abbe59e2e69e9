"""A leg's part in a call that another process makes, and does not bring to its end."""

import asyncio
import time
from collections.abc import Awaitable, Callable

from adapters.types import Choice, Delta, Reply, Usage
from gateway.caching.control import NONE
from gateway.caching.local import LocalCache
from gateway.sharing.flight import Flight
from gateway.sharing.look import Look
from gateway.sharing.share import Gone, Share
from gateway.sharing.sharing import Sharing
from gateway.types import Clock, LegResult
from tests.gateway.playing import Playing, plan, says, streaming

CLOCK = Clock(time.time, time.monotonic)


class Dying:
    """Another process leads the first call, tells a part of it, and dies when it is told to."""

    def __init__(self) -> None:
        self.flights: list[Flight] = []
        self.dies = asyncio.Event()

    async def fly(self, flight: Flight, share: Share, lead: Callable[[], Awaitable[None]]) -> None:
        self.flights.append(flight)
        if len(self.flights) > 1:
            await lead()
            return
        flight.emit(flight.result, [Delta(0, "Once")], 0)
        await self.dies.wait()
        flight.result.outcome = Gone("it has gone")

    def look(self, share: Share) -> Look:
        look = Look(("t", "a", share.digest), lambda *_: None)
        look.hear("")
        return look

    def start(self) -> None:
        pass

    async def close(self) -> None:
        pass


async def test_who_wants_it_whole_asks_anew_when_another_process_has_died_in_its_midst() -> None:
    provider = Playing(a=says("An answer."))
    [whole], dying = plan(provider, "a"), Dying()
    [streamed] = streaming(plan(provider, "a"))
    sharing = Sharing(LocalCache(1 << 20, time.monotonic), CLOCK, 1 << 20)
    sharing.start(dying)
    heard: list[str] = []

    def emit(result: LegResult, deltas: list[Delta], shift: int) -> None:
        heard.extend([delta.text for delta in deltas])

    first, second, third = LegResult(streamed, 0.0, sent=[0]), LegResult(whole, 0.0), LegResult(whole, 0.0)
    hears = asyncio.create_task(Share(sharing, "t", streamed, "key", NONE).answer(first, CLOCK, emit))
    while not heard:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0)
    wants = [
        asyncio.create_task(Share(sharing, "t", whole, "key", NONE).answer(one, CLOCK, None)) for one in (second, third)
    ]
    await asyncio.sleep(0.01)
    assert len(dying.flights) == 1
    dying.dies.set()
    await asyncio.gather(hears, *wants)
    assert heard == ["Once"] and isinstance(first.outcome, Gone)
    assert second.outcome == third.outcome == Reply((Choice(0, "An answer.", "stop"),), Usage(5, 3))
    assert sorted([second.cache, third.cache]) == ["coalesced", "miss"] and provider.asked == ["a"]
    await sharing.close()
