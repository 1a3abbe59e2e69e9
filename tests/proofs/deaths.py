"""What is served is entered, whatever dies: gateways, Redis, SQL, the disk. The provider's books are the judge."""

import asyncio
import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Protocol

from msgspec import Struct

from tests.faults.gateway import target
from tests.faults.judge import Finding
from tests.faults.load import Load, Tally
from tests.faults.processes import until
from tests.faults.proxy import Proxy
from tests.proofs.exact import known
from tests.proofs.site import PROMPT, Site, Tick, body, no_tick
from tests.servers.redis import RedisServer

MODELS: dict[str, str | tuple[str, ...]] = {
    "quick": "quick+p12+o6+w",
    "slow": "slow+p9+o20+d60+w",
    "pieces": "pieces+p7+o12+g5",
    "quiet": "quiet+p8+o10+d10+q",
    "whispering": "whispering+p8+o10+g3+q",
    "rescued": (target("broken+s500"), target("rescue+p20+o4", more=", fallback: true")),
    "failing": "failing+s503+d5",
}
"""What a load asks for: answers at once and late, whole and in pieces, with and without a report of usage."""

LIMITS = "{organisation: {usd_per_day: 1000, tpd: 1000000000}, team: {rpm: 1000000, usd_per_month: 1000}}"
"""None of them binds: they are there to be counted, and for the counters to be held against the ledger."""

STREAMED = ("pieces", "whispering")
STATUSES = (200, 502, 503)
"""What callers of these models may be answered: a provider's failure is a 502."""


def mixed(chance: random.Random) -> Callable[[str], Any]:
    names = list(MODELS)

    def make(user: str) -> Any:
        name = chance.choice(names)
        if chance.random() < 0.1:
            return body(["quick", "slow"], user)
        return body(name, user, stream=True) if name in STREAMED else body(name, user)

    return make


@asynccontextmanager
async def loaded(
    site: Site, callers: int, name: str, seed: int, fine: tuple[int, ...] = STATUSES
) -> AsyncIterator[Tally]:
    load = Load(site.client(), mixed(random.Random(seed)), callers, name, fine)
    load.start()
    try:
        yield load.tally
    finally:
        await load.stop()


async def kills(
    site: Site, times: int, callers: int = 24, seed: int = 1, tick: Tick = no_tick, most: float = 0.5
) -> Finding:
    """``kill -9`` of a gateway at so many random moments under load, each time started again on the same state."""
    chance = random.Random(seed)
    async with loaded(site, callers, f"kill{seed}", seed) as tally:
        for number in range(times):
            victim = chance.choice(site.gateways)
            await asyncio.sleep(chance.random() * most)
            await victim.kill()
            if chance.random() < 0.3:  # ... and once more while it starts
                await victim.start(ready=False)
                await asyncio.sleep(chance.random() * 1.0)
                await victim.kill()
            await victim.start()
            tick(number + 1)
        await asyncio.sleep(0.3)
    assert not tally.bad, tally.bad[:5]
    assert tally.statuses[200] > 0, tally
    finding = await site.proved(free=False)
    await site.reported(finding)
    return finding


async def stops(site: Site, times: int, callers: int = 24, seed: int = 9, tick: Tick = no_tick) -> Finding:
    """Stopped in order under load, and started again: what is under way is answered, and nothing is interrupted."""
    chance = random.Random(seed)
    async with loaded(site, callers, f"stop{seed}", seed) as tally:
        for number in range(times):
            victim = chance.choice(site.gateways)
            await asyncio.sleep(chance.random() * 0.5)
            await victim.stop()
            await victim.start()
            tick(number + 1)
    assert not tally.bad, tally.bad[:5]
    finding = await site.proved()
    assert not finding.interrupted, finding
    return finding


