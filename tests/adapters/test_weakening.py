"""What each target is asked of a schema: no more than it can say, and nothing that a good answer does not keep."""

import contextlib
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator, Draft202012Validator
from msgspec import Raw

from adapters.errors import Rejected
from adapters.restoring import Restore, restored
from adapters.types import JsonSchema, OneOf
from adapters.weakening import MAX_KEPT, Weakened, by_schema, kept, made, of_choices, weakened
from adapters.weakening.table import COHERE, DEMO, LLAMA_CPP, OLLAMA, OPENAI, SGLANG, TABLE, TGI, VLLM, Knows
from tests.adapters.typed import SCHEMAS, pairs

encode = msgspec.json.encode


def name_of(knows: Knows) -> str:
    return knows.name


each_row = pytest.mark.parametrize("knows", TABLE.values(), ids=name_of)

Schema = dict[str, Any]
TEXT: Schema = {"type": "string"}
NULL: Schema = {"type": "null"}


def closed(properties: Schema, *required: str, **more: Any) -> Schema:
    found: Schema = {"type": "object", "properties": properties}
    return found | ({"required": list(required)} if required else {}) | {"additionalProperties": False} | more


def asked(schema: Any, knows: Knows) -> Any:
    """The written schema, without what is said at every root."""
    found = msgspec.json.decode(weakened(Raw(encode(schema)), knows).schema)
    return {keyword: value for keyword, value in found.items() if keyword not in knows.beside}


def asked_of_member(schema: Any, knows: Knows) -> Any:
    """What is written of it where it is a required member of an object."""
    return asked(closed({"x": schema}, "x"), knows)["properties"]["x"]


# ---------------------------------------------------------------------- the law


@each_row
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_good_answers_keep_what_is_asked_and_come_back(knows: Knows, data: st.DataObject) -> None:
    schema = data.draw(SCHEMAS)
    raw = encode(schema)
    found = weakened(Raw(raw), knows)
    plain = not found.strict or found == made(raw, msgspec.structs.replace(knows, required="any"))
    pair = data.draw(pairs(schema, "any" if plain else knows.required))
    wire = {"answer": pair.wire} if found.restore.wrapped == "json" else pair.wire
    draft = Draft202012Validator if found.strict else Draft7Validator  # else it is the schema as it was
    assert draft(msgspec.json.decode(found.schema)).is_valid(wire)
    answer = msgspec.json.decode(restored(encode(wire).decode(), found.restore))
    assert answer == pair.expected
    assert Draft7Validator(schema).is_valid(answer)


@pytest.mark.parametrize("knows", [knows for knows in TABLE.values() if knows.patterns != "bare"], ids=name_of)
@settings(max_examples=30, deadline=None)
@given(schema=SCHEMAS)
def test_what_is_written_is_written_again_as_it_is(knows: Knows, schema: Schema) -> None:
    """Nothing is left that the target does not know, and nothing is lost by the way."""
    first = weakened(Raw(encode(schema)), knows)
    if not first.strict:
        return
    again = weakened(first.schema, knows)
    if "$ref" in msgspec.json.decode(first.schema):  # what is left of a choice between two that are the same
        first, again = again, weakened(again.schema, knows)
    assert msgspec.json.decode(again.schema) == msgspec.json.decode(first.schema)


# ---------------------------------------------------------------------- the rows

WORDS: Schema = {"type": "string", "minLength": 2, "maxLength": 9, "description": "A word."}
PAIR: Schema = {"type": "array", "items": [TEXT, {"type": "number"}], "minItems": 2, "maxItems": 2}
EITHER: Schema = {"anyOf": [TEXT, {"type": "number"}]}
ALL: Schema = {"type": ["object", "array", "string", "number", "boolean", "null"]}


