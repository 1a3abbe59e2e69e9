"""The cache and the calls that are shared, as callers and their provider see them."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.protocol import Protocol
from gateway.store.sql.engine import FILE
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

URL = "/v1/completion"
CHAT = "/v1/chat/completions"
COLD: dict[str, Any] = {"model": "a", "prompt": "hi", "temperature": 0}
SLOW = Script(pause=0.15)


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def client(provider: Provider, state: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(application(state, provider.url), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
    ):
        yield client


def told(response: httpx.Response) -> str | None:
    found: str | None = response.headers.get("x-gateway-cache")
    return found


def texts(response: httpx.Response) -> list[str]:
    """The texts of a stream's chunks, one by one."""
    lines = [line[6:] for line in response.text.split("\n") if line.startswith("data: {")]
    found = [choice for line in lines for choice in msgspec.json.decode(line).get("choices", ())]
    return [text for choice in found if (text := choice.get("text") or choice.get("delta", {}).get("content"))]


async def asked(provider: Provider) -> None:
    while not provider.seen:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.005)


async def entries(state: Path, count: int) -> list[tuple[Any, ...]]:
    """The ledger's lines, once there are so many."""
    query = "SELECT outcome, calls, input, output, cost, target FROM ledger ORDER BY id"
    for _ in range(200):
        with sqlite3.connect(state / FILE) as database:
            found = database.execute(query).fetchall()
        if len(found) >= count:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError(f"{len(found)} of {count} entries")


async def test_the_second_call_is_a_hit(client: httpx.AsyncClient, provider: Provider, state: Path) -> None:
    first, second = [await client.post(URL, json=COLD) for _ in range(2)]
    assert (told(first), told(second)) == ("miss", "hit")
    assert "age" not in first.headers and second.headers["age"] == "0"
    assert second.headers["x-gateway-target"] == "p/a" and second.headers["x-gateway-cost-usd"] == "0.000000000"
    assert first.json()["choices"][0]["text"] == second.json()["choices"][0]["text"]
    assert first.json()["usage"]["total_tokens"] == second.json()["usage"]["total_tokens"] == 11
    assert len(provider.seen) == 1
    ok, hit = await entries(state, 2)
    assert ok[:4] == ("ok", 1, 7, 4) and hit == ("hit", 0, 0, 0, 0, "p/a")


async def test_a_call_that_is_meant_to_vary_is_not_shared(client: httpx.AsyncClient, provider: Provider) -> None:
    for body in ({"model": "a", "prompt": "hi"}, {**COLD, "temperature": 0.5}):
        answers = [await client.post(URL, json=body) for _ in range(2)]
        assert [told(answer) for answer in answers] == ["bypass", "bypass"]
    assert len(provider.seen) == 4


@pytest.mark.parametrize("directive", ["no-store", "no-cache", "max-age=0"])
async def test_who_wants_a_fresh_answer_gets_one(client: httpx.AsyncClient, provider: Provider, directive: str) -> None:
    await client.post(URL, json=COLD)
    fresh = await client.post(URL, json=COLD, headers={"cache-control": directive})
    assert told(fresh) == ("bypass" if directive == "no-store" else "miss") and len(provider.seen) == 2


async def test_who_wants_only_what_is_kept_gets_that_or_nothing(client: httpx.AsyncClient, provider: Provider) -> None:
    only = {"cache-control": "only-if-cached"}
    refused = await client.post(URL, json=COLD, headers=only)
    assert refused.status_code == 504 and provider.seen == []
    assert refused.headers["x-should-retry"] == "false"
    await client.post(URL, json=COLD)
    assert told(await client.post(URL, json=COLD, headers=only)) == "hit"


async def test_a_lively_call_is_kept_where_the_caller_asks(client: httpx.AsyncClient, provider: Provider) -> None:
    body, asking = {**COLD, "temperature": 1}, {"cache-control": "max-age=60"}
    assert [told(await client.post(URL, json=body, headers=asking)) for _ in range(2)] == ["miss", "hit"]


@pytest.mark.parametrize("path", [URL, "/v1/completions", CHAT])
async def test_streams_and_whole_answers_share(client: httpx.AsyncClient, provider: Provider, path: str) -> None:
    body = {"model": "a", "messages": [{"role": "user", "content": "x"}], "temperature": 0}
    if path != CHAT:
        body = COLD
    live = await client.post(path, json={**body, "stream": True})
    again = await client.post(path, json={**body, "stream": True})
    whole = await client.post(path, json=body)
    assert [told(one) for one in (live, again, whole)] == ["miss", "hit", "hit"] and len(provider.seen) == 1
    assert texts(live) == texts(again) == ["Hello", ", ", "world", "."]
    [choice] = whole.json()["choices"]
    assert (choice.get("text") or choice["message"]["content"]) == "Hello, world."


@pytest.mark.parametrize("script", [Script(status=500), Script(finish="length"), Script(finish="content_filter")])
async def test_what_is_no_good_answer_is_not_kept(
    client: httpx.AsyncClient, provider: Provider, script: Script
) -> None:
    provider.turns["a"] = [script]
    await client.post(URL, json=COLD)
    assert told(await client.post(URL, json=COLD)) == "miss" and len(provider.seen) == 2


