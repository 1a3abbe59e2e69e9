"""``POST /v1/completions`` as OpenAI's and vLLM's clients speak it, from socket to socket."""

import re
from typing import Any

import httpx
import msgspec
import pytest

from gateway.wire.logprobs import legacy
from tests.provider import Provider, Script

URL = "/v1/completions"

LOGPROBS = {
    "tokens": ["He", "y"],
    "token_logprobs": [-0.1, -0.2],
    "top_logprobs": [{"He": -0.1}, {"y": -0.2}],
    "text_offset": [0, 2],
}
ANSWER = {
    "id": "cmpl-p",
    "object": "text_completion",
    "created": 5,
    "model": "m",
    "choices": [
        {"index": 0, "text": "Hey", "logprobs": LOGPROBS, "finish_reason": "stop", "stop_reason": 7, "new": {"x": 1}}
    ],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5, "prompt_tokens_details": None},
    "kv_transfer_params": None,
    "new": [1],
}
EVERYTHING: dict[str, Any] = {
    "best_of": 3,
    "echo": True,
    "frequency_penalty": 0.50,
    "logit_bias": {"5": 1},
    "logprobs": 2,
    "max_tokens": 8,
    "n": 1,
    "presence_penalty": 0,
    "seed": 4,
    "stop": ["a", "b"],
    "suffix": "tail",
    "temperature": 1.0,
    "top_p": 1,
    "user": "me",
    "top_k": 5,
    "min_p": 0.1,
    "repetition_penalty": 1.1,
    "length_penalty": 1.0,
    "early_stopping": False,
    "stop_token_ids": [1, 2],
    "ignore_eos": True,
    "min_tokens": 1,
    "skip_special_tokens": False,
    "spaces_between_special_tokens": True,
    "truncate_prompt_tokens": 10,
    "include_stop_str_in_output": True,
    "field_of_next_year": {"a": None},
}


def events(body: bytes) -> list[Any]:
    frames = body.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in frames[:-2]]


@pytest.mark.parametrize("prompt", ["hi", ["hi"], ["a", "b"], [1, 2, 3], [[1, 2], [3]]])
async def test_what_the_caller_wrote_arrives(http: httpx.AsyncClient, provider: Provider, prompt: Any) -> None:
    several = isinstance(prompt, list) and not isinstance(prompt[0], int) and len(prompt) > 1
    provider.scripts["raw"] = Script(choices=len(prompt) if several else 1)
    response = await http.post(URL, json={"model": "raw", "prompt": prompt, **EVERYTHING})
    assert response.status_code == 200, response.text
    [seen] = provider.seen
    assert seen.path == "/v1/completions"
    sent = prompt[0] if prompt == ["hi"] else prompt
    assert seen.body == {"model": "raw", "prompt": sent, **EVERYTHING} or seen.body["prompt"] == prompt


