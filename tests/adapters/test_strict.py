"""Which schemas OpenAI's strict mode takes."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.strict import is_strict

CLOSED = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED,
        CLOSED | {"properties": {"a": CLOSED}},
        CLOSED | {"properties": {"a": {"type": "array", "items": CLOSED}}},
        CLOSED | {"properties": {"a": {"anyOf": [{"type": "null"}, CLOSED]}}},
        CLOSED | {"$defs": {"b": CLOSED}, "properties": {"a": {"$ref": "#/$defs/b"}}},
    ],
)
def test_taken(schema: Any) -> None:
    assert is_strict(Raw(msgspec.json.encode(schema)))


@pytest.mark.parametrize(
    "schema",
    [
        CLOSED | {"required": []},
        CLOSED | {"additionalProperties": True},
        {"type": "object"},
        CLOSED | {"properties": {"a": {"type": "object"}}},
        CLOSED | {"properties": {"a": {"type": "array", "items": [CLOSED]}}},
        CLOSED | {"properties": {"a": {"type": "string", "minLength": 1}}},
        CLOSED | {"$defs": {"b": {"type": "object", "properties": {"c": {}}}}},
        CLOSED | {"properties": {"a": {}}},
        True,
    ],
)
def test_not_taken(schema: Any) -> None:
    assert not is_strict(Raw(msgspec.json.encode(schema)))


def test_no_json() -> None:
    assert not is_strict(Raw(b"{"))
