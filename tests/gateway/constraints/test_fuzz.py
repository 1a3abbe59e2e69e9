"""Whatever a schema and an answer are, there is a verdict or a refusal, soon."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.types import AnyJson, JsonSchema, OneOf
from gateway.constraints import Checker, ConstraintError
from gateway.constraints.documents import Unreadable, value_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=10,
)
KEYWORDS = st.sampled_from(
    ["type", "properties", "items", "required", "enum", "const", "anyOf", "oneOf", "allOf", "not", "if", "then", "$ref"]
    + ["$defs", "definitions", "pattern", "patternProperties", "additionalProperties", "minimum", "maximum", "format"]
    + ["minItems", "maxItems", "prefixItems", "$id", "$anchor", "$schema", "unevaluatedProperties", "dependentSchemas"]
    + ["$dynamicRef", "$dynamicAnchor", "contains", "propertyNames", "uniqueItems", "multipleOf", "dependencies"]
)
WORDS = st.sampled_from(
    [
        "string",
        "object",
        "array",
        "integer",
        "#",
        "#/$defs/a",
        "#/items",
        "#a",
        "a",
        "a+",
        "(",
        "http://a.example/",
        "date",
    ]
)
SCHEMAS = st.recursive(
    WORDS | st.booleans() | st.integers(-1, 5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYWORDS | st.sampled_from("ab"), inner, max_size=4),
    max_leaves=20,
)
WELL_FORMED = st.recursive(
    st.booleans()
    | st.sampled_from(
        [{"$ref": "#"}, {"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}, {"type": "string", "pattern": "^a+$"}]
    )
    | st.sampled_from(
        [{"type": ["integer", "null"]}, {"enum": [1, "a", None]}, {"format": "date-time"}, {"minimum": 2}]
    ),
    lambda inner: st.fixed_dictionaries(
        {},
        optional={
            "anyOf": st.lists(inner, min_size=1, max_size=3),
            "oneOf": st.lists(inner, min_size=1, max_size=3),
            "allOf": st.lists(inner, min_size=1, max_size=3),
            "not": inner,
            "properties": st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "items": inner | st.lists(inner, min_size=1, max_size=2),
            "if": inner,
            "then": inner,
            "contains": inner,
            "$defs": st.fixed_dictionaries({"a": inner, "b": inner}),
        },
    ),
    max_leaves=12,
)


def checked(schema: Any, text: str) -> None:
    constraint = JsonSchema(Raw(msgspec.json.encode(schema)))
    try:
        verdict = Checker().check(constraint, text)
    except ConstraintError as error:
        assert 0 < len(error.message) < 400
    else:
        assert verdict.text in text
        assert verdict.problem is None or 0 < len(verdict.problem) < 400


@given(SCHEMAS | JSON, JSON)
def test_anything_as_a_schema(schema: Any, value: Any) -> None:
    checked(schema, msgspec.json.encode(value).decode())


@given(
    WELL_FORMED,
    JSON | st.recursive(st.just(1), lambda inner: st.fixed_dictionaries({}, optional={"a": inner, "b": inner})),
)
def test_any_schema(schema: Any, value: Any) -> None:
    checked(schema, msgspec.json.encode(value).decode())


@given(
    st.text()
    | st.lists(st.sampled_from(["{", "}", "[", "]", '"a"', ":", ",", "1", "```", "\n", "json", " "])).map("".join)
)
def test_any_text(text: str) -> None:
    checked({"type": ["object", "array"]}, text)
    for constraint in (AnyJson(), OneOf(("1", "a"))):
        assert Checker().check(constraint, text).text in text


@given(JSON, st.text("ab .\n", max_size=10), st.text("ab .\n", max_size=10))
def test_prose_around_a_value_is_taken_away(value: Any, before: str, after: str) -> None:
    """And nothing else: the value is the one that was given."""
    inner = msgspec.json.encode({"a": value}).decode()
    verdict = Checker().check(AnyJson(), before + inner + after)
    assert verdict.problem is None
    assert msgspec.json.decode(verdict.text) == {"a": value}


@given(st.data(), JSON)
def test_the_beginning_of_a_value_is_no_value(data: st.DataObject, value: Any) -> None:
    whole = msgspec.json.encode({"a": value, "b": {"c": 1}}).decode()
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    assert Checker().check(AnyJson(), cut).problem is not None


@given(st.binary() | st.text().map(str.encode))
def test_any_bytes_as_a_schema(data: bytes) -> None:
    try:
        Checker().prepare(JsonSchema(Raw(data)))
    except ConstraintError as error:
        assert len(error.message) < 400


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)), max_size=5))
def test_repeated_keys_are_seen(pairs: list[tuple[str, int]]) -> None:
    text = "[{" + ", ".join(f'"{name}": {value}' for name, value in pairs) + "}]"
    repeats = len({name for name, _ in pairs}) < len(pairs)
    try:
        assert value_of(text) == [dict(pairs)]
        assert not repeats
    except Unreadable:
        assert repeats
