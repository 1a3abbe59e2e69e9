"""``GET /v1/models`` and ``/v1/models/{id}``."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.serving import AUTH, application, serving

ROUTING = """
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY}}
  keyless: {{adapter: gpt, key_env: NOT_SET}}
models:
  plain: {{targets: [{{provider: p, model: a}}]}}
  meta-llama/Llama-3.1-8B: {{targets: [{{provider: p, model: b}}]}}
  unset: {{targets: [{{provider: keyless, model: c}}]}}
aliases: {{org/deep/name: plain, none: unset}}
"""
OFFERED = ["plain", "meta-llama/Llama-3.1-8B", "org/deep/name"]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = application(tmp_path, "http://127.0.0.1:9/v1", ROUTING)
    async with serving(app) as url, httpx.AsyncClient(base_url=url, headers=AUTH) as client:
        yield client


async def test_the_list_holds_what_can_be_asked(client: httpx.AsyncClient) -> None:
    for path in ("/v1/models", "/v1/models/"):
        answer = (await client.get(path)).json()
        assert answer["object"] == "list"
        assert [model["id"] for model in answer["data"]] == OFFERED
        assert {tuple(model) for model in answer["data"]} == {("id", "object", "created", "owned_by")}


async def test_each_by_itself(client: httpx.AsyncClient) -> None:
    listed = (await client.get("/v1/models")).json()["data"]
    for model in listed:
        for name in (model["id"], model["id"].replace("/", "%2F"), model["id"] + "/"):
            assert (await client.get(f"/v1/models/{name}")).json() == model


@pytest.mark.parametrize(
    "name", ["nope", "unset", "none", "plain/x", "meta-llama", "%2Fplain", "..%2Fplain", "%00", "ü"]
)
async def test_what_is_not_offered_is_not_there(client: httpx.AsyncClient, name: str) -> None:
    response = await client.get(f"/v1/models/{name}")
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (404, "model_not_found", "model")
    assert error["type"] == "invalid_request_error" and "GET /v1/models" in error["message"]


async def test_a_key_is_needed(client: httpx.AsyncClient) -> None:
    for path in ("/v1/models", "/v1/models/plain", "/v1/models/nope"):
        response = await client.get(path, headers={"Authorization": ""})
        assert (response.status_code, response.headers["www-authenticate"]) == (401, "Bearer")
        assert response.json()["error"]["code"] == "invalid_api_key"
