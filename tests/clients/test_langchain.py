"""LangChain's OpenAI classes against a running gateway."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx2
import pytest
from langchain_openai import ChatOpenAI, OpenAI
from pydantic import SecretStr

from tests.provider import Provider, Script
from tests.serving import KEY, application, serving

Options = Callable[[str], dict[str, Any]]


@pytest.fixture
async def url(provider: Provider, tmp_path: Path) -> AsyncIterator[str]:
    async with serving(application(tmp_path, provider.url)) as found:
        yield f"{found}/v1"


@pytest.fixture
async def options(url: str) -> AsyncIterator[Options]:
    """What makes an object of theirs, over a connection that is closed afterwards."""
    async with httpx2.AsyncClient() as http:
        common = {"base_url": url, "api_key": SecretStr(KEY), "max_retries": 0, "http_async_client": http}
        yield lambda model: {"model": model, **common}


async def test_a_chat(options: Options, provider: Provider) -> None:
    answer = await ChatOpenAI(**options("a"), temperature=0.5).ainvoke("hi")
    assert answer.content == "Hello, world."
    assert answer.usage_metadata is not None and answer.usage_metadata["total_tokens"] == 11
    assert provider.seen[0].body["temperature"] == 0.5


async def test_a_streamed_chat(options: Options) -> None:
    chat = ChatOpenAI(**options("a"), stream_usage=True)
    pieces = [piece async for piece in chat.astream("hi")]
    assert "".join(str(piece.content) for piece in pieces) == "Hello, world."
    assert any(piece.usage_metadata for piece in pieces)


async def test_a_tool_is_bound(options: Options, provider: Provider) -> None:
    def weather(city: str) -> str:
        """The weather of a city."""
        return city

    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Bonn"}'}}
    events: tuple[Any, ...] = (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "tool_calls": [call]}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]},
        b"[DONE]",
    )
    provider.scripts["a"] = Script(events=events)
    chat = ChatOpenAI(**options("a"), streaming=True).bind_tools([weather])
    answer = await chat.ainvoke("hi")
    assert [(made["name"], made["args"]) for made in answer.tool_calls] == [("weather", {"city": "Bonn"})]


async def test_completions(options: Options) -> None:
    assert await OpenAI(**options("raw")).ainvoke("hi") == "Hello, world."
    texts = await OpenAI(**options("a")).agenerate(["one", "two"])
    assert [found[0].text for found in texts.generations] == ["Hello, world."] * 2
