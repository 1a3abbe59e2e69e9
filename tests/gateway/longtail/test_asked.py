"""What a body may say to litellm: questions to a model. What would steer litellm is refused by its name."""

from typing import Any

import msgspec
import pytest

from gateway.longtail.asked import Refused, read
from tests.gateway.longtail import playing
from tests.gateway.longtail.conftest import Ask
from tests.gateway.longtail.playing import Provider

KNOWN = ["max_tokens", "stop", "stream", "temperature", "tools", "user"]
CHAT = "/chat/completions"
MESSAGES = [{"role": "user", "content": "hi"}]


def arguments(route: str = CHAT, known: list[str] | None = KNOWN, **fields: Any) -> dict[str, Any]:
    given = {"messages": MESSAGES} if route == CHAT else {"prompt": "x"}
    body = msgspec.json.encode({"model": "m", **given, **fields})
    return read(route, body, "anthropic", lambda model, provider: known).arguments


def refusal(route: str = CHAT, known: list[str] | None = KNOWN, **fields: Any) -> str | None:
    with pytest.raises(Refused) as caught:
        arguments(route, known, **fields)
    return caught.value.param


def test_what_is_known_is_passed_on() -> None:
    assert arguments(temperature=0, stop=["x"], user="u", max_tokens=None) == {
        "model": "m",
        "messages": MESSAGES,
        "temperature": 0,
        "stop": ["x"],
        "user": "u",
    }


@pytest.mark.parametrize(
    "name",
    [
        "api_key",
        "api_base",
        "base_url",
        "api_version",
        "custom_llm_provider",
        "mock_response",
        "mock_timeout",
        "fallbacks",
    ]
    + [
        "callbacks",
        "success_callback",
        "headers",
        "extra_headers",
        "extra_body",
        "extra_query",
        "model_list",
        "timeout",
    ]
    + [
        "num_retries",
        "max_retries",
        "drop_params",
        "additional_drop_params",
        "allowed_openai_params",
        "client",
        "caching",
    ]
    + ["aws_access_key_id", "aws_role_name", "aws_bedrock_runtime_endpoint", "aws_web_identity_token", "api_type"]
    + ["vertex_credentials", "vertex_project", "vertex_location", "azure_ad_token", "organization", "litellm_params"]
    + ["litellm_credential_name", "litellm_logging_obj", "langfuse_host", "proxy_server_request", "secret_fields"]
    + [
        "prompt_id",
        "prompt_variables",
        "custom_prompt_dict",
        "roles",
        "hf_model_name",
        "model_info",
        "input_cost_per_token",
    ]
    + ["ssl_verify", "shared_session", "deployment_id", "provider_specific_header", "use_litellm_proxy", "guardrails"]
    + ["acompletion", "async_call", "logger_fn", "cache", "ttl", "router_model_id", "no-log", "_skip_mcp_handler"]
    + ["anthropic_identity_token_file", "enable_json_schema_validation", "thinking_blocks", "guided_json", "anything"],
)
def test_what_would_steer_litellm_is_refused(name: str) -> None:
    assert refusal(CHAT, None, **{name: "x"}) == name
    assert refusal(CHAT, KNOWN, **{name: {"x": 1}}) == name


def test_metadata_is_no_instruction_to_litellms_loggers() -> None:
    assert "metadata" not in arguments(metadata={"generation_name": "x", "user_api_key": "y"}, known=["metadata"])


def test_a_parameter_without_a_word_is_refused_and_a_hint_is_not() -> None:
    assert refusal(seed=1) == "seed"
    assert refusal(response_format={"type": "json_object"}) == "response_format"
    assert refusal(n=2) == "n"
    given = arguments(n=1, frequency_penalty=0, logit_bias={}, store=True, service_tier="auto", metadata={"a": "b"})
    assert given.keys() == {"model", "messages"}


def test_common_names_beyond_openai_are_passed_on_unless_they_ask_for_nothing() -> None:
    assert arguments(top_k=40, min_p=0)["top_k"] == 40
    assert "min_p" not in arguments(top_k=40, min_p=0)


