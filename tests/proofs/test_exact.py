from pathlib import Path

import pytest

from tests.proofs import exact
from tests.proofs.site import site
from tests.servers.redis import RedisServer

MODELS: dict[str, str | tuple[str, ...]] = {
    "m": "m+p10+o40+d20",
    "a": "a+o5",
    "b": "b+o5",
    "c": "c+o5",
    "d": "d+o5",
}


@pytest.mark.timeout(120)
async def test_eight_gateways_on_one_redis(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, MODELS, gateways=8, redis_url=redis.url, sql=True) as place:
        await exact.requests(place, limit=100, calls=1000)
        await exact.tokens(place, limit=10_000, calls=500)
        await exact.dollars(place, nano=10_000_000, calls=500)
        await exact.places(place, limit=7, calls=300)
        await exact.fan_out(place)
        await place.proved()


async def test_every_scope_at_once(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, MODELS, gateways=3, redis_url=redis.url, sql=True, limits="{user: {rpm: 12}}") as place:
        await exact.scopes(place, 600)


async def test_workers_of_one_gateway_on_one_redis(tmp_path: Path, redis: RedisServer) -> None:
    async with site(tmp_path, MODELS, workers=3, redis_url=redis.url) as place:
        await exact.requests(place, limit=100, calls=1000)
        await exact.dollars(place, nano=5_000_000, calls=500)
        await place.proved()


async def test_a_process_alone(tmp_path: Path) -> None:
    async with site(tmp_path, MODELS) as place:
        await exact.requests(place, limit=100, calls=1000)
        await exact.tokens(place, limit=10_000, calls=500)
        await exact.dollars(place, nano=5_000_000, calls=500)
        await exact.fan_out(place)
        await place.proved()
