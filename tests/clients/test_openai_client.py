"""OpenAI's own client against a running gateway: over the real demo model, and over a provider that plays."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import msgspec
import openai
import pytest
from pydantic import BaseModel

from tests.e2e.test_serve import Gateway
from tests.e2e.test_serve import serving as running
from tests.provider import Provider, Script
from tests.serving import KEY, application, serving

QUESTION: Any = [{"role": "user", "content": "What is 2 + 3?"}]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with running(tmp_path_factory.mktemp("clients"), GATEWAY_BOOTSTRAP_KEY=KEY) as gateway:
        gateway.await_banner()
        yield gateway


@pytest.fixture
def client(demo: Gateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{demo.url}/v1/", api_key=KEY, max_retries=0) as found:
        yield found


def test_a_chat(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="demo", messages=QUESTION)
    assert answer.choices[0].message.content == "2 + 3 = 5."
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None and answer.usage.completion_tokens > 3
    assert answer.model == "demo" and answer.object == "chat.completion"


def test_a_streamed_chat(client: openai.OpenAI) -> None:
    said, usage, roles = "", None, []
    options: Any = {"include_usage": True}
    for chunk in client.chat.completions.create(model="demo", messages=QUESTION, stream=True, stream_options=options):
        for choice in chunk.choices:
            said += choice.delta.content or ""
            roles.append(choice.delta.role)
        usage = chunk.usage or usage
    assert said == "2 + 3 = 5."
    assert [role for role in roles if role] == ["assistant"]
    assert usage is not None and usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


def test_a_completion_with_its_logprobs(client: openai.OpenAI) -> None:
    answer = client.completions.create(
        model="demo", prompt="Once upon a time", max_tokens=8, logprobs=2, n=2, echo=False
    )
    assert [choice.index for choice in answer.choices] == [0, 1]
    told = answer.choices[0].logprobs
    assert told is not None and told.tokens and told.text_offset and told.token_logprobs and told.top_logprobs
    assert "".join(told.tokens) == answer.choices[0].text
    assert len(told.text_offset) == len(told.tokens) == len(told.top_logprobs)
    assert answer.usage is not None and answer.usage.completion_tokens == 16


def test_prompts_in_every_form(client: openai.OpenAI) -> None:
    answer = client.completions.create(model="demo", prompt=["Once upon", "One day"], max_tokens=4, n=2, echo=True)
    assert [choice.index for choice in answer.choices] == [0, 1, 2, 3]
    assert [choice.text.startswith(("Once upon", "One day")) for choice in answer.choices] == [True] * 4
    ids = client.completions.create(model="demo", prompt=[[5, 6, 7], [8, 9]], max_tokens=4)
    assert [choice.index for choice in ids.choices] == [0, 1]


class Age(BaseModel):
    age: int
    units: str


def test_a_schema_is_kept(client: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": "How old is Tom? Tom is 12 years old."}]
    parsed = client.chat.completions.parse(model="demo", messages=asked, response_format=Age)
    assert parsed.choices[0].message.parsed == Age(age=12, units="years")


def test_constraints_of_vllm_s_clients(client: openai.OpenAI) -> None:
    ask = client.completions.create
    spelled: list[tuple[dict[str, Any], Any]] = [
        ({"guided_choice": ["red", "blue"]}, {"red", "blue"}),
        ({"structured_outputs": {"choice": ["red", "blue"]}}, {"red", "blue"}),
        ({"guided_regex": "[0-9]{3}"}, {f"{n:03}" for n in range(1000)}),
        ({"structured_outputs": {"regex": "[ab]"}}, {"a", "b"}),
        ({"guided_grammar": 'root ::= "yes" | "no"'}, {"yes", "no"}),
    ]
    for extra, allowed in spelled:
        answer = ask(model="demo", prompt="Say something:", max_tokens=20, temperature=1, extra_body=extra)
        assert answer.choices[0].text in allowed, extra
    schema = {
        "type": "object",
        "properties": {"n": {"type": "integer"}},
        "required": ["n"],
        "additionalProperties": False,
    }
    for name in ("guided_json", "structured_outputs"):
        extra = {name: schema if name == "guided_json" else {"json": schema}}
        answer = ask(model="demo", prompt="JSON:", max_tokens=60, temperature=0, extra_body=extra)
        assert isinstance(json.loads(answer.choices[0].text)["n"], int)


def test_models(client: openai.OpenAI) -> None:
    assert "demo" in [model.id for model in client.models.list()]
    assert client.models.retrieve("demo").id == "demo"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("meta-llama/nothing")


def test_errors_are_of_their_classes(client: openai.OpenAI, demo: Gateway) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.chat.completions.create(model="nope", messages=QUESTION)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.BadRequestError) as hot:
        client.chat.completions.create(model="demo", messages=QUESTION, temperature=7)
    assert hot.value.param == "temperature"
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-wrong").chat.completions.create(model="demo", messages=QUESTION)


# ------------------------------------------------------------------ over a provider that plays


@pytest.fixture
async def asking(provider: Provider, tmp_path: Path) -> AsyncIterator[openai.AsyncOpenAI]:
    async with (
        serving(application(tmp_path, provider.url)) as url,
        openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=KEY) as client,
    ):
        yield client


async def test_a_fan_out(asking: openai.AsyncOpenAI, provider: Provider) -> None:
    answer = await asking.chat.completions.create(model="a,b", messages=QUESTION)
    assert [choice.index for choice in answer.choices] == [0, 1]
    assert answer.usage is not None and answer.usage.prompt_tokens == 14
    provider.scripts["b"] = Script(status=500)
    said = {0: "", 1: ""}
    ended: dict[int, str | None] = {}
    async for chunk in await asking.chat.completions.create(model="a,b", messages=QUESTION, stream=True):
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
            ended[choice.index] = choice.finish_reason or ended.get(choice.index)
    assert said == {0: "Hello, world.", 1: ""}
    assert ended == {0: "stop", 1: "error"}


async def test_tools(asking: openai.AsyncOpenAI, provider: Provider) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "weather", "arguments": '{"city": "Bonn"}'}}
    message = {"role": "assistant", "content": None, "tool_calls": [call]}
    choice = {"index": 0, "message": message, "finish_reason": "tool_calls"}
    provider.scripts["a"] = Script(body=msgspec.json.encode({"id": "x", "choices": [choice]}))
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
    answer = await asking.chat.completions.create(model="a", messages=QUESTION, tools=[tool])
    calls = answer.choices[0].message.tool_calls
    assert calls and calls[0].type == "function" and calls[0].function.name == "weather"
    assert provider.seen[0].body["tools"] == [tool]


async def test_what_failed_here_is_not_tried_again_there(asking: openai.AsyncOpenAI, provider: Provider) -> None:
    provider.scripts["a"] = Script(status=400)
    with pytest.raises(openai.BadRequestError):
        await asking.chat.completions.create(model="a", messages=QUESTION)
    assert len(provider.seen) == 1


async def test_a_broken_stream_is_an_error(asking: openai.AsyncOpenAI, provider: Provider) -> None:
    provider.scripts["a"] = Script(cut_after=2)
    with pytest.raises(openai.APIError):
        async for _ in await asking.chat.completions.create(model="a", messages=QUESTION, stream=True):
            pass


async def test_leaving_a_stream_cancels_the_provider(asking: openai.AsyncOpenAI, provider: Provider) -> None:
    provider.scripts["a"] = Script(chunks=("x",) * 200, pause=0.01)
    stream = await asking.chat.completions.create(model="a", messages=QUESTION, stream=True)
    async for _ in stream:
        break
    await stream.close()
    await asyncio.wait_for(provider.seen[0].gone.wait(), 2)
