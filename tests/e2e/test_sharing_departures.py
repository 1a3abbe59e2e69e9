"""Calls that are shared by callers of every kind, who leave when they like: what they hear, and what it costs."""

import asyncio
import random
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.protocol import Protocol
from gateway.store.sql.engine import FILE
from tests.e2e.test_sharing import CHAT, COLD, URL, asked, entries, texts, told
from tests.provider import Provider, Script
from tests.serving import ADMIN_KEY, AUTH, ROUTING, application, serving

TYPED = "/v1/completion/typed"
SCHEMA: dict[str, Any] = {**COLD, "schema": "export interface A { n: number }", "type_name": "A"}
SMALL_ROOM = "cache: {{max_entry_bytes: 4096}}\n"


@pytest.fixture
async def state(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
async def client(provider: Provider, state: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(application(state, provider.url), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=20, limits=httpx.Limits(max_connections=200)) as client,
    ):
        yield client
        assert await settled(client) == (0, 0, 0)


async def settled(client: httpx.AsyncClient) -> tuple[int, int, int]:
    """Calls that are still shared, and what the audit says is reserved and has gone astray, once it can be nothing."""
    for _ in range(100):
        metrics = (await client.get("/metrics")).text
        shared = next(float(x.split()[-1]) for x in metrics.split("\n") if x.startswith("gateway_shared_calls"))
        audit = (await client.post("/admin/audit", json={}, headers={"Authorization": f"Bearer {ADMIN_KEY}"})).json()
        found = int(shared), *reserved_and_drift(audit)
        if found == (0, 0, 0):
            break
        await asyncio.sleep(0.05)
    return found


def reserved_and_drift(audit: Any) -> tuple[int, int]:
    """Sums over all that the report says, wherever it stands."""
    reserved = drift = 0
    if isinstance(audit, dict):
        for name, value in audit.items():
            if name == "reserved" and isinstance(value, int):
                reserved += abs(value)
            elif name == "drift" and isinstance(value, int):
                drift += abs(value)
            else:
                more = reserved_and_drift(value)
                reserved, drift = reserved + more[0], drift + more[1]
    elif isinstance(audit, list):
        for one in audit:
            more = reserved_and_drift(one)
            reserved, drift = reserved + more[0], drift + more[1]
    return reserved, drift


def body_of(path: str, **more: Any) -> dict[str, Any]:
    if path == CHAT:
        return {"model": "a", "messages": [{"role": "user", "content": "x"}], "temperature": 0, **more}
    return {**(SCHEMA if path == TYPED else COLD), **more}


def said(answer: httpx.Response) -> list[str]:
    """Each choice's text."""
    if answer.headers["content-type"].startswith("text/event-stream"):
        return ["".join(texts(answer))]
    return [choice["text"] if "text" in choice else choice["message"]["content"] for choice in answer.json()["choices"]]


@pytest.mark.parametrize("path", [URL, "/v1/completions", CHAT, TYPED])
@pytest.mark.parametrize("leads", [False, True])
async def test_streams_and_whole_answers_share_a_call_under_way(
    client: httpx.AsyncClient, provider: Provider, path: str, leads: bool
) -> None:
    """Whichever of them has begun it."""
    words = ('{"n"', ": 1}") if path == TYPED else ("Hello", " world")
    provider.scripts["a"] = Script(chunks=words, pause=0.4)
    first = asyncio.create_task(client.post(path, json=body_of(path, stream=leads)))
    await asked(provider)
    others = await asyncio.gather(*[client.post(path, json=body_of(path, stream=i % 2 == 0)) for i in range(4)])
    answers = [await first, *others]
    assert [told(one) for one in answers] == ["miss"] + ["coalesced"] * 4 and len(provider.seen) == 1
    assert [said(one) for one in answers] == [["".join(words)]] * 5
    again = [await client.post(path, json=body_of(path, stream=stream)) for stream in (True, False)]
    assert [(told(one), said(one)) for one in again] == [("hit", ["".join(words)])] * 2


@pytest.mark.parametrize("stream", [False, True])
async def test_the_deadline_is_only_of_who_has_it(
    client: httpx.AsyncClient, provider: Provider, state: Path, stream: bool
) -> None:
    provider.scripts["a"] = Script(pause=0.6 if not stream else 0.3)
    hurried = asyncio.create_task(client.post(URL, json=COLD, headers={"x-gateway-timeout-ms": "150"}))
    await asked(provider)
    patient = await client.post(URL, json={**COLD, "stream": stream})
    assert (await hurried).status_code == 504
    assert told(patient) == "coalesced" and said(patient) == ["Hello, world."] and len(provider.seen) == 1
    assert sorted(one[0] for one in await entries(state, 2)) == ["hit", "ok"]


async def test_who_has_lost_a_race_may_be_what_another_waits_for(
    client: httpx.AsyncClient, provider: Provider, state: Path
) -> None:
    provider.scripts["a"] = Script(pause=0.8)
    provider.scripts["b"] = Script(pause=0.3)
    race = asyncio.create_task(client.post(URL, json={**COLD, "model": ["a", "b"], "fanout": {"mode": "first"}}))
    while not provider.calls("a"):  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.005)
    alone = asyncio.create_task(client.post(URL, json=COLD))
    assert (await race).json()["choices"][0]["model"] == "b"
    answer = await alone
    assert told(answer) == "coalesced" and said(answer) == ["Hello, world."] and len(provider.calls("a")) == 1
    assert sorted(one[0] for one in await entries(state, 3)) == ["hit", "ok", "ok"]


