"""Wrapping keeps what a schema means."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.wrapping import wrapped


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
