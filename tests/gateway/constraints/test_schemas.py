"""Schemas that cannot be used, drafts, and work that would never end."""

import time
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.types import JsonSchema
from gateway.constraints import Checker, ConstraintError

OUTSIDE = "and nothing outside it is fetched: put it under $defs"
PATTERN = "is malformed, too large, or has look-around or back-references, which linear matching does not have"


def constraint(schema: Any) -> JsonSchema:
    return JsonSchema(Raw(msgspec.json.encode(schema)))


def problem(schema: Any, value: Any) -> str | None:
    return Checker().check(constraint(schema), msgspec.json.encode(value).decode()).problem


def refused(schema: Any) -> str:
    with pytest.raises(ConstraintError) as caught:
        Checker().prepare(constraint(schema))
    return caught.value.message


def ref(number: int) -> dict[str, Any]:
    return {"$ref": f"#/$defs/a{number}"}


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ({"type": "nope"}, 'the schema is not valid: at /type: "nope" matches none of the alternatives'),
        ({"minLength": "3"}, 'the schema is not valid: at /minLength: "3" is not of type integer'),
        ([], "a schema is an object, not []"),
        (3, "a schema is an object, not 3"),
        ({"$ref": "http://169.254.169.254/a"}, f"the schema refers to http://169.254.169.254/a, {OUTSIDE}"),
        ({"items": {"$ref": "file:///etc/passwd"}}, f"the schema refers to file:///etc/passwd, {OUTSIDE}"),
        ({"$defs": {"a": {"$ref": "other.json#/a"}}}, f"the schema refers to other.json#/a, {OUTSIDE}"),
        ({"$id": "http://a.example/", "$ref": "b"}, f"the schema refers to b, {OUTSIDE}"),
        ({"$ref": "https://json-schema.org/draft/2020-12/schema"}, None),
        ({"$ref": "#/$defs/a"}, "the schema refers to #/$defs/a, which is not in it"),
        ({"$ref": "#a"}, "the schema refers to #a, which is not in it"),
        (
            {"properties": {"a": {"$id": "http://b.example/"}}},
            '$id is only understood at the top of the schema, not "http://b.example/" within it',
        ),
        ({"pattern": "(?=a)b"}, f'the schema is not valid: at /pattern: "(?=a)b" {PATTERN}'),
        ({"patternProperties": {"(a": True}}, f'the schema is not valid: at /patternProperties/(a: "(a" {PATTERN}'),
        (
            {"pattern": "((a{100}){100}){100}"},
            f'the schema is not valid: at /pattern: "((a{{100}}){{100}}){{100}}" {PATTERN}',
        ),
        ({"allOf": [{"pattern": f"a{n}"} for n in range(65)]}, "the schema has more than 64 patterns"),
        ({"description": "x" * 262_144}, "the schema is larger than 262144 bytes"),
    ],
)
def test_refuses(schema: Any, message: str | None) -> None:
    found = refused(schema)
    if message is not None:
        assert found == message


def test_refuses_an_unknown_draft() -> None:
    assert refused({"$schema": "http://a.example/b"}).startswith('$schema is "http://a.example/b", which is none of ')


@pytest.mark.parametrize("levels", [65, 100_000])
def test_refuses_what_is_too_deep(levels: int) -> None:
    text = b'{"not":' * levels + b"{}" + b"}" * levels
    if len(text) > 262_144:
        text = b"[" * 200_000
    with pytest.raises(ConstraintError, match="nested deeper than 64 levels"):
        Checker().prepare(JsonSchema(Raw(text)))


@pytest.mark.parametrize("schema", [b"", b"{", b'{"a": NaN}', b'"\\ud800"', b"\xff", b'{"maximum": 1e999}'])
def test_refuses_what_is_no_json(schema: bytes) -> None:
    with pytest.raises(ConstraintError, match="the schema is not valid JSON"):
        Checker().prepare(JsonSchema(Raw(schema)))


def test_draft_7_is_known_by_its_lists() -> None:
    pair = {"definitions": {"a": {"type": "string"}}, "items": [{"$ref": "#/definitions/a"}], "additionalItems": False}
    assert problem(pair, ["x"]) is None
    assert problem(pair, [1]) == "at /0: 1 is not of type string"
    assert problem(pair, ["x", 1]) == '["x",1] has more items than 1'


