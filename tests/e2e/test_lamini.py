"""Lamini's routes on a socket, over a provider that plays: the shared path, and the polling protocols."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.wire.lamini import MAX_PROMPTS
from tests.provider import Provider, Script
from tests.serving import ADMIN_KEY, AUTH, application, serving

CLIENT = {"Lamini-Version": "3.4.6"}
UNKNOWN = "the API key is not known, or it is disabled, revoked, or was replaced"


@pytest.fixture
async def lamini(http: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A caller whose client says that it is Lamini's."""
    async with httpx.AsyncClient(base_url=http.base_url, headers=AUTH | CLIENT, timeout=10) as client:
        yield client


async def finished(client: httpx.AsyncClient, path: str) -> Any:
    """Polls as the clients do, but faster."""
    async with asyncio.timeout(10):
        while True:
            answer = await client.get(path)
            assert answer.status_code == 200, answer.text
            found = answer.json()
            if found and all(found["finish_reason"]):
                return found
            await asyncio.sleep(0.01)


def completions(provider: Provider, model: str) -> list[dict[str, object]]:
    return [seen.body for seen in provider.calls(model)]


# ------------------------------------------------------------------ /v1/completions


async def test_one_path_two_dialects(http: httpx.AsyncClient, provider: Provider) -> None:
    one = await http.post("/v1/completions", json={"model_name": "raw", "prompt": "Hi"})
    assert (one.status_code, one.json()) == (200, {"output": "Hello, world."})
    assert one.headers["x-gateway-target"] == "p/raw"
    provider.scripts["raw"] = Script(choices=2)
    several = await http.post(
        "/v1/completions", json={"model_name": "raw", "prompt": ["Hi", "Ho"], "output_type": None}
    )
    assert several.json() == [{"output": "Hello, world."}, {"output": "Hello, world."}]
    provider.scripts["raw"] = Script()
    theirs = await http.post("/v1/completions", json={"model": "raw", "prompt": "Hi"})
    assert theirs.json()["choices"][0]["text"] == "Hello, world."


async def test_prompts_are_raw_and_no_limit_is_the_configured_one(http: httpx.AsyncClient, provider: Provider) -> None:
    prompt = "<|user|>Hi<|assistant|>"
    await http.post("/v1/completions", json={"model_name": "raw", "prompt": prompt, "max_new_tokens": None})
    await http.post("/v1/completions", json={"model_name": "raw", "prompt": prompt, "max_new_tokens": 7})
    [unlimited, limited] = completions(provider, "raw")
    assert unlimited["prompt"] == limited["prompt"] == prompt
    assert (unlimited["max_tokens"], limited["max_tokens"]) == (1024, 7)
    assert "temperature" not in unlimited


@pytest.mark.parametrize("name", ["output_type", "out_type"])
async def test_typed_answers(http: httpx.AsyncClient, provider: Provider, name: str) -> None:
    provider.scripts["a"] = Script(('{"units": "years", ', '"age": 10}'))
    body = {"model_name": "a", "prompt": "How old are you?", name: {"age": "int", "units": "str"}}
    answer = await http.post("/v1/completions", json=body)
    assert answer.text == '{"age":10,"units":"years"}'
    answer = await http.post("/v1/completions", json=body | {"prompt": ["one", "two"]})
    assert answer.text == '[{"age":10,"units":"years"},{"age":10,"units":"years"}]'
    asked = completions(provider, "a")[0]
    assert asked["temperature"] == 0
    assert list(asked["response_format"]["json_schema"]["schema"]["properties"]) == ["age", "units"]  # type: ignore[index]