@pytest.mark.parametrize(
    ("schema", "knows", "written"),
    [
        (WORDS, OPENAI, TEXT | {"description": "A word. (at least 2 characters, at most 9 characters)"}),
        (WORDS, COHERE, TEXT | {"description": "A word. (at least 2 characters, at most 9 characters)"}),
        (WORDS, VLLM, WORDS),
        (WORDS, OLLAMA, WORDS),
        (TEXT | {"maxLength": 2001}, LLAMA_CPP, TEXT),
        (TEXT | {"maxLength": 2001}, TGI, TEXT | {"maxLength": 2001}),
        (TEXT, DEMO, TEXT | {"maxLength": 48}),
        (TEXT | {"format": "uri"}, OPENAI, TEXT | {"description": "In the format uri"}),
        (TEXT | {"format": "uri"}, VLLM, TEXT | {"format": "uri"}),
        (TEXT | {"format": "uri"}, SGLANG, TEXT | {"format": "uri"}),
        (TEXT | {"format": "uri"}, LLAMA_CPP, TEXT),
        (TEXT | {"format": "email"}, TGI, TEXT),
        (TEXT | {"format": "date-time"}, OLLAMA, TEXT | {"format": "date-time"}),
        (TEXT | {"pattern": "^a+$", "maxLength": 3}, TGI, TEXT | {"pattern": "^a+$"}),
        (TEXT | {"pattern": "^a+$", "maxLength": 3}, LLAMA_CPP, TEXT | {"pattern": "^a+$", "maxLength": 3}),
        (TEXT | {"pattern": "^a+$"}, COHERE, TEXT | {"pattern": "a+"}),
        (TEXT | {"pattern": "^a+$"}, OLLAMA, TEXT),
        (TEXT | {"pattern": "a+"}, OPENAI, TEXT | {"pattern": "a+"}),
        (TEXT | {"pattern": "a+"}, VLLM, TEXT | {"pattern": "^.*a+.*$"}),
        (TEXT | {"pattern": "a+"}, COHERE, TEXT | {"pattern": ".*a+.*"}),
        (TEXT | {"pattern": "\\bx"}, SGLANG, TEXT),
        (TEXT | {"pattern": '^"a"$'}, VLLM, TEXT),
        (TEXT | {"pattern": '^"a"$'}, OPENAI, TEXT | {"pattern": '^"a"$'}),
        (TEXT | {"pattern": "^[ -~]$"}, VLLM, TEXT | {"pattern": "^[ -~]$"}),
        (TEXT | {"pattern": "^(?!a)b$"}, OPENAI, TEXT | {"description": "Matching ^(?!a)b$"}),
        ({"type": "integer", "minimum": 1.5, "exclusiveMaximum": 7.5}, OLLAMA, {"type": "integer"} | {"minimum": 2}
         | {"exclusiveMaximum": 8}),
        ({"type": "integer", "minimum": -1e30}, VLLM, {"type": "integer"}),
        ({"type": "integer"}, LLAMA_CPP, {"type": "integer", "minimum": -(2**53) + 1, "maximum": 2**53 - 1}),
        ({"type": ["integer", "null"]}, DEMO, {"type": ["integer", "null"], "minimum": -999_999, "maximum": 999_999}),
        ({"type": "number", "multipleOf": 0.5}, OPENAI, {"type": "number", "multipleOf": 0.5}),
        ({"type": "number", "multipleOf": 0.5}, COHERE, {"type": "number", "description": "A multiple of 0.5"}),
        ({"type": "number", "minimum": 1}, TGI, {"type": "number"}),
        ({"const": "a"}, OPENAI, TEXT | {"const": "a"}),
        ({"const": "a"}, VLLM, {"const": "a"}),
        ({"enum": ["a", 1]}, COHERE, {"type": ["string", "integer"], "enum": ["a", 1]}),
        ({"type": "string", "enum": ["a", 1]}, VLLM, TEXT | {"enum": ["a"]}),
        ({"enum": [[1], {}]}, TGI, {"anyOf": [{"type": "array"}, {"type": "object"}]}),
        ({"const": {"a": 1}}, LLAMA_CPP, {"const": {"a": 1}}),
        (PAIR, OPENAI, {"type": "array", "items": EITHER, "minItems": 2, "maxItems": 2}),
        (PAIR, COHERE, {"type": "array", "items": EITHER, "description": "Exactly 2 items"}),
        (PAIR, VLLM, {"type": "array", "prefixItems": PAIR["items"], "minItems": 2, "maxItems": 2}),
        (PAIR, TGI, {"type": "array", "prefixItems": PAIR["items"], "minItems": 2, "maxItems": 2}),
        (PAIR | {"minItems": 1}, OLLAMA, {"type": "array", "items": EITHER, "minItems": 1, "maxItems": 2}),
        (PAIR | {"minItems": 1}, VLLM, {"type": "array", "prefixItems": PAIR["items"], "items": False, "minItems": 1}
         | {"maxItems": 2}),
        ({"type": "array", "prefixItems": [TEXT], "items": NULL}, VLLM, {"type": "array", "prefixItems": [TEXT]}
         | {"items": NULL}),
        ({"type": "array", "maxItems": 0}, OPENAI, {"type": "array", "items": NULL, "maxItems": 0}),
        ({"type": "array", "items": False}, COHERE, {"type": "array"}),
        ({"type": "array", "items": TEXT, "uniqueItems": True}, OPENAI, {"type": "array", "items": TEXT}
         | {"description": "No item twice"}),
        ({"type": "array", "items": TEXT, "maxItems": 5000}, OLLAMA, {"type": "array", "items": TEXT}),
        ({"type": "array", "items": True}, LLAMA_CPP, {"type": "array"}),
        ({}, VLLM, {}),
        (True, OLLAMA, ALL),
        ({"description": "Whatever."}, TGI, ALL | {"description": "Whatever."}),
        ({"not": TEXT, "title": "No text"}, VLLM, {"title": "No text"}),
        ({"oneOf": [TEXT, NULL]}, SGLANG, {"anyOf": [TEXT, NULL]}),
        ({"anyOf": [TEXT, {"anyOf": [NULL, TEXT]}]}, TGI, {"anyOf": [TEXT, NULL]}),
        ({"anyOf": [TEXT, False]}, OPENAI, TEXT),
        ({"type": "string", "anyOf": [{"minLength": 2}, {"enum": ["a"]}]}, VLLM, {"anyOf": [TEXT | {"minLength": 2}]
         + [TEXT | {"enum": ["a"]}]}),
        ({"type": ["object", "null"], "properties": {"a": TEXT}}, VLLM, {"anyOf": [{"type": "object"}
         | {"properties": {"a": TEXT}}, NULL]}),
        ({"allOf": [{"minLength": 2}, {"type": "string", "minLength": 3}], "description": "d"}, VLLM, TEXT
         | {"minLength": 3, "description": "d"}),
        ({"properties": {"a": TEXT}}, LLAMA_CPP, closed({"a": TEXT})),
        ({"properties": {"a": TEXT}}, VLLM, {"type": "object", "properties": {"a": TEXT}}),
        ({"type": "object", "additionalProperties": False}, TGI, closed({})),
        (closed({}, patternProperties={"^x": TEXT}), OLLAMA, closed({}) | {"additionalProperties": TEXT}),
        ({"patternProperties": {"^x": TEXT}}, VLLM, {"type": "object", "patternProperties": {"^x.*$": TEXT}}),
        (closed({"a": TEXT, "b": False}, "a"), TGI, closed({"a": TEXT}, "a")),
        ({"type": "object", "required": ["a"]}, VLLM, {"type": "object", "properties": {"a": {}}, "required": ["a"]}),
        (closed({"a": TEXT}, minProperties=1), SGLANG, closed({"a": TEXT})),
        (closed({"a": TEXT}, minProperties=1), VLLM, closed({"a": TEXT}, minProperties=1)),
        ({"default": "x", "examples": ["y"], "x-mine": 1, "$comment": "c"} | TEXT, VLLM, TEXT),
        ({"$ref": "https://example.com/schema"}, VLLM, {}),
    ],
    ids=str,
)  # fmt: skip
def test_what_a_target_knows(schema: Any, knows: Knows, written: Any) -> None:
    assert asked_of_member(schema, knows) == written


