"""thiggle's constrained routes from socket to socket, over a provider that plays a GPU server's and OpenAI's part."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

ROUTING = """
defaults: {{model: gpu}}
providers:
  gpu: {{adapter: local, engine: vllm, base_url: "{url}"}}
  openai: {{adapter: gpt, base_url: "{url}", key_env: P_KEY}}
models:
  gpu: {{targets: [{{provider: gpu, model: gpu}}]}}
  gpt: {{targets: [{{provider: openai, model: gpt}}]}}
"""

TYPED = {
    "prompt": "Say hello.",
    "schema": "export type Message {\n  text: string;\n}",
    "type_name": "Message",
}
HELLO = '{"text":"hello"}'


@pytest.fixture
async def client(provider: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(application(tmp_path, provider.url, ROUTING)) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as http,
    ):
        yield http


def said(provider: Provider, text: str, finish: str = "stop", model: str = "gpu") -> None:
    provider.scripts[model] = Script((text,), finish=finish)


def asked(provider: Provider, *names: str) -> list[Any]:
    [call] = provider.seen
    return [call.body.get(name) for name in names]


async def test_a_pattern(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "hello")
    response = await client.post("/v1/completion/regex", json={"prompt": "hi", "pattern": "^[a-z]{2,9}$"})
    assert (response.status_code, response.json()) == (
        200,
        {"completion": "he", "tokens_generated": 4, "stop_reason": "pattern_match"},
    )
    [call] = provider.seen
    assert call.path == "/v1/completions"
    sent = ("prompt", "structured_outputs", "max_tokens", "top_k", "top_p", "temperature", "repetition_penalty")
    assert asked(provider, *sent) == ["hi", {"regex": "[a-z]{2,9}"}, 5, 50, 1.0, 1.0, 1.0]


async def test_a_pattern_that_was_not_reached(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "hel", "length")
    response = await client.post("/v1/completion/regex/", json={"prompt": "hi", "patterns": ["[a-z]{9}", "[0-9]"]})
    assert response.json() == {"completion": "hel", "tokens_generated": 4, "stop_reason": "token_limit"}
    assert asked(provider, "structured_outputs") == [{"regex": "(?:[a-z]{9})|(?:[0-9])"}]


async def test_an_engine_that_does_not_keep_the_pattern(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "HELLO")
    response = await client.post("/v1/completion/regex", json={"prompt": "hi", "pattern": "[a-z]+"})
    assert (response.status_code, response.json()["code"]) == (422, 422)
    assert response.json()["error"].startswith("gpu: the answer does not keep the constraint")


@pytest.mark.parametrize(
    ("route", "field", "value", "engines"),
    [("regex", "pattern", "a+", "TGI or llama.cpp"), ("cfg", "grammar", 'start: "a"', "SGLang or llama.cpp")],
)
async def test_a_model_that_cannot(
    route: str, field: str, value: str, engines: str, client: httpx.AsyncClient, provider: Provider
) -> None:
    response = await client.post(f"/v1/completion/{route}", json={"prompt": "hi", "model": "gpt", field: value})
    answer = response.json()
    assert (response.status_code, answer["code"], answer["param"]) == (400, 400, field)
    assert answer["error"].startswith("model 'gpt': ") and engines in answer["error"]
    assert provider.seen == []


@pytest.mark.parametrize(
    ("grammar", "sentence"),
    [('start: GREETING " " NAME\nGREETING: "hi" | "hello"\nNAME: /[a-z]+/', "hello bob"), ('root ::= "a" "b"', "ab")],
    ids=["lark", "ebnf"],
)
async def test_a_grammar(grammar: str, sentence: str, client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, sentence)
    response = await client.post("/v1/completion/cfg", json={"prompt": "hi", "grammar": grammar, "max_new_tokens": 9})
    assert response.json() == {"completion": sentence, "tokens_generated": 4, "stop_reason": "pattern_match"}
    assert asked(provider, "structured_outputs", "max_tokens") == [{"grammar": grammar}, 9]


async def test_the_beginning_of_a_sentence(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "a", "length")
    response = await client.post("/v1/completion/cfg", json={"prompt": "hi", "grammar": 'start: "a" "b"'})
    assert response.json()["stop_reason"] == "token_limit"


async def test_a_grammar_that_is_none(client: httpx.AsyncClient, provider: Provider) -> None:
    response = await client.post("/v1/completion/cfg", json={"prompt": "hi", "grammar": "begin: (A"})
    assert (response.status_code, response.json()["param"]) == (400, "grammar")
    assert provider.seen == []


async def test_one_category(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "dog")
    response = await client.post("/v1/categorize", json={"prompt": "It barks.", "categories": ["cat", "dog"]})
    assert (response.status_code, response.json()) == (200, {"choices": ["dog"]})
    [prompt, constraint] = asked(provider, "prompt", "structured_outputs")
    assert prompt.startswith("It barks.\n\nWhich of these categories")
    assert constraint == {"choice": ["cat", "dog"]}


async def test_no_category(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, "none of these")
    body = {"prompt": "It is a stone.", "categories": ["cat", "dog"], "allow_null_category": True}
    assert (await client.post("/v1/categorize", json=body)).json() == {"choices": []}


async def test_several_categories(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, '["dog", "cat", "dog"]')
    body = {"prompt": "Both.", "categories": ["cat", "dog", "cow"], "allow_multiple_classes": True}
    response = await client.post("/v1/categorize", json={**body, "allow_null_category": True})
    assert (response.status_code, response.json()) == (200, {"choices": ["dog", "cat"]})
    said(provider, "[]")
    assert (await client.post("/v1/categorize", json={**body, "allow_null_category": True})).json() == {"choices": []}
    assert (await client.post("/v1/categorize", json=body)).status_code == 422


@pytest.mark.parametrize(
    "route", ["/v1/completion", "/v1/completion/", "/v1/completion/typed", "/v1/completion/typed/"]
)
async def test_a_typed_answer(route: str, client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, HELLO, model="gpt")
    response = await client.post(route, json={**TYPED, "model": "gpt", "stop": ["."], "max_tokens": 20})
    answer = response.json()
    assert response.status_code == 200
    [choice] = answer["choices"]
    assert (choice["text"], choice["model"], choice["finish_reason"]) == (HELLO, "gpt", "stop")
    assert isinstance(answer["created"], str) and isinstance(choice["created"], int)
    [format, messages, stop] = asked(provider, "response_format", "messages", "stop")
    assert stop is None
    assert "export type Message {" in messages[0]["content"]
    assert (format["type"], format["json_schema"]["name"]) == ("json_schema", "Message")
    assert format["json_schema"]["strict"] is True
    assert format["json_schema"]["schema"]["required"] == ["text"]


async def test_the_documentations_own_example(client: httpx.AsyncClient, provider: Provider) -> None:
    """With a line break inside a string, which JSON does not have; and the stop string that would break the answer."""
    said(provider, '{"text":"Hello. You."}')
    body = b"""{"prompt": "Say hello.", "schema": "export type Message {
        text: string;
    }", "type_name": "Message", "max_tokens": 20, "temperature": 0.7, "top_p": 1, "stop": ["."],
    "presence_penalty": 0, "frequency_penalty": 0, "user_id": "00000000-0000-0000-0000-000000000000"}"""
    response = await client.post("/v1/completion/typed", content=body)
    assert response.status_code == 200
    assert response.json()["choices"][0]["text"] == '{"text":"Hello. You."}'


async def test_several_models_and_one_is_cut_off(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, HELLO, model="gpt")
    said(provider, '{"text":"hel', "length")
    body = {**TYPED, "model": ["gpt", "gpu"]}
    first, second = (await client.post("/v1/completion/typed", json=body)).json()["choices"]
    assert first["text"] == HELLO
    assert (second["text"], second["error"]["code"]) == ("", "cut_off")
    response = await client.post("/v1/completion/typed", json={**TYPED, "max_tokens": 5})
    assert (response.status_code, response.json()["param"]) == (422, "max_tokens")
    assert "raise max_tokens" in response.json()["error"]


async def test_a_wrong_answer_is_an_error(client: httpx.AsyncClient, provider: Provider) -> None:
    said(provider, '{"words":"hello"}')
    response = await client.post("/v1/completion/typed", json=TYPED)
    assert (response.status_code, response.json()["code"]) == (422, 422)


async def test_a_typed_stream(client: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["gpu"] = Script(('{"text":', '"hel', 'lo"}'))
    response = await client.post("/v1/completion/typed", json={**TYPED, "stream": True})
    frames = response.content.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    events = [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in frames[:-2]]
    assert "".join(choice["text"] for event in events for choice in event["choices"]) == HELLO


@pytest.mark.parametrize("path", ["completion/typed", "completion/regex", "completion/cfg", "categorize"])
async def test_errors_are_flat(path: str, client: httpx.AsyncClient) -> None:
    unknown = await client.post(f"/v1/{path}", json={}, headers={"Authorization": "Bearer sk-nobody"})
    assert (unknown.status_code, set(unknown.json()), unknown.json()["code"]) == (401, {"error", "code"}, 401)
    empty = await client.post(f"/v1/{path}", json={})
    assert (empty.status_code, empty.json()["code"]) == (400, 400)
    assert empty.json()["error"].endswith(" is missing")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"schema": "export type Message = {\n  text: strin;\n}"}, "schema: line 2, column 9: "),
        ({"type_name": "Massage"}, "type_name: "),
    ],
)
async def test_definitions_that_cannot_be(
    change: dict[str, str], words: str, client: httpx.AsyncClient, provider: Provider
) -> None:
    response = await client.post("/v1/completion", json={**TYPED, **change})
    answer = response.json()
    assert (response.status_code, answer["code"], answer["param"]) == (400, 400, *change)
    assert words in answer["error"]
    assert provider.seen == []