async def test_what_the_provider_said_comes_back(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["raw"] = Script(body=msgspec.json.encode(ANSWER))
    response = await http.post(URL, json={"model": "raw", "prompt": "hi", "logprobs": 1})
    assert response.json() == ANSWER | {"model": "raw"}


async def test_choices_are_prompts_times_n(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["raw"] = Script(choices=4)
    answer = (await http.post(URL, json={"model": "raw", "prompt": ["a", "b"], "n": 2})).json()
    assert [c["index"] for c in answer["choices"]] == [0, 1, 2, 3]
    assert len(provider.seen) == 1


async def test_a_chat_model_is_asked_once_for_each_prompt(http: httpx.AsyncClient, provider: Provider) -> None:
    response = await http.post(URL, json={"model": "a", "prompt": ["one", "two"], "n": 2, "max_tokens": 5, "top_k": 3})
    assert [c["index"] for c in response.json()["choices"]] == [0, 1, 2, 3]
    assert [seen.body for seen in provider.seen] == [
        {"model": "a", "messages": [{"role": "user", "content": text}], "n": 2, "max_completion_tokens": 5, "top_k": 3}
        for text in ("one", "two")
    ]
    assert all(c["logprobs"] is None and c["text"] == "Hello, world." for c in response.json()["choices"])


TOPS = [{"token": "Hé", "logprob": -0.5, "bytes": None}, {"token": "Ha", "logprob": -1.5, "bytes": None}]
CHAT_LOGPROBS = {
    "content": [
        {"token": "Hé", "logprob": -0.5, "bytes": None, "top_logprobs": TOPS},
        {"token": "y", "logprob": -99999, "bytes": None, "top_logprobs": []},
    ]
}


async def test_logprobs_have_the_legacy_shape(http: httpx.AsyncClient, provider: Provider) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "Héy"}, "logprobs": CHAT_LOGPROBS}
    body = {"choices": [choice | {"finish_reason": "stop"}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}
    provider.scripts["a"] = Script(body=msgspec.json.encode(body))
    answer = (await http.post(URL, json={"model": "a", "prompt": "x", "logprobs": 2})).json()
    assert provider.seen[0].body["logprobs"] is True and provider.seen[0].body["top_logprobs"] == 2
    [choice] = answer["choices"]
    assert "message" not in choice
    assert choice["logprobs"] == {
        "tokens": ["Hé", "y"],
        "token_logprobs": [-0.5, -9999.0],
        "top_logprobs": [{"Hé": -0.5, "Ha": -1.5}, {"y": -9999.0}],
        "text_offset": [0, 2],
    }


async def test_streamed_logprobs_count_on(http: httpx.AsyncClient, provider: Provider) -> None:
    def chunk(text: str, finish: str | None = None) -> dict[str, Any]:
        told = {"content": [{"token": text, "logprob": -1, "top_logprobs": []}]} if text else None
        return {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": told, "finish_reason": finish}]}

    provider.scripts["a"] = Script(events=(chunk("ab"), chunk("c"), chunk("", "stop"), b"[DONE]"))
    chunks = events((await http.post(URL, json={"model": "a", "prompt": "x", "logprobs": 0, "stream": True})).content)
    assert [c["choices"][0]["text"] for c in chunks] == ["ab", "c", ""]
    assert [c["choices"][0]["logprobs"]["text_offset"] for c in chunks[:2]] == [[0], [2]]
    assert all(c["object"] == "text_completion" for c in chunks)


async def test_echo_by_the_gateway(http: httpx.AsyncClient, provider: Provider) -> None:
    answer = (await http.post(URL, json={"model": "a", "prompt": ["one ", "two "], "echo": True})).json()
    assert [c["text"] for c in answer["choices"]] == ["one Hello, world.", "two Hello, world."]
    assert all("echo" not in seen.body for seen in provider.seen)
    chunks = events((await http.post(URL, json={"model": "a", "prompt": "x ", "echo": True, "stream": True})).content)
    assert [c["choices"][0]["text"] for c in chunks] == ["x Hello", ", ", "world", ".", ""]


async def test_best_of_by_the_gateway(http: httpx.AsyncClient, provider: Provider) -> None:
    def choice(index: int, logprob: float) -> dict[str, Any]:
        told = {"content": [{"token": "t", "logprob": logprob, "top_logprobs": []}]}
        message = {"role": "assistant", "content": f"c{index}"}
        return {"index": index, "message": message, "logprobs": told, "finish_reason": "stop"}

    body = {
        "choices": [choice(0, -3), choice(1, -1), choice(2, -2)],
        "usage": {"prompt_tokens": 1, "completion_tokens": 9},
    }
    provider.scripts["a"] = Script(body=msgspec.json.encode(body))
    answer = (await http.post(URL, json={"model": "a", "prompt": "x", "n": 2, "best_of": 3})).json()
    assert [(c["index"], c["text"], c["logprobs"]) for c in answer["choices"]] == [(0, "c1", None), (1, "c2", None)]
    assert provider.seen[0].body["n"] == 3 and "best_of" not in provider.seen[0].body
    assert answer["usage"]["completion_tokens"] == 9


async def test_running_usage(http: httpx.AsyncClient, provider: Provider) -> None:
    options = {"include_usage": True, "continuous_usage_stats": True}
    asked = {"model": "raw", "prompt": "x", "stream": True, "stream_options": options}
    *chunks, last = events((await http.post(URL, json=asked)).content)
    counts = [c["usage"]["completion_tokens"] for c in chunks if c["usage"]]
    assert counts == sorted(counts) and counts[0] > 0
    assert last["usage"]["completion_tokens"] == 4
    assert provider.seen[0].body["stream_options"] == {"include_usage": True}


async def test_several_models(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["raw"] = Script(choices=2)
    provider.scripts["b"] = Script(status=500)
    asked = {"model": ["raw", "b", "a"], "prompt": ["x", "y"]}
    answer = (await http.post(URL, json=asked)).json()
    assert [(c["index"], c["model"]) for c in answer["choices"]] == [(0, "raw"), (1, "raw"), (4, "a"), (5, "a")]
    assert [(e["index"], e["model"]) for e in answer["errors"]] == [(2, "b"), (3, "b")]


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({}, "prompt"),
        ({"prompt": ""}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": [[]]}, "prompt"),
        ({"prompt": [1, "a"]}, "prompt"),
        ({"prompt": [-1]}, "prompt"),
        ({"prompt": [1.5]}, "prompt"),
        ({"prompt": "x", "best_of": 1, "n": 2}, "best_of"),
        ({"prompt": "x", "best_of": 3, "stream": True}, "best_of"),
        ({"prompt": "x", "max_tokens": 0}, "max_tokens"),
        ({"prompt": "x", "logprobs": -2}, "logprobs"),
        ({"prompt": "x", "use_beam_search": True, "stream": True}, "use_beam_search"),
        ({"prompt": "x", "early_stopping": True}, "early_stopping"),
        ({"prompt": "x", "guided_json": "{"}, "guided_json"),
        ({"prompt": "x", "guided_decoding_backend": "magic"}, "guided_decoding_backend"),
        ({"prompt": "x", "guided_regex": "a"}, "guided_regex"),
        ({"prompt": "x", "structured_outputs": {"json": {}, "regex": "a"}}, "structured_outputs"),
        ({"prompt": "x", "structured_outputs": {"poem": {}}}, "structured_outputs"),
        ({"prompt": "x", "stop": ["", "a"]}, "stop"),
        ({"prompt": [[1, 2]], "model": "a"}, "prompt"),
        ({"prompt": "x", "suffix": "y", "model": "a"}, "suffix"),
        ({"prompt": "x", "echo": True, "logprobs": 1, "model": "a"}, "echo"),
    ],
)
async def test_what_is_refused(http: httpx.AsyncClient, provider: Provider, wrong: dict[str, Any], param: str) -> None:
    response = await http.post(URL, json={"model": "raw", **wrong})
    error = response.json()["error"]
    assert response.status_code == 400
    assert re.split(r"[.[]", error["param"])[0] == param
    assert not provider.seen


async def test_an_echo_is_not_told_twice(http: httpx.AsyncClient, provider: Provider) -> None:
    role = {"choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "finish_reason": None}]}
    provider.scripts["x"] = Script(events=(role, {"error": {"message": "secret", "code": 500}}))
    asked = {"model": "shaky", "prompt": "P: ", "echo": True, "stream": True}
    chunks = events((await http.post(URL, json=asked)).content)
    assert "".join(c["choices"][0]["text"] for c in chunks) == "P: Hello, world."


def test_a_token_that_is_called_content() -> None:
    lists = msgspec.Raw(b'{"tokens":["content"],"token_logprobs":[-0.1],"top_logprobs":null,"text_offset":[0]}')
    assert legacy(lists, 0, alternatives=False) == (lists, 0)


async def test_several_texts_are_echoed_beside_a_constraint(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["guided"] = Script(chunks=("yes",))
    asked = {"model": "guided", "prompt": ["P", "Q"], "echo": True, "guided_regex": "yes"}
    response = await http.post(URL, json=asked)
    assert [c["text"] for c in response.json()["choices"]] == ["Pyes", "Qyes"]
    assert all("echo" not in seen.body for seen in provider.seen)
