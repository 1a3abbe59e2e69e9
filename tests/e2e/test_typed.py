"""Typed answers: valid JSON of any model by whatever path it takes, or an honest error."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from gateway.protocol import Protocol
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

ROUTING = """
defaults: {{model: native}}
server: {{keepalive: 0.1}}
providers:
  p: {{adapter: gpt, base_url: "{url}"}}
  old: {{adapter: llama, base_url: "{url}", typed_path: json_mode}}
  bare: {{adapter: llama, base_url: "{url}", typed_path: prompted}}
  vllm: {{adapter: local, engine: vllm, base_url: "{url}"}}
  blind: {{adapter: local, engine: vllm, base_url: "{url}", show_types: false}}
models:
  native: {{targets: [{{provider: p, model: native}}]}}
  json: {{targets: [{{provider: old, model: json}}]}}
  words: {{targets: [{{provider: bare, model: words}}]}}
  more-words: {{targets: [{{provider: bare, model: more-words}}]}}
  base: {{targets: [{{provider: p, model: base, mode: completion}}]}}
  guided: {{targets: [{{provider: vllm, model: guided}}]}}
  blind: {{targets: [{{provider: blind, model: blind}}]}}
  picky: {{targets: [{{provider: p, model: picky, typed_path: prompted}}]}}
  two: {{targets: [{{provider: bare, model: words}}, {{provider: p, model: native, fallback: true}}]}}
"""
ROUTE = "/v1/completion/typed"
SCHEMA = "export type Person {\n  age: number; // in years\n  name?: string;\n}"
ASKED: dict[str, Any] = {"prompt": "How old is Tom?", "schema": SCHEMA, "type_name": "Person"}
GOOD = '{"age": 12}'
BAD = '{"age": "12"}'
WORDS = "Answer with JSON of the TypeScript type Person"


@pytest.fixture
async def http(provider: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with (
        serving(application(tmp_path, provider.url, ROUTING), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
    ):
        yield client


async def ask(http: httpx.AsyncClient, model: Any, **more: Any) -> httpx.Response:
    return await http.post(ROUTE, json=ASKED | {"model": model} | more)


def texts(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [choice["text"] for choice in response.json()["choices"]]


def says(provider: Provider, model: str, *answers: str, **more: Any) -> None:
    """The model's answers in turn, the last of them for good."""
    scripts = [Script(chunks=(answer,), **more) for answer in answers]
    provider.turns[model], provider.scripts[model] = scripts[:-1], scripts[-1]


def prompt(body: dict[str, Any]) -> str:
    return str(body["prompt"]) if "prompt" in body else "\n".join(str(turn["content"]) for turn in body["messages"])


@pytest.mark.parametrize(
    ("model", "path", "field", "shown"),
    [
        ("native", "native", "response_format", True),
        ("json", "json_mode", "response_format", True),
        ("words", "prompted", None, True),
        ("base", "prompted", None, True),
        ("guided", "guided", "structured_outputs", True),
        ("blind", "guided", "structured_outputs", False),
    ],
)
async def test_each_target_has_its_path(
    http: httpx.AsyncClient, provider: Provider, model: str, path: str, field: str | None, shown: bool
) -> None:
    says(provider, model, GOOD)
    response = await ask(http, model)
    assert texts(response) == [GOOD]
    assert (response.headers["x-gateway-typed-path"], response.headers["x-gateway-attempts"]) == (path, "1")
    [seen] = provider.seen
    assert {"response_format", "structured_outputs"} & set(seen.body) == ({field} if field else set())
    if path == "json_mode":
        assert seen.body["response_format"] == {"type": "json_object"}
    assert (WORDS in prompt(seen.body), "// in years" in prompt(seen.body)) == (shown, shown)
    assert prompt(seen.body).startswith(ASKED["prompt"])


