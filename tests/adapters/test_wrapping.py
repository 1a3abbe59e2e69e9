"""Wrapping keeps what a schema means, and unwrapping gives back what was meant."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import AnyJson, Delta, JsonSchema, OneOf
from adapters.wrapping import Unwrapping, chosen, schema_of, unwrapped, unwrapping, wrapped


def wrap(schema: Any) -> Any:
    raw, is_wrapped = wrapped(Raw(msgspec.json.encode(schema)))
    assert is_wrapped
    return msgspec.json.decode(raw)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"type": "object", "properties": {"anyOf": {"type": "integer"}}, "$defs": {"x": True}},
    ],
)
def test_an_object_stays_as_it_is_written(schema: Any) -> None:
    raw = Raw(msgspec.json.format(msgspec.json.encode(schema), indent=3))
    assert wrapped(raw) == (raw, False)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array"},
        {"type": ["object", "null"]},
        {"enum": [1, "a"]},
        {"properties": {}},
        {"type": "object", "anyOf": [{"required": ["a"]}, {"required": ["b"]}]},
        {},
        True,
    ],
)
def test_anything_else_becomes_the_answer_of_an_object(schema: Any) -> None:
    assert wrap(schema) == {
        "type": "object",
        "properties": {"answer": schema},
        "required": ["answer"],
        "additionalProperties": False,
    }


def test_references_keep_their_meaning() -> None:
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "array",
        "items": {
            "anyOf": [
                {"$ref": "#/$defs/leaf"},
                {"$ref": "#"},
                {"$ref": "#/prefixItems/0"},
                {"$ref": "https://example.com/other.json"},
            ]
        },
        "prefixItems": [{"type": "object", "properties": {"$ref": {"$ref": "#/definitions/old"}}}],
        "default": [{"$ref": "#"}],
        "$defs": {"leaf": {"enum": [{"$ref": "#"}]}, "default": {"$ref": "#/items"}},
        "definitions": {"old": True},
    }
    got = wrap(schema)
    assert got["$schema"] == schema["$schema"]
    assert got["$defs"] == {"leaf": {"enum": [{"$ref": "#"}]}, "default": {"$ref": "#/properties/answer/items"}}
    assert got["definitions"] == {"old": True}
    assert got["properties"]["answer"] == {
        "type": "array",
        "items": {
            "anyOf": [
                {"$ref": "#/$defs/leaf"},
                {"$ref": "#/properties/answer"},
                {"$ref": "#/properties/answer/prefixItems/0"},
                {"$ref": "https://example.com/other.json"},
            ]
        },
        "prefixItems": [{"type": "object", "properties": {"$ref": {"$ref": "#/definitions/old"}}}],
        "default": [{"$ref": "#"}],
    }


def test_a_choice_is_a_text_of_an_object() -> None:
    schema, unwrap = schema_of(OneOf(("red", "green")))
    assert msgspec.json.decode(schema)["properties"] == {"answer": {"type": "string", "enum": ["red", "green"]}}
    assert unwrap is not None and unwrap('{"answer": "red"}') == "red"


def test_both_ways_agree() -> None:
    for schema in (b'{"type":"object"}', b'{"type":"array"}', b"nonsense"):
        constraint = JsonSchema(Raw(schema))
        if schema != b"nonsense":
            assert schema_of(constraint)[1] == unwrapping(constraint)
    assert unwrapping(None) is unwrapping(AnyJson()) is None


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('{"answer": [1, 2.50]}', "[1, 2.50]"),
        (' {"answer":"red"} ', '"red"'),
        ('{"answer": null}', "null"),
        ('{"answer": [1', "[1"),
        (' {"answer":{"a": 1}', '{"a": 1}'),
        ('{"answer": 1} {}', '{"answer": 1} {}'),
        ("[1]", "[1]"),
        ("", ""),
    ],
)
def test_unwrapped(text: str, inside: str) -> None:
    assert unwrapped(text) == inside


@pytest.mark.parametrize(
    ("text", "inside"),
    [
        ('{"answer":"a\\n\\"b\\""}', 'a\n"b"'),
        ('{"answer":1}', '{"answer":1}'),
        ('{"answer": "posi', "posi"),
        ('{"answer":"a\\', "a"),
    ],
)
def test_chosen(text: str, inside: str) -> None:
    assert chosen(text) == inside


class Told(StreamDecoder):
    """Gives the deltas that it is made with, one an event."""

    def __init__(self, *deltas: Delta) -> None:
        super().__init__(Events())
        self.deltas = list(deltas)

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        deltas.append(self.deltas.pop(0))
        self.done = not self.deltas


def test_a_stream_is_held_back_choice_by_choice() -> None:
    role, raw = Delta(0, raw=Raw(b'{"index":0,"delta":{"role":"assistant"}}')), Raw(b'{"delta":{"content":"1"}}')
    told = Told(
        role,
        Delta(0, '{"answer"', raw=raw),
        Delta(1, '{"answer": 2}'),
        Delta(0, ": 1"),
        Delta(1, finish="stop"),
        Delta(0, "}", "length", raw),
    )
    decoder = Unwrapping(told, unwrapped)
    deltas = [decoder.feed(b"data: x\n\n") for _ in range(6)]
    assert deltas == [
        [role],
        [],
        [],
        [],
        [Delta(1, "2"), Delta(1, finish="stop")],
        [Delta(0, "1"), Delta(0, "", "length")],
    ]
    decoder.close()
