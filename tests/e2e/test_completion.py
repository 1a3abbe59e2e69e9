"""``POST /v1/completion`` from socket to socket: a real server, a real client, a provider that plays."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.api import Api
from gateway.protocol import Protocol
from gateway.wire.thiggle import ThiggleChunks
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

URL = "/v1/completion"


@pytest.fixture(params=["direct", "asgi"])
async def client(
    request: pytest.FixtureRequest, provider: Provider, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """Both ways to an exchange keep one contract."""
    way = Protocol if request.param == "direct" else "httptools"
    async with (
        serving(application(tmp_path, provider.url), way) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as http,
    ):
        yield http


def events(body: bytes) -> list[Any]:
    frames = body.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in frames[:-2]]


def text_of(found: list[Any], index: int) -> str:
    return "".join(c["text"] for event in found for c in event["choices"] if c["index"] == index)


async def test_each_way_is_really_taken(
    request: pytest.FixtureRequest, client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[str] = []
    answer = Api.answer

    async def noted(self: Api, exchange: Any, *rest: Any) -> None:
        taken.append(type(exchange).__name__)
        await answer(self, exchange, *rest)

    monkeypatch.setattr(Api, "answer", noted)
    await client.post(URL, json={"model": "a", "prompt": "hi"})
    assert taken == ["AsgiExchange" if "asgi" in request.node.name else "DirectExchange"]


async def test_one_model(client: httpx.AsyncClient, provider: Provider) -> None:
    response = await client.post(URL, json={"model": "a", "prompt": "hi", "max_tokens": 9, "temperature": 0})
    answer = response.json()
    assert response.status_code == 200
    assert str(uuid.UUID(answer["id"])) == answer["id"] == response.headers["x-request-id"]
    assert datetime.fromisoformat(answer["created"]).tzinfo is not None
    assert answer["object"] == "text_completion"
    [choice] = answer["choices"]
    assert (choice["text"], choice["model"], choice["finish_reason"]) == ("Hello, world.", "a", "stop")
    assert isinstance(choice["created"], int)
    assert set(answer) == {"id", "object", "created", "choices", "usage"}
    assert set(choice) == {"text", "created", "model", "finish_reason", "usage"}
    assert {k: v for k, v in answer["usage"].items() if k != "prediction_time_ms"} == {
        "prompt_tokens": 7, "completion_tokens": 4, "total_tokens": 11,
    }  # fmt: skip
    assert response.headers["x-gateway-target"] == "p/a"
    [seen] = provider.seen
    assert seen.headers["authorization"] == "Bearer sk-provider"
    assert seen.body == {
        "model": "a", "messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9, "temperature": 0,
    }  # fmt: skip


async def test_several_models_in_order_duplicates_kept(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(("A",), pause=0.05)
    provider.scripts["b"] = Script(("B",))
    answer = (await client.post(URL, json={"model": ["a", "b", "a", "also-a"], "prompt": "hi"})).json()
    assert [(c["text"], c["model"]) for c in answer["choices"]] == [("A", "a"), ("B", "b"), ("A", "a"), ("A", "also-a")]
    assert answer["usage"]["total_tokens"] == 44
    assert (
        answer["choices"][0]["usage"]["prediction_time_ms"] >= 50 > answer["choices"][1]["usage"]["prediction_time_ms"]
    )


async def test_a_failed_model_stays_in_its_place(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["b"] = Script(status=500)
    response = await client.post(URL, json={"model": ["b", "a"], "prompt": "top secret prompt"})
    failed, answered = response.json()["choices"]
    assert response.status_code == 200
    assert (failed["text"], failed["finish_reason"], failed["error"]["code"]) == ("", "error", "unavailable")
    assert failed["usage"]["total_tokens"] == 0
    assert answered["text"] == "Hello, world."
    for secret in ("secret", "sk-provider", "127.0.0.1"):
        assert secret not in response.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"model": ["b", "down"]}, 502),
        ({"model": ["a", "b"], "fanout": {"strict": True}}, 502),
        ({"model": ["a", "b"], "fanout": {"min_success": 2}}, 502),
        ({"model": ["b"]}, 502),
        ({"model": ["c"]}, 429),
        ({"model": ["unset", "a"]}, 503),
        ({"model": ["a", "nope"]}, 404),
        ({"model": "command", "presence_penalty": -1}, 400),
    ],
)
async def test_a_call_that_fails_as_a_whole(
    client: httpx.AsyncClient, provider: Provider, body: dict[str, Any], status: int
) -> None:
    provider.scripts["b"] = Script(status=500)
    provider.scripts["c"] = Script(status=429, headers=("Retry-After: 7",))
    for stream in (False, True):
        response = await client.post(URL, json={"prompt": "hi", "stream": stream} | body)
        if stream and response.status_code == 200:  # somebody had spoken already
            assert "error" in events(response.content)[-1]
            continue
        assert (response.status_code, response.json()["code"]) == (status, status), response.text
        assert isinstance(response.json()["error"], str)
        assert response.headers.get("retry-after") == ("7" if status == 429 else None)


async def test_nothing_is_asked_when_one_name_is_wrong(client: httpx.AsyncClient, provider: Provider) -> None:
    await client.post(URL, json={"model": ["a", "nope"], "prompt": "hi"})
    await client.post(URL, json={"model": ["a", "command"], "prompt": "hi", "frequency_penalty": -1})
    assert provider.seen == []


async def test_a_missing_key_is_named(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json={"model": "unset", "prompt": "hi"})
    assert response.status_code == 503 and "NOT_SET" in response.json()["error"]


async def test_fallback_to_the_next_target(client: httpx.AsyncClient) -> None:
    response = await client.post(URL, json={"model": "rescued", "prompt": "hi"})
    assert response.json()["choices"][0]["model"] == "rescued"
    assert (response.headers["x-gateway-target"], response.headers["x-gateway-attempts"]) == ("p/a", "2")


async def test_several_choices(client: httpx.AsyncClient, provider: Provider) -> None:
    answer = (await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "n": 2})).json()
    assert [c["model"] for c in answer["choices"]] == ["a", "a", "b", "b"]
    assert sum(c["usage"]["total_tokens"] for c in answer["choices"]) == answer["usage"]["total_tokens"] == 22
    assert len(provider.seen) == 2


async def test_first_wins_and_the_loser_is_cancelled(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=30)
    began = time.monotonic()
    response = await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "fanout": {"mode": "first"}})
    assert [c["model"] for c in response.json()["choices"]] == ["b"]
    assert time.monotonic() - began < 10
    await asyncio.wait_for(provider.calls("a")[0].gone.wait(), 5)


async def test_quorum_and_deadline(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["b"] = Script(pause=30)
    fanout: dict[str, Any] = {"mode": "quorum", "min_success": 2}
    answer = (await client.post(URL, json={"model": ["a", "b", "c"], "prompt": "hi", "fanout": fanout})).json()
    assert [c["model"] for c in answer["choices"]] == ["a", "c"]
    fanout = {"deadline_ms": 100}
    answer = (await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "fanout": fanout})).json()
    assert [c["finish_reason"] for c in answer["choices"]] == ["stop", "timeout"]
    assert answer["choices"][1]["error"]["code"] == "deadline"
    response = await client.post(URL, json={"model": "b", "prompt": "hi", "fanout": fanout})
    assert response.status_code == 504


async def test_a_stream_of_two_models(client: httpx.AsyncClient, provider: Provider) -> None:
    for model in "ab":
        provider.scripts[model] = Script(("x", "y", "z"), pause=0.01)
    response = await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "stream": True})
    assert response.headers["content-type"].startswith("text/event-stream")
    found = events(response.content)
    assert (text_of(found, 0), text_of(found, 1)) == ("xyz", "xyz")
    order = [c["index"] for event in found for c in event["choices"] if c["text"]]
    assert order != sorted(order)
    ends = {c["index"]: c for event in found for c in event["choices"] if c["finish_reason"]}
    assert {i: (c["finish_reason"], c["usage"]["total_tokens"]) for i, c in ends.items()} == {
        0: ("stop", 11), 1: ("stop", 11),
    }  # fmt: skip
    assert found[-1]["choices"] == [] and found[-1]["usage"]["total_tokens"] == 22
    assert {event["id"] for event in found} == {response.headers["x-request-id"]}


@pytest.mark.parametrize("script", [Script(cut_after=2, pause=0.01), Script(error_after=2, pause=0.01)])
async def test_a_model_that_breaks_in_mid_stream_leaves_the_other_alone(
    client: httpx.AsyncClient, provider: Provider, script: Script
) -> None:
    provider.scripts["a"] = script
    provider.scripts["b"] = Script(pause=0.02)
    response = await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "stream": True})
    found = events(response.content)
    assert (text_of(found, 0), text_of(found, 1)) == ("Hello, ", "Hello, world.")
    [failed] = [c for event in found for c in event["choices"] if c["index"] == 0 and c["finish_reason"]]
    assert failed["finish_reason"] == "error" and failed["error"]["code"] in ("garbled", "unavailable")
    assert "secret" not in response.text and "error" not in found[-1]


async def test_a_choice_that_was_begun_ends_when_it_is_given_up(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(("x",) * 1000, pause=0.02)
    provider.scripts["b"] = Script(("y", "z"), pause=0.05)
    body = {"model": ["a", "b"], "prompt": "hi", "stream": True, "fanout": {"mode": "quorum", "min_success": 1}}
    found = events((await client.post(URL, json=body)).content)
    ends = {c["index"]: c["finish_reason"] for event in found for c in event["choices"] if c["finish_reason"]}
    assert ends == {0: "error", 1: "stop"} and text_of(found, 1) == "yz"
    await asyncio.wait_for(provider.calls("a")[0].gone.wait(), 1)


async def test_a_bug_in_mid_stream_breaks_it_off(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A stream that merely stopped would look complete to some clients."""

    def bug(*_: object) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(ThiggleChunks, "end", bug)
    with pytest.raises(httpx.RemoteProtocolError):
        await client.post(URL, json={"model": "a", "prompt": "hi", "stream": True})
    assert "failed by a bug" in caplog.text
    monkeypatch.undo()
    assert (await client.post(URL, json={"model": "a", "prompt": "hi"})).status_code == 200