async def test_json_mode_makes_objects_only(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "json", '["a"]')
    response = await ask(http, "json", schema="export type Names = string[]", type_name="Names")
    assert texts(response) == ['["a"]'] and response.headers["x-gateway-typed-path"] == "prompted"
    assert "response_format" not in provider.seen[0].body


@pytest.mark.parametrize("model", ["native", "json", "words", "base", "guided", "blind"])
async def test_a_model_is_shown_its_answer_and_what_is_wrong_with_it(
    http: httpx.AsyncClient, provider: Provider, model: str
) -> None:
    says(provider, model, BAD, GOOD)
    response = await ask(http, model)
    assert texts(response) == [GOOD] and response.headers["x-gateway-attempts"] == "2"
    again = prompt(provider.seen[1].body)
    assert again.startswith(ASKED["prompt"]) and BAD in again
    assert 'at /age: "12" is not of type number' in again
    assert "age" in again.replace(BAD, "").replace("at /age", "")  # the type, too, whether or not it was shown before
    usage = response.json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (14, 8)  # of both rounds
    assert response.json()["choices"][0]["usage"]["total_tokens"] == 22


async def test_after_two_rounds_the_next_target_is_asked(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD)
    says(provider, "native", GOOD)
    response = await ask(http, "two")
    assert texts(response) == [GOOD]
    assert [seen.body["model"] for seen in provider.seen] == ["words"] * 3 + ["native"]
    head = response.headers
    assert (head["x-gateway-attempts"], head["x-gateway-typed-path"], head["x-gateway-target"]) == (
        "4", "native", "p/native",
    )  # fmt: skip
    assert response.json()["usage"]["prompt_tokens"] == 28
    assert BAD not in prompt(provider.seen[3].body)  # another model has nothing to do with it


async def test_then_an_honest_error(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD)
    response = await ask(http, "words")
    error = response.json()
    assert response.status_code == 422 and len(provider.seen) == 3
    assert 'at /age: "12" is not of type number' in error["error"] and error["code"] == 422
    assert error["errors"][0]["path"] == "/age"
    assert (response.headers["x-gateway-attempts"], response.headers["x-gateway-typed-path"]) == ("3", "prompted")


