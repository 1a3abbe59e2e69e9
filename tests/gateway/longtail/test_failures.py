"""What goes wrong at a provider, in our words: its status says what, and nothing of it is repeated."""

import subprocess

import pytest

from tests.gateway.longtail import playing
from tests.gateway.longtail.conftest import KEY, Ask
from tests.gateway.longtail.playing import Provider, Script

PROMPT = "What is 2 + 3?"
QUOTED = f"{KEY} https://internal.example.com {PROMPT}"
"""What providers put into their errors."""


def claude(status: int, kind: str, words: str = "no", **headers: str) -> Script:
    return playing.claude_error(status, kind, f"{words} {QUOTED}", **headers)


def gemini(status: int, word: str, words: str = "no") -> Script:
    return playing.gemini_error(status, word, f"{words} {QUOTED}")


TOO_LONG = "prompt is too long: 210000 tokens > 200000 maximum"
GEMINI_TOO_LONG = "The input token count (1048577) exceeds the maximum number of tokens allowed (1048576)."


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (claude(400, "invalid_request_error"), 400, "invalid_request"),
        (claude(400, "invalid_request_error", TOO_LONG), 400, "context_length_exceeded"),
        (claude(401, "authentication_error", "invalid x-api-key"), 401, "invalid_api_key"),
        (claude(403, "permission_error"), 403, "permission_denied"),
        (claude(404, "not_found_error"), 404, "model_not_found"),
        (claude(429, "rate_limit_error", retry_after="7"), 429, "rate_limit_exceeded"),
        (claude(500, "api_error"), 503, "unavailable"),
        (claude(529, "overloaded_error"), 503, "unavailable"),
        (Script(b"<html>" + QUOTED.encode(), 502, kind="text/html"), 503, "unavailable"),
    ],
)
def test_claude(ask_claude: Ask, provider: Provider, script: Script, status: int, code: str, stream: bool) -> None:
    provider.plays(script)
    answer = ask_claude(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.headers.get("retry-after") == ("7" if status == 429 else None)
    assert_scrubbed(answer.text)
    assert len(provider.seen) == 1, "a hidden retry"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        (gemini(400, "INVALID_ARGUMENT"), 400, "invalid_request"),
        (gemini(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."), 401, "invalid_api_key"),
        (gemini(400, "INVALID_ARGUMENT", GEMINI_TOO_LONG), 400, "context_length_exceeded"),
        (gemini(403, "PERMISSION_DENIED"), 403, "permission_denied"),
        (gemini(404, "NOT_FOUND"), 404, "model_not_found"),
        (gemini(429, "RESOURCE_EXHAUSTED"), 429, "rate_limit_exceeded"),
        (gemini(500, "INTERNAL"), 503, "unavailable"),
        (gemini(503, "UNAVAILABLE"), 503, "unavailable"),
        (gemini(504, "DEADLINE_EXCEEDED"), 504, "timeout"),
    ],
)
def test_gemini(ask_gemini: Ask, provider: Provider, script: Script, status: int, code: str, stream: bool) -> None:
    provider.plays(script)
    answer = ask_gemini(stream=stream)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert_scrubbed(answer.text)
    assert len(provider.seen) == 1, "a hidden retry"


@pytest.mark.parametrize("body", [b"", b"[]", b'{"type": "message"}', b"\xff\xfe{"])
def test_an_answer_that_is_none_is_the_providers_failure(ask_claude: Ask, provider: Provider, body: bytes) -> None:
    provider.plays(Script(body))
    answer = ask_claude()
    assert answer.status_code >= 500
    assert_scrubbed(answer.text)


def test_a_provider_that_cannot_be_reached(ask_claude: Ask) -> None:
    answer = ask_claude(headers={"x-litellm-base": "http://127.0.0.1:9"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert "127.0.0.1" not in answer.text


def test_a_provider_that_litellm_does_not_know(ask_claude: Ask) -> None:
    answer = ask_claude(headers={"x-litellm-provider": "antropic"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")


def test_without_a_key_none_is_taken_from_elsewhere(
    ask_claude: Ask, provider: Provider, child: subprocess.Popen[bytes]
) -> None:
    """The child has a key of Anthropic's in its environment here, as nobody's gateway gives it one."""
    provider.plays(playing.claude({"type": "text", "text": "5"}))
    ask_claude()
    assert "sk-not-this-one" not in str(provider.seen)


def assert_scrubbed(text: str) -> None:
    for secret in (KEY, "internal.example.com", PROMPT, "litellm", "Exception", "127.0.0.1"):
        assert secret not in text
