"""One call for many who ask the same: callers, provider, ledger and ``/metrics`` agree about what was done once."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.test_metrics_of_workers import told
from tests.faults.gateway import KEY, Gateway, routing, running
from tests.faults.judge import Line, ledger
from tests.faults.load import Answer, Client
from tests.faults.processes import until
from tests.gateway.metrics.exposition import Told
from tests.provider import Provider, Script
from tests.servers.redis import RedisServer

MANY = 12
COLD: dict[str, Any] = {"model": "a", "messages": [{"role": "user", "content": "hi"}], "temperature": 0}
PAUSE = 1.0
"""Seconds that the provider takes: of the time that callers wait, all but a little is its."""

Check = Callable[[Path, Provider, int], Coroutine[Any, Any, None]]
MORE = "retry: {rounds: 0}"


async def one_and_two(folder: Path, check: Check) -> None:
    """With one worker and with two, at a time: they mostly wait."""

    async def each(workers: int) -> None:
        provider = Provider()
        await provider.start()
        try:
            await check(folder / str(workers), provider, workers)
        finally:
            await provider.close()

    async with asyncio.TaskGroup() as group:
        for workers in (1, 2):
            group.create_task(each(workers))


@asynccontextmanager
async def gateway(tmp_path: Path, provider: Provider, workers: int) -> AsyncIterator[Gateway]:
    """Two workers share through Redis; one shares with nobody else."""
    config = routing(provider.url, {"a": "a"}, more=MORE)
    if workers == 1:
        one = Gateway(tmp_path / "gateway", config)
        async with running(one):
            yield one
        return
    with RedisServer(tmp_path / "redis") as redis:
        several = Gateway(tmp_path / "gateway", config, workers=workers, redis_url=redis.url)
        async with running(several):
            await until(lambda: all_run(several), 20, "not all workers have started")
            yield several


async def all_run(gateway: Gateway) -> bool:
    return (await told(gateway)).total("gateway_workers") == gateway.workers


async def ask(gateway: Gateway, **more: Any) -> Answer:
    """On a connection of its own, so that each worker gets some."""
    client = Client(gateway.port, KEY)
    try:
        return await client.call(COLD | more)
    finally:
        await client.close()


def asking(gateway: Gateway, number: int, **more: Any) -> list[asyncio.Task[Answer]]:
    return [asyncio.create_task(ask(gateway, **more)) for _ in range(number)]


async def under_way(gateway: Gateway, number: int) -> None:
    async def are() -> bool:
        return (await told(gateway)).total("gateway_in_flight") == number

    await until(are, 10, f"there are not {number} requests under way")


async def over(gateway: Gateway, requests: int, entries: int) -> tuple[Told, list[Line]]:
    """What is told and noted when all of it is."""

    async def all_there() -> bool:
        found = await told(gateway)
        quiet = found.total("gateway_shared_calls") == 0  # other workers' is a second old
        return (
            quiet and found.total("gateway_requests_total") == requests and len(await ledger(gateway.state)) == entries
        )

    await until(all_there, 10, "not all is told")
    return await told(gateway), await ledger(gateway.state)


def agree(found: Told, lines: Sequence[Line], outcomes: dict[str, int], shared: dict[str, int]) -> None:
    """Whatever was asked once is told once; ``outcomes`` are those of legs, and ``shared`` how their answers were."""
    assert Counter(line.outcome for line in lines) == outcomes
    assert {by[0]: count for by, count in found.by("gateway_legs_total", "outcome").items()} == outcomes
    assert {by[0]: count for by, count in found.by("gateway_cache_total", "result").items()} == shared
    asked = [line for line in lines if line.calls]
    assert len(asked) == 1
    assert found.by("gateway_tokens_total", "kind") == {
        (kind,): count for kind, count in (("input", asked[0].input), ("output", asked[0].output)) if count
    }
    assert round(found.total("gateway_cost_usd_total") * 1e9) == sum(line.cost or 0 for line in lines)
    assert found.by("gen_ai_client_operation_duration_seconds_count", "gen_ai_operation_name") == {("chat",): 1}
    assert found.total("gen_ai_client_token_usage_count") == 2
    assert found.total("gen_ai_client_token_usage_sum") == asked[0].input + asked[0].output
    assert found.total("gateway_in_flight") == 0
    requests = found.total("gateway_requests_total")
    assert found.total("gateway_overhead_seconds_count") == requests
    assert 0 < found.total("gateway_overhead_seconds_sum") < 0.8 * PAUSE, "somebody's waiting is taken for work"


@pytest.mark.parametrize("stream", [False, True])
async def test_of_many_calls_one_is_counted(tmp_path: Path, stream: bool) -> None:
    await one_and_two(tmp_path, partial(of_many_calls_one_is_counted, stream=stream))


async def of_many_calls_one_is_counted(tmp_path: Path, provider: Provider, workers: int, stream: bool) -> None:
    provider.scripts["a"] = Script(pause=PAUSE, chunks=("Hello",))
    async with gateway(tmp_path, provider, workers) as one:
        answers = await asyncio.gather(*asking(one, MANY, stream=stream))
        answers += [await ask(one, stream=stream) for _ in range(3)]
        assert [answer.status for answer in answers] == [200] * (MANY + 3) and len(provider.seen) == 1
        said = Counter(answer.headers["x-gateway-cache"] for answer in answers)
        found, lines = await over(one, MANY + 3, MANY + 3)
        agree(found, lines, {"ok": 1, "hit": MANY + 2}, dict(said))
        assert said["miss"] == 1 and said["hit"] >= 2  # another worker may ask before the answer has reached Redis
        assert round(found.total("gateway_cost_usd_total") * 1e9) == 7 * 1000 + 4 * 2000
        assert found.by("gateway_requests_total", "status") == {("200",): MANY + 3}
        streams = MANY + 3 if stream else 0
        assert found.total("gateway_first_byte_seconds_count") == streams
        firsts = found.total("gen_ai_server_time_to_first_token_seconds_count")
        assert firsts == (1 if stream else 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_who_asked_first_leaves(tmp_path: Path, stream: bool) -> None:
    await one_and_two(tmp_path, partial(who_asked_first_leaves, stream=stream))


async def who_asked_first_leaves(tmp_path: Path, provider: Provider, workers: int, stream: bool) -> None:
    """The call is theirs, in the ledger and here, though only others hear it."""
    provider.scripts["a"] = Script(pause=2 * PAUSE, chunks=("Hello",))
    async with gateway(tmp_path, provider, workers) as one:
        [first] = asking(one, 1, stream=stream)

        async def is_asked() -> bool:
            return bool(provider.seen)

        await until(is_asked, 5, "nobody asks")
        others = asking(one, MANY - 1, stream=stream)
        await under_way(one, MANY)
        await asyncio.sleep(PAUSE)  # which is no work either
        first.cancel()
        answers = await asyncio.gather(*others)
        assert [answer.status for answer in answers] == [200] * (MANY - 1) and len(provider.seen) == 1
        assert provider.seen[0].done and not provider.seen[0].gone.is_set()
        found, lines = await over(one, MANY, MANY)
        agree(found, lines, {"ok": 1, "hit": MANY - 1}, {"miss": 1, "coalesced": MANY - 1})
        assert found.by("gen_ai_server_request_duration_seconds_count", "error_type") == {
            ("",): MANY - 1,
            ("caller_left",): 1,
        }


async def test_all_leave(tmp_path: Path) -> None:
    await one_and_two(tmp_path, all_leave)


async def all_leave(tmp_path: Path, provider: Provider, workers: int) -> None:
    provider.scripts["a"] = Script(pause=60)
    async with gateway(tmp_path, provider, workers) as one:
        callers = asking(one, MANY)
        await under_way(one, MANY)
        await asyncio.sleep(PAUSE)
        for caller in callers:
            caller.cancel()
        found, lines = await over(one, MANY, 1)
        async with asyncio.timeout(5):
            await provider.seen[0].gone.wait()
        agree(found, lines, {"cancelled": 1}, {"miss": 1, "coalesced": MANY - 1})
        assert found.by("gateway_requests_total", "status") == {("499",): MANY} and len(provider.seen) == 1


async def test_all_hear_of_a_failure(tmp_path: Path) -> None:
    await one_and_two(tmp_path, all_hear_of_a_failure)


async def all_hear_of_a_failure(tmp_path: Path, provider: Provider, workers: int) -> None:
    provider.scripts["a"] = Script(pause=PAUSE, status=500)
    async with gateway(tmp_path, provider, workers) as one:
        answers = await asyncio.gather(*asking(one, MANY))
        assert [answer.status for answer in answers] == [502] * MANY and len(provider.seen) == 1
        found, lines = await over(one, MANY, 1)
        agree(found, lines, {"failed": 1}, {"miss": 1, "coalesced": MANY - 1})
        assert found.by("gateway_requests_total", "status") == {("502",): MANY}
