"""Calls that are shared by several processes through Redis, and what becomes of them when one dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack
from itertools import count
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from msgspec import Struct

from tests.faults.gateway import KEY, Gateway, running
from tests.faults.processes import until as until_true
from tests.provider import Provider, Script
from tests.servers.redis import RedisServer

URL = "/v1/completion"
COLD: dict[str, Any] = {"model": "a", "temperature": 0}
ROUTING = """
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY}}
models:
  a: {{targets: [{{provider: p, model: a}}]}}
  full: {{targets: [{{provider: p, model: a}}]}}
limits: {{models: {{full: {{rpm: 1}}}}}}
"""
WORDS = ["Hello", ", ", "world", "."]

pytestmark = [pytest.mark.redis, pytest.mark.timeout(120), pytest.mark.asyncio(loop_scope="module")]


class Started(Struct):
    """Two replicas with one Redis, for all tests here: those that break something are mended before the next."""

    gateways: list[Gateway]
    redis: RedisServer
    provider: Provider
    numbers: "count[int]"

    async def mended(self) -> None:
        for one in self.gateways:
            if one.process is None or one.process.returncode is not None:
                await one.start()
        with self.redis.client() as client:

            async def all_joined() -> bool:
                """Each has a connection to ask on and one to listen on, and this is another."""
                return len(client.client_list()) >= 5 and all([await self._has_redis(one) for one in self.gateways])

            await until_true(all_joined, 20, "not both have Redis")

    async def _has_redis(self, one: Gateway) -> bool:
        async with httpx.AsyncClient() as client:
            return "\ngateway_redis_up 1" in (await client.get(one.url + "/metrics")).text


class Two:
    """A caller of each, whose calls are no other test's."""

    def __init__(self, started: Started, clients: list[httpx.AsyncClient]) -> None:
        self.gateways = started.gateways
        self.redis = started.redis
        self.clients = clients
        self.cold = COLD | {"prompt": f"hi {next(started.numbers)}"}

    def ask(self, which: int, **more: Any) -> Coroutine[Any, Any, httpx.Response]:
        return self.clients[which].post(URL, json=self.cold | more)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def started(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Started]:
    folder, provider = tmp_path_factory.mktemp("replicas"), Provider()
    await provider.start()
    with RedisServer(folder / "redis") as redis:
        config = ROUTING.format(url=provider.url)
        database = f"sqlite:///{folder}/record.db"
        one, two = [
            Gateway(folder / name, config, redis_url=redis.url, database_url=database) for name in ("one", "two")
        ]
        async with running(one), running(two):  # the first makes the record
            yield Started([one, two], redis, provider, count())
    await provider.close()


@pytest.fixture
def provider(started: Started) -> Provider:
    started.provider.scripts.clear()
    started.provider.seen.clear()
    return started.provider


@pytest_asyncio.fixture(loop_scope="module")
async def two(started: Started, provider: Provider) -> AsyncIterator[Two]:
    await started.mended()
    headers = {"Authorization": f"Bearer {KEY}"}
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(httpx.AsyncClient(base_url=one.url, headers=headers, timeout=20))
            for one in started.gateways
        ]
        yield Two(started, clients)


def told(response: httpx.Response) -> str:
    return str(response.headers.get("x-gateway-cache"))


def texts(response: httpx.Response) -> list[str]:
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    found = [choice for line in lines for choice in msgspec.json.decode(line).get("choices", ())]
    return [choice["text"] for choice in found if choice.get("text")]


async def until(met: Callable[[], bool]) -> None:
    while not met():  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.005)


async def test_what_one_has_kept_the_other_has(two: Two, provider: Provider) -> None:
    """Soon: nobody waits until Redis has it, which on a busy machine takes a while."""
    asked = 0
    for pause in (0.02, 0.2, 1.0, 3.0):
        prompt = f"{two.cold['prompt']}, {pause}"
        first = await two.ask(0, prompt=prompt)
        await asyncio.sleep(pause)
        second = await two.ask(1, prompt=prompt)
        asked += [told(first), told(second)].count("miss")
        if told(second) == "hit":
            break
    assert (told(first), told(second)) == ("miss", "hit") and len(provider.seen) == asked


