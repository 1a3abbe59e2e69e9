"""An answer keeps the constraint that it was asked under, or it is not given: whatever the provider does."""

from typing import Any

import httpx
import msgspec
import pytest

from tests.provider import Provider, Script

CHAT = "/v1/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]
SCHEMA = {
    "type": "object",
    "properties": {"age": {"type": "integer"}},
    "required": ["age"],
    "additionalProperties": False,
}
FORMAT = {"type": "json_schema", "json_schema": {"name": "age", "schema": SCHEMA, "strict": True}}
ASKED = {"model": "a", "messages": MESSAGES, "response_format": FORMAT}


async def test_the_constraint_arrives_as_it_was_written(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=('{"age": 12}',))
    response = await http.post(CHAT, json=ASKED)
    assert response.json()["choices"][0]["message"]["content"] == '{"age": 12}'
    assert provider.seen[0].body["response_format"] == FORMAT


async def test_other_spellings_become_the_provider_s(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=('{"age": 12}',))
    for asked in ({"guided_json": SCHEMA}, {"guided_json": msgspec.json.encode(SCHEMA).decode()},
                  {"structured_outputs": {"json": SCHEMA}}):  # fmt: skip
        response = await http.post(CHAT, json={"model": "a", "messages": MESSAGES, **asked})
        assert response.status_code == 200, response.text
        body = provider.seen[-1].body
        assert body["response_format"]["json_schema"]["schema"] == SCHEMA  # type: ignore[index]
        assert not {"guided_json", "structured_outputs"} & set(body)


@pytest.mark.parametrize(
    ("said", "problem"),
    [("Tom is 12.", ""), ('{"age": "12"}', "/age"), ('{"age": 12, "x": 1}', ""), ("", ""), ('{"age": 1', "")],
)
async def test_an_answer_that_breaks_it_is_not_given(
    http: httpx.AsyncClient, provider: Provider, said: str, problem: str
) -> None:
    provider.scripts["a"] = Script(chunks=(said,))
    response = await http.post(CHAT, json=ASKED)
    error = response.json()["error"]
    assert response.status_code == 422
    assert problem in error["message"] and "constraint" in error["message"]
    assert response.headers["x-should-retry"] == "false"
    assert len(provider.seen) == 3  # whoever is told what is wrong may have another answer


async def test_token_ids_at_temperature_0_have_one_answer(http: httpx.AsyncClient, provider: Provider) -> None:
    asked = {"model": "guided", "prompt": [1, 2], "guided_json": SCHEMA}
    response = await http.post("/v1/completions", json=asked | {"temperature": 0})
    assert response.status_code == 422 and len(provider.seen) == 1
    await http.post("/v1/completions", json=asked)
    assert len(provider.seen) == 4


async def test_another_try_has_another_seed(http: httpx.AsyncClient, provider: Provider) -> None:
    await http.post(CHAT, json=ASKED | {"seed": 7})
    assert len({seen.body["seed"] for seen in provider.seen}) == 3
    assert provider.seen[0].body["seed"] == 7


async def test_what_only_surrounds_a_good_answer_is_taken_off(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=('```json\n{"age": 12}\n```',))
    message = (await http.post(CHAT, json=ASKED)).json()["choices"][0]["message"]
    assert message["content"] == '{"age": 12}' and message["role"] == "assistant"


async def test_an_answer_cut_at_its_limit_is_told_as_it_is(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=('{"age": 1',), finish="length")
    [choice] = (await http.post(CHAT, json=ASKED)).json()["choices"]
    assert choice["finish_reason"] == "length" and choice["message"]["content"] == '{"age": 1'
    provider.scripts["a"] = Script(chunks=("Tom is about",), finish="length")
    assert (await http.post(CHAT, json=ASKED)).status_code == 422