@pytest.mark.parametrize(
    ("schema", "nulled"),
    [
        (TEXT, {"type": ["string", "null"]}),
        (TEXT | {"enum": ["a"]}, {"type": ["string", "null"], "enum": ["a", None]}),
        ({"const": 1}, {"type": ["integer", "null"], "enum": [1, None]}),
        (EITHER, {"anyOf": [TEXT, {"type": "number"}, NULL]}),
        (
            closed({"b": TEXT}, "b") | {"description": "d"},
            {"anyOf": [closed({"b": TEXT}, "b"), NULL], "description": "d"},
        ),
        ({"type": ["string", "null"]}, {"type": ["string", "null"]}),
        ({"anyOf": [TEXT, NULL]}, {"anyOf": [TEXT, NULL]}),
    ],
)
def test_openai_has_all_members_required_and_null_for_absent_ones(schema: Schema, nulled: Schema) -> None:
    whole = closed({"a": schema, "z": TEXT}, "z")
    found = weakened(Raw(encode(whole)), OPENAI)
    assert msgspec.json.decode(found.schema) == closed({"a": nulled, "z": TEXT}, "a", "z")
    assert found.restore == Restore("no", None if nulled == schema else whole)


def test_cohere_has_one_member_required_in_each_object() -> None:
    inner = closed({"b": TEXT, "c": TEXT})
    found = asked(closed({"a": inner, "d": closed({"e": TEXT, "f": TEXT}, "f")}), COHERE)
    nullable = closed({"b": {"type": ["string", "null"]}, "c": TEXT}, "b")
    written = closed({"e": TEXT, "f": TEXT}, "f")
    assert found == closed({"a": {"anyOf": [nullable, NULL]}, "d": written}, "a")


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "object", "additionalProperties": TEXT},
        closed({"a": {}}, "a"),
        closed({"a": {"type": "array"}}, "a"),
        closed({"a": {"type": "object"}}, "a"),
        closed({"a": TEXT}) | {"additionalProperties": True},
        closed({"a": TEXT}, patternProperties={"^x": TEXT}),
        closed({"a": {"enum": [[1]]}}, "a"),
        closed({f"a{i}": TEXT for i in range(5001)}),
        closed({"a" * 120_001: TEXT}),
        closed({"a": {"enum": list(range(1001))}}),
        closed({"a": {"enum": [f"{i:0100}" for i in range(251)]}}),
        {"allOf": [{"properties": {"a": TEXT | {"pattern": "a"}}}, {"properties": {"a": TEXT | {"pattern": "b"}}}]},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_what_openai_cannot_be_held_to_is_asked_as_it_is(schema: Schema) -> None:
    found = weakened(Raw(encode(schema)), OPENAI)
    written = msgspec.json.decode(found.schema)
    assert not found.strict
    assert (written if found.restore == Restore() else written["properties"]["answer"]) == schema


