"""What the demo model is asked, and what it is spared."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.errors import Rejected
from adapters.local.demo import Demo
from adapters.types import Call, Chat, Host, JsonSchema, Params

DEMO = Demo(Host(base_url="http://x", engine="llama.cpp", demo=True))


def sent(schema: dict[str, Any]) -> Any:
    call = Call("demo", "x", Params(), constraint=JsonSchema(Raw(msgspec.json.encode(schema))))
    return msgspec.json.decode(DEMO.encode(call).body)["json_schema"]


def test_what_has_no_end_gets_one() -> None:
    schema = {
        "type": "object",
        "properties": {
            "n": {"type": "number"},
            "s": {"type": "string"},
            "a": {"type": "array", "items": {"type": "integer"}},
        },
    }
    found = sent(schema)["properties"]
    assert found["n"]["multipleOf"] == 0.01 and found["s"]["maxLength"] == 48
    assert found["a"]["maxItems"] == 4 and found["a"]["items"]["maximum"] == 999_999


@pytest.mark.parametrize(
    "bound",
    [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": "^a$"},
        {"type": "array", "minItems": 7, "items": True},
        {"type": "string", "enum": ["x"]},
        {"const": {"type": "string"}},
    ],
)
def test_what_the_caller_has_bounded_stays(bound: dict[str, Any]) -> None:
    assert sent({"type": "object", "properties": {"x": bound}})["properties"]["x"] == bound


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
