"""What is proved, and at which size."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.faults.judge import Finding
from tests.faults.proxy import Proxy, proxied
from tests.proofs import aborts, deaths, exact, stopwatch
from tests.proofs.site import Site, Tick, site
from tests.servers import redis as servers
from tests.servers.postgres import PASSWORD, binaries, postgres
from tests.servers.redis import RedisServer

EXACT: dict[str, str | tuple[str, ...]] = {
    "m": "m+p10+o40+d20",
    "a": "a+o5",
    "b": "b+o5",
    "c": "c+o5",
    "d": "d+o5",
}
MODELS: dict[str, str | tuple[str, ...]] = deaths.MODELS | {"m": "m+p10+o8+d5"}


LOSSES = ("emptied", "flushed", "set back")
"""Killed and started empty; told to forget all; killed and started with what it had saved before."""


class Sizes(Struct, frozen=True):
    """``outage`` is in seconds."""

    kills: int = 200
    outage: float = 60.0
    calls: int = 2000
    gateways: int = 8
    rounds: int = 5
    """How often what is over in a moment is repeated."""


class Proof(Struct, frozen=True):
    """``steps`` is what its ticks count to. What it returns is told in the table."""

    name: str
    steps: int
    run: Callable[[Path, Tick], Awaitable[str]]
    postgresql: bool = False


def proofs(sizes: Sizes) -> list[Proof]:
    """All of them; those that need PostgreSQL only where it is installed."""
    outages = ("sql holed", "sql refused", "sql stopped")
    found = [
        Proof("limits, 1 process", sizes.rounds, limits(sizes, gateways=1, redis=False)),
        Proof(f"limits, {sizes.gateways} processes, 1 Redis", sizes.rounds, limits(sizes, gateways=sizes.gateways)),
        Proof("limits, 4 workers, 1 Redis", sizes.rounds, limits(sizes, gateways=1, workers=4)),
        Proof("limits, 4 processes, Redis Cluster", 1, in_cluster(sizes)),
        Proof("stopwatch on Retry-After", 1, watched),
        Proof("aborts and other ends", sizes.rounds, ends(sizes)),
        Proof("kill -9, SQLite", sizes.kills, killed(sizes.kills, 1, redis=False)),
        Proof("kill -9, 3 gateways, Redis", sizes.kills // 4, killed(sizes.kills // 4, 3), postgresql=True),
        Proof("kill -9 of all, and of Redis", sizes.kills // 10, all_killed(sizes.kills // 10)),
        Proof("stopped in order", sizes.kills // 10, stopped(sizes.kills // 10)),
        Proof("breaks to the provider", 1, breaks(sizes.kills)),
        Proof("kill -9 of workers", sizes.kills // 10, workers(sizes.kills // 10)),
        *[Proof(name, 1, sql_away(name, sizes.outage), postgresql=True) for name in outages],
        Proof("sqlite locked", 1, sql_away("sqlite locked", sizes.outage)),
        Proof("redis paused", 1, redis_away("paused", sizes.outage)),
        Proof("redis killed", 1, redis_away("killed", sizes.outage)),
        *[Proof(f"budget across a Redis {how}", sizes.rounds, budgets(how, sizes.rounds)) for how in LOSSES],
        Proof("disk full", 1, full_disk),
    ]
    return [proof for proof in found if binaries() or not proof.postgresql]


def limits(sizes: Sizes, gateways: int, workers: int = 1, redis: bool = True) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with (
            redis_for(folder, redis) as url,
            site(folder, EXACT, gateways=gateways, workers=workers, sql=gateways > 1, redis_url=url) as place,
        ):
            for number in range(sizes.rounds):
                await every_limit(place, sizes.calls, f"r{number}")
                tick(number + 1)
            return told(await place.proved())

    return run


async def every_limit(place: Site, calls: int, name: str) -> None:
    await exact.requests(place, 100, calls, f"{name}-rpm")
    await exact.tokens(place, 10_000, calls // 2, f"{name}-tpm")
    await exact.dollars(place, 10_000_000, calls // 2, f"{name}-usd")
    await exact.places(place, 7, calls // 4, f"{name}-places")
    await exact.fan_out(place, f"{name}-fan")


def in_cluster(sizes: Sizes) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        with servers.cluster(folder / "cluster") as nodes:
            url = f"redis+cluster://{','.join(f'127.0.0.1:{node.port}' for node in nodes)}"
            async with site(folder, EXACT, gateways=4, sql=True, redis_url=url) as place:
                await every_limit(place, sizes.calls, "cluster")
                tick(1)
                return told(await place.proved())

    return run


async def watched(folder: Path, tick: Tick) -> str:
    with RedisServer(folder / "redis") as server:
        found = await stopwatch.both(folder, server.url)
    tick(1)
    assert not [one for one in found if one.problem], found
    return ", ".join([f"{one.what} {one.first:.3f} s then {one.second:.3f} s" for one in found])


def ends(sizes: Sizes) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        told_last = ""
        for number in range(sizes.rounds):
            async with site(folder / str(number), aborts.MODELS) as place:
                await aborts.of_every_kind(place)
                await aborts.after_every_chunk(place)
                told_last = told(await place.proved())
            tick(number + 1)
        return told_last

    return run


def killed(times: int, gateways: int, redis: bool = True) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with (
            redis_for(folder, redis) as url,
            site(
                folder, deaths.MODELS, limits=deaths.LIMITS, gateways=gateways, sql=gateways > 1, redis_url=url
            ) as place,
        ):
            await deaths.kills(place, times, seed=time.time_ns() % 1_000_000, tick=tick)
            return told(await place.proved(90))

    return run


def workers(times: int) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with (
            redis_for(folder) as url,
            site(folder, deaths.MODELS, limits=deaths.LIMITS, workers=3, redis_url=url) as place,
        ):
            await deaths.worker_deaths(place, times, tick=tick)
            return told(await place.proved(90))

    return run


def all_killed(times: int) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        with RedisServer(folder / "redis") as server:
            async with site(
                folder, deaths.MODELS, gateways=3, redis_url=server.url, sql=True, limits=deaths.LIMITS
            ) as place:
                return told(await deaths.everything_dies(place, server, times, tick=tick))

    return run


def stopped(times: int) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with site(folder, deaths.MODELS, limits=deaths.LIMITS) as place:
            return told(await deaths.stops(place, times, tick=tick))

    return run


def breaks(times: int) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with site(folder, deaths.MODELS, limits=deaths.LIMITS, proxied_provider=True) as place:
            assert place.proxy is not None
            finding = await deaths.provider_breaks(place, place.proxy, times)
        tick(1)
        return told(finding)

    return run


def sql_away(how: str, seconds: float) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        async with record(how, folder) as (place, outage):
            found = await deaths.away(place, outage, seconds)
            found = await deaths.away(place, outage, seconds / 4, kill=True, seed=4)
            tick(1)
            return told(found.finding)

    return run


@asynccontextmanager
async def record(how: str, folder: Path) -> AsyncIterator[tuple[Site, deaths.Outage]]:
    if how == "sqlite locked":
        async with site(folder, MODELS, limits=deaths.LIMITS) as place:
            yield place, deaths.Locked(place.gateways[0].state / "record.sqlite3")
        return
    async with proxied(postgres().port) as proxy:
        url = f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxy.port}/{{name}}"
        async with site(folder, MODELS, limits=deaths.LIMITS, sql=True, database=url) as place:
            yield place, outage_of(how, proxy)


def outage_of(how: str, proxy: Proxy) -> deaths.Outage:
    if how == "sql stopped":
        return deaths.Stopped(postgres().stop, postgres().start)
    return deaths.Hole(proxy) if how == "sql holed" else deaths.Refusing(proxy)


def redis_away(how: str, seconds: float) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        with RedisServer(folder / "redis") as server:
            ways: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
                "paused": (server.pause, server.resume),
                "killed": (server.stop, server.start),
            }
            async with site(folder, MODELS, limits=deaths.LIMITS, gateways=2, redis_url=server.url, sql=True) as place:
                found = await deaths.away(place, deaths.Stopped(*ways[how]), seconds)
                tick(1)
                return told(found.finding)

    return run


def budgets(how: str, rounds: int) -> Callable[[Path, Tick], Awaitable[str]]:
    async def run(folder: Path, tick: Tick) -> str:
        spent = []
        for number in range(rounds):
            with RedisServer(folder / f"redis{number}") as server:
                if how == "set back":
                    server.client().save()
                async with site(
                    folder / str(number), MODELS, limits=deaths.LIMITS, gateways=2, redis_url=server.url, sql=True
                ) as place:
                    spent.append(await deaths.budget_lost(place, lambda: lose(server, how), nano=40_000_000))
            tick(number + 1)
        return f"of $0.04 were spent: {', '.join([f'${nano / 1e9:.6f}' for nano in spent])}"

    return run


def lose(server: RedisServer, how: str) -> None:
    if how == "flushed":
        server.client().flushall()
        return
    server.stop()
    time.sleep(0.5)
    server.start()


async def full_disk(folder: Path, tick: Tick) -> str:
    with deaths.small_disk(folder / "disk", 16 << 20) as disk:
        async with site(folder, MODELS, limits=deaths.LIMITS, state_dir=str(disk)) as place:
            finding = await deaths.no_room(place, [deaths.Filler(disk)])
    tick(1)
    return told(finding)


@asynccontextmanager
async def redis_for(folder: Path, wanted: bool = True) -> AsyncIterator[str | None]:
    """Its address."""
    if not wanted:
        yield None
        return
    with RedisServer(folder / "redis") as server:
        yield server.url


def told(finding: Finding) -> str:
    return (
        f"{finding.served:,} served, {finding.entries:,} entered: {finding.equal:,} equal, {finding.estimated:,} "
        f"estimated, {finding.interrupted:,} interrupted ({finding.unsent:,} not sent); drift {len(finding.drift)}"
    )
