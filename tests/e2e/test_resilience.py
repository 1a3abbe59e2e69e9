"""What callers see of targets that fail: other tries, other keys, other targets, and honest errors at the end."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.protocol import Protocol
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

URL = "/v1/completion"
DOWN = Script(status=503)
LONG = Script(
    status=400, body=b'{"error": {"code": "context_length_exceeded", "message": "maximum context length is 10"}}'
)
FILTERED = Script(status=400, body=b'{"error": {"code": "content_filter", "message": "content management policy"}}')

PROVIDERS = """
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY, timeouts: {{first_token: 0.3, first_byte: 0.5, idle: 0.4}}}}
  many: {{adapter: gpt, base_url: "{url}", key_envs: [ONE, TWO, THREE]}}
"""
ROUTING = (
    "retry: {{rounds: 2, base: 0.01, most: 1}}\nbreaker: {{failures: 4, pause: 0.3}}\n"
    + PROVIDERS
    + """
models:
  a: {{targets: [{{provider: p, model: a}}]}}
  pair: {{targets: [{{provider: p, model: a}}, {{provider: p, model: b, fallback: true}}]}}
  keyed: {{targets: [{{provider: many, model: k}}]}}
  short: {{targets: [{{provider: p, model: a}}], on_too_long: [long], on_filtered: [bold]}}
  long: {{targets: [{{provider: p, model: long}}]}}
  bold: {{targets: [{{provider: p, model: bold}}]}}
