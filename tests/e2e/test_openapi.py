"""The document at ``/openapi.json`` against the gateway that it describes: every route, every status, and bodies that
nobody would think of."""

import asyncio
import queue
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from msgspec import Struct
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from starlette.routing import Route

from gateway import openapi
from gateway.openapi import admin
from gateway.openapi.operation import HEADERS, LIMITS, Operation
from gateway.openapi.requests import EXAMPLES
from gateway.openapi.routes import HEAD, OPERATIONS
from tests.provider import Provider, Script
from tests.serving import ADMIN_KEY, AUTH, application, serving

MODELS = ("demo", "demo-creative", "wrong", "refused", "throttled", "late", "slow")
ROUTING = """
server: {{max_body_bytes: 16384}}
limits:
  models: {{dear: {{usd_per_month: 0.5}}, counted: {{rpm: 2, tpm: 5000, usd_per_day: 1, soft_usd_per_day: 0.0001}}}}
retry: {{rounds: 0}}
breaker: {{failures: 1000, least: 1000}}
providers:
  v: {{adapter: local, engine: vllm, base_url: "{url}"}}
  dead: {{adapter: local, engine: vllm, base_url: "http://127.0.0.1:9/v1"}}
  keyless: {{adapter: gpt, key_env: NOT_SET}}
models:
  down: {{targets: [{{provider: dead, model: x}}]}}
  unset: {{targets: [{{provider: keyless, model: x}}]}}
  dear: {{targets: [{{provider: v, model: demo, price: {{input: 0, output: 0, request: 1}}}}]}}
  counted: {{targets: [{{provider: v, model: demo, price: {{input: 1, output: 1, request: 0.001}}}}]}}
""" + "".join(f"  {name}: {{{{targets: [{{{{provider: v, model: {name}}}}}]}}}}\n" for name in MODELS)

SCRIPTS = {
    "wrong": Script(chunks=("?",)),
    "refused": Script(status=400),
    "throttled": Script(status=429),
    "late": Script(status=504),
    "slow": Script(pause=30),
}

ANSWERS = {
    "/v1/completion/typed": '{"value": 5}',
    "/v1/completion/regex": "5",
    "/v1/completion/cfg": "yes",
    "/v1/categorize": "blue",
    "/v3/streaming_completions/{id}/result": '{"value": 5}',
    "/v1/batch_completions/{id}/result": '{"value": 5}',
}
"""What the model says, where not everything will do."""

CONSTRAINTS: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {"response_format": {"type": "json_object"}},
    "/inf/chat/completions": {"response_format": {"type": "json_object"}},
    "/v1/completions": {"guided_regex": "[0-9]+"},
    "/v1/completion": {name: EXAMPLES["TypedCompletion"][name] for name in ("schema", "type_name")},
}
"""What makes an answer wrong, where the example has no constraint itself."""

BY_MODEL = {
    402: "dear",
    404: "nope",
    429: "throttled",
    502: "down",
    503: "unset",
    504: "late",
    524: "late",
    594: "nope",
}


class Running(Struct):
    """``narrow`` is the key of a team that may ask one model alone."""

    client: httpx.Client
    narrow: str
    provider: Provider
    app: Any


