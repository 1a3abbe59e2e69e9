import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.faults.processes import until
from tests.faults.proxy import proxied
from tests.proofs import deaths
from tests.proofs.site import Site, site
from tests.servers.postgres import PASSWORD, binaries, postgres
from tests.servers.records import KINDS
from tests.servers.redis import RedisServer

MODELS = deaths.MODELS | {"m": "m+p10+o8+d5"}


async def test_kill_nine_at_random_moments(tmp_path: Path) -> None:
    async with site(tmp_path, deaths.MODELS, limits=deaths.LIMITS) as place:
        finding = await deaths.kills(place, 5)
        assert finding.interrupted > 0 and finding.equal > 100, finding


async def test_stopped_in_order(tmp_path: Path) -> None:
    async with site(tmp_path, deaths.MODELS, limits=deaths.LIMITS) as place:
        await deaths.stops(place, 2)


async def test_the_way_to_the_provider_breaks(tmp_path: Path) -> None:
    async with site(tmp_path, deaths.MODELS, limits=deaths.LIMITS, proxied_provider=True) as place:
        assert place.proxy is not None
        await deaths.provider_breaks(place, place.proxy, 8)


async def test_kill_nine_of_one_gateway_of_two(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, deaths.MODELS, limits=deaths.LIMITS, gateways=2, redis_url=redis.url, sql=True) as place:
        await deaths.kills(place, 3, seed=2)


async def test_everything_dies_at_once(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, deaths.MODELS, gateways=2, redis_url=redis.url, sql=True, limits=deaths.LIMITS) as place:
        await deaths.everything_dies(place, redis, 2)


async def test_kill_nine_of_workers(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, deaths.MODELS, limits=deaths.LIMITS, workers=2, redis_url=redis.url) as place:
        await deaths.worker_deaths(place, 3)


if binaries():

    async def test_a_worker_dies_while_sql_is_away(tmp_path: Path, redis: RedisServer) -> None:
        """The other goes on, and when SQL is back there are two again."""
        async with proxied(postgres().port) as proxy:
            url = f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxy.port}/{{name}}"
            async with site(tmp_path, MODELS, workers=2, redis_url=redis.url, sql=True, database=url) as place:
                [gateway] = place.gateways
                await gateway.complete()
                proxy.set("refuse")
                proxy.reset()
                dead, alive = gateway.serving
                os.kill(dead, signal.SIGKILL)

                async def tried() -> bool:
                    return gateway.log.read_text().count("this worker cannot start") >= 2

                await until(tried, 30, "no worker is started anew")
                assert alive in gateway.serving and (await deaths.probe(place))[0] == 200
                proxy.set("pass")

                async def both() -> bool:
                    return len(gateway.serving) == 2 and dead not in gateway.serving

                await until(both, 20, "there are not two again")
                await place.proved(free=False)


@asynccontextmanager
async def record(kind: str, folder: Path, ledger: str = "{}") -> AsyncIterator[tuple[Site, list[deaths.Outage]]]:
    """A gateway with its record in this database, and ways in which that goes away."""
    if kind == "sqlite":
        async with site(folder, MODELS, limits=deaths.LIMITS, ledger=ledger) as place:
            yield place, [deaths.Locked(place.gateways[0].state / "record.sqlite3")]
        return
    async with proxied(postgres().port) as proxy:
        url = f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxy.port}/{{name}}"
        async with site(folder, MODELS, limits=deaths.LIMITS, sql=True, database=url, ledger=ledger) as place:
            yield place, [deaths.Hole(proxy), deaths.Refusing(proxy)]


@pytest.mark.parametrize("kind", KINDS)
async def test_sql_is_away(kind: str, tmp_path: Path) -> None:
    """The first time a gateway dies meanwhile."""
    async with record(kind, tmp_path) as (place, outages):
        for number, outage in enumerate(outages):
            await deaths.away(place, outage, 2, kill=not number, seed=number)


async def test_redis_is_away(tmp_path: Path, redis: RedisServer) -> None:
    """It is stopped, and then it dies and comes back empty."""
    async with site(tmp_path, MODELS, limits=deaths.LIMITS, gateways=2, redis_url=redis.url, sql=True) as place:
        await deaths.away(place, deaths.Stopped(redis.pause, redis.resume), 2)
        await deaths.away(place, deaths.Stopped(redis.stop, redis.start), 2, seed=4)


async def test_a_budget_outlives_redis(tmp_path: Path, redis: RedisServer) -> None:
    def lose() -> None:
        redis.stop()
        time.sleep(0.5)
        redis.start()

    async with site(tmp_path, MODELS, limits=deaths.LIMITS, gateways=2, redis_url=redis.url, sql=True) as place:
        await deaths.budget_lost(place, lose, nano=20_000_000)


@pytest.mark.parametrize("kind", KINDS[-1:])
async def test_a_spool_that_has_reached_its_bound(kind: str, tmp_path: Path) -> None:
    async with record(kind, tmp_path, ledger="{spool_bytes: 4194304}") as (place, outages):
        await deaths.no_room(place, outages[:1], callers=48)


if os.geteuid() == 0:  # others may not mount

    async def test_a_full_disk(tmp_path: Path) -> None:
        with deaths.small_disk(tmp_path / "disk", 8 << 20) as disk:
            async with site(tmp_path, MODELS, limits=deaths.LIMITS, state_dir=str(disk)) as place:
                await deaths.no_room(place, [deaths.Filler(disk)], callers=64)
