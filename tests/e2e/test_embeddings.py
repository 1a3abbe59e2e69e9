"""``POST /v1/embeddings`` and Lamini's ``/v1/embedding``, from socket to socket."""

import asyncio
import base64
import sys
from array import array
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.embedded import MODEL_FILE
from tests.e2e.test_serve import free_port
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

URL = "/v1/embeddings"
ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.0023064255, -1], "new": [1]}],
    "model": "text-embedding-3-small",
    "usage": {"prompt_tokens": 8, "total_tokens": 8, "prompt_tokens_details": {"audio_tokens": 0}},
    "new": {"x": None},
}


async def test_what_the_caller_wrote_arrives(http: httpx.AsyncClient, provider: Provider) -> None:
    written = {"input": ["a", "b"], "encoding_format": "float", "dimensions": 3, "user": "me", "of_next_year": {"a": 1}}
    response = await http.post(URL, json={"model": "also-a", **written})
    assert response.status_code == 200, response.text
    [seen] = provider.seen
    assert (seen.path, seen.body) == ("/v1/embeddings", {"model": "a", **written})
    assert response.headers["x-gateway-target"] == "p/a"
    assert response.headers["x-gateway-attempts"] == "1"
    assert "x-request-id" in response.headers


@pytest.mark.parametrize("given", ["a", ["a"], [1, 2], [[1, 2], [3]]])
async def test_forms_of_input(http: httpx.AsyncClient, provider: Provider, given: Any) -> None:
    answer = (await http.post(URL, json={"model": "a", "input": given})).json()
    assert provider.seen[0].body == {"model": "a", "input": given}
    assert [row["index"] for row in answer["data"]] == list(range(len(answer["data"])))


