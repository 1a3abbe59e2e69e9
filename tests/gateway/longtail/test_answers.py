"""litellm's process with the real litellm: what comes back of providers that play, whole, streamed and failing."""

import json
from typing import Any

import httpx
import pytest

from tests.gateway.longtail import playing
from tests.gateway.longtail.conftest import KEY, Ask
from tests.gateway.longtail.playing import Provider

TOOL = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
}


def pieces(response: httpx.Response) -> list[dict[str, Any]]:
    """The events of a stream that has ended as it should."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "text/event-stream"
    *frames, done, rest = response.text.split("\n\n")
    assert (done, rest) == ("data: [DONE]", "")
    return [json.loads(frame.removeprefix("data: ")) for frame in frames]


def text(events: list[dict[str, Any]]) -> str:
    return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])


# --- whole -----------------------------------------------------------------------------------------------


def test_a_message_of_claude(ask_claude: Ask, provider: Provider) -> None:
    provider.plays(playing.claude({"type": "text", "text": "2 + 3 = 5."}))
    answer = ask_claude(max_tokens=50, temperature=0, stop=["x"])
    assert answer.status_code == 200
    [choice] = answer.json()["choices"]
    assert (choice["index"], choice["finish_reason"]) == (0, "stop")
    assert choice["message"]["content"] == "2 + 3 = 5."
    usage = answer.json()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (16, 6)  # Anthropic's input leaves out the cached
    assert usage["prompt_tokens_details"]["cached_tokens"] == 4
    [seen] = provider.seen
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == KEY
    assert {name: seen.body[name] for name in ("model", "max_tokens", "temperature", "stop_sequences")} == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 50,
        "temperature": 0,
        "stop_sequences": ["x"],
    }


def test_an_answer_of_gemini(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.gemini({"text": "2 + 3 = 5."}, finish="MAX_TOKENS"))
    answer = ask_gemini(max_tokens=5, seed=7).json()
    assert answer["choices"][0]["message"]["content"] == "2 + 3 = 5."
    assert answer["choices"][0]["finish_reason"] == "length"
    assert (answer["usage"]["prompt_tokens"], answer["usage"]["completion_tokens"]) == (8, 5)
    [seen] = provider.seen
    assert seen.path.endswith("models/gemini-2.5-flash:generateContent")
    assert seen.headers["x-goog-api-key"] == KEY
    assert seen.body["generationConfig"] == {"max_output_tokens": 5, "seed": 7}


def test_claude_uses_a_tool(ask_claude: Ask, provider: Provider) -> None:
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}}
    provider.plays(playing.claude(use, stop="tool_use"))
    [choice] = ask_claude(tools=[TOOL], tool_choice="required").json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    [call] = choice["message"]["tool_calls"]
    assert (call["id"], call["type"], call["function"]["name"]) == ("toolu_1", "function", "weather")
    assert json.loads(call["function"]["arguments"]) == {"city": "Paris"}
    assert provider.seen[0].body["tool_choice"] == {"type": "any"}
    assert provider.seen[0].body["tools"][0]["input_schema"] == TOOL["function"]["parameters"]  # type: ignore[index]


def test_gemini_uses_a_tool(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.gemini({"functionCall": {"name": "weather", "args": {"city": "Paris"}}}))
    [choice] = ask_gemini(tools=[TOOL]).json()["choices"]
    assert choice["finish_reason"] == "tool_calls"
    [call] = choice["message"]["tool_calls"]
    assert (call["function"]["name"], json.loads(call["function"]["arguments"])) == ("weather", {"city": "Paris"})


def test_a_text_is_continued_by_a_chat(ask_claude: Ask, provider: Provider) -> None:
    provider.plays(playing.claude({"type": "text", "text": "and they lived"}))
    answer = ask_claude("/completions", prompt="Once upon a time").json()
    assert (answer["object"], answer["choices"][0]["text"]) == ("text_completion", "and they lived")
    [message] = provider.seen[0].body["messages"]
    assert message == {"role": "user", "content": [{"type": "text", "text": "Once upon a time"}]}


def test_embeddings(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.Script(json.dumps({"embeddings": [{"values": [0.5, -0.25]}]}).encode()))
    answer = ask_gemini("/embeddings", input=["hello"])
    assert answer.json()["data"][0]["embedding"] == [0.5, -0.25]


# --- streams ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("usage", [True, False])
def test_a_stream_of_claude(ask_claude: Ask, provider: Provider, usage: bool) -> None:
    provider.plays(playing.claude_stream("2 + 3", " = ", "5."))
    events = pieces(ask_claude(stream=True, stream_options={"include_usage": usage}))
    assert text(events) == "2 + 3 = 5."
    assert sum(bool(event["choices"] and event["choices"][0]["delta"].get("content")) for event in events) == 3
    assert [e["choices"][0]["finish_reason"] for e in events if e["choices"]][-1] == "stop"
    assert [(e["usage"]["prompt_tokens"], e["usage"]["completion_tokens"]) for e in events if "usage" in e] == (
        [(12, 6)] if usage else []
    )
    assert not usage or events[-1]["choices"] == []
    assert provider.seen[0].body["stream"] is True


def test_a_stream_of_gemini(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.gemini_stream("2 + 3", " = ", "5."))
    events = pieces(ask_gemini(stream=True, stream_options={"include_usage": True}))
    assert text(events) == "2 + 3 = 5."
    assert (events[-1]["usage"]["prompt_tokens"], events[-1]["usage"]["completion_tokens"]) == (8, 5)
    assert provider.seen[0].path.endswith(":streamGenerateContent?alt=sse")


def test_usage_that_nobody_has_reported_is_not_made_up(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.gemini_stream("2 + 3", " = 5.", counted=False))
    events = pieces(ask_gemini(stream=True, stream_options={"include_usage": True}))
    assert text(events) == "2 + 3 = 5."
    assert [event for event in events if "usage" in event] == []


def test_a_tool_is_called_in_pieces(ask_claude: Ask, provider: Provider) -> None:
    provider.plays(playing.claude_tool_stream("weather", '{"city":', ' "Paris"}'))
    events = pieces(ask_claude(stream=True, tools=[TOOL]))
    calls = [call for e in events for c in e["choices"] for call in c["delta"].get("tool_calls") or ()]
    assert calls[0]["function"]["name"] == "weather"
    assert json.loads("".join(call["function"].get("arguments") or "" for call in calls)) == {"city": "Paris"}
    assert [e["choices"][0]["finish_reason"] for e in events if e["choices"]][-1] == "tool_calls"


def test_a_text_is_continued_piece_by_piece(ask_claude: Ask, provider: Provider) -> None:
    provider.plays(playing.claude_stream("and they", " lived"))
    events = pieces(ask_claude("/completions", prompt="Once", stream=True))
    assert "".join(choice["text"] for event in events for choice in event["choices"]) == "and they lived"


def test_a_stream_that_fails_midway_says_so(ask_claude: Ask, provider: Provider) -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": f"Overloaded {KEY}"}}
    provider.plays(playing.Script(playing.claude_said("2 + 3", then=(error,)), kind="text/event-stream"))
    answer = ask_claude(stream=True)
    assert answer.status_code == 200
    *_, last, rest = answer.text.split("\n\n")
    assert rest == "" and "[DONE]" not in answer.text
    assert json.loads(last.removeprefix("data: "))["error"]["code"] in (500, 503)
    assert KEY not in answer.text and "Overloaded" not in answer.text


@pytest.mark.parametrize("stream", [True, False])
def test_who_leaves_takes_the_provider_along(
    tail: httpx.Client, ask_claude: Ask, provider: Provider, stream: bool
) -> None:
    provider.plays(playing.Script(playing.claude_said("2 + 3"), kind="text/event-stream", slow=True))
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    private = {"x-litellm-provider": "anthropic", "x-litellm-key": KEY, "x-litellm-base": provider.url}
    if stream:
        with tail.stream("POST", "/chat/completions", json=body, headers=private) as answer:
            next(answer.iter_raw())
    else:
        with pytest.raises(httpx.ReadTimeout):
            tail.post("/chat/completions", json=body, headers=private, timeout=0.5)
    assert provider.gone.wait(3)