@pytest.mark.parametrize("stream", [False, True])
async def test_twenty_who_ask_the_same_make_one_call(
    client: httpx.AsyncClient, provider: Provider, state: Path, stream: bool
) -> None:
    provider.scripts["a"] = SLOW
    answers = await asyncio.gather(*[client.post(URL, json={**COLD, "stream": stream}) for _ in range(20)])
    assert len(provider.seen) == 1
    assert sorted(filter(None, map(told, answers))) == ["coalesced"] * 19 + ["miss"]
    if stream:
        assert all(texts(answer) == ["Hello", ", ", "world", "."] for answer in answers)
    else:
        assert all(answer.json()["choices"][0]["text"] == "Hello, world." for answer in answers)
    found = await entries(state, 20)
    assert sorted(outcome for outcome, *_ in found) == ["hit"] * 19 + ["ok"]
    assert sum(calls for _, calls, *_ in found) == 1 and sum(one[3] for one in found) == 4


@pytest.mark.parametrize("leads", [False, True])
async def test_streams_and_whole_answers_share_what_is_under_way(
    client: httpx.AsyncClient, provider: Provider, leads: bool
) -> None:
    provider.scripts["a"] = SLOW
    first = asyncio.create_task(client.post(URL, json={**COLD, "stream": leads}))
    await asked(provider)
    others = await asyncio.gather(*[client.post(URL, json={**COLD, "stream": not leads}) for _ in range(3)])
    answers = [await first, *others]
    assert [answer.status_code for answer in answers] == [200] * 4 and len(provider.seen) == 1
    assert [told(answer) for answer in others] == ["coalesced"] * 3
    for answer in answers:
        streamed = answer.headers["content-type"].startswith("text/event-stream")
        assert ("".join(texts(answer)) if streamed else answer.json()["choices"][0]["text"]) == "Hello, world."
        assert "internal" not in answer.text


async def test_who_comes_late_to_a_stream_hears_it_from_the_first(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    provider.scripts["a"] = SLOW

    async def late(seconds: float, stream: bool) -> httpx.Response:
        await asyncio.sleep(seconds)
        return await client.post(URL, json={**COLD, "stream": stream})

    first, second, third = await asyncio.gather(late(0, True), late(0.35, True), late(0.4, False))
    assert [told(one) for one in (first, second, third)] == ["miss", "coalesced", "coalesced"]
    assert texts(first) == texts(second) and third.json()["choices"][0]["text"] == "Hello, world."
    assert len(provider.seen) == 1


@pytest.mark.parametrize("stream", [False, True])
async def test_the_call_goes_on_for_those_who_stay(
    client: httpx.AsyncClient, provider: Provider, state: Path, stream: bool
) -> None:
    provider.scripts["a"] = SLOW
    leader = asyncio.create_task(client.post(URL, json={**COLD, "stream": stream}))
    await asked(provider)
    follower = asyncio.create_task(client.post(URL, json={**COLD, "stream": stream}))
    await asyncio.sleep(0.05)
    leader.cancel()
    answer = await follower
    assert told(answer) == "coalesced" and answer.status_code == 200
    assert len(provider.seen) == 1 and not provider.seen[0].gone.is_set()
    assert sorted(outcome for outcome, *_ in await entries(state, 2)) == ["hit", "ok"]


@pytest.mark.parametrize("stream", [False, True])
async def test_it_is_cancelled_when_the_last_has_left(
    client: httpx.AsyncClient, provider: Provider, state: Path, stream: bool
) -> None:
    provider.scripts["a"] = Script(pause=5)
    callers = [asyncio.create_task(client.post(URL, json={**COLD, "stream": stream})) for _ in range(3)]
    await asked(provider)
    await asyncio.sleep(0.05)
    for caller in callers:
        caller.cancel()
    await asyncio.wait_for(provider.seen[0].gone.wait(), 3)  # of 5 that it would take
    [entry] = await entries(state, 1)
    assert entry[0] == "cancelled"
    provider.scripts["a"] = Script()
    assert told(await client.post(URL, json={**COLD, "stream": stream})) == "miss"  # nothing is left of it


async def test_a_failure_is_everybodys(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=500, pause=0.1)
    answers = await asyncio.gather(*[client.post(URL, json=COLD) for _ in range(5)])
    assert [answer.status_code for answer in answers] == [502] * 5 and len(provider.seen) == 1


async def test_several_models_share_leg_by_leg(client: httpx.AsyncClient, provider: Provider) -> None:
    await client.post(URL, json=COLD)
    both = await client.post(URL, json={**COLD, "model": ["a", "b", "a"]})
    assert told(both) == "hit,miss,hit"
    assert [choice["text"] for choice in both.json()["choices"]] == ["Hello, world."] * 3
    assert [seen.body["model"] for seen in provider.seen] == ["a", "b"]


async def test_a_slow_reader_does_not_hold_up_the_others(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=tuple("x" * 40_000 for _ in range(60)), pause=0.002)
    body = {**COLD, "stream": True}
    async with client.stream("POST", URL, json=body) as slow:
        quick = await client.post(URL, json=body)
        assert sum(map(len, texts(quick))) == 60 * 40_000
        assert len("".join([line async for line in slow.aiter_lines()])) > 60 * 40_000
