"""Eight processes, one key, one Redis."""

import asyncio
import sys
from pathlib import Path

import msgspec

from gateway.limits.types import Limits
from tests.gateway.store.redising import KEY, started
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[3]
PROCESSES = 8
CALLS = 2000 // PROCESSES


async def hammered(server: RedisServer, tokens: int, nano: int, limits: Limits) -> tuple[int, int, int]:
    """Of all processes together: how many were let in, and what they used."""
    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable,
            str(Path(__file__).with_name("redis_hammer.py")),
            *(server.url, f"p{number}", str(CALLS), str(tokens), str(nano), msgspec.json.encode(limits).decode()),
            stdout=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={"PYTHONPATH": str(ROOT)},
        )
        for number in range(PROCESSES)
    ]
    sums = [0, 0, 0]
    for process in processes:
        out, _ = await process.communicate()
        assert process.returncode == 0
        sums = [one + int(other) for one, other in zip(sums, out.split(), strict=True)]
    return sums[0], sums[1], sums[2]


async def test_requests_of_a_minute(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        admitted, _, _ = await hammered(server, 10, 10, Limits(rpm=100))
        assert admitted == 100


async def test_tokens_of_a_minute_and_dollars_of_a_month(tmp_path: Path) -> None:
    """Each call reserves 1,000 and uses up to 2 less: as long as one more fits, one more is let in."""
    with RedisServer(tmp_path) as server:
        admitted, tokens, nano = await hammered(server, 100, 1000, Limits(tpm=30_000, usd_month=200_500))
        assert admitted in (200, 201)
        assert 200_500 - 1000 < nano <= 200_500
        store = await started(server.url)
        [count] = await store.limiter.counts((KEY,))
        await store.close()
        assert (count.used.tokens_day, count.used.nano_month, count.reserved_nano_month) == (tokens, nano, 0)


async def test_tokens_bind(tmp_path: Path) -> None:
    with RedisServer(tmp_path) as server:
        admitted, tokens, _ = await hammered(server, 100, 1000, Limits(tpm=15_050, usd_month=200_500))
        assert (admitted, tokens) == (150, 15_000)
