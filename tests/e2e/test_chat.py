"""``POST /v1/chat/completions`` from socket to socket: what was written arrives, and what was said comes back."""

import re
from typing import Any

import httpx
import msgspec
import pytest

from tests.provider import Provider, Script

URL = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]

ANSWER = {
    "id": "chatcmpl-provider",
    "object": "chat.completion",
    "created": 1234,
    "model": "a-2026-01-01",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "refusal": None,
                "annotations": [],
                "reasoning_content": "let me see",
                "tool_calls": [
                    {
                        "id": "call_1",
                        "type": "function",
                        "function": {"name": "weather", "arguments": '{"city":"Bonn"}'},
                    }
                ],
                "field_of_next_year": {"deep": [1, 2.50]},
            },
            "logprobs": {"content": [], "refusal": None},
            "finish_reason": "tool_calls",
            "choice_field_of_next_year": True,
        }
    ],
    "usage": {
        "prompt_tokens": 9,
        "completion_tokens": 12,
        "total_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 3, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 4, "accepted_prediction_tokens": 1},
    },
    "service_tier": "default",
    "system_fingerprint": "fp_1",
    "top_field_of_next_year": "kept",
}

EVERYTHING: dict[str, Any] = {
    "messages": [
        {"role": "developer", "content": "be brief", "name": "dev"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "what is this?"},
                {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
                {"type": "part_of_next_year", "x": 1},
            ],
        },
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function", "function": {}}]},
        {"role": "tool", "tool_call_id": "c", "content": "12"},
    ],
    "tools": [{"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}, "strict": True}}],
    "tool_choice": {"type": "function", "function": {"name": "weather"}},
    "parallel_tool_calls": False,
    "reasoning_effort": "high",
    "logprobs": True,
    "top_logprobs": 3,
    "n": 1,
    "seed": -7,
    "stop": "END",
    "temperature": 0.70,
    "top_p": None,
    "max_completion_tokens": 77,
    "metadata": {"team": "blue"},
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "wav"},
    "logit_bias": {"50256": -100},
    "store": False,
    "user": "u1",
    "field_of_next_year": {"nested": [1, None, "x"]},
}


def events(body: bytes) -> list[Any]:
    frames = body.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in frames[:-2]]


async def test_what_the_caller_wrote_arrives(http: httpx.AsyncClient, provider: Provider) -> None:
    response = await http.post(URL, json={"model": "also-a", **EVERYTHING})
    assert response.status_code == 200
    [seen] = provider.seen
    assert seen.path == "/v1/chat/completions"
    assert seen.body == {"model": "a", **EVERYTHING}


async def test_what_the_caller_wrote_arrives_when_streamed(http: httpx.AsyncClient, provider: Provider) -> None:
    options = {"include_usage": False, "include_obfuscation": False}
    await http.post(URL, json={"model": "a", **EVERYTHING, "stream": True, "stream_options": options})
    [seen] = provider.seen
    assert seen.body == {
        "model": "a", **EVERYTHING, "stream": True,
        "stream_options": {"include_usage": True, "include_obfuscation": False},
    }  # fmt: skip


async def test_what_the_provider_said_comes_back(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(body=msgspec.json.encode(ANSWER))
    response = await http.post(URL, json={"model": "also-a", "messages": MESSAGES})
    assert response.json() == ANSWER | {"model": "also-a"}
    assert response.headers["x-gateway-target"] == "p/a"


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish, "new": 1}
    return {
        "id": "chatcmpl-p", "object": "chat.completion.chunk", "created": 9, "model": "m", "choices": [choice],
        "system_fingerprint": "fp", **more,
    }  # fmt: skip


CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "weather", "arguments": ""}}
STREAM = [
    piece({"role": "assistant", "content": None, "refusal": None}),
    piece({"reasoning_content": "hm"}),
    piece({"content": "Wéll"}, obfuscation="xx"),
    piece({"tool_calls": [CALL]}),
    piece({"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
    piece({}, "tool_calls"),
]
USAGE = {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11, "details_of_next_year": {"x": 1}}
LAST = {
    "id": "chatcmpl-p",
    "object": "chat.completion.chunk",
    "created": 9,
    "model": "m",
    "choices": [],
    "usage": USAGE,
}


async def test_a_stream_comes_back_as_it_was_said(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(events=(*STREAM, LAST, b"[DONE]"))
    response = await http.post(URL, json={"model": "a", "messages": MESSAGES, "stream": True})
    assert events(response.content) == [chunk | {"model": "a"} for chunk in STREAM]


async def test_usage_ends_a_stream_if_asked_for(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(events=(*STREAM, LAST, b"[DONE]"))
    asked = {"model": "a", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = events((await http.post(URL, json=asked)).content)
    assert chunks == [chunk | {"model": "a", "usage": None} for chunk in STREAM]
    assert last == LAST | {"model": "a"}


async def test_usage_is_counted_where_the_provider_does_not_report(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(usage=None)
    asked = {"model": "a", "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    last = events((await http.post(URL, json=asked)).content)[-1]
    assert last["choices"] == []
    assert last["usage"]["completion_tokens"] > 0
    assert last["usage"]["total_tokens"] == last["usage"]["prompt_tokens"] + last["usage"]["completion_tokens"]


async def test_several_models(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["b"] = Script(chunks=("Bee",))
    response = await http.post(URL, json={"model": ["a", "b"], "messages": MESSAGES, "n": 2})
    answer = response.json()
    assert [(c["index"], c["model"], c["message"]["content"]) for c in answer["choices"]] == [
        (0, "a", "Hello, world."), (1, "a", "Hello, world."), (2, "b", "Bee"), (3, "b", "Bee"),
    ]  # fmt: skip
    assert answer["id"].startswith("chatcmpl-")
    assert answer["model"] == "a,b"
    assert answer["usage"] == {"prompt_tokens": 14, "completion_tokens": 8, "total_tokens": 22}
    assert sum(c["usage"]["total_tokens"] for c in answer["choices"]) == 22
    assert all(set(seen.body) == {"model", "messages", "n"} for seen in provider.seen)


async def test_one_of_several_fails(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["b"] = Script(status=500)
    answer = (await http.post(URL, json={"model": "a,b,c", "messages": MESSAGES})).json()
    assert [c["index"] for c in answer["choices"]] == [0, 2]
    [error] = answer["errors"]
    assert (error["index"], error["model"], error["code"]) == (1, "b", "unavailable")


async def test_several_models_streamed(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["b"] = Script(status=500)
    provider.scripts["c"] = Script(events=(*STREAM, LAST, b"[DONE]"))
    asked = {"model": ["a", "b", "c"], "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = events((await http.post(URL, json=asked)).content)
    said: dict[int, list[Any]] = {0: [], 1: [], 2: []}
    for chunk in chunks:
        [choice] = chunk["choices"]
        assert chunk["model"] == choice["model"] == "abc"[choice["index"]]
        said[choice["index"]].append(choice)
    assert [c["delta"].get("role") for c in said[0]][0] == "assistant"
    assert "".join(c["delta"].get("content") or "" for c in said[0]) == "Hello, world."
    assert said[1][-1]["finish_reason"] == "error" and said[1][-1]["error"]["code"] == "unavailable"
    assert [c["delta"] for c in said[2]] == [chunk["choices"][0]["delta"] for chunk in STREAM]
    assert last["usage"]["total_tokens"] == 22 and last["choices"] == []


async def test_the_first_to_speak_wins(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=0.2)
    asked = {"model": ["a", "b"], "messages": MESSAGES, "stream": True, "fanout": {"mode": "first"}}
    chunks = events((await http.post(URL, json=asked)).content)
    assert {c["choices"][0]["model"] for c in chunks} == {"b"}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"


async def test_a_role_alone_does_not_bind_to_a_provider(http: httpx.AsyncClient, provider: Provider) -> None:
    broken = ({"error": {"message": "secret", "code": 500}},)
    provider.scripts["x"] = Script(events=(STREAM[0], *broken))
    asked = {"model": "shaky", "messages": MESSAGES, "stream": True}
    chunks = events((await http.post(URL, json=asked)).content)
    assert "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks) == "Hello, world."


async def test_a_stream_that_breaks(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(cut_after=2)
    body = (await http.post(URL, json={"model": "a", "messages": MESSAGES, "stream": True})).content
    last = events(body)[-1]
    assert last["error"]["code"] == "garbled"
    assert "secret" not in body.decode()


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": [{"content": "x"}]}, "messages"),
        ({"messages": MESSAGES, "temperature": "hot"}, "temperature"),
        ({"messages": MESSAGES, "temperature": 2.1}, "temperature"),
        ({"messages": MESSAGES, "n": 0}, "n"),
        ({"messages": MESSAGES, "n": 1.5}, "n"),
        ({"messages": MESSAGES, "stream_options": {"include_usage": True}}, "stream_options"),
        ({"messages": MESSAGES, "top_logprobs": 2}, "top_logprobs"),
        ({"messages": MESSAGES, "fanout": {"mode": "some"}}, "fanout"),
        ({"messages": MESSAGES, "guided_mood": "x"}, "guided_mood"),
        ({"messages": MESSAGES, "grammar": "x"}, "grammar"),
        ({"messages": MESSAGES, "response_format": {"type": "xml"}}, "response_format"),
        ({"messages": MESSAGES, "response_format": {"type": "json_schema"}}, "response_format"),
        ({"messages": MESSAGES, "guided_regex": "a", "guided_choice": ["a"]}, "guided_choice"),
        ({"messages": MESSAGES, "guided_regex": "["}, "guided_regex"),
        ({"messages": MESSAGES, "model": None}, "model"),
    ],
)
async def test_what_is_refused(http: httpx.AsyncClient, provider: Provider, wrong: dict[str, Any], param: str) -> None:
    response = await http.post(URL, json={"model": "a", **wrong})
    error = response.json()["error"]
    assert response.status_code == 400
    assert set(error) == {"message", "type", "param", "code"}
    assert error["type"] == "invalid_request_error"
    assert re.split(r"[.[]", error["param"])[0] == param
    assert not provider.seen


async def test_an_unknown_model(http: httpx.AsyncClient) -> None:
    response = await http.post(URL, json={"model": "nope", "messages": MESSAGES})
    assert response.status_code == 404
    assert response.json()["error"]["code"] == "model_not_found"


async def test_a_context_that_overflows_has_the_code_that_clients_know(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    body = {"error": {"message": "secret", "type": "invalid_request_error", "code": "context_length_exceeded"}}
    provider.scripts["a"] = Script(status=400, body=msgspec.json.encode(body))
    error = (await http.post(URL, json={"model": "a", "messages": MESSAGES})).json()["error"]
    assert (error["code"], error["type"]) == ("context_length_exceeded", "invalid_request_error")
    provider.scripts["a"] = Script(status=429, headers=("Retry-After: 7",))
    response = await http.post(URL, json={"model": "a", "messages": MESSAGES})
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["type"]) == (429, "rate_limit_exceeded", "rate_limit_error")
    assert response.headers["retry-after"] == "7"


async def test_a_refusal_names_the_parameter(http: httpx.AsyncClient, provider: Provider) -> None:
    body = {"error": {"message": "secret", "type": "invalid_request_error", "param": "temperature", "code": None}}
    provider.scripts["a"] = Script(status=400, body=msgspec.json.encode(body))
    response = await http.post(URL, json={"model": "a", "messages": MESSAGES, "temperature": 1})
    assert response.status_code == 400
    assert response.json()["error"]["param"] == "temperature"
    assert "secret" not in response.text


async def test_a_long_conversation_is_forwarded(http: httpx.AsyncClient, provider: Provider) -> None:
    messages = [{"role": "user", "content": 'word "quoted" \\ é ' * 20_000}]
    assert (await http.post(URL, json={"model": "a", "messages": messages})).status_code == 200
    assert provider.seen[0].body["messages"] == messages


async def test_a_piece_without_a_delta(http: httpx.AsyncClient, provider: Provider) -> None:
    empty = {"id": "x", "choices": [{"index": 0, "delta": None, "finish_reason": None}]}
    for events_ in ((empty, *STREAM), (*STREAM[:3], empty, *STREAM[3:])):
        provider.scripts["a"] = Script(events=(*events_, b"[DONE]"))
        body = (await http.post(URL, json={"model": "a", "messages": MESSAGES, "stream": True})).content
        assert events(body)[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_who_ends_without_a_word_has_won_as_well(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(events=(STREAM[0], piece({}, "stop"), b"[DONE]"))
    provider.scripts["b"] = Script(pause=0.05)
    asked = {"model": ["a", "b"], "messages": MESSAGES, "stream": True, "fanout": {"mode": "first"}}
    assert {c["choices"][0]["index"] for c in events((await http.post(URL, json=asked)).content)} == {0}
