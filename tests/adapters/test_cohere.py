"""What recordings of Cohere's wire cannot say: whatever a caller writes, it is sent, or refused by its name."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.cohere import Cohere, CohereDecoder
from adapters.errors import Garbled, Rejected
from adapters.types import Call, Chat, Constraint, Fields, Host, JsonSchema, OneOf, Params, Prompts

ADAPTER = Cohere(Host(base_url="https://api.cohere.com", key="sk-test"))
USER = {"role": "user", "content": "hello"}
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}


def asked(messages: Any, constraint: Constraint | None = None, **fields: Any) -> Call:
    written: Fields = {name: Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    return Call("m", Chat(Raw(msgspec.json.encode(messages))), fields=written, constraint=constraint)


def sent(call: Call) -> Any:
    return msgspec.json.decode(ADAPTER.encode(call).body)


def refused(call: Call) -> Rejected:
    with pytest.raises(Rejected) as caught:
        ADAPTER.encode(call)
    return caught.value


def test_what_is_no_chat_is_refused() -> None:
    for text in ("hello", Prompts(("a", (1, 2)))):
        assert refused(Call("m", text)).param == "prompt"


def test_one_choice_a_request() -> None:
    assert ADAPTER.most(asked([USER])) == 1
    assert ADAPTER.takes == frozenset()


@pytest.mark.parametrize(
    ("message", "why"),
    [
        ({"role": "user"}, "holds no content"),
        ({"role": "tool", "content": "4"}, "holds no tool_call_id"),
        ({"role": "assistant"}, "neither content nor tool_calls"),
        ({"role": "assistant", "content": "a", "name": "ann"}, "no word for name"),
        ({"role": "assistant", "content": "a", "refusal": "no"}, "no word for refusal"),
        ({"role": "assistant", "content": "a", "reasoning": {"x": 1}}, "reasoning is a text"),
        ({"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}}, "no word for function_call"),
        ({"role": "assistant", "audio": {"id": "a"}}, "no word for audio"),
        ({"role": "user", "content": "a", "tool_calls": []}, "no word for tool_calls"),
        ({"role": "user", "content": [{"type": "image_url", "image_url": "https://x/a.png"}]}, "object with a url"),
        ({"role": "user", "content": [{"type": "text"}]}, "takes no text"),
        ({"role": "user", "content": [{"type": "video_url"}]}, "takes no video_url"),
        ({"role": "tool", "tool_call_id": "c", "content": [{"type": "image_url"}]}, "takes no image_url"),
        ({"content": "a"}, "role"),
    ],
)
def test_messages_that_cohere_has_no_words_for(message: Any, why: str) -> None:
    error = refused(asked([USER, message]))
    assert error.param == "messages"
    assert why in error.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"tools": 7}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"tools": [{"type": "function", "function": {"name": "f", "parameters": [1]}}]}, "tools"),
        ({"tools": [TOOL], "tool_choice": "perhaps"}, "tool_choice"),
        ({"tools": [TOOL], "tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"reasoning_effort": 7}, "reasoning_effort"),
        ({"reasoning_effort": "none", "thinking": {"type": "enabled"}}, "reasoning_effort"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"web_search_options": {}}, "web_search_options"),
    ],
)
def test_fields_that_cohere_has_no_words_for(fields: dict[str, Any], param: str) -> None:
    assert refused(asked([USER], **fields)).param == param


def test_a_tool_without_parameters_has_none() -> None:
    empty: tuple[Any, ...] = ({}, None)
    for parameters in empty:
        tool = {"type": "function", "function": {"name": "f", "parameters": parameters}}
        assert sent(asked([USER], tools=[tool]))["tools"] == [TOOL]


def test_no_tools_and_none_to_be_chosen() -> None:
    assert sent(asked([USER], tools=[], tool_choice="none")) == sent(asked([USER]))


def test_strict_tools_as_written_win() -> None:
    strict = {"type": "function", "function": {"name": "g", "strict": True}}
    assert sent(asked([USER], tools=[TOOL, strict], strict_tools=False))["strict_tools"] is False


def test_a_constraint_is_refused_by_the_name_it_came_under() -> None:
    schema = JsonSchema(Raw(b'{"type":"object"}'))
    both: dict[str, Any] = {"tools": [TOOL]}
    assert refused(asked([USER], schema, **both)).param == "guided_json"
    assert refused(asked([USER], OneOf(("a",)), **both)).param == "guided_choice"
    assert refused(asked([USER], schema, response_format={"type": "json_schema"}, **both)).param == "response_format"


def test_a_schema_is_described() -> None:
    schema = JsonSchema(Raw(b'{"type":"object"}'), description="A day.")
    told = sent(asked([USER], schema))["response_format"]["json_schema"]
    assert told == {"type": "object", "description": "A day."}


@pytest.mark.parametrize("schema", [b"[" * 20_000 + b"]" * 20_000, b"{", b'{"type":"array","title":"\xff"}'])
def test_a_schema_that_cannot_be_read_is_refused(schema: bytes) -> None:
    assert refused(asked([USER], JsonSchema(Raw(schema)))).param == "guided_json"


def test_refusals_of_parameters_without_fields_are_named_too() -> None:
    chat = Chat(Raw(b'[{"role":"user","content":"hello"}]'))
    for params, name in ((Params(min_p=0.5), "min_p"), (Params(include_stop=True), "include_stop")):
        assert refused(Call("m", chat, params)).param == name


WORDS = """
    role content name tool_calls tool_call_id refusal reasoning_content reasoning type text image_url url function
    arguments id parameters strict description