def test_an_item_list_named_items_is_a_property() -> None:
    schema = {"properties": {"items": {"prefixItems": [{"type": "string"}]}}}
    assert problem(schema, {"items": [1]}) == "at /items/0: 1 is not of type string"


@pytest.mark.parametrize(
    "draft", ["http://json-schema.org/draft-07/schema#", "https://json-schema.org/draft-07/schema"]
)
def test_the_draft_that_is_written_counts(draft: str) -> None:
    schema = {"$schema": draft, "definitions": {"a": {}}, "$ref": "#/definitions/a", "minimum": 3, "maximum": 1}
    assert problem(schema, 5) is None  # in draft 7, nothing counts beside $ref


def test_references_within_the_document() -> None:
    schema = {
        "$id": "https://a.example/s",
        "$defs": {"b c": {"type": "string"}, "d": {"$anchor": "here", "type": "integer"}},
        "properties": {"a": {"$ref": "#/$defs/b%20c"}, "b": {"$ref": "https://a.example/s#here"}, "c": {"$ref": "#"}},
    }
    assert problem(schema, {"a": "x", "b": 1, "c": {"b": 2}}) is None
    assert problem(schema, {"c": {"c": {"b": "x"}}}) == 'at /c/c/b: "x" is not of type integer'


def test_the_mistake_within_the_alternative_that_was_meant() -> None:
    schema = {
        "properties": {"a": {"anyOf": [{"type": "null"}, {"properties": {"b": {"enum": [1, 2]}}, "type": "object"}]}}
    }
    assert problem(schema, {"a": {"b": 3}}) == "at /a/b: 3 is none of the allowed values"
    assert problem(schema, {"a": "x"}) == 'at /a: "x" matches none of the alternatives'


def test_ten_thousand_values() -> None:
    schema = {"enum": [f"value {n}" for n in range(10_000)]}
    assert problem(schema, "value 9999") is None
    assert problem(schema, "value 10000") == '"value 10000" is none of the allowed values'


def doubling(levels: int, last: dict[str, Any]) -> dict[str, Any]:
    """Each definition names the next one twice."""
    steps = {f"a{n}": {"anyOf": [ref(n + 1), ref(n + 1)]} for n in range(levels)}
    return {**ref(0), "$defs": {**steps, f"a{levels}": last}}


@pytest.mark.parametrize(
    "schema", [doubling(30, {"type": "object"}), doubling(16, {"type": "object", "properties": {"c": ref(0)}})]
)
def test_references_that_multiply_are_refused(schema: Any) -> None:
    assert refused(schema).startswith("the schema's references multiply too much")


def test_a_chain_of_references_is_bounded() -> None:
    chain = {f"a{n}": ref(n + 1) for n in range(5_000)} | {"a5000": {"type": "string"}}
    assert "lead from one to the next" in refused({**ref(0), "$defs": chain})


@pytest.mark.parametrize("levels", [4, 60, 300])
@pytest.mark.parametrize("union", ["anyOf", "oneOf", "allOf"])
def test_recursion_through_alternatives_ends_soon(levels: int, union: str) -> None:
    """The reasons why each way to read the answer fails would fill the memory."""
    again = {"type": "object", "properties": {"c": {"$ref": "#"}}}
    value: Any = "x"
    for _ in range(levels):
        value = {"c": value}
    started = time.process_time()
    assert problem({union: [again, again, again]}, value) is not None
    assert time.process_time() - started < 1


def test_wide_unions_that_share_definitions_are_explained_in_bounded_time() -> None:
    schema = doubling(11, {"type": "integer"})
    started = time.process_time()
    assert problem(schema, "x") == "the answer does not keep the schema"
    assert time.process_time() - started < 1


def test_many_alternatives_for_a_large_answer_are_not_explained() -> None:
    schema = {"anyOf": [{"type": "array"} for _ in range(1_900)]}
    started = time.process_time()
    assert problem(schema, {"a": ["x" * 10] * 20_000}) == "the answer does not keep the schema"
    assert time.process_time() - started < 1


def test_a_pattern_cannot_explode() -> None:
    started = time.process_time()
    assert problem({"pattern": "(a+)+$"}, "a" * 100_000 + "b") is not None
    assert time.process_time() - started < 1