async def test_a_round_that_fails_is_not_why_there_is_no_answer(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["words"] = [Script(chunks=(BAD,)), Script(status=400)]
    response = await ask(http, "words")
    assert response.status_code == 422 and "/age" in response.json()["error"]


@pytest.mark.parametrize(
    "text",
    [
        "```json\n{}\n```", "Sure! Here it is:\n{}\nAnything else?", "\ufeff{}", "```\n{}```",
        "<think>It is {{12}}, I think.</think>\n\n{}",
    ],
)  # fmt: skip
async def test_what_surrounds_an_answer_is_taken_off_without_a_round(
    http: httpx.AsyncClient, provider: Provider, text: str
) -> None:
    says(provider, "words", text.replace("{}", GOOD))
    assert texts(await ask(http, "words")) == [GOOD] and len(provider.seen) == 1


async def test_what_breaks_off_is_asked_again_and_not_closed(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", '{"age": 12, "name": "To', GOOD)
    assert texts(await ask(http, "words")) == [GOOD] and len(provider.seen) == 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["native", "words", "two"])
async def test_too_few_tokens_for_the_type(
    http: httpx.AsyncClient, provider: Provider, model: str, stream: bool
) -> None:
    for name in ("native", "words"):
        says(provider, name, '{"age": 1', finish="length")
    response = await ask(http, model, max_tokens=4, stream=stream)
    assert len(provider.seen) == 1  # it would be cut off again
    if stream and model == "native":
        [*_, last] = [event for event in events(response) if "choices" in event and event["choices"]]
        assert last["choices"][0]["finish_reason"] == "error"
        assert "max_tokens" in last["choices"][0]["error"]["message"]
    else:
        assert response.status_code == 422 and response.json()["param"] == "max_tokens"
        assert "raise max_tokens" in response.json()["error"]


async def test_stop_does_not_break_the_json(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", '{"age": 12, "name": "T.B."}')
    assert texts(await ask(http, "words", stop=["."])) == ['{"age": 12, "name": "T.B."}']
    assert "stop" not in provider.seen[0].body


@pytest.mark.parametrize(
    "refusal",
    [
        {"message": "x", "type": "invalid_request_error", "param": "response_format", "code": None},
        {"message": "This model does not support response format `json_schema`.", "type": "invalid_request_error"},
    ],
)
async def test_a_provider_without_structured_output_is_asked_in_words(
    http: httpx.AsyncClient, provider: Provider, refusal: dict[str, Any]
) -> None:
    refused = Script(status=400, body=msgspec.json.encode({"error": refusal}))
    provider.turns["native"] = [refused]
    says_json = Script(chunks=(GOOD,))
    provider.scripts["native"] = says_json
    response = await ask(http, "native")
    assert texts(response) == [GOOD]
    assert (response.headers["x-gateway-typed-path"], response.headers["x-gateway-attempts"]) == ("json_mode", "2")
    provider.turns["native"] = [refused, refused]
    response = await ask(http, "native")
    assert texts(response) == [GOOD] and response.headers["x-gateway-typed-path"] == "prompted"
    provider.turns["native"] = [refused] * 3
    assert (await ask(http, "native")).status_code == 400


async def test_openais_own_form_takes_the_targets_path_too(http: httpx.AsyncClient, provider: Provider) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    body = {
        "model": "json",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "How old is Tom?"}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "age", "schema": schema}},
    }
    says(provider, "json", "Tom is 12.", GOOD)
    response = await http.post("/v1/chat/completions", json=body)
    assert response.json()["choices"][0]["message"]["content"] == GOOD
    first, second = [seen.body for seen in provider.seen]
    assert first["response_format"] == second["response_format"] == {"type": "json_object"}
    assert '"integer"' in prompt(first) and [turn["role"] for turn in first["messages"]] == ["system", "user"]  # type: ignore[attr-defined]
    assert [turn["role"] for turn in second["messages"]] == ["system", "user", "assistant", "user"]  # type: ignore[attr-defined]


# ---------------------------------------------------------------------------------------------------- streams


def events(response: httpx.Response) -> list[Any]:
    lines = [line.removeprefix("data: ") for line in response.text.split("\n\n") if line.startswith("data: ")]
    assert lines[-1] == "[DONE]", response.text
    return [msgspec.json.decode(line) for line in lines[:-1]]


def streamed(response: httpx.Response, index: int = 0) -> list[str]:
    """The pieces of a choice."""
    choices = [choice for event in events(response) for choice in event["choices"] if choice["index"] == index]
    return [choice["text"] for choice in choices if choice["text"]]


@pytest.mark.parametrize(("model", "path"), [("native", "native"), ("guided", "guided")])
async def test_what_is_held_while_it_is_made_streams(
    http: httpx.AsyncClient, provider: Provider, model: str, path: str
) -> None:
    provider.scripts[model] = Script(chunks=('{"a', 'ge":', " 12}"))
    response = await ask(http, model, stream=True)
    assert "".join(streamed(response)) == GOOD and len(streamed(response)) > 1
    assert (response.headers["x-gateway-typed-path"], response.headers["x-gateway-target"]) == (
        path, {"native": "p/native", "guided": "vllm/guided"}[model],
    )  # fmt: skip