def test_openai_takes_ten_levels() -> None:
    def nested(levels: int) -> Schema:
        return closed({"a": nested(levels - 1) if levels > 1 else TEXT}, "a")

    assert [weakened(Raw(encode(nested(levels))), OPENAI).strict for levels in (10, 11)] == [True, False]


KIND_A, KIND_B = ({"type": "string", "const": kind} for kind in "ab")


@pytest.mark.parametrize(
    ("schema", "clear"),
    [
        ({"anyOf": [closed({"k": KIND_A, "n": TEXT}, "k"), closed({"k": KIND_B, "n": TEXT}, "k")]}, True),
        ({"anyOf": [closed({"k": KIND_A, "n": TEXT}, "k"), closed({"k": KIND_B}, "k")]}, True),
        ({"anyOf": [closed({"k": KIND_A, "n": TEXT}, "k"), closed({"k": KIND_B, "n": TEXT}, "k", "n")]}, False),
        ({"anyOf": [closed({"k": KIND_A, "n": TEXT}, "k"), closed({"k": KIND_B, "n": NULL}, "k", "n")]}, False),
        ({"anyOf": [closed({"x": closed({"n": TEXT})}), closed({"x": closed({"n": TEXT}, "n")})]}, False),
        ({"type": "array", "items": [closed({"n": TEXT}), closed({"n": TEXT}, "n")], "maxItems": 2}, True),
    ],
)
def test_nulls_that_could_be_meant_are_not_asked_for(schema: Schema, clear: bool) -> None:
    """Where one alternative's absent member is another's required one, the null could not be told apart."""
    found = weakened(Raw(encode(schema)), OPENAI)
    assert (found.strict, found.restore.optional) == ((True, schema) if clear else (False, None))