async def everything_dies(
    site: Site, redis: RedisServer, times: int, callers: int = 24, seed: int = 11, tick: Tick = no_tick
) -> Finding:
    """All gateways are killed at once, and Redis with them, which comes back empty."""
    chance = random.Random(seed)
    async with loaded(site, callers, f"all{seed}", seed) as tally:
        for number in range(times):
            await asyncio.sleep(0.3 + chance.random() * 0.7)
            await asyncio.gather(*[one.kill() for one in site.gateways])
            await asyncio.to_thread(redis.stop)
            await asyncio.to_thread(redis.start)
            await asyncio.gather(*[one.start() for one in site.gateways])
            tick(number + 1)
    assert not tally.bad, tally.bad[:5]
    return await site.proved()


async def provider_breaks(site: Site, proxy: Proxy, times: int, callers: int = 24, seed: int = 10) -> Finding:
    """The way to the provider breaks in every manner, in the middle of everything."""
    chance = random.Random(seed)
    async with loaded(site, callers, f"broken{seed}", seed, (*STATUSES, 504)) as tally:
        for _ in range(times):
            await asyncio.sleep(0.1 + chance.random() * 0.2)
            match chance.choice(("reset", "half", "refuse", "hole")):
                case "reset":
                    proxy.reset()
                case "half":
                    proxy.half_close()
                case "refuse":
                    proxy.set("refuse")
                    proxy.reset()
                    await asyncio.sleep(0.1)
                case _:
                    proxy.set("hole")
                    await asyncio.sleep(0.1)
                    proxy.reset()
            proxy.set("pass")
        await asyncio.sleep(0.2)
    assert not tally.bad, tally.bad[:5]
    return await site.proved()


async def worker_deaths(site: Site, times: int, callers: int = 24, seed: int = 2, tick: Tick = no_tick) -> Finding:
    """``kill -9`` of one worker of several: the others go on, and enter what it left."""
    chance = random.Random(seed)
    [gateway] = site.gateways
    async with loaded(site, callers, f"worker{seed}", seed) as tally:
        for number in range(times):
            await asyncio.sleep(0.4 + chance.random() * 2)
            workers = gateway.serving
            with contextlib.suppress(ProcessLookupError):
                os.kill(chance.choice(workers), signal.SIGKILL)
            tick(number + 1)
        await gateway.ready()
    assert not tally.bad, tally.bad[:5]
    return await site.proved(free=False)


# ------------------------------------------------------------------ servers that are away


class Outage(Protocol):
    async def begin(self) -> None: ...
    async def end(self) -> None: ...


class Hole(Struct):
    """Whoever asks waits."""

    proxy: Proxy

    async def begin(self) -> None:
        self.proxy.set("hole")

    async def end(self) -> None:
        self.proxy.set("pass")
        self.proxy.reset()


class Refusing(Struct):
    """Connections end, and new ones are reset."""

    proxy: Proxy

    async def begin(self) -> None:
        self.proxy.set("refuse")
        self.proxy.reset()

    async def end(self) -> None:
        self.proxy.set("pass")


class Locked(Struct):
    """Somebody else keeps SQLite's file for themselves: nothing can be read from it, or written."""

    file: Path
    held: list[sqlite3.Connection] = []

    async def begin(self) -> None:
        await asyncio.to_thread(self._lock)

    async def end(self) -> None:
        for connection in self.held:
            connection.close()
        self.held = []

    def _lock(self) -> None:
        connection = sqlite3.connect(self.file, timeout=30, isolation_level=None, check_same_thread=False)
        connection.execute("BEGIN EXCLUSIVE")
        self.held = [connection]


class Stopped(Struct):
    """A server that is shut down and started again by its own methods, elsewhere than in the event loop."""

    stop: Callable[[], Any]
    start: Callable[[], Any]

    async def begin(self) -> None:
        await asyncio.to_thread(self.stop)

    async def end(self) -> None:
        await asyncio.to_thread(self.start)


class Away(Struct):
    """What an outage was like: the finding, the longest answer meanwhile beyond what its model takes, and how many
    answers said that they were degraded."""

    finding: Finding
    tally: Tally


