"""What the demo model is asked, and what it is spared."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.errors import Rejected
from adapters.local.demo import Demo
from adapters.types import AnyJson, Call, Chat, Constraint, Host, Input, JsonSchema, OneOf, Params

DEMO = Demo(Host(base_url="http://x", engine="llama.cpp", demo=True))


AGE = {"type": "object", "properties": {"age": {"type": "integer"}}, "required": ["age"], "additionalProperties": False}
MESSAGES = Chat(Raw(b'[{"role":"user","content":"x"}]'))


def as_constraint(schema: dict[str, Any], **more: Any) -> JsonSchema:
    return JsonSchema(Raw(msgspec.json.encode(schema)), **more)


def sent(constraint: Constraint, asked: Input = "x", **params: Any) -> dict[str, Any]:
    call = Call("demo", asked, Params(**params), constraint=constraint)
    return msgspec.json.decode(DEMO.encode(call).body, type=dict[str, Any])


@pytest.mark.parametrize("asked", ["x", MESSAGES])
@pytest.mark.parametrize("constraint", [as_constraint(AGE), AnyJson()])
def test_json_is_asked_for_by_a_grammar(constraint: Constraint, asked: Input) -> None:
    body = sent(constraint, asked)
    assert body["grammar"].startswith("root ::= ")
    assert not {"json_schema", "response_format"} & body.keys()


def test_the_limit_of_tokens_bounds_the_grammar() -> None:
    text = as_constraint({"type": "string"})
    assert sent(text, max_tokens=20)["grammar"] != sent(text, max_tokens=200)["grammar"]


def test_a_schema_without_such_a_grammar_is_sent_within_bounds() -> None:
    body = sent(as_constraint({"type": "object", "properties": {"x": {"type": "string"}}, "not": {"required": ["y"]}}))
    assert "grammar" not in body and body["json_schema"]["properties"]["x"]["maxLength"] == 48


def test_brackets_are_likelier_in_json_only() -> None:
    assert sent(as_constraint(AGE), logit_bias={"5": 1.0})["logit_bias"] == {"99": 18.0, "67": 18.0, "5": 1.0}
    assert "logit_bias" not in sent(OneOf(("a", "b")))


def test_options_of_another_engine_are_refused() -> None:
    with pytest.raises(Rejected) as caught:
        sent(as_constraint(AGE, options={"whitespace_pattern": Raw(b'"x"')}))
    assert caught.value.param == "whitespace_pattern"


@pytest.mark.parametrize(
    ("messages", "fields", "param"),
    [
        (b'[{"role":"user","content":"x"}]', {"tools": Raw(b'[{"type":"function"}]')}, "tools"),
        (b'[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:x"}}]}]', {}, "messages"),
    ],
)
def test_what_it_was_not_taught_is_refused(messages: bytes, fields: dict[str, Raw], param: str) -> None:
    with pytest.raises(Rejected) as caught:
        DEMO.encode(Call("demo", Chat(Raw(messages)), Params(), fields=fields))
    assert caught.value.param == param