async def test_who_has_lost_a_race_alone_is_said_to_have(
    client: httpx.AsyncClient, provider: Provider, state: Path
) -> None:
    provider.scripts["a"] = Script(pause=5)
    await client.post(URL, json={**COLD, "model": ["a", "b"], "fanout": {"mode": "first"}})
    await asyncio.wait_for(provider.calls("a")[0].gone.wait(), 1)
    assert sorted(one[0] for one in await entries(state, 2)) == ["lost", "ok"]


@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503])
async def test_a_failure_is_told_alike_and_safely(client: httpx.AsyncClient, provider: Provider, status: int) -> None:
    provider.scripts["a"] = Script(status=status, pause=0.3)
    answers = await asyncio.gather(*[client.post(URL, json={**COLD, "stream": i % 2 == 0}) for i in range(6)])
    assert len({(answer.status_code, answer.text) for answer in answers}) == 1 and len(provider.seen) == 1
    assert "secret" not in answers[0].text and answers[0].status_code >= 400


async def test_a_choice_that_breaks_its_type_does_so_for_all(client: httpx.AsyncClient, provider: Provider) -> None:
    """Whoever hears a stream of several."""
    events = [
        {"choices": [{"index": i, "delta": {"content": text}}]} for i, text in ((0, '{"n": 1}'), (1, '{"n": "no"}'))
    ]
    ends: list[dict[str, Any]] = [{"choices": [{"index": i, "delta": {}, "finish_reason": "stop"}]} for i in (0, 1)]
    slow = (*events, *ends, {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}, b"[DONE]")
    provider.scripts["a"] = Script(events=slow)
    body = {**SCHEMA, "n": 2, "stream": True}
    answers = await asyncio.gather(*[client.post(TYPED, json=body) for _ in range(5)])
    shown = {answer.text.count('"error":{') for answer in answers}
    assert len(shown) == 1, shown


async def test_departures_at_every_moment(client: httpx.AsyncClient, provider: Provider, state: Path) -> None:
    """Of many who ask, stream or not, some leave at random; nobody else notices, and each call is paid for once."""
    chance = random.Random(7)
    provider.scripts["a"] = Script(pause=0.01)
    answered = 0

    async def one(i: int) -> None:
        nonlocal answered
        await asyncio.sleep(chance.random() * 0.5)
        body = {**COLD, "prompt": f"p{i % 12}", "stream": chance.random() < 0.5}
        if chance.random() < 0.3:
            body["model"] = ["a", "b", "a"]
            body["fanout"] = {"mode": chance.choice(["all", "first", "quorum"]), "min_success": 1}
        headers = {"cache-control": chance.choice(["no-cache", "max-age=10", "no-store", "max-age=0"])}
        asking = asyncio.create_task(client.post(URL, json=body, headers=headers))
        if chance.random() < 0.6:
            await asyncio.wait([asking], timeout=chance.random() * 0.15)
            if asking.cancel():
                await asyncio.gather(asking, return_exceptions=True)
                return
        answer = await asking
        answered += 1
        assert answer.status_code == 200, answer.text
        found = said(answer)
        assert all(text in ("", "Hello, world.") for text in found) or set("".join(found)) == set("Hello, world.")

    for _ in range(4):
        await asyncio.gather(*[one(i) for i in range(100)])
    assert answered > 100
    assert await settled(client) == (0, 0, 0)
    calls = hits = 0
    for _ in range(100):
        with sqlite3.connect(state / FILE) as database:
            [(calls, hits)] = database.execute(
                "SELECT sum(calls), sum((outcome = 'hit') * (cost + input + output)) FROM ledger"
            )
        if calls == len(provider.seen):
            break
        await asyncio.sleep(0.05)
    assert calls == len(provider.seen) and hits == 0


@pytest.mark.parametrize("slow", ["leader", "follower", "both"])
@pytest.mark.parametrize("leaves", [False, True])
async def test_more_than_is_kept_at_any_pace(provider: Provider, state: Path, slow: str, leaves: bool) -> None:
    """Nobody more may join then, and the slowest sets the pace: until they leave."""
    text = "x" * 30_000
    provider.scripts["a"] = Script(chunks=tuple([text] * 100), pause=0.001)
    body = {**COLD, "stream": True}
    async with (
        serving(application(state, provider.url, SMALL_ROOM + ROUTING), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=20) as client,
    ):

        async def read(slowly: bool) -> int:
            size = 0
            async with client.stream("POST", URL, json=body) as answer:
                async for part in answer.aiter_bytes():
                    if slowly and size < 500_000:
                        await asyncio.sleep(0.01)
                    size += part.count(b"x")
                    if slowly and leaves and size > 300_000:
                        return -1
            return size

        first = asyncio.create_task(read(slow in ("leader", "both")))
        await asked(provider)
        second = asyncio.create_task(read(slow in ("follower", "both")))
        sizes = await asyncio.wait_for(asyncio.gather(first, second), 15)
        whole = 100 * len(text)
        assert all(size in (-1, whole) or whole <= size < whole + 1000 for size in sizes), sizes
        assert await settled(client) == (0, 0, 0)