def test_a_union_that_is_not_clear_leaves_cohere_its_members() -> None:
    schema = {"anyOf": [closed({"n": TEXT}), closed({"n": TEXT}, "n")]}
    found = weakened(Raw(encode(schema)), COHERE)
    assert asked(schema, COHERE)["properties"]["answer"] == schema and found.restore == Restore("json")


# ---------------------------------------------------------------------- the root


@pytest.mark.parametrize(
    ("schema", "targets"),
    [
        (closed({"a": TEXT}, "a"), set()),
        ({"type": "object", "additionalProperties": TEXT}, {"tgi"}),
        ({"type": "array", "items": TEXT}, {"openai", "cohere", "tgi"}),
        ({"anyOf": [closed({"a": TEXT}, "a"), closed({"b": TEXT}, "b")]}, {"openai", "cohere", "tgi"}),
        ({"$ref": "#/$defs/A", "$defs": {"A": closed({"a": TEXT}, "a")}}, set()),
        ({"allOf": [closed({"a": TEXT}, "a")]}, set()),
    ],
)
def test_who_wants_an_object_around_the_answer(schema: Schema, targets: set[str]) -> None:
    found = {name for name, knows in TABLE.items() if weakened(Raw(encode(schema)), knows).restore.wrapped == "json"}
    assert found == targets


def test_a_schema_that_a_target_knows_is_sent_as_it_is_written() -> None:
    raw = Raw(msgspec.json.format(encode(closed({"a": WORDS, "b": EITHER}, "b")), indent=3))
    assert weakened(raw, VLLM) == Weakened(raw)


def test_the_order_of_members_stays() -> None:
    names = ["z", "a", "m", "b"]
    schema = closed(dict.fromkeys(names, TEXT), "m", "a")
    for knows in TABLE.values():
        assert list(asked(schema, knows)["properties"]) == names
    assert asked(schema, OPENAI)["required"] == names


def test_spacing_is_the_callers_where_he_says_it() -> None:
    own = {"x-guidance": {"whitespace_flexible": True}}
    for knows in (LLAMA_CPP, VLLM):
        assert msgspec.json.decode(weakened(Raw(encode(TEXT | own)), knows).schema)["x-guidance"] == own["x-guidance"]
    assert msgspec.json.decode(weakened(Raw(encode(TEXT)), DEMO).schema)["x-guidance"] == DEMO.beside["x-guidance"]


# ---------------------------------------------------------------------- references

NODE = closed({"next": {"$ref": "#/definitions/node"}, "of": {"$ref": "#/definitions/kind"}}, "of")
SHARED: Schema = closed({"a": {"$ref": "#/definitions/node"}, "b": {"$ref": "#/definitions/kind"}}, "a", "b") | {
    "definitions": {"node": NODE, "kind": KIND_A, "unused": {}}
}


@pytest.mark.parametrize(
    ("knows", "names"), [(VLLM, ["kind", "node"]), (COHERE, ["kind", "node"]), (LLAMA_CPP, ["node"])]
)
def test_references_are_inlined_where_that_has_an_end(knows: Knows, names: list[str]) -> None:
    found = asked(SHARED, knows)
    assert found["properties"]["a"] == {"$ref": "#/$defs/node"}
    assert found["properties"]["b"] == ({"$ref": "#/$defs/kind"} if "kind" in names else KIND_A)
    assert list(found["$defs"]) == names


def test_nothing_stands_beside_a_reference() -> None:
    schema = closed({"a": {"$ref": "#/$defs/A", "description": "d"}, "b": {"$ref": "#", "description": "e"}}, "a", "b")
    found = asked(schema | {"$defs": {"A": TEXT}}, OPENAI)
    assert found["properties"] == {"a": TEXT | {"description": "d"}, "b": {"$ref": "#/$defs/root"}}
    assert found["$defs"]["root"]["properties"]["b"] == {"$ref": "#/$defs/root"}