"""
)

Serve = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def serve(provider: Provider, tmp_path: Path) -> Serve:
    @asynccontextmanager
    async def served(routing: str = ROUTING) -> AsyncIterator[httpx.AsyncClient]:
        app = application(tmp_path, provider.url, routing, ONE="key-1", TWO="key-2", THREE="key-3")
        async with (
            serving(app, Protocol) as url,
            httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
        ):
            yield client

    return served


@pytest.fixture
async def client(serve: Serve) -> AsyncIterator[httpx.AsyncClient]:
    async with serve() as client:
        yield client


async def ask(client: httpx.AsyncClient, model: str = "a", **more: Any) -> httpx.Response:
    return await client.post(URL, json={"model": model, "prompt": "hi", **more})


def asked(provider: Provider) -> list[object]:
    return [seen.body["model"] for seen in provider.seen]


@pytest.mark.parametrize("stream", [False, True])
async def test_what_passes_is_asked_again(client: httpx.AsyncClient, provider: Provider, stream: bool) -> None:
    provider.turns["a"] = [DOWN, Script(status=500)]
    answer = await ask(client, stream=stream)
    assert answer.status_code == 200 and answer.headers["x-gateway-attempts"] == "3"
    assert len(provider.seen) == 3


async def test_at_the_end_the_caller_hears_why_and_need_not_try(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = DOWN
    answer = await ask(client)
    assert answer.status_code == 502 and len(provider.seen) == 3
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("status", [400, 404, 422])
async def test_what_does_not_pass_is_not_asked_again(
    client: httpx.AsyncClient, provider: Provider, status: int
) -> None:
    provider.scripts["a"] = Script(status=status)
    assert (await ask(client)).status_code in (400, 502) and len(provider.seen) == 1


async def test_another_target_is_asked_at_once(serve: Serve, provider: Provider) -> None:
    """And not after the pause that the same one would be granted."""
    provider.scripts["a"] = DOWN
    async with serve(ROUTING.replace("base: 0.01, most: 1", "base: 60, most: 60")) as client:
        async with asyncio.timeout(5):
            answer = await ask(client, "pair")
        assert asked(provider) == ["a", "b"] and answer.headers["x-gateway-target"] == "p/b"


async def test_retry_after_is_waited_for(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["a"] = [Script(status=429, headers=("Retry-After: 0.4",))]
    began = asyncio.get_running_loop().time()
    assert (await ask(client)).status_code == 200
    assert asyncio.get_running_loop().time() - began >= 0.4 and len(provider.seen) == 2


async def test_a_long_retry_after_is_passed_on(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=429, headers=("Retry-After: 30",))
    first = await ask(client)
    assert (first.status_code, first.headers["retry-after"], len(provider.seen)) == (429, "30", 1)
    second = await ask(client)  # who is throttling is not asked before then
    assert second.status_code == 429 and 28 <= int(second.headers["retry-after"]) <= 30 and len(provider.seen) == 1


@pytest.mark.parametrize("status", [401, 403, 402])
async def test_a_dead_key_is_rotated_out_at_once(serve: Serve, provider: Provider, status: int) -> None:
    provider.turns["k"] = [Script(status=status)]
    async with serve(ROUTING.replace("pause: 0.3", "pause: 30")) as client:
        assert (await ask(client, "keyed")).status_code == 200
        first, second = [seen.headers["authorization"] for seen in provider.seen]
        assert first != second
        for _ in range(12):
            assert (await ask(client, "keyed")).status_code == 200
    used = Counter(seen.headers["authorization"] for seen in provider.seen)
    assert used[first] == 1 and len(used) == 3 and sum(used.values()) == 14


async def test_a_throttled_key_leaves_the_others(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["k"] = [Script(status=429, headers=("Retry-After: 20",))]
    answers = [await ask(client, "keyed") for _ in range(5)]
    assert all(answer.status_code == 200 for answer in answers)
    throttled = provider.seen[0].headers["authorization"]
    assert throttled not in [seen.headers["authorization"] for seen in provider.seen[1:]]


async def test_a_call_that_is_too_long_goes_to_whom_the_route_names(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    provider.scripts["a"] = LONG
    answer = await ask(client, "short")
    assert answer.status_code == 200 and answer.headers["x-gateway-target"] == "p/long"
    assert answer.json()["choices"][0]["model"] == "short"
    plain = await ask(client, "a")
    assert plain.status_code == 400 and asked(provider) == ["a", "long", "a"]


async def test_a_filtered_call_goes_to_whom_the_route_names(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = FILTERED
    assert (await ask(client, "short")).headers["x-gateway-target"] == "p/bold"
    assert asked(provider) == ["a", "bold"]


async def test_nothing_is_asked_again_once_the_caller_has_read(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["a"] = [Script(cut_after=2)]
    answer = await ask(client, "pair", stream=True)
    assert asked(provider) == ["a"] and '"error"' in answer.text and answer.status_code == 200


async def test_a_stream_that_does_not_begin_is_given_up(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=5)
    began = asyncio.get_running_loop().time()
    answer = await ask(client, "pair", stream=True)
    assert answer.headers["x-gateway-target"] == "p/b" and '"Hello"' in answer.text
    assert 0.3 <= asyncio.get_running_loop().time() - began < 4


@pytest.mark.parametrize("stream", [False, True])
async def test_the_caller_may_bound_the_time(client: httpx.AsyncClient, provider: Provider, stream: bool) -> None:
    provider.scripts["a"] = Script(pause=5)
    began = asyncio.get_running_loop().time()
    answer = await client.post(
        URL, json={"model": "a", "prompt": "x", "stream": stream}, headers={"x-gateway-timeout-ms": "150"}
    )
    assert answer.status_code == 504 and asyncio.get_running_loop().time() - began < 3
    await asyncio.wait_for(provider.seen[0].gone.wait(), 3)


@pytest.mark.parametrize("said", ["soon", "0", "-5", "1.5", "99999999999999999999"])
async def test_a_bound_that_is_none_is_refused(client: httpx.AsyncClient, said: str) -> None:
    answer = await client.post(URL, json={"model": "a", "prompt": "x"}, headers={"x-gateway-timeout-ms": said})
    assert answer.status_code == 400 and "x-gateway-timeout-ms" in answer.text


@pytest.mark.parametrize("failure", [DOWN, Script(status=429, headers=("Retry-After: 0.1",))])
async def test_embeddings_are_asked_again_too(client: httpx.AsyncClient, provider: Provider, failure: Script) -> None:
    provider.turns["a"] = [failure]
    answer = await client.post("/v1/embeddings", json={"model": "a", "input": "x"})
    assert answer.status_code == 200 and answer.headers["x-gateway-attempts"] == "2"


async def test_embeddings_may_be_bounded_too(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=5)
    bound = {"x-gateway-timeout-ms": "100"}
    answer = await client.post("/v1/embeddings", json={"model": "a", "input": "x"}, headers=bound)
    assert answer.status_code == 504 and "deadline" in answer.text
    await asyncio.wait_for(provider.seen[0].gone.wait(), 1)


async def test_who_fails_again_and_again_is_left_alone_and_probed(
    client: httpx.AsyncClient, provider: Provider
) -> None:
    provider.scripts["a"] = DOWN
    for _ in range(25):
        await ask(client)
    assert 4 <= len(provider.seen) <= 6
    refused = await ask(client)
    assert refused.status_code == 503 and refused.headers["retry-after"] == "1"
    assert '"resting"' in refused.text or "failed too often" in refused.text
    provider.scripts["a"] = Script()
    await asyncio.sleep(0.7)
    assert [(await ask(client)).status_code for _ in range(5)] == [200] * 5


async def test_retries_do_not_multiply_an_outage(serve: Serve, provider: Provider) -> None:
    routing = ROUTING.replace("breaker: {{failures: 4, pause: 0.3}}", "breaker: {{failures: 9999, least: 9999}}")
    routing = routing.replace("rounds: 2", "rounds: 2, share: 0.1, floor: 0.5")
    provider.scripts["a"] = DOWN
    async with serve(routing) as client:
        for _ in range(100):
            await ask(client)
    assert 100 <= len(provider.seen) <= 100 + 10 + 5 + 1