async def test_a_stream_in_which_all_break_ends_with_an_error(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(cut_after=1)
    response = await client.post(URL, json={"model": "a", "prompt": "hi", "stream": True})
    assert response.status_code == 200
    assert events(response.content)[-1]["code"] == 502


async def test_a_failure_before_the_first_piece_waits_for_it(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=500)
    provider.scripts["b"] = Script(pause=0.05)
    response = await client.post(URL, json={"model": ["a", "b"], "prompt": "hi", "stream": True})
    found = events(response.content)
    assert response.status_code == 200 and found[0]["choices"][0]["error"]["code"] == "unavailable"
    assert text_of(found, 1) == "Hello, world."


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("models", [["a"], ["a", "b"]])
async def test_a_caller_who_leaves_cancels_the_providers(
    client: httpx.AsyncClient, provider: Provider, models: list[str], stream: bool
) -> None:
    for model in models:
        provider.scripts[model] = Script(("x",) * 1000, pause=0.02 if stream else 30)
    task = asyncio.create_task(client.post(URL, json={"model": models, "prompt": "hi", "stream": stream}))
    while len(provider.seen) < len(models):  # noqa: ASYNC110 - the provider is a part of the test
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    task.cancel()
    await asyncio.gather(*(asyncio.wait_for(seen.gone.wait(), 5) for seen in provider.seen))  # of 20 s or more
    await asyncio.gather(task, return_exceptions=True)


async def test_a_slow_reader_holds_little_memory(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(("x" * 50_000,) * 400)
    body = msgspec.json.encode({"model": "a", "prompt": "hi", "stream": True})
    reader, writer = await asyncio.open_connection(client.base_url.host, client.base_url.port, limit=4096)
    writer.write(
        b"POST /v1/completion HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: %b\r\n"
        b"Content-Length: %d\r\n\r\n%b" % (AUTH["Authorization"].encode(), len(body), body)
    )
    await asyncio.sleep(0.5)
    assert not provider.seen[0].done  # 20 MB are not swallowed while nobody reads them
    total = 0
    while not (data := await reader.read(1 << 16)).endswith(b"0\r\n\r\n"):
        total += len(data)
    assert total > 20_000_000 and provider.seen[0].done
    writer.close()


async def test_a_full_queue_is_said_at_once(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["slow"] = Script(pause=0.2)
    calls = [client.post(URL, json={"model": "narrow", "prompt": "hi"}) for _ in range(4)]
    statuses = sorted(response.status_code for response in await asyncio.gather(*calls))
    assert statuses == [200, 200, 503, 503]


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        ({"headers": {"Authorization": ""}}, 401, "bearer"),
        ({"headers": {"Authorization": "Bearer wrong"}}, 401, "not known"),
        ({"headers": {"Authorization": "Basic abc"}}, 401, "Bearer"),
        ({"headers": {"Content-Type": "text/plain"}}, 415, "application/json"),
        ({"headers": {"Content-Type": "application/x-www-form-urlencoded"}}, 415, "application/json"),
        ({"method": "GET"}, 405, "POST"),
        ({"method": "PUT"}, 405, "POST"),
        ({"content": b"{" + b" " * (11 << 20) + b"}"}, 413, "10485760"),
        ({"content": b"\x00\x01"}, 400, "not valid JSON"),
    ],
)
async def test_what_is_refused_at_the_door(
    client: httpx.AsyncClient, request_: dict[str, Any], status: int, words: str
) -> None:
    arguments: dict[str, Any] = {"method": "POST", "url": URL, "content": b'{"prompt": "hi"}'} | request_
    arguments["headers"] = {"Content-Type": "application/json"} | request_.get("headers", {})
    response = await client.request(**arguments)
    assert (response.status_code, response.json()["code"]) == (status, status)
    assert words in response.json()["error"]
    assert response.headers["x-request-id"]
    assert (response.headers.get("allow") == "POST") == (status == 405)


async def test_a_chunked_body_is_bounded_too(client: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * (1 << 16)

    response = await client.post(URL, content=endless(), headers={"Content-Type": "application/json"})
    assert response.status_code == 413


async def test_a_trailing_slash_is_no_redirect(client: httpx.AsyncClient) -> None:
    assert (await client.post(URL + "/", json={"model": "a", "prompt": "hi"})).status_code == 200


async def test_the_plain_routes(client: httpx.AsyncClient) -> None:
    async with httpx.AsyncClient(base_url=client.base_url) as stranger:
        assert (await stranger.get("/health")).json() == {"status": "ok"}
        assert (await stranger.get("/ready")).json() == {"status": "ready"}
        refused = await stranger.get("/v1/models")
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
        lost = await stranger.get("/nowhere")
        assert lost.status_code == 404 and lost.json()["detail"] == lost.json()["error"]["message"]
        assert (await stranger.post("/health")).status_code == 405
    models = (await client.get("/v1/models")).json()
    assert models["object"] == "list"
    names = [model["id"] for model in models["data"]]
    assert {"a", "also-a", "narrow"} <= set(names) and "unset" not in names


async def test_many_at_once(client: httpx.AsyncClient, provider: Provider) -> None:
    calls = [client.post(URL, json={"model": ["a", "b"], "prompt": "hi"}) for _ in range(100)]
    assert {r.json()["usage"]["total_tokens"] for r in await asyncio.gather(*calls)} == {22}