async def away(
    site: Site, outage: Outage, seconds: float, callers: int = 24, seed: int = 3, kill: bool = False
) -> Away:
    """A server is away under load, for so long; with ``kill`` a gateway dies meanwhile, and starts again after."""
    async with loaded(site, callers, f"away{seed}", seed) as tally:
        await asyncio.sleep(0.5)
        before = tally.statuses[200]
        await outage.begin()
        began = time.monotonic()
        await asyncio.sleep(seconds / 2)
        if kill:
            await site.gateways[0].kill()
        during = tally.statuses[200]
        await asyncio.sleep(seconds / 2)
        assert during > before, "no call was answered while it was away"
        await outage.end()
        assert time.monotonic() - began >= seconds
        if kill:
            await site.gateways[0].start()
        await asyncio.sleep(0.5)
    assert not tally.bad, tally.bad[:5]
    return Away(await site.proved(free=not kill), tally)


async def budget_lost(site: Site, lose: Callable[[], Any], nano: int, callers: int = 16) -> int:
    """Redis dies and comes back empty while a budget is being spent, at about its half: in all no more is spent than it
    allows, and all of it can be. Returns what was."""
    key = await site.gateways[0].new_key(budget_usd=nano / 1e9, period="month")
    await known(site, key)
    load = Load(site.client(key), lambda user: body("m", user, max_tokens=8), callers, "lost", (200, 429, 503))
    load.start()

    async def half() -> bool:
        return spent(site, "lost-") > nano // 2

    await until(half, 30, "half of the budget is not spent", pause=0.05)
    await asyncio.to_thread(lose)
    await asyncio.sleep(2)
    tally = await load.stop()
    assert not tally.bad, tally.bad[:5]
    client = site.client(key)
    refusals = 0
    for number in range(nano):
        answer = await client.call(body("m", f"lost-after-{number}", max_tokens=8))
        refusals = refusals + 1 if answer.status == 429 else 0
        if refusals == 10:
            break
        await asyncio.sleep(0 if answer.status == 200 else 0.1)
    await client.close()
    await site.proved()
    used = spent(site, "lost-")
    assert used <= nano, f"{used - nano} nano-dollars too much"
    assert nano - used < (len(PROMPT) + 200) * 1000 + 8 * 2000, f"only {used} of {nano} could be spent"
    return used


def spent(site: Site, name: str) -> int:
    return sum([one.input * 1000 + one.output * 2000 for one in site.provider.served() if one.user.startswith(name)])


# ------------------------------------------------------------------ the disk


@contextmanager
def small_disk(folder: Path, bytes: int) -> Iterator[Path]:
    """A file system of so many bytes. Raises OSError where this user may not mount one."""
    folder.mkdir(parents=True)
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={bytes}", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if done.returncode:
        raise OSError(done.stderr.decode())
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class Filler:
    """A file that takes all that is left of a disk."""

    def __init__(self, disk: Path) -> None:
        self._path = disk / "filler"

    async def begin(self) -> None:
        with contextlib.suppress(OSError), self._path.open("ab", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    async def end(self) -> None:
        self._path.unlink()


async def no_room(
    site: Site, outages: Sequence[Outage], callers: int = 24, most: float = 60.0, seed: int = 5
) -> Finding:
    """There is no room left to note what calls use: they are refused with 503, and none is served that is not entered.
    With room again they are answered."""

    async def refused() -> bool:
        return await probe(site) == (503, "unrecorded")

    async def admitted() -> bool:
        return (await probe(site))[0] == 200

    async with loaded(site, callers, f"disk{seed}", seed) as tally:
        await asyncio.sleep(0.5)
        for outage in outages:
            await outage.begin()
        await until(refused, most, "calls are still let in", pause=0.1)
        await asyncio.sleep(1)
        assert await refused()
        for outage in outages:
            await outage.end()
        await until(admitted, 20, "calls are still refused", pause=0.1)
        await asyncio.sleep(0.5)
    assert not tally.bad, tally.bad[:5]
    return await site.proved()


async def probe(site: Site) -> tuple[int, str]:
    client = site.client()
    answer = await client.call(body("quick", f"probe-{time.monotonic_ns()}"))
    await client.close()
    return answer.status, answer.json["error"]["code"] if answer.status != 200 else ""
