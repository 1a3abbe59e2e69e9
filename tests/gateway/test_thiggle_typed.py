"""thiggle's typed completion: the request as models get it, answers that were cut off, and the door of the route."""

from typing import Any

import msgspec
import pytest

from adapters.types import JsonSchema, Params, Usage
from gateway.errors import BadRequest
from gateway.types import CompletionRequest, CompletionResponse, Part
from gateway.wire import thiggle, typed
from gateway.wire.typed import Completions, Conversions, Typed

SCHEMA = "export type Message {\n  text: string; // what is said\n}"
BODY = {"prompt": "Say hello.", "schema": SCHEMA, "type_name": "Message"}
OBJECT = {
    "type": "object",
    "properties": {"text": {"type": "string"}},
    "required": ["text"],
    "additionalProperties": False,
}


def decode(**body: Any) -> CompletionRequest:
    dialect = Typed(Conversions())
    return dialect.decode(dialect.read(msgspec.json.encode(body), 64))


def refusal(**body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(**body)
    return caught.value


def test_a_typed_request() -> None:
    request = decode(
        **BODY, max_tokens=20, temperature=0.5, user_id="00000000-0000-0000-0000-000000000000", model="a,b"
    )
    assert request.input == "Say hello."
    assert request.hint == (
        "Answer with JSON of the TypeScript type Message, and nothing else. It is defined so:\n\n"
        "```typescript\nexport type Message {\n  text: string; // what is said\n}\n```"
    )
    assert (request.models, request.one_text) == (("a,b",), True)
    assert request.params == Params(max_tokens=20, temperature=0.5)
    assert (request.fields, request.constrained_by) == (None, "schema")
    assert isinstance(request.constraint, JsonSchema)
    assert (request.constraint.name, request.constraint.strict) == ("Message", True)
    schema = msgspec.json.decode(request.constraint.schema)
    assert {name: schema[name] for name in OBJECT} == OBJECT


def test_stop_is_checked_and_not_applied() -> None:
    assert decode(**BODY, stop=["."]).params.stop == ()
    assert refusal(**BODY, stop=[""]).param == "stop[0]"


def test_a_raw_line_break_in_the_schema_is_taken() -> None:
    dialect = Typed(Conversions())
    body = b'{"prompt": "hi", "type_name": "A", "schema": "export type A {\n  text: string;\n}", "stop": ["."]}'
    assert isinstance(dialect.decode(dialect.read(body, 64)).constraint, JsonSchema)


@pytest.mark.parametrize(
    ("change", "words", "param"),
    [
        ({"schema": None}, "schema: must be exported TypeScript definitions", "schema"),
        ({"type_name": ""}, "type_name: must be the name of a type that schema exports", "type_name"),
        ({"type_name": "Massage"}, "type_name: ", "type_name"),
        ({"schema": "export type Message = {\n  text: strin;\n}"}, "schema: line 2, column ", "schema"),
        ({"temperature": 1.5}, "temperature: must be a number from 0 to 1, not 1.5", "temperature"),
        ({"max_tokens": 0}, "max_tokens: must be", "max_tokens"),
        ({"model": []}, "model: must be", "model"),
        ({"guided_json": {}}, "guided_json: is not a field of this route", "guided_json"),
        ({"pattern": "a", "grammar": "x"}, "grammar: is not a field of this route", "grammar"),
    ],
)
def test_refusals(change: dict[str, Any], words: str, param: str) -> None:
    error = refusal(**{**BODY, **change})
    assert words in error.message
    assert error.param == param


@pytest.mark.parametrize("missing", ["prompt", "schema", "type_name"])
def test_what_is_missing_is_named(missing: str) -> None:
    error = refusal(**{name: value for name, value in BODY.items() if name != missing})
    assert (error.message, error.param) == (f"{missing} is missing", missing)


def test_a_types_name_becomes_one_that_openai_takes() -> None:
    assert typed.name_of("$ünder_score") == "__nder_score"
    assert typed.name_of("A" * 100) == "A" * 64


def test_conversions_are_kept_and_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    converted: list[str] = []

    def schema_of(text: str, type_name: str) -> dict[str, Any]:
        converted.append(text)
        return {"title": text}

    monkeypatch.setattr(typed, "schema_of", schema_of)
    kept = Conversions(2)
    for text in ("a", "b", "a", "c", "a", "b"):
        assert bytes(kept.schema(text, "T")) == b'{"title":"%b"}' % text.encode()
    assert converted == ["a", "b", "c", "b"]
    kept.schema("b", "U")
    assert converted == ["a", "b", "c", "b", "b"]


def test_the_answers_text_is_the_json() -> None:
    request = decode(**BODY)
    parts = (Part(0, "a", '{"text": "hello"}', "stop", Usage(5, 3), 7, 20),)
    response = CompletionResponse("id", 1_700_000_000, parts, Usage(5, 3), 20)
    [choice] = msgspec.json.decode(Typed(Conversions()).encode(request, response))["choices"]
    assert (choice["text"], choice["finish_reason"]) == ('{"text": "hello"}', "stop")


@pytest.mark.parametrize(
    ("more", "is_typed"),
    [
        ({}, False),
        ({"schema": None, "type_name": None}, False),
        ({"schema": "x"}, True),
        ({"type_name": "X", "schema": None}, True),
        ({"schema": "x", "type_name": "X"}, True),
    ],
)
def test_a_typed_body_is_known_by_its_fields(more: dict[str, Any], is_typed: bool) -> None:
    dialect = Typed(Conversions())
    door = Completions(dialect)
    found, body = door.enter(msgspec.json.encode({"prompt": "hi", **more}), 64, False)
    assert found is (dialect if is_typed else thiggle)
    assert set(body.fields) == {"prompt", *more}
    assert door.early(False) is thiggle