@pytest.mark.parametrize("stream", [False, True])
async def test_twenty_on_two_replicas_make_one_call(two: Two, provider: Provider, stream: bool) -> None:
    provider.scripts["a"] = Script(pause=0.2)
    answers = await asyncio.gather(*[two.ask(i % 2, stream=stream) for i in range(20)])
    assert [answer.status_code for answer in answers] == [200] * 20 and len(provider.seen) == 1
    assert sorted(map(told, answers)) == ["coalesced"] * 19 + ["miss"]
    for answer in answers:
        assert texts(answer) == WORDS if stream else answer.json()["choices"][0]["text"] == "".join(WORDS)


async def test_neither_a_call_that_was_answered_nor_one_that_was_refused_is_held(two: Two, provider: Provider) -> None:
    with two.redis.client() as redis:
        before = len(list(redis.scan_iter(match="*:cache:v:*")))
    assert (await two.ask(0, model="full")).status_code == 200
    assert (await two.ask(0, model="full", prompt="another")).status_code == 429
    provider.scripts["a"] = Script(status=400)
    assert (await two.ask(0, model="a", prompt="bad")).status_code == 400
    with two.redis.client() as redis:
        async with asyncio.timeout(0.5):  # and not only when the leases are over
            await until(lambda: not list(redis.scan_iter(match="*:cache:l:*")))
        assert len(list(redis.scan_iter(match="*:cache:v:*"))) == before + 1


@pytest.mark.parametrize(("leads", "follows"), [(True, False), (False, True)])
async def test_streams_and_whole_answers_share_across(two: Two, provider: Provider, leads: bool, follows: bool) -> None:
    provider.scripts["a"] = Script(pause=0.2)
    first = asyncio.create_task(two.ask(0, stream=leads))
    await until(lambda: bool(provider.seen))
    second = await two.ask(1, stream=follows)
    assert told(second) == "coalesced" and len(provider.seen) == 1
    for answer, stream in ((await first, leads), (second, follows)):
        said = "".join(texts(answer)) if stream else answer.json()["choices"][0]["text"]
        assert said == "".join(WORDS)


async def test_a_stream_is_heard_while_it_runs(two: Two, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=0.25)
    first = asyncio.create_task(two.ask(0, stream=True))
    await until(lambda: bool(provider.seen))
    await asyncio.sleep(0.4)
    began = asyncio.get_running_loop().time()
    async with two.clients[1].stream("POST", URL, json=two.cold | {"stream": True}) as answer:
        heard = [
            asyncio.get_running_loop().time() - began
            async for line in answer.aiter_lines()
            if '"text":"' in line and '"text":""' not in line
        ]
    assert len(heard) == 4 and heard[-1] - heard[0] > 0.2  # the last is half a second after the first, or more
    assert texts(await first) == WORDS and len(provider.seen) == 1


async def test_a_failure_is_told_across(two: Two, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=400, pause=0.2)
    answers = await asyncio.gather(*[two.ask(i % 2) for i in range(6)])
    assert [answer.status_code for answer in answers] == [400] * 6 and len(provider.seen) == 1


async def test_it_goes_on_for_those_elsewhere_and_ends_with_the_last(two: Two, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=1.0)
    first = asyncio.create_task(two.ask(0))
    await until(lambda: bool(provider.seen))
    second = asyncio.create_task(two.ask(1))
    await asyncio.sleep(0.4)
    first.cancel()
    assert told(await second) == "coalesced" and len(provider.seen) == 1
    provider.scripts["a"] = Script(pause=20)
    callers = [asyncio.create_task(two.ask(i, prompt=f"{two.cold['prompt']}, other")) for i in (0, 1)]
    await until(lambda: len(provider.seen) == 2)
    await asyncio.sleep(0.15)
    callers[0].cancel()
    await asyncio.sleep(0.3)
    assert not provider.seen[1].gone.is_set()
    callers[1].cancel()
    await asyncio.wait_for(provider.seen[1].gone.wait(), 1)


async def test_operators_see_and_purge_what_is_kept(two: Two, provider: Provider) -> None:
    await two.gateways[0].command("cache", "purge", "--team", "default", "--model", "a")
    await two.ask(0)
    found = await two.gateways[1].command("cache", "stats")
    assert [one["entries"] for one in found if one["model"] == "a"] == [1]
    await two.gateways[1].command("cache", "purge", "--team", "default", "--model", "a")
    assert told(await two.ask(0)) == "miss" and len(provider.seen) == 2