async def test_a_typed_answer_that_is_cut_off(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(('{"age": ',), finish="length")
    body = {"model_name": "a", "prompt": "x", "output_type": {"age": "int"}, "max_new_tokens": 3}
    answer = await http.post("/v1/completions", json=body)
    assert answer.status_code == 400
    assert "limit" in answer.json()["detail"]


async def test_the_unknown_model_is_594_to_lamini_alone(http: httpx.AsyncClient) -> None:
    to_lamini = await http.post("/v1/completions", json={"model_name": "nope", "prompt": "x"})
    assert to_lamini.status_code == 594
    assert to_lamini.json()["detail"].startswith("there is no model 'nope'")
    to_others = await http.post("/v1/completions", json={"model": "nope", "prompt": "x"}, headers=CLIENT)
    assert to_others.status_code == 404
    assert to_others.json()["error"]["code"] == "model_not_found"


@pytest.mark.parametrize("path", ["/v1/completions", "/v1/batch_completions", "/v3/streaming_completions"])
async def test_errors_have_detail(lamini: httpx.AsyncClient, provider: Provider, path: str) -> None:
    body = {"model_name": "a", "prompt": "x"}
    wrong = await lamini.post(path, json=body, headers={"Authorization": "Bearer wrong"})
    assert (wrong.status_code, wrong.json()) == (401, {"detail": UNKNOWN})
    unknown = await lamini.post(path, json=body | {"model_name": "nope"})
    assert unknown.status_code == 594
    unset = await lamini.post(path, json=body | {"model_name": "unset"})
    assert unset.status_code == 503
    broken = await lamini.post(path, content=b"{")
    assert (broken.status_code, isinstance(broken.json()["detail"], str)) in ((422, False), (400, True))
    form = await lamini.post(path, content=b"{}", headers={"Content-Type": "text/plain"})
    assert (form.status_code, list(form.json())) == (415, ["detail"])
    missing = await lamini.post(path, json={"model_name": "a"})
    assert (missing.status_code, missing.json()["detail"][0]["loc"]) == (422, ["body", "prompt"])


async def test_before_the_body_is_read_errors_are_for_all(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/completions", json={}, headers={"Authorization": "Bearer wrong"})
    assert answer.status_code == 401
    assert answer.json()["detail"] == answer.json()["error"]["message"] == UNKNOWN


async def test_failing_providers(http: httpx.AsyncClient, provider: Provider) -> None:
    down = await http.post("/v1/completions", json={"model_name": "down", "prompt": ["x", "y"]})
    assert (down.status_code, list(down.json())) == (503, ["detail"])
    provider.scripts["a"] = Script(status=504)
    slow = await http.post("/v1/completions", json={"model_name": "a", "prompt": "x"})
    assert slow.status_code == 524
    provider.scripts["b"] = Script(status=429)
    assert (await http.post("/v1/completions", json={"model_name": "b", "prompt": "x"})).status_code == 429


# ------------------------------------------------------------------ jobs


async def test_a_streaming_job_grows(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["raw"] = Script(pause=0.15)
    body = {"model_name": "raw", "prompt": "Hi", "max_new_tokens": 9}
    id = (await http.post("/v3/streaming_completions", json=body)).json()["id"]
    path = f"/v3/streaming_completions/{id}/result"
    seen: list[Any] = []
    async with asyncio.timeout(10):
        while not seen or not seen[-1] or seen[-1]["finish_reason"] == [None]:
            seen.append((await http.get(path)).json())
            await asyncio.sleep(0.02)
    texts = list(dict.fromkeys(found["outputs"][0]["output"] for found in seen if found))
    assert len(texts) > 2 and texts[-1] == "Hello, world."
    assert all("Hello, world.".startswith(text) for text in texts)
    assert seen[-1] == {"outputs": [{"output": "Hello, world."}], "finish_reason": ["stop"]}
    [asked] = completions(provider, "raw")
    assert (asked["stream"], asked["max_tokens"]) == (True, 9)
    assert (await http.get(f"/v1/batch_completions/{id}/result")).status_code == 404


async def test_a_job_has_not_started_while_others_of_its_team_are_asked(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    provider.scripts["a"] = Script(pause=60)
    await http.post("/v1/batch_completions", json={"model_name": "a", "prompt": ["x"] * 20})
    id = (await http.post("/v1/batch_completions", json={"model_name": "b", "prompt": ["x"]})).json()["id"]
    assert (await http.get(f"/v1/batch_completions/{id}/result")).json() == {}


async def test_a_batch(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(finish="length")
    body = {"model_name": "a", "prompt": ["x", "y", "z"], "output_type": None, "max_tokens": None}
    id = (await http.post("/v1/batch_completions", json=body)).json()["id"]
    found = await finished(http, f"/v1/batch_completions/{id}/result")
    assert found == {"outputs": [{"output": "Hello, world."}] * 3, "finish_reason": ["length"] * 3}


async def test_a_typed_batch(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(('{"age": 10}',))
    body = {"model_name": "a", "prompt": "x", "output_type": {"age": "int"}}
    for path in ("/v1/batch_completions", "/v3/streaming_completions"):
        id = (await http.post(path, json=body)).json()["id"]
        found = await finished(http, f"{path}/{id}/result")
        assert found == {"outputs": [{"age": 10}], "finish_reason": ["stop"]}


async def test_answers_are_called_complete_from_the_front(http: httpx.AsyncClient, provider: Provider) -> None:
    """A client reads as many outputs from the front as are complete."""
    provider.scripts["a"] = Script(pause=0.3)
    body = {"model_name": "a", "prompt": ["x"] * 9}  # the ninth waits for its turn
    id = (await http.post("/v1/batch_completions", json=body)).json()["id"]
    states = set()
    async with asyncio.timeout(10):
        while True:
            found = (await http.get(f"/v1/batch_completions/{id}/result")).json()
            finishes = found.get("finish_reason", [])
            states.add(tuple(finishes))
            assert finishes == sorted(finishes, key=lambda finish: finish is None)
            assert len(finishes) == len(found.get("outputs", []))
            if finishes and all(finishes):
                break
            await asyncio.sleep(0.02)
    assert len(states) > 1


async def test_a_failed_job_answers_with_its_error(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=500)
    id = (await http.post("/v1/batch_completions", json={"model_name": "a", "prompt": ["x"]})).json()["id"]
    async with asyncio.timeout(10):
        while (answer := await http.get(f"/v1/batch_completions/{id}/result")).status_code == 200:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (answer.status_code, list(answer.json())) == (503, ["detail"])
    assert "secret" not in answer.text


async def test_what_took_too_long_ends_with_timeout(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=504)
    id = (await http.post("/v3/streaming_completions", json={"model_name": "a", "prompt": ["x"]})).json()["id"]
    found = await finished(http, f"/v3/streaming_completions/{id}/result")
    assert found == {"outputs": [{"output": ""}], "finish_reason": ["timeout"]}


async def test_the_older_polling_protocol(http: httpx.AsyncClient, provider: Provider) -> None:
    body: dict[str, Any] = {"model_name": "a", "prompt": "Hi", "output_type": None, "max_tokens": None}
    path = "/v1/streaming_completions"
    async with asyncio.timeout(10):
        while True:
            found = (await http.post(path, json=body)).json()
            body["server"] = found["server"]
            if found["status"][0]:
                break
            await asyncio.sleep(0.01)
    assert found["data"] == [{"output": "Hello, world."}]
    assert len(provider.calls("a")) == 1
    assert (await http.post(path, json=body | {"server": "elsewhere"})).status_code == 404


async def test_bad_jobs_are_refused_at_once(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/batch_completions", json={"model_name": "a", "prompt": ["x"] * (MAX_PROMPTS + 1)})
    assert (answer.status_code, answer.json()["detail"][:7]) == (400, "prompt:")
    large = await http.post("/v1/batch_completions", content=b'{"prompt": "' + b"x" * (11 << 20) + b'"}')
    assert (large.status_code, list(large.json())) == (413, ["detail"])


async def test_reservations(http: httpx.AsyncClient) -> None:
    wanted = {"capacity": 20, "model_name": "a", "max_tokens": None, "batch_size": 5}
    granted = (await http.post("/v1/reservation", json=wanted)).json()
    assert (granted["capacity_remaining"], granted["dynamic_max_batch_size"]) == (20, 5)
    assert granted["start_time"] < granted["end_time"]
    assert (await http.post("/v1/reservation", json={"capacity": "x"})).status_code == 400
    assert (await http.post("/v1/reservation", json=wanted, headers={"Authorization": ""})).status_code == 401


async def test_openais_routes_under_inf(http: httpx.AsyncClient) -> None:
    assert "a" in [model["id"] for model in (await http.get("/inf/models")).json()["data"]]
    body = {"model": "a", "messages": [{"role": "user", "content": "Hi"}]}
    answer = await http.post("/inf/chat/completions", json=body)
    assert answer.json()["choices"][0]["message"]["content"] == "Hello, world."


async def key_of_another_team(url: str) -> str:
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {ADMIN_KEY}"}) as operator:
        assert (await operator.post(f"{url}/admin/teams", json={"name": "others"})).status_code == 200
        answer = await operator.post(f"{url}/admin/keys", json={"team": "others"})
        key: str = answer.json()["key"]
        return key


async def test_jobs_are_their_teams_and_survive_a_restart(provider: Provider, tmp_path: Path) -> None:
    provider.scripts["b"] = Script(pause=60)
    async with serving(application(tmp_path, provider.url)) as url, httpx.AsyncClient(headers=AUTH) as client:
        others = await key_of_another_team(url)
        answers = [
            await client.post(f"{url}/v1/batch_completions", json={"model_name": model, "prompt": ["x"]})
            for model in ("a", "b")
        ]
        [done, open_] = [f"/v1/batch_completions/{answer.json()['id']}/result" for answer in answers]
        found = await finished(client, url + done)
        theirs = await client.get(url + done, headers={"Authorization": f"Bearer {others}"})
        assert (theirs.status_code, list(theirs.json())) == (404, ["detail"])
    async with asyncio.timeout(5):
        [left] = provider.calls("b")
        await left.gone.wait()  # nothing is asked on in vain
    async with serving(application(tmp_path, provider.url)) as url, httpx.AsyncClient(headers=AUTH) as client:
        assert (await client.get(url + done)).json() == found
        lost = await client.get(url + open_)
        detail = "the gateway was restarted while this job ran; send it again"
        assert (lost.status_code, lost.json()) == (503, {"detail": detail})