"""
KEYS = st.sampled_from(WORDS.split())
ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-1, 9) | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ROLES = st.sampled_from(["system", "developer", "user", "assistant", "tool", "function"])
PARTS = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "file"])}, optional={"text": ANY})
CALLS = st.fixed_dictionaries(
    {
        "id": st.text(max_size=3),
        "function": st.fixed_dictionaries({"name": st.text(max_size=3)}, optional={"arguments": ANY}),
    }
)
MESSAGES = st.fixed_dictionaries(
    {"role": ROLES},
    optional={
        "content": st.text(max_size=4) | st.lists(PARTS | ANY, max_size=2) | ANY,
        "tool_calls": st.lists(CALLS, max_size=2) | ANY,
        "tool_call_id": st.text(max_size=3) | ANY,
        "reasoning_content": st.text(max_size=3) | ANY,
    },
)


@given(messages=st.lists(MESSAGES, min_size=1, max_size=3) | ANY, stream=st.booleans())
def test_messages_are_sent_or_refused(messages: Any, stream: bool) -> None:
    call = asked(messages)
    try:
        got = sent(call)
    except Rejected as exc:
        assert exc.param == "messages" and len(exc.message) < 160
        return
    assert [m["role"].replace("system", "developer") for m in got["messages"]] == [
        m["role"].replace("system", "developer") for m in messages
    ]
    for mine, theirs in zip(messages, got["messages"], strict=True):
        if isinstance(mine.get("content"), str) and mine["content"] and not mine.get("reasoning_content"):
            assert theirs["content"] == mine["content"]
        assert len(theirs.get("tool_calls", [])) == len(mine.get("tool_calls") or [])


FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(st.just(TOOL) | st.fixed_dictionaries({"function": ANY}, optional={"type": ANY}), max_size=2)
        | ANY,
        "tool_choice": st.sampled_from(["auto", "none", "required"]) | ANY,
        "reasoning_effort": st.sampled_from(["none", "high"]) | ANY,
        "parallel_tool_calls": ANY,
        "thinking": ANY,
        "documents": ANY,
    },
)


@given(fields=FIELDS)
def test_fields_are_sent_or_refused(fields: dict[str, Any]) -> None:
    try:
        got = sent(asked([USER], **fields))
    except Rejected as exc:
        assert exc.param in fields and len(exc.message) < 160
        return
    for name in ("thinking", "documents"):
        if fields.get(name) is not None:
            assert got[name] == fields[name]
    if fields.get("tools") and not isinstance(fields.get("tool_choice"), dict):
        assert len(got["tools"]) == len(fields["tools"])


@pytest.mark.parametrize("rich", [False, True])
def test_a_stream_may_say_that_it_is_done(rich: bool) -> None:
    decoder = CohereDecoder(rich)
    said = decoder.feed(b'data: {"type":"message-end","delta":{"finish_reason":"COMPLETE"}}\n\ndata: [DONE]\n\n')
    assert [delta.finish for delta in said] == ["stop"]
    decoder.close()


def test_to_say_so_does_not_end_a_message() -> None:
    decoder = CohereDecoder()
    assert not decoder.feed(b"data: [DONE]\n\n")
    with pytest.raises(Garbled):
        decoder.close()