async def test_a_refusal_and_a_tool_call_are_answers(http: httpx.AsyncClient, provider: Provider) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    for message, finish in (
        ({"content": None, "refusal": "no"}, "stop"),
        ({"content": None, "tool_calls": [call]}, "tool_calls"),
    ):
        choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
        provider.scripts["a"] = Script(body=msgspec.json.encode({"choices": [choice]}))
        response = await http.post(CHAT, json=ASKED)
        assert response.status_code == 200
        assert response.json()["choices"][0]["message"] == choice["message"]


async def test_a_stream_that_breaks_it_ends_in_an_error(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=('{"age": ', '"x"}'))
    body = (await http.post(CHAT, json=ASKED | {"stream": True})).content
    last = msgspec.json.decode(body.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert "constraint" in last["error"]["message"]
    provider.scripts["a"] = Script(chunks=('{"age": ', "12}"))
    body = (await http.post(CHAT, json=ASKED | {"stream": True})).content
    assert b'"error"' not in body


async def test_the_next_target_may_keep_it(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["x"] = Script(chunks=("no json",))
    provider.scripts["a"] = Script(chunks=('{"age": 3}',))
    response = await http.post(CHAT, json=ASKED | {"model": "shaky"})
    assert response.json()["choices"][0]["message"]["content"] == '{"age": 3}'
    assert response.headers["x-gateway-attempts"] == "4"


@pytest.mark.parametrize(
    ("wrong", "param"),
    [
        ({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}},
         "response_format"),
        ({"guided_json": {"$ref": "http://169.254.169.254/"}}, "guided_json"),
        ({"guided_json": {"type": "object", "minProperties": 3, "maxProperties": 1}}, "guided_json"),
        ({"guided_regex": "(?=a)b"}, "guided_regex"),
        ({"guided_choice": []}, "guided_choice"),
        ({"structured_outputs": {"regex": "["}}, "structured_outputs"),
        ({"guided_grammar": "start: "}, "guided_grammar"),
        ({"guided_regex": "[0-9]+"}, "guided_regex"),
        ({"guided_grammar": 'start: "a"'}, "guided_grammar"),
    ],
)  # fmt: skip
async def test_what_cannot_be_kept_is_refused(
    http: httpx.AsyncClient, provider: Provider, wrong: dict[str, Any], param: str
) -> None:
    response = await http.post(CHAT, json={"model": "a", "messages": MESSAGES, **wrong})
    assert response.status_code == 400, response.text
    assert response.json()["error"]["param"] == param
    assert not provider.seen


async def test_a_message_that_is_null_keeps_nothing(http: httpx.AsyncClient, provider: Provider) -> None:
    choice = {"index": 0, "message": None, "finish_reason": "stop"}
    provider.scripts["a"] = Script(body=msgspec.json.encode({"choices": [choice]}))
    assert (await http.post(CHAT, json=ASKED)).status_code == 422


async def test_where_the_dialect_cannot_tell_it_nothing_stands_in_for_an_answer(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    """A filter's half of an answer, and a refusal, would look like the answer there."""
    typed = {"model": "a", "prompt": "x", "schema": "export type T { a: number }", "type_name": "T"}
    provider.scripts["a"] = Script(chunks=('{"a"',), finish="content_filter")
    assert (await http.post("/v1/completion/typed", json=typed)).status_code == 422
    refusal = {"index": 0, "message": {"role": "assistant", "content": None, "refusal": "no"}, "finish_reason": "stop"}
    provider.scripts["a"] = Script(body=msgspec.json.encode({"choices": [refusal]}))
    asked = {"model": "a", "prompt": "x", "guided_choice": ["yes", "no"]}
    assert (await http.post("/v1/completions", json=asked)).status_code == 422


async def test_text_beside_a_tool_call(http: httpx.AsyncClient, provider: Provider) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    message = {"role": "assistant", "content": "Let me look.", "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    provider.scripts["a"] = Script(body=msgspec.json.encode({"choices": [choice]}))
    response = await http.post(CHAT, json=ASKED)
    assert response.status_code == 200 and response.json()["choices"][0]["message"] == message
