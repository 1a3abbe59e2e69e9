"""Schemas that no value keeps."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import Draft202012Validator, ValidationError

from gateway.constraints.emptiness import contradiction


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        (False, "the schema at the top is false"),
        ({"enum": []}, "at the top, enum has no values"),
        ({"const": 1, "enum": [2, 3]}, "at the top, const is not among the values of enum"),
        ({"type": "string", "const": 1}, 'at the top, const has no value of type "string"'),
        ({"type": "integer", "minimum": 3, "maximum": 1}, "at the top, minimum is above maximum"),
        (
            {"type": "number", "exclusiveMinimum": 3, "maximum": 3},
            "at the top, no number lies between exclusiveMinimum and maximum",
        ),
        ({"type": "string", "minLength": 3, "maxLength": 1}, "at the top, minLength is above maxLength"),
        ({"type": "array", "minItems": 3, "maxItems": 1}, "at the top, minItems is above maxItems"),
        ({"type": "array", "minItems": 1, "items": False}, "the schema at /items is false"),
        (
            {"type": "object", "required": ["a"], "properties": {"a": False}},
            "the schema at /properties/a is false",
        ),
        (
            {
                "type": "object",
                "required": ["a"],
                "properties": {"a": {"type": "object", "required": ["b"], "properties": {"b": {"enum": []}}}},
            },
            "at /properties/a/properties/b, enum has no values",
        ),
        (
            {"type": "object", "required": ["a"], "additionalProperties": False},
            'at the top, "a" is required but not allowed',
        ),
        (
            {"allOf": [{"type": "string"}, {"type": "number"}]},
            "the parts of the schema at /allOf/1 contradict each other",
        ),
        ({"anyOf": [False, {"enum": []}]}, "the schema at /anyOf/0 is false"),
    ],
)
def test_nothing_keeps(schema: Any, reason: str) -> None:
    assert contradiction(schema) == reason


@pytest.mark.parametrize(
    "schema",
    [
        True,
        {},
        {"minimum": 3, "maximum": 1},  # a text keeps it
        {"type": ["number", "null"], "minimum": 3, "maximum": 1},
        {"type": "object", "properties": {"a": False}},
        {"type": "object", "required": ["a"], "additionalProperties": False, "patternProperties": {"a": {}}},
        {"type": "integer", "enum": [1.0, "x"]},
        {"type": "number", "minimum": 3, "maximum": 3},
        {"anyOf": [False, {"type": "string"}]},
        {"items": False, "minItems": 0, "type": "array"},
        {"$ref": "#/definitions/a", "enum": [], "definitions": {"a": {}}},
        {"type": "number", "minimum": 3, "exclusiveMinimum": True, "maximum": 4, "exclusiveMaximum": False},
    ],
)
def test_something_may_keep(schema: Any) -> None:
    assert contradiction(schema) is None


NUMBERS = st.integers(0, 3)
VALUES = st.sampled_from(
    [None, True, False, 0, 1, 2.5, "", "a", "aaa", [], [1], [1, "a", 3], {}, {"a": 1}, {"a": "", "b": []}]
)
LEAVES = st.booleans() | st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["string", "number", "integer", "array", "object", "null", "boolean"]),
        "minimum": NUMBERS,
        "maximum": NUMBERS,
        "exclusiveMinimum": NUMBERS,
        "exclusiveMaximum": NUMBERS,
        "minLength": NUMBERS,
        "maxLength": NUMBERS,
        "minItems": NUMBERS,
        "maxItems": NUMBERS,
        "const": VALUES,
        "enum": st.lists(VALUES, min_size=1, max_size=3, unique_by=repr),
    },
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["array", "object"]),
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "required": st.lists(st.sampled_from("ab"), unique=True),
            "additionalProperties": inner,
            "items": inner,
            "minItems": NUMBERS,
            "prefixItems": st.lists(inner, min_size=1, max_size=2),
            "allOf": st.lists(inner, min_size=1, max_size=3),
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
        },
    ),
    max_leaves=8,
)


@given(SCHEMAS, st.lists(VALUES, min_size=1))
def test_no_value_keeps_what_is_called_empty(schema: Any, values: list[Any]) -> None:
    if contradiction(schema) is not None:
        try:
            validator = Draft202012Validator(schema)
        except ValidationError:
            return
        assert [value for value in values if validator.is_valid(value)] == []
