"""What ``/metrics`` tells of requests on a socket: the status that was sent, how streams ended; both ways to them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.protocol import Protocol
from tests.gateway.metrics.exposition import Told
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

LARGE = "x" * 300_000
"""A body of this size goes the ASGI way."""


@pytest.fixture
async def http(provider: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(application(tmp_path, provider.url), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
    ):
        yield client


async def told(http: httpx.AsyncClient) -> Told:
    return Told((await http.get("/metrics")).text)


async def told_when(http: httpx.AsyncClient, name: str, total: float) -> Told:
    """Once this has come to so much."""
    async with asyncio.timeout(5):
        while (found := await told(http)).total(name) != total:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    return found


@pytest.mark.parametrize("prompt", ["hi", LARGE], ids=["direct", "asgi"])
async def test_statuses_are_those_that_were_sent(http: httpx.AsyncClient, provider: Provider, prompt: str) -> None:
    provider.scripts["b"] = Script(status=500)

    async def ask(path: str = "/v1/completion", **more: Any) -> int:
        headers = more.pop("headers", {})
        return (await http.post(path, json={"prompt": prompt, **more}, headers=headers)).status_code

    assert [
        await ask(model="a"),
        await ask(model="a", stream=True),
        await ask(model=["a", "b"]),
        await ask(model="b"),
        await ask(model="nobody"),
        await ask(model="unset"),
        await ask(model="a", headers={"Authorization": "Bearer x"}),
        await ask("/v1/completion/", model="a"),
    ] == [200, 200, 200, 502, 404, 503, 401, 200]
    assert (await http.get("/v1/completion")).status_code == 405
    assert (await http.get("/nothing")).status_code == 404
    found = await told(http)
    assert found.by("gateway_requests_total", "route", "status", "team") == {
        ("/v1/completion", "200", "default"): 4,
        ("/v1/completion", "502", "default"): 1,
        ("/v1/completion", "404", "default"): 1,
        ("/v1/completion", "503", "default"): 1,
        ("/v1/completion", "401", ""): 1,
        ("/v1/completion", "405", ""): 1,
    }
    assert found.by("gen_ai_server_request_duration_seconds_count", "error_type") == {
        ("",): 4, ("unavailable",): 1, ("model_not_found",): 1, ("model_not_offered",): 1, ("invalid_api_key",): 1,
        ("method_not_allowed",): 1,
    }  # fmt: skip
    assert found.by("gateway_other_requests_total", "status") == {("4xx",): 1}
    assert found.by("gateway_legs_total", "model", "outcome") == {("a", "ok"): 4, ("b", "failed"): 2}
    assert found.total("gateway_first_byte_seconds_count") == 1
    assert found.total("gateway_in_flight") == 0


@pytest.mark.parametrize("prompt", ["hi", LARGE], ids=["direct", "asgi"])
async def test_callers_who_leave(http: httpx.AsyncClient, provider: Provider, prompt: str) -> None:
    provider.scripts["a"] = Script(chunks=("word ",) * 50, pause=0.05)
    provider.scripts["b"] = Script(pause=10)
    body = {"model": "a", "prompt": prompt, "stream": True}
    async with http.stream("POST", "/v1/completion", json=body) as answer:
        await anext(answer.aiter_bytes())
    with pytest.raises(httpx.ReadTimeout):
        await http.post("/v1/completion", json={"model": "b", "prompt": prompt}, timeout=0.2)
    found = await told_when(http, "gateway_requests_total", 2)
    assert found.by("gateway_requests_total", "status") == {("200",): 1, ("499",): 1}
    assert found.by("gateway_streams_broken_total", "route", "reason") == {("/v1/completion", "caller_left"): 1}
    assert found.by("gateway_legs_total", "model", "outcome") == {("a", "cancelled"): 1, ("b", "cancelled"): 1}
    assert found.by("gen_ai_server_request_duration_seconds_count", "error_type") == {("caller_left",): 2}
    assert found.total("gateway_in_flight") == 0


async def test_a_provider_that_cannot_be_reached_is_told(http: httpx.AsyncClient) -> None:
    """Though the ledger has nothing of it: no request went out."""
    assert (await http.post("/v1/completion", json={"model": "rescued", "prompt": "hi"})).status_code == 200
    found = await told(http)
    legs = found.by("gateway_legs_total", "model", "target", "outcome")
    assert legs["rescued", "p/a", "ok"] == 1
    assert sum(legs.values()) == 2 and {target for _, target, _ in legs} == {"p/a", "dead/x"}


async def test_what_lies_beside_the_requests(http: httpx.AsyncClient) -> None:
    await http.post("/v1/completion", json={"model": "a", "prompt": "hi"})
    await http.post("/v1/embeddings", json={"model": "a", "input": "hi"})
    found = await told_when(http, "gateway_ledger_written_total", 2)
    assert found.total("gateway_workers") == found.total("gateway_sql_up") == found.total("gateway_build_info") == 1
    assert found.total("gateway_ledger_pending") == found.total("gateway_ledger_lag_seconds") == 0
    assert 0 < found.total("gateway_spool_bytes") <= found.total("gateway_spool_capacity_bytes")
    assert 0 < found.total("gateway_spool_full_ratio") < 0.1
    assert not [name for name, _ in found.samples if name == "gateway_redis_up"]  # there is none
    assert found.by("gen_ai_client_operation_duration_seconds_count", "gen_ai_operation_name") == {
        ("text_completion",): 1, ("embeddings",): 1,
    }  # fmt: skip
    assert found.by("gateway_provider_busy", "provider") == {}
    assert ("gateway_provider_busy", (("provider", "narrow"),)) in found.samples
    assert found.total("gateway_resident_memory_bytes") > 1e7


async def test_a_scraper_may_ask_for_openmetrics(http: httpx.AsyncClient) -> None:
    answer = await http.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    assert answer.text.count("# EOF\n") == 1 and answer.text.endswith("# EOF\n")