def test_names_of_definitions_are_plain_and_different() -> None:
    recursive = closed({"x": {"$ref": "#/$defs/A%3CB%3E"}, "y": {"$ref": "#/$defs/A~1B~0"}}, "x")
    found = asked({"$ref": "#/$defs/A%3CB%3E", "$defs": {"A<B>": recursive, "A/B~": recursive}}, VLLM)
    assert set(found["$defs"]) == {"A_3CB_3E", "A_1B_0"}
    assert [one["$ref"] for one in found["properties"].values()] == ["#/$defs/A_3CB_3E", "#/$defs/A_1B_0"]


@pytest.mark.parametrize(
    "schema",
    [
        {"$ref": "#/$defs/A", "$defs": {"A": {"$ref": "#/$defs/B"}, "B": {"$ref": "#/$defs/A"}}},
        {"$ref": "#"},
        {"allOf": [{"$ref": "#"}, TEXT]},
        {"$ref": "#/$defs/A", "$defs": {"A": {"anyOf": [{"$ref": "#/$defs/A"}, TEXT]}}},
        {"$ref": "#/$defs/A", "$defs": {"A": False}},
    ],
)
@each_row
def test_references_without_an_end_end(knows: Knows, schema: Schema) -> None:
    assert Draft202012Validator(msgspec.json.decode(weakened(Raw(encode(schema)), knows).schema))


# ---------------------------------------------------------------------- what is hostile


def chain(length: int) -> Schema:
    """Each definition names the next one twice."""
    definitions = {f"D{i}": closed({name: {"$ref": f"#/$defs/D{i + 1}"} for name in "ab"}, "a") for i in range(length)}
    return {"$ref": "#/$defs/D0", "$defs": definitions | {f"D{length}": TEXT}}


def doubled(length: int) -> Schema:
    definitions: Schema = {f"D{i}": {"allOf": [{"$ref": f"#/$defs/D{i + 1}"}] * 2} for i in range(length)}
    return {"$ref": "#/$defs/D0", "$defs": definitions | {f"D{length}": closed({"a": TEXT})}}


def mesh(size: int) -> Schema:
    references = [{"$ref": f"#/$defs/D{i}"} for i in range(size)]
    definitions = {f"D{i}": {"anyOf": [*references, closed({"a": TEXT, f"b{i}": references[0]})]} for i in range(size)}
    return {"$ref": "#/$defs/D0", "$defs": definitions}


def nested(depth: int) -> Schema:
    return {"anyOf": [nested(depth - 1), NULL]} if depth else TEXT


HOSTILE = {
    "doubling references": chain(300),
    "doubling allOf": doubled(300),
    "a mesh of unions": mesh(30),
    "deep": nested(48),
    "wide": closed({f"k{i}": {} for i in range(15_000)}),
    "alternatives": {"anyOf": [{"const": i} for i in range(10_000)]},
    "a union beside members": closed({f"k{i}": TEXT for i in range(2000)})
    | {"anyOf": [{"required": [f"k{i}"]} for i in range(2000)]},
    "a tuple": {"type": "array", "items": [{"const": i} for i in range(8000)]},
    "types": {"type": ["object", "array", "string"] * 2000, "properties": {"a": TEXT}},
    "brackets": TEXT | {"pattern": "(" * 20_000},
}


@pytest.mark.parametrize("schema", HOSTILE.values(), ids=HOSTILE)
@pytest.mark.parametrize("knows", [OPENAI, LLAMA_CPP], ids=name_of)
def test_hostile_schemas_are_bounded(knows: Knows, schema: Schema) -> None:
    raw = encode(schema)
    began = time.process_time()
    found = weakened(Raw(raw), knows)
    assert time.process_time() - began < 2  # a tenth of it suffices
    assert len(found.schema) < 8 * len(raw) + 200_000


@pytest.mark.parametrize(
    "raw",
    [b"{", b"1", b'"x"', b"[]", b"", b"\xff", b'{"items":' * 101 + b"{}" + b"}" * 101, b"[" * 100_000],
    ids=lambda raw: str(raw[:12]),
)
@each_row
def test_what_is_no_schema_is_refused(knows: Knows, raw: bytes) -> None:
    with pytest.raises(Rejected, match="a schema is a JSON object of at most 100 levels") as refused:
        weakened(Raw(raw), knows)
    assert refused.value.param == "guided_json"