async def narrow_key(url: str) -> str:
    async with httpx.AsyncClient(base_url=url, headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as operator:
        await operator.post("/admin/teams", json={"name": "narrow", "models": ["slow"]})
        key: str = (await operator.post("/admin/keys", json={"team": "narrow"})).json()["key"]
        return key


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The gateway in a thread of its own: what asks it here is synchronous."""
    state = tmp_path_factory.mktemp("openapi")
    started: queue.Queue[Running | BaseException] = queue.Queue()
    over = threading.Event()

    async def serve() -> None:
        provider = Provider()
        provider.scripts |= SCRIPTS
        await provider.start()
        app = application(state, provider.url, ROUTING)
        async with serving(app) as url:
            narrow = await narrow_key(url)
            started.put(Running(httpx.Client(base_url=url, headers=AUTH, timeout=20), narrow, provider, app))
            await asyncio.to_thread(over.wait)
        await provider.close()

    def run() -> None:
        try:
            asyncio.run(serve())
        except BaseException as exc:
            started.put(exc)
            raise

    thread = threading.Thread(target=run)
    thread.start()
    running = started.get(timeout=20)
    if isinstance(running, BaseException):
        raise running
    yield running
    running.client.close()
    over.set()
    thread.join(20)


@pytest.fixture(scope="module")
def described() -> Any:
    schema = schemathesis.openapi.from_dict(openapi.described())
    schema.config.generation.update(with_security_parameters=False)  # the key is right; who has none is another test
    return schema


def test_it_is_served_without_a_key(gateway: Running) -> None:
    response = httpx.get(f"{gateway.client.base_url}/openapi.json")
    assert response.status_code == 200
    assert response.json() == openapi.described()


def test_it_is_valid(described: Any) -> None:
    described.validate()
    document = openapi.described()
    ids = [operation["operationId"] for path in document["paths"].values() for operation in path.values()]
    assert len(ids) == len(set(ids)) == len(OPERATIONS) + len(admin.OPERATIONS)
    assert set(references(document)) == {f"#/components/schemas/{name}" for name in document["components"]["schemas"]}


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for item in value.values():
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def test_it_has_every_route_and_no_other(gateway: Running) -> None:
    """Both tables of the application: those that ask models, and the rest."""
    served = {("post", path) for path in gateway.app._routes if not path.endswith("/")}
    for route in gateway.app._rest.routes:
        assert isinstance(route, Route)
        methods = route.methods or set()  # what says of a path below /admin/ that it is none takes all of them
        served |= {(method.lower(), route.path.replace(":path", "")) for method in methods - {"HEAD"}}
    assert {(operation.method, operation.path) for operation in (*OPERATIONS, *admin.OPERATIONS)} == served


def example(operation: Operation, status: int = 200) -> dict[str, Any]:
    name = operation.asks or ""
    if name == "AnyCompletionRequest":
        name = "LaminiRequest" if status in (524, 594) else "CompletionsRequest"
    return dict(EXAMPLES[name])


def with_model(body: dict[str, Any], model: str) -> dict[str, Any]:
    return body | {("model_name" if "model_name" in body else "model"): model}


def provoke(gateway: Running, operation: Operation, status: int) -> httpx.Response:
    """An answer of this status, if it is to be had."""
    path, client = operation.path, gateway.client
    if status == 401:
        return client.request(operation.method, path, headers={"Authorization": "Bearer no"})
    if path.endswith("/result"):
        return fetched(client, path, status)
    if operation.method == "get":
        name = "nope" if status == 404 else "demo"
        return client.get(path.replace("{id}", name))
    if status == 413:
        return client.post(path, json={"prompt": "x" * 20_000})
    if status == 415:
        return client.post(path, content=b"{}", headers={"content-type": "text/plain"})
    if status == 400:
        return client.post(path, content=b"[1", headers={"content-type": "application/json"})
    body = example(operation, 524 if status == 402 else status)
    if status == 403:
        return client.post(path, json=body, headers={"Authorization": f"Bearer {gateway.narrow}"})
    if path == "/v1/streaming_completions" and status in (402, 404, 524):
        return watched(client, body, status)
    if status == 422:
        wrong = {"prompt": 1} if operation.tag == "Lamini" else CONSTRAINTS.get(path, {}) | {"model": "wrong"}
        return client.post(path, json=body | wrong)
    return client.post(path, json=with_model(body, BY_MODEL[status]) if status in BY_MODEL else body)


def fetched(client: httpx.Client, path: str, status: int) -> httpx.Response:
    """The end of a job."""
    if status == 404:
        return client.get(path.replace("{id}", "nope"))
    models = {200: "demo", 400: "refused", 402: "dear", 422: "wrong", 429: "throttled", 503: "down", 524: "late"}
    begun = client.post(path.removesuffix("/{id}/result"), json=with_model(EXAMPLES["LaminiRequest"], models[status]))
    return until_over(lambda: client.get(path.replace("{id}", begun.json()["id"])))


def watched(client: httpx.Client, body: dict[str, Any], status: int) -> httpx.Response:
    """The same in the older protocol."""
    path = "/v1/streaming_completions"
    if status == 404:
        return client.post(path, json=body | {"server": "nope"})
    model = BY_MODEL[status]
    begun = client.post(path, json=with_model(body, model) | {"output_type": {"value": "int"}}).json()["server"]
    return until_over(lambda: client.post(path, json=body | {"server": begun}))


def until_over(ask: Any) -> httpx.Response:
    while True:
        response: httpx.Response = ask()
        told = response.json()
        if response.status_code != 200 or told.get("finish_reason", [None])[0] is not None:
            return response
        time.sleep(0.02)


BEGINNING = [operation for operation in OPERATIONS if operation.answers in ("JobId", "OldJobResult")]
"""They take on jobs, and refuse one too many; see below."""

STATUSES = [
    pytest.param(operation, status, id=f"{operation.method} {operation.path} {status}")
    for operation in OPERATIONS
    for status in sorted({200, *operation.refuses, *(HEAD if operation.asks else ())})
    if not (status == 429 and operation in BEGINNING)
]


@pytest.mark.parametrize(("operation", "status"), STATUSES)
def test_every_status_occurs_and_is_as_described(
    gateway: Running, described: Any, operation: Operation, status: int
) -> None:
    gateway.provider.scripts["demo"] = Script(chunks=(ANSWERS.get(operation.path, "Hello"),))
    response = provoke(gateway, operation, status)
    assert response.status_code == status, response.text
    assert status == 200 or status in operation.refuses
    described[operation.path][operation.method].validate_response(response)


def test_what_is_described_of_limits_is_told(gateway: Running, described: Any) -> None:
    """Every header, in one answer or another."""
    client, asked = gateway.client, {"model": "counted", "prompt": "x", "max_tokens": 4}
    first, second, over = [client.post("/v1/completion", json=asked) for _ in range(3)]
    for response in (first, second, over):
        described["/v1/completion"]["post"].validate_response(response)
    assert [first.status_code, second.status_code, over.status_code] == [200, 200, 429]
    assert not [name for name in LIMITS if name not in first.headers or name not in over.headers]
    assert float(first.headers["x-gateway-cost-usd"]) == 0.001 + (7 + 4) / 1e6
    assert second.headers["x-gateway-budget-warning"] == "model 'counted' has passed $0.0001 per day"
    told = [name for name in (*HEADERS[429], "x-ratelimit-scope") if name in over.headers]
    assert set(HEADERS[429]) - set(told) == {"X-Should-Retry"}  # it may well
    assert (over.headers["x-ratelimit-scope"], over.headers["x-gateway-limit"]) == ("model", "requests/min")
    dear = client.post("/v1/completion", json=asked | {"model": "dear"})
    assert (dear.status_code, dear.headers["x-should-retry"], dear.headers["x-gateway-limit"]) == (
        402, "false", "USD/month",
    )  # fmt: skip
    quota = client.post("/v1/completions", json=asked | {"model": "dear"})
    assert (quota.status_code, quota.json()["error"]["code"]) == (429, "insufficient_quota")
    described["/v1/completions"]["post"].validate_response(quota)


def test_it_is_not_ready_before_it_has_started(gateway: Running, tmp_path: Path, described: Any) -> None:
    app = application(tmp_path, gateway.provider.url, ROUTING)

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as client:
            return await client.get("/ready")

    response = asyncio.run(ask())
    assert response.status_code == 503
    described["/ready"]["get"].validate_response(response)


async def test_too_many_jobs(http: httpx.AsyncClient, provider: Provider, described: Any) -> None:
    provider.scripts["a"] = Script(pause=30)
    body = {"model_name": "a", "prompt": "x"}
    for _ in range(64):
        assert (await http.post("/v1/batch_completions", json=body)).status_code == 200
    for operation in BEGINNING:
        response = await http.post(operation.path, json=body)
        assert response.status_code == 429
        described[operation.path]["post"].validate_response(response)


CHECKS = (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
EXAMPLES_EACH = 8


SENT = [
    pytest.param(operation, mode, id=f"{operation.method} {operation.path} {mode.value}")
    for operation in OPERATIONS
    for mode in ((GenerationMode.POSITIVE, GenerationMode.NEGATIVE) if operation.asks else (GenerationMode.POSITIVE,))
]


@pytest.mark.parametrize(("operation", "mode"), SENT)
def test_whatever_is_sent(gateway: Running, described: Any, operation: Operation, mode: GenerationMode) -> None:
    """Each generated body as it is, and with some of its fields in a body that is right otherwise: what is wrong in
    several places is seldom understood far enough to break something."""
    gateway.provider.scripts["demo"] = Script(chunks=(ANSWERS.get(operation.path, "Hello"),))

    @seed(20_231)
    @settings(
        max_examples=EXAMPLES_EACH,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=described[operation.path][operation.method].as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        sent(case)
        if operation.asks and isinstance(case.body, dict):
            written = dict(list(case.body.items())[:2])
            for body in (example(operation), example(operation, 594)):
                case.body = body | written
                sent(case)

    def sent(case: Any) -> None:
        response = case.call(base_url=str(gateway.client.base_url), headers=AUTH, timeout=20)
        assert response.status_code < 500 or response.status_code in (503, 594), (case.body, response.text)
        case.validate_response(response, checks=CHECKS)

    ask()