@pytest.mark.parametrize("name", ["suffix", "echo", "best_of", "logprobs"])
def test_a_chat_has_no_words_for_what_belongs_to_texts(name: str) -> None:
    assert refusal("/completions", ["logprobs"], **{name: 2 if name != "suffix" else "end"}) == name


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}},
        {"type": "image_url", "image_url": "https://example.com/a.png"},
        {"type": "image_url", "image_url": {"url": " HTTP://example.com/a.png"}},
        {"type": "file", "file": {"file_id": "gs://bucket/secret.pdf"}},
        {"type": "file", "file": {"file_data": "file:///etc/passwd"}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
        {"type": "anything", "deep": [{"er": "s3://bucket/x"}]},
        {"type": "image_url", "data": {"url": "https://example.com/a.png"}},
    ],
)
def test_nothing_is_fetched_for_a_caller(part: dict[str, Any]) -> None:
    assert refusal(messages=[{"role": "user", "content": [{"type": "text", "text": "https://x.example"}, part]}]) == (
        "messages"
    )


def test_what_is_said_may_be_an_address_and_images_may_be_data() -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    said = {"type": "text", "text": "https://example.com/"}
    messages = [{"role": "user", "content": [said, image]}, {"role": "user", "content": "http://x"}]
    assert arguments(messages=messages)["messages"] == messages


def embed(given: Any, provider: str = "vertex_ai") -> Any:
    body = msgspec.json.encode({"model": "m", "input": given})
    return read("/embeddings", body, provider, lambda model, provider: None).arguments["input"]


@pytest.mark.parametrize(
    ("provider", "text"),
    [
        ("vertex_ai", "gs://bucket/private.png"),
        ("vertex_ai", "\n GS://bucket/a private one.png"),
        ("bedrock", "s3://bucket/private.png"),
        ("jina_ai", "http://169.254.169.254/latest"),
        ("jina_ai", " https://example.com/a.png "),
        ("jina_ai", "file:///etc/passwd"),
        ("gemini", "files/abc-123"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/files/abc?x=a b"),
    ],
)
def test_no_text_to_be_embedded_is_read_from_an_address(provider: str, text: str) -> None:
    for given in (text, ["a", text], [["a", text]]):
        with pytest.raises(Refused) as caught:
            embed(given, provider)
        assert caught.value.param == "input"
        assert "private" not in caught.value.message


@pytest.mark.parametrize(
    "given",
    [
        "see https://example.com/a.png",
        "https://example.com/ is an example",
        "copy gs://bucket/a to s3://bucket/b",
        ["a: b", "data:image/png;base64,iVBORw0KGgo="],
        [1, 2],
        [[1], [2, 3]],
    ],
)
def test_texts_that_mention_an_address_are_texts(given: Any) -> None:
    assert embed(given) == given


def test_a_file_is_one_only_where_providers_keep_files() -> None:
    assert embed("files/main.py", "voyage") == "files/main.py"


@pytest.mark.parametrize("given", [{"gcsUri": "gs://b/x"}, [{"image": {"gcsUri": "gs://b/x"}}], [None], [1.5]])
def test_only_texts_and_token_ids_are_embedded(given: Any) -> None:
    with pytest.raises(Refused, match="texts or token ids"):
        embed(given)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"model": 1}', b'{"model": "m", "stream": "yes"}', b"\xff"])
def test_a_body_that_is_none(body: bytes) -> None:
    with pytest.raises(Refused):
        read(CHAT, body, "anthropic", lambda model, provider: None)


def test_a_missing_input_is_named() -> None:
    with pytest.raises(Refused) as caught:
        read("/embeddings", b'{"model": "m"}', "gemini", lambda model, provider: None)
    assert caught.value.param == "input"


# --- by the real one ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_base", "http://127.0.0.1:9"),
        ("mock_response", "owned"),
        ("n", 2),
        ("seed", 1),
        ("extra_headers", {"a": "b"}),
    ],
)
def test_the_child_refuses_and_asks_nobody(ask_claude: Ask, provider: Provider, field: str, value: Any) -> None:
    provider.plays(playing.claude({"type": "text", "text": "hi"}))
    answer = ask_claude(**{field: value})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field)
    assert provider.seen == []


def test_the_child_reads_nothing_for_embeddings(ask_gemini: Ask, provider: Provider) -> None:
    answer = ask_gemini("/embeddings", input=["gs://bucket/private.png"])
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "input")
    assert provider.seen == []


def test_an_image_is_sent_along(ask_gemini: Ask, provider: Provider) -> None:
    provider.plays(playing.gemini({"text": "a dot"}))
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
    assert ask_gemini(messages=[{"role": "user", "content": [image]}]).status_code == 200
    assert "iVBORw0KGgo=" in str(provider.seen[0].body)