@pytest.mark.parametrize(
    "schema",
    [
        {"type": 7, "properties": 1, "required": "a", "anyOf": {}, "enum": 2},
        {"type": "object", "required": [1, {}], "properties": {"a": 1}, "additionalProperties": "x"},
        {"type": "string", "pattern": 1, "format": [], "minLength": "x", "description": 4},
        {"type": "array", "prefixItems": {}, "items": 3, "minItems": True, "maxItems": "2"},
        {"type": "array", "items": [1, "x"], "minItems": "1", "maxItems": {}},
        {"allOf": [1, {"required": 1}, {"minimum": "a"}], "minimum": 2, "required": {}, "type": "number"},
        {"type": "integer", "minimum": True, "exclusiveMaximum": None},
        {"$ref": 1, "$defs": [], "definitions": 2},
    ],
)
@each_row
def test_what_is_no_schema_by_its_meaning_does_no_harm(knows: Knows, schema: Schema) -> None:
    assert isinstance(msgspec.json.decode(weakened(Raw(encode(schema)), knows).schema), dict)


# ---------------------------------------------------------------------- what is kept


def test_what_was_weakened_is_kept() -> None:
    raw = encode(closed({"a": TEXT}))
    first = weakened(Raw(raw), OPENAI)
    assert weakened(Raw(raw), OPENAI) is first
    assert weakened(Raw(raw), COHERE) is not first
    began = time.process_time()
    for _ in range(1000):
        weakened(Raw(raw), OPENAI)
    assert time.process_time() - began < 0.2  # a thirtieth of it suffices


def test_large_schemas_are_not_kept() -> None:
    small, large = (encode(TEXT | {"description": "x" * size}) for size in (MAX_KEPT - 60, MAX_KEPT))
    for raw, is_kept in ((small, True), (large, False)):
        before = kept.cache_info().currsize
        kept.cache_clear()
        assert weakened(Raw(raw), VLLM) == weakened(Raw(raw), VLLM)
        assert (kept.cache_info().currsize == 1) == is_kept, before


# ---------------------------------------------------------------------- constraints


@each_row
def test_choices_are_texts_in_an_object(knows: Knows) -> None:
    found = of_choices(OneOf(("red", "green")), knows)
    written = msgspec.json.decode(found.schema)
    assert written["properties"] == {"answer": {"type": "string", "enum": ["red", "green"]}}
    assert restored('{"answer": "red"}', found.restore) == "red"


def test_a_schema_that_is_not_meant_strictly_is_asked_as_it_is() -> None:
    raw = Raw(encode(closed({"a": TEXT})))
    assert by_schema(JsonSchema(raw, strict=False), OPENAI) == Weakened(raw, strict=False)
    found = by_schema(JsonSchema(Raw(b'{"type":"array"}'), strict=False), OPENAI)
    assert (found.restore, found.strict) == (Restore("json"), False)
    with pytest.raises(Rejected):
        by_schema(JsonSchema(Raw(b"nonsense"), strict=False), OPENAI)


def test_the_table_is_told_by_its_names() -> None:
    assert all(knows.name == name and knows.source.startswith("https://") for name, knows in TABLE.items())


@pytest.mark.parametrize("row", TABLE)
def test_schemas_that_grow_are_bounded(row: str) -> None:
    """In time, and in what is sent."""
    words = {"type": "string", "description": "x" * 100_000}
    shared = {f"p{i}": {"$ref": "#/$defs/a", "title": str(i)} for i in range(1000)}
    many = [f"v{i}" for i in range(2000)]
    both = {"a": {"enum": many}, "b": {"enum": many[::-1]}}
    meeting = {f"p{i}": {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}]} for i in range(20)}
    for schema in (
        {"type": "object", "properties": shared, "required": list(shared), "$defs": {"a": words}},
        {"type": "object", "properties": meeting, "$defs": both},
    ):
        began = time.process_time()
        with contextlib.suppress(Rejected):
            assert len(weakened(Raw(msgspec.json.encode(schema)), TABLE[row]).schema) < 2_500_000
        assert time.process_time() - began < 2.5