async def test_what_the_provider_said_comes_back(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(body=msgspec.json.encode(ANSWER))
    response = await http.post(URL, json={"model": "a", "input": "x"})
    assert response.json() == ANSWER | {"model": "a"}
    assert b"[0.0023064255,-1]" in response.content


async def test_base64_of_a_provider_that_gives_floats(http: httpx.AsyncClient, provider: Provider) -> None:
    body = {"data": [{"embedding": [0.5, -1]}]}
    provider.scripts["a"] = Script(body=msgspec.json.encode(body))
    answer = (await http.post(URL, json={"model": "a", "input": "four letters", "encoding_format": "base64"})).json()
    assert answer["data"] == [{"object": "embedding", "index": 0, "embedding": "AAAAPwAAgL8="}]
    assert answer["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_floats_of_a_provider_that_gives_base64(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(body=b'{"data":[{"embedding":"AAAAPwAAgL8="}]}')
    answer = (await http.post(URL, json={"model": "a", "input": "x"})).json()
    assert answer["data"][0]["embedding"] == [0.5, -1]


async def test_the_next_target_is_asked(http: httpx.AsyncClient, provider: Provider) -> None:
    response = await http.post(URL, json={"model": "rescued", "input": "x"})
    assert response.status_code == 200
    assert response.headers["x-gateway-target"] == "p/a"
    assert response.headers["x-gateway-attempts"] == "2"
    provider.scripts["x"] = Script(status=400)
    response = await http.post(URL, json={"model": "shaky", "input": "x"})
    assert response.status_code == 400
    assert provider.calls("a") == provider.seen[:1]


@pytest.mark.parametrize(
    ("asked", "status", "code", "param"),
    [
        ({"model": "nope", "input": "x"}, 404, "model_not_found", "model"),
        ({"model": "unset", "input": "x"}, 503, "model_not_offered", "model"),
        ({"model": "down", "input": "x"}, 502, "unavailable", None),
        ({"model": ["a", "b"], "input": "x"}, 400, "invalid_request", "model"),
        ({"model": "command", "input": [1, 2]}, 400, "invalid_request", "input"),
        ({"model": "a", "input": []}, 400, "invalid_request", "input"),
    ],
)
async def test_errors(
    http: httpx.AsyncClient, asked: dict[str, Any], status: int, code: str, param: str | None
) -> None:
    response = await http.post(URL, json=asked)
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param)


async def test_what_a_provider_says_of_its_failure_is_not_told(http: httpx.AsyncClient, provider: Provider) -> None:
    for status in (400, 401, 500):
        provider.scripts["a"] = Script(status=status)
        response = await http.post(URL, json={"model": "a", "input": "x"})
        assert response.status_code >= 400 and "secret" not in response.text


async def test_a_key_is_needed(http: httpx.AsyncClient, provider: Provider) -> None:
    response = await http.post(URL, json={"model": "a", "input": "x"}, headers={"Authorization": "Bearer no"})
    assert response.status_code == 401 and response.json()["error"]["code"] == "invalid_api_key"
    assert not provider.seen


async def test_a_caller_who_leaves_ends_the_providers_call(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(body=b"{}", pause=30)
    asking = asyncio.create_task(http.post(URL, json={"model": "a", "input": "x"}))
    while not provider.seen:  # noqa: ASYNC110 - nothing tells us but looking
        await asyncio.sleep(0.005)
    asking.cancel()
    await asyncio.wait_for(provider.seen[0].gone.wait(), 5)


async def test_lamini(http: httpx.AsyncClient, provider: Provider) -> None:
    one = await http.post("/v1/embedding", json={"model_name": "a", "prompt": "x"})
    assert one.json() == {"embedding": [0.0, 0.5, 0.5, 0.5]}
    many = await http.post("/v1/embedding", json={"model_name": "a", "prompt": ["x", "y"]})
    assert many.json() == {"embedding": [[0.0, 0.5, 0.5, 0.5], [1.0, 0.5, 0.5, 0.5]]}
    assert [seen.body for seen in provider.seen] == [
        {"model": "a", "input": ["x"]},
        {"model": "a", "input": ["x", "y"]},
    ]
    unknown = await http.post("/v1/embedding", json={"model_name": "nope", "prompt": "x"})
    assert unknown.status_code == 594 and isinstance(unknown.json()["detail"], str)
    malformed = await http.post("/v1/embedding", json={"model_name": "a", "prompt": 1})
    assert malformed.status_code == 422 and malformed.json()["detail"][0]["loc"] == ["body", "prompt"]


SERVER = """
import sys, xllamacpp
params = xllamacpp.CommonParams()
params.model.path, port, embedding = sys.argv[1:]
params.hostnames, params.port = ["127.0.0.1"], int(port)
params.n_ctx = 1024
params.embedding = embedding == "on"
params.pooling_type = xllamacpp.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
params.fit_params = params.ui = False
params.offline = True
server = xllamacpp.Server(params)
sys.stdin.read()
"""
REAL = """
breaker: {{failures: 1000, least: 1000}} # it is asked until it is there
providers:
  here: {{adapter: local, engine: llama.cpp, base_url: "{url}"}}
models:
  tiny: {{targets: [{{provider: here, model: m}}]}}
"""


@asynccontextmanager
async def over_llamacpp(state: Path, embedding: str) -> AsyncIterator[httpx.AsyncClient]:
    """A caller of a gateway over a real server, which gives embeddings if they are "on"."""
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(MODEL_FILE), str(port), embedding, stdin=PIPE, stdout=DEVNULL, stderr=DEVNULL
    )
    app = application(state, f"http://127.0.0.1:{port}", REAL)
    try:
        async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client:
            while '"unavailable"' in (await client.post(URL, json={"model": "tiny", "input": "x"})).text:  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # it loads
            yield client
    finally:
        process.kill()
        await process.wait()


async def test_a_real_server(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    async with over_llamacpp(tmp_path, "on") as client:

        async def ask(**asked: Any) -> Any:
            return (await client.post(URL, json={"model": "tiny", **asked})).json()

        floats = await ask(input=["hello there", "a"])
        assert floats["usage"] == {"prompt_tokens": 8, "total_tokens": 8}
        assert [len(row["embedding"]) for row in floats["data"]] == [128, 128]
        packed = await ask(input=["hello there", "a"], encoding_format="base64")
        vector = array("f", base64.b64decode(packed["data"][0]["embedding"]))
        assert vector.tolist() == pytest.approx(floats["data"][0]["embedding"], abs=1e-4)
        assert (await ask(input=[[5, 6], [7]]))["usage"]["prompt_tokens"] == 3
        assert (await ask(input="a", dimensions=4))["error"]["param"] == "dimensions"


async def test_a_real_server_that_was_not_started_for_it(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp")
    async with over_llamacpp(tmp_path, "off") as client:
        response = await client.post(URL, json={"model": "tiny", "input": "a"})
        assert response.status_code == 502
        assert "tiny: the llama.cpp server was not started with --embeddings (HTTP 501)" in response.text


async def test_the_demo_model_makes_none(tmp_path: Path) -> None:
    routing = REAL.replace('base_url: "{url}"', "embedded: true")
    app = application(tmp_path, "", routing, GATEWAY_EMBEDDED_SOCKET="http+unix://%2Fnowhere")
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=AUTH) as client:
        response = await client.post(URL, json={"model": "tiny", "input": "x"})
        assert response.status_code == 400
        assert response.json()["error"]["param"] == "model"