async def test_a_violation_in_a_stream_is_its_last_word(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["guided"] = Script(chunks=('{"age":', ' "x"}'))
    response = await ask(http, "guided", stream=True)
    last = [event for event in events(response) if event.get("choices")][-1]["choices"][0]
    assert last["finish_reason"] == "error" and last["error"]["path"] == "/age"


@pytest.mark.parametrize("model", ["words", "json", "base"])
async def test_what_is_checked_first_comes_in_one_piece(
    http: httpx.AsyncClient, provider: Provider, model: str
) -> None:
    says(provider, model, f"```json\n{BAD}\n```", f"Here: {GOOD}", pause=0.35)
    response = await ask(http, model, stream=True)
    assert streamed(response) == [GOOD]
    assert response.text.startswith(":") and response.text.count("\n\n:") >= 2  # comments keep it open
    assert [seen.body.get("stream", False) for seen in provider.seen] == [False, False]
    last = events(response)[-1]
    assert last["usage"]["total_tokens"] == 22


async def test_an_error_after_a_comment_is_an_event(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD, pause=0.15)
    response = await ask(http, "words", stream=True)
    assert response.status_code == 200 and response.text.startswith(":")
    assert "/age" in response.text and response.text.endswith("data: [DONE]\n\n")
    says(provider, "words", BAD)
    assert (await ask(http, "words", stream=True)).status_code == 422


async def test_a_chat_streams_what_was_checked(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "json", f"```\n{GOOD}\n```")
    body = {"model": "json", "messages": [{"role": "user", "content": "?"}], "stream": True,
            "stream_options": {"include_usage": True}, "response_format": {"type": "json_object"}}  # fmt: skip
    response = await http.post("/v1/chat/completions", json=body)
    deltas = [choice["delta"] for event in events(response) for choice in event["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == GOOD or response.text
    assert events(response)[-1]["usage"]["prompt_tokens"] == 7


# ---------------------------------------------------------------------------------------------------- fan-out


async def test_the_first_valid_answer_wins(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD)
    says(provider, "native", GOOD, pause=0.3)
    for stream in (False, True):
        response = await ask(http, ["words", "native"], fanout={"mode": "first"}, stream=stream)
        found = streamed(response, 1) if stream else texts(response)
        assert found == [GOOD]


async def test_a_streamed_race_is_not_won_by_who_speaks_first(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.scripts["native"] = Script(chunks=('{"age": ', '"x"}'))
    provider.scripts["guided"] = Script(chunks=(GOOD,), pause=0.3)
    response = await ask(http, ["native", "guided"], fanout={"mode": "first"}, stream=True)
    assert streamed(response, 1) == [GOOD] and not streamed(response, 0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_quorum_agrees(http: httpx.AsyncClient, provider: Provider, stream: bool) -> None:
    says(provider, "words", '{"age": 11}')
    says(provider, "native", GOOD, pause=0.05)
    says(provider, "guided", '{ "age":12 }', pause=0.1)
    says(provider, "json", '{"age": 11}', pause=60)
    models = ["words", "native", "guided", "json"]
    response = await ask(http, models, fanout={"mode": "quorum", "min_success": 2}, stream=stream)
    found = [streamed(response, 1)[0], streamed(response, 2)[0]] if stream else texts(response)
    assert found == [GOOD, '{ "age":12 }']


async def test_a_quorum_that_does_not_agree(http: httpx.AsyncClient, provider: Provider) -> None:
    for model, age in (("words", 1), ("native", 2), ("guided", 3.05)):
        says(provider, model, f'{{"age": {age}}}')
    models = ["words", "native", "guided"]
    response = await ask(http, models, fanout={"mode": "quorum", "min_success": 2})
    assert response.status_code == 422
    assert "3 models gave valid answers, of which 1 agree; 2 must" in response.json()["error"]
    says(provider, "native", '{"age": 3}')
    response = await ask(http, models, fanout={"mode": "quorum", "min_success": 2, "tolerance": 0.1})
    assert texts(response) == ['{"age": 3}', '{"age": 3.05}']


@pytest.mark.parametrize("stream", [False, True])
async def test_what_most_models_say(http: httpx.AsyncClient, provider: Provider, stream: bool) -> None:
    says(provider, "words", '{"age": 12, "name": "Tom"}')
    says(provider, "native", '{"age": 12, "name": "Tim"}')
    says(provider, "guided", '{"age": 13, "name": "Tom"}')
    response = await ask(http, ["words", "native", "guided"], fanout={"merge": "agree"}, stream=stream)
    if stream:
        assert streamed(response) == ['{"age": 12, "name": "Tom"}']
        [choice] = [
            event["choices"][0] for event in events(response) if event["choices"] and "agreement" in event["choices"][0]
        ]
    else:
        [choice] = response.json()["choices"]
        assert choice["text"] == '{"age": 12, "name": "Tom"}'
    assert choice["agreement"] == pytest.approx({"age": 2 / 3, "name": 2 / 3})
    assert choice["model"] == "words,native,guided"
    assert choice["usage"]["total_tokens"] == 33


async def test_who_did_not_answer_has_no_vote(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD)
    says(provider, "native", GOOD)
    response = await ask(http, ["words", "native"], fanout={"merge": "agree"})
    [choice] = response.json()["choices"]
    assert choice["agreement"] == {"age": 1.0} and choice["text"] == GOOD
    [failed] = response.json()["errors"]
    assert (failed["model"], failed["index"], failed["path"]) == ("words", 0, "/age")
    response = await ask(http, ["words", "native"], fanout={"merge": "agree", "min_success": 2})
    assert response.status_code == 422


async def test_a_mixture_that_breaks_the_type_is_not_given(http: httpx.AsyncClient, provider: Provider) -> None:
    schema = 'export type Shape = {kind: "circle"; radius: number} | {kind: "square"; side: number}'
    said = ['{"kind": "circle", "radius": 1}', '{"kind": "square", "side": 2}', '{"kind": "circle", "radius": 3}']
    for model, text in zip(("words", "native", "guided"), said, strict=True):
        says(provider, model, text)
    more = {"schema": schema, "type_name": "Shape", "fanout": {"merge": "agree"}}
    [text] = texts(await ask(http, ["words", "native", "guided"], **more))
    assert text in said


async def test_choices_of_one_model_vote_as_well(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "more-words", '{"age": 1}', GOOD, GOOD)
    [choice] = (await ask(http, "more-words", n=3, fanout={"merge": "agree"})).json()["choices"]
    assert (choice["text"], choice["agreement"]) == (GOOD, pytest.approx({"age": 2 / 3}))


async def test_arrays_may_agree_as_sets(http: httpx.AsyncClient, provider: Provider) -> None:
    for model, text in zip(("words", "native", "guided"), ('["a", "b"]', '["b", "a"]', '["c"]'), strict=True):
        says(provider, model, text)
    more = {"schema": "export type Tags = string[]", "type_name": "Tags"}
    models = ["words", "native", "guided"]
    [choice] = (await ask(http, models, **more, fanout={"merge": "agree", "arrays": "set"})).json()["choices"]
    assert choice["text"] == '["a", "b"]'
    assert choice["agreement"] == {"answer": pytest.approx([2 / 3, 2 / 3])}


@pytest.mark.parametrize(
    ("fanout", "param", "words"),
    [
        ({"merge": "most"}, "fanout.merge", '"each" or "agree"'),
        ({"merge": "agree", "mode": "first"}, "fanout.merge", "ends with one"),
        ({"tolerance": 1}, "fanout.tolerance", "compared"),
        ({"merge": "agree", "tolerance": -1}, "fanout.tolerance", "at least 0"),
        ({"arrays": "set"}, "fanout.arrays", "compared"),
        ({"merge": "agree", "arrays": "bag"}, "fanout.arrays", '"position" or "set"'),
    ],
)
async def test_what_cannot_be_compared(
    http: httpx.AsyncClient, provider: Provider, fanout: dict[str, Any], param: str, words: str
) -> None:
    response = await ask(http, ["words", "native"], fanout=fanout)
    assert response.status_code == 400
    assert response.json()["param"] == param and words in response.json()["error"]
    untyped = await http.post("/v1/completion", json={"prompt": "x", "fanout": {"merge": "agree"}})
    assert untyped.status_code == 400 and "typed" in untyped.json()["error"]


async def test_chats_agree_too(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", '{"x": 1}')
    says(provider, "native", '{"x": 1}')
    body = {"model": ["words", "native"], "messages": [{"role": "user", "content": "?"}],
            "response_format": {"type": "json_object"}, "fanout": {"merge": "agree"}}  # fmt: skip
    [choice] = (await http.post("/v1/chat/completions", json=body)).json()["choices"]
    assert choice["message"]["content"] == '{"x": 1}' and choice["agreement"] == {"x": 1.0}


async def test_of_more_answers_than_are_wanted_the_wrong_ones_are_left_out(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    body = {"model": "guided", "prompt": "x", "guided_json": schema, "best_of": 2, "temperature": 0}
    says(provider, "guided", BAD, GOOD)
    response = await http.post("/v1/completions", json=body)
    assert [choice["text"] for choice in response.json()["choices"]] == [GOOD] and len(provider.seen) == 2
    says(provider, "guided", BAD)
    response = await http.post("/v1/completions", json=body | {"prompt": "another, so that nothing is kept of it"})
    assert response.status_code == 422 and "best_of" in response.json()["error"]["message"]


async def test_only_what_is_wrong_is_asked_again(http: httpx.AsyncClient, provider: Provider) -> None:
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"]}
    body = {"model": "words", "prompt": ["one", "two", "three"], "guided_json": schema}
    provider.turns["words"] = [Script(chunks=(text,)) for text in (GOOD, GOOD, GOOD, GOOD)]
    provider.turns["words"][1] = Script(chunks=(BAD,))
    response = await http.post("/v1/completions", json=body)
    assert [choice["text"] for choice in response.json()["choices"]] == [GOOD] * 3
    assert len(provider.seen) == 4 and response.headers["x-gateway-attempts"] == "2"
    assert response.json()["usage"]["prompt_tokens"] == 28
    [again] = [seen for seen in provider.seen if BAD in prompt(seen.body)]
    assert sum(word in prompt(again.body) for word in ("one\n", "two\n", "three\n")) == 1


async def test_a_deadline_holds_for_the_rounds(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD, pause=0.12)
    response = await ask(http, "words", fanout={"deadline_ms": 200})
    assert response.status_code == 504 and "deadline" in response.text and len(provider.seen) == 2


async def test_of_several_choices_the_good_ones_are_given(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["words"] = [Script(chunks=(GOOD,)) for _ in range(3)]
    provider.scripts["words"] = Script(chunks=(BAD,))
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    asked = {"model": "words", "prompt": ["one", "two", "three", "four"], "guided_json": schema}
    body = (await http.post("/v1/completions", json=asked)).json()
    assert len(body["choices"]) == 3 and body["errors"][0]["path"] == "/age"
    assert {choice["index"] for choice in body["choices"]} | {body["errors"][0]["index"]} == {0, 1, 2, 3}
    assert body["usage"]["prompt_tokens"] == 7 * 6  # four answers and two rounds

    for strict in (False, True):
        provider.turns["words"] = [Script(chunks=(GOOD,))]
        response = await ask(http, "words", n=2, fanout={"strict": strict})
        if strict:
            assert response.status_code == 422 and "/age" in response.json()["error"]
        else:
            said = response.json()["choices"]
            assert sorted(choice["finish_reason"] for choice in said) == ["error", "stop"]
    response = await ask(http, "words", n=2)
    assert response.status_code == 422 and "/age" in response.json()["error"]


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}
FORMAT = {"type": "json_schema", "json_schema": {"name": "age", "schema": AGE}}
CHAT: dict[str, Any] = {"messages": [{"role": "user", "content": "?"}], "response_format": FORMAT}


async def test_only_what_was_checked_has_a_vote(http: httpx.AsyncClient, provider: Provider) -> None:
    for model, finish in (("words", "length"), ("native", "content_filter")):
        says(provider, model, '{"age": "x', finish=finish)
    says(provider, "guided", '{"age": 3}')
    body = CHAT | {"model": ["words", "native", "guided"], "fanout": {"merge": "agree"}}
    [choice] = (await http.post("/v1/chat/completions", json=body)).json()["choices"]
    assert choice["message"]["content"] == '{"age": 3}' and choice["model"] == "guided"
    body["fanout"] = {"mode": "quorum", "min_success": 2}
    assert (await http.post("/v1/chat/completions", json=body)).status_code == 422


@pytest.mark.parametrize("wrong", ['{"age": "x"}', '{"age": 1, "age": 2}', '{"age": 1, "b": 2}', "[]"])
async def test_a_complete_answer_is_held_to_its_type_however_it_ended(
    http: httpx.AsyncClient, provider: Provider, wrong: str
) -> None:
    says(provider, "words", wrong, GOOD, finish="length")
    response = await http.post("/v1/chat/completions", json=CHAT | {"model": "words"})
    assert response.json()["choices"][0]["message"]["content"] == GOOD and len(provider.seen) == 2
    says(provider, "words", f"```json\n{GOOD}\n```", finish="length")
    response = await http.post("/v1/chat/completions", json=CHAT | {"model": "words"})
    assert response.json()["choices"][0]["message"]["content"] == GOOD and len(provider.seen) == 3


async def test_a_number_may_go_on(http: httpx.AsyncClient, provider: Provider) -> None:
    number = {"schema": "export type N = number", "type_name": "N"}
    says(provider, "words", "12", finish="length")
    assert (await ask(http, "words", **number)).json()["param"] == "max_tokens"
    says(provider, "words", "12")
    assert texts(await ask(http, "words", **number)) == ["12"]
    says(provider, "native", '{"answer": -12', '{"answer": -125}')
    assert texts(await ask(http, "native", **number)) == ["-125"]


async def test_of_several_choices_one_is_broken_and_the_next_target_has_all(
    http: httpx.AsyncClient, provider: Provider
) -> None:
    provider.turns["words"] = [Script(chunks=(GOOD,))]
    provider.scripts["words"] = Script(chunks=(BAD,))
    provider.scripts["native"] = Script(chunks=(GOOD,))
    for stream in (False, True):
        response = await ask(http, "two", n=2, stream=stream)
        assert response.headers["x-gateway-target" if not stream else "x-gateway-typed-path"] in ("p/native", "native")
        assert (streamed(response, 0) + streamed(response, 1) if stream else texts(response)) == [GOOD, GOOD]
        provider.turns["words"] = [Script(chunks=(GOOD,))]
    provider.scripts["native"] = Script(status=500)
    response = await ask(http, "two", n=2)
    assert response.headers["x-gateway-target"] == "bare/words"
    assert sorted(choice["finish_reason"] for choice in response.json()["choices"]) == ["error", "stop"]


async def test_a_list_of_lamini_s_has_no_place_for_a_failure(http: httpx.AsyncClient, provider: Provider) -> None:
    provider.turns["words"] = [Script(chunks=('{"age": 1}',))]
    provider.scripts["words"] = Script(chunks=('{"age": "x"}',))
    body = {"model_name": "words", "prompt": ["one", "two"], "output_type": {"age": "int"}}
    response = await http.post("/v1/completions", json=body)
    assert response.status_code == 422 and "at /age" in response.json()["detail"]
    assert response.headers["x-gateway-attempts"] == "3"
    says(provider, "words", '{"n": 1.0}')
    body = {"model_name": "words", "prompt": "one", "output_type": {"n": [1, 2]}}
    assert (await http.post("/v1/completions", json=body)).json() == {"n": 1}


async def test_a_streamed_agreement_names_who_failed(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", BAD)
    says(provider, "native", GOOD)
    response = await ask(http, ["words", "native"], fanout={"merge": "agree"}, stream=True)
    [last] = [event["choices"][0] for event in events(response) if event["choices"] and "errors" in event["choices"][0]]
    assert [failed["model"] for failed in last["errors"]] == ["words"] and last["model"] == "native"


async def test_a_filter_is_named(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", '{"age"', finish="content_filter")
    response = await ask(http, "words")
    assert response.status_code == 422 and response.json()["errors"][0]["code"] == "content_filter"
    assert len(provider.seen) == 1


async def test_a_configured_stop_does_not_end_the_json(provider: Provider, tmp_path: Path) -> None:
    routing = ROUTING.replace("words: {{targets", 'words: {{defaults: {{stop: ["."], max_tokens: 9}}, targets')
    says(provider, "words", GOOD)
    async with (
        serving(application(tmp_path, provider.url, routing), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
    ):
        await ask(client, "words")
    assert "stop" not in provider.seen[0].body and provider.seen[0].body["max_tokens"] == 9


async def test_too_much_is_not_compared(http: httpx.AsyncClient, provider: Provider) -> None:
    much = msgspec.json.encode({"age": 1, "name": "x" * 200_000}).decode()
    for model in ("words", "native"):
        says(provider, model, much)
    response = await ask(http, ["words", "native"], fanout={"merge": "agree"})
    assert response.status_code == 422 and "too many to compare" in response.json()["error"]
    says(provider, "words", BAD)
    assert texts(await ask(http, ["words", "native"], fanout={"merge": "agree"})) == [much]


async def test_numbers_beyond_any_reader(http: httpx.AsyncClient, provider: Provider) -> None:
    says(provider, "words", '{"age": ' + "9" * 400 + "}", GOOD)
    assert texts(await ask(http, "words")) == [GOOD]


async def test_a_refusal_is_named(http: httpx.AsyncClient, provider: Provider) -> None:
    message = {"role": "assistant", "content": None, "refusal": "I will not."}
    body = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
    provider.scripts["native"] = Script(body=msgspec.json.encode(body))
    response = await ask(http, "native")
    assert response.status_code == 422 and response.json()["errors"][0]["code"] == "content_filter"
    assert len(provider.seen) == 1 and "I will not" not in response.text


@pytest.mark.parametrize("said", ['```json\n{"age": 1', "```\n{", 'Sure! {"age": 1', "<think>hm", "Tom is"])
async def test_what_breaks_off_before_its_json_is_cut_off(
    http: httpx.AsyncClient, provider: Provider, said: str
) -> None:
    says(provider, "words", said, finish="length")
    response = await ask(http, "words")
    assert response.status_code == 422 and response.json()["param"] == "max_tokens" and len(provider.seen) == 1
    chat = await http.post("/v1/chat/completions", json=CHAT | {"model": "words"})
    assert chat.status_code == 422 and chat.json()["error"]["param"] == "max_tokens"


@pytest.mark.parametrize("around", ["```json\n%s\n```", "Here: %s", "\ufeff%s", "<think>{12?}</think>\n%s", "%s Done."])
@pytest.mark.parametrize(
    ("schema", "said", "answer"),
    [
        ("export type A = {a: number; b?: string}", '{"a":1,"b":null}', '{"a":1}'),
        ("export type A = number[]", '{"answer":[1,2]}', "[1,2]"),
    ],
)
async def test_what_was_done_to_a_schema_is_undone_behind_words(
    http: httpx.AsyncClient, provider: Provider, around: str, schema: str, said: str, answer: str
) -> None:
    says(provider, "native", around % said)
    assert texts(await ask(http, "native", schema=schema, type_name="A")) == [answer] and len(provider.seen) == 1


async def test_an_answer_s_own_member_called_answer_stays(http: httpx.AsyncClient, provider: Provider) -> None:
    schema = "export type A = string | {answer: string; source: string}"
    says(provider, "native", '{"answer":"hi","source":"x"}')
    assert texts(await ask(http, "native", schema=schema, type_name="A")) == ['{"answer":"hi","source":"x"}']
    says(provider, "native", '{"answer":{"answer":"hi","source":"x"}}')
    assert texts(await ask(http, "native", schema=schema, type_name="A")) == ['{"answer":"hi","source":"x"}']