async def test_a_leader_that_dies_frees_its_followers(two: Two, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=30)
    first = asyncio.create_task(two.ask(0))
    await until(lambda: bool(provider.seen))
    second = asyncio.create_task(two.ask(1))
    await asyncio.sleep(0.3)
    provider.scripts["a"] = Script()
    assert two.gateways[0].process is not None
    os.killpg(two.gateways[0].process.pid, signal.SIGKILL)
    began = asyncio.get_running_loop().time()
    answer = await second
    assert answer.status_code == 200 and asyncio.get_running_loop().time() - began < 5
    assert told(answer) == "miss" and len(provider.seen) == 2
    with pytest.raises(httpx.HTTPError):
        await first
    await two.gateways[0].process.wait()


async def test_a_stream_whose_leader_dies_ends_with_an_error(two: Two, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=("a", "b", *["c"] * 100), pause=0.15)
    first = asyncio.create_task(two.ask(0, stream=True))
    await until(lambda: bool(provider.seen))
    second = asyncio.create_task(two.ask(1, stream=True))
    await asyncio.sleep(0.6)
    assert two.gateways[0].process is not None
    os.killpg(two.gateways[0].process.pid, signal.SIGKILL)
    began = asyncio.get_running_loop().time()
    answer = await second
    assert asyncio.get_running_loop().time() - began < 5
    assert texts(answer)[:2] == ["a", "b"] and '"error"' in answer.text
    with pytest.raises(httpx.HTTPError):
        await first
    await two.gateways[0].process.wait()


async def test_one_that_stops_ends_what_others_hear(two: Two, provider: Provider) -> None:
    """Though nobody of its own waits for it any more."""
    provider.scripts["a"] = Script(chunks=tuple(f"{i} " for i in range(20)), pause=0.1)
    first = asyncio.create_task(two.ask(0, stream=True))
    await until(lambda: bool(provider.seen))
    second = asyncio.create_task(two.ask(1, stream=True))
    await asyncio.sleep(0.5)
    first.cancel()
    await asyncio.sleep(0.1)
    await two.gateways[0].stop()
    assert texts(await second) == [f"{i} " for i in range(20)] and len(provider.seen) == 1


async def test_one_that_was_away_itself_has_missed_nothing(two: Two, provider: Provider) -> None:
    """Its clock says that the other has been silent; what was said waits for it."""
    provider.scripts["a"] = Script(chunks=tuple(f"{i} " for i in range(20)), pause=0.1)
    first = asyncio.create_task(two.ask(0, stream=True))
    await until(lambda: bool(provider.seen))
    second = asyncio.create_task(two.ask(1, stream=True))
    await asyncio.sleep(0.5)
    assert two.gateways[1].process is not None
    os.kill(two.gateways[1].process.pid, signal.SIGSTOP)
    await asyncio.sleep(0.9)
    os.kill(two.gateways[1].process.pid, signal.SIGCONT)
    answers = await asyncio.gather(first, second)
    assert [texts(answer) for answer in answers] == [[f"{i} " for i in range(20)]] * 2 and len(provider.seen) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_while_redis_hangs_each_asks_for_itself(two: Two, provider: Provider, stream: bool) -> None:
    provider.scripts["a"] = Script(pause=0.1)
    under_way = [asyncio.create_task(two.ask(i % 2, stream=stream)) for i in range(4)]
    await until(lambda: bool(provider.seen))
    two.redis.pause()
    try:
        later = [
            asyncio.create_task(two.ask(i % 2, stream=stream, prompt=f"{two.cold['prompt']}, later")) for i in range(4)
        ]
        answers = await asyncio.wait_for(asyncio.gather(*under_way, *later), 10)
    finally:
        two.redis.resume()
    for answer in answers:
        said = "".join(texts(answer)) if stream else answer.json()["choices"][0]["text"]
        assert said == "".join(WORDS) or (stream and '"error"' in answer.text)
    assert len(provider.seen) <= 4


async def test_without_redis_each_asks_for_itself(two: Two, provider: Provider) -> None:
    two.redis.stop()
    await asyncio.sleep(0.3)
    answers = await asyncio.gather(*[two.ask(i % 2) for i in range(6)])
    assert [answer.status_code for answer in answers] == [200] * 6
    assert 1 <= len(provider.seen) <= 6
