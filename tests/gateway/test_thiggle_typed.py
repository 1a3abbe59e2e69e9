"""thiggle's typed completion: the request as models get it, answers that were cut off, and the door of the route."""

from typing import Any

import msgspec
import pytest

from adapters.types import Finish, JsonSchema, Params, Usage
from gateway.errors import BadRequest, GatewayError
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
    assert request.input == (
        "Say hello.\n\nAnswer with JSON of the TypeScript type Message, and nothing else. It is defined so:\n\n"
        "```typescript\nexport type Message {\n  text: string; // what is said\n}\n```\n\n"
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


def answered(*texts: tuple[str, Finish], models: int = 0, **fanout: Any) -> dict[str, Any]:
    """What the caller reads; the last of ``models`` were given up."""
    models = models or len(texts)
    request = decode(**BODY, model=["a", "b", "c"][:models], fanout=fanout)
    parts = tuple([Part(i, "abc"[i], text, finish, Usage(5, 3), 7, 20) for i, (text, finish) in enumerate(texts)])
    response = CompletionResponse("id", 1_700_000_000, parts, Usage(5, 3), 20, models)
    found: dict[str, Any] = msgspec.json.decode(Typed(Conversions()).encode(request, response))
    return found


def test_the_answers_text_is_the_json() -> None:
    [choice] = answered(('{"text": "hello"}', "stop"))["choices"]
    assert (choice["text"], choice["finish_reason"]) == ('{"text": "hello"}', "stop")
    [choice] = answered(('{"text": "hello"}', "length"))["choices"]
    assert (choice["text"], choice["finish_reason"]) == ('{"text": "hello"}', "length")


def test_an_answer_that_was_cut_off_is_an_error_that_says_so() -> None:
    with pytest.raises(GatewayError) as caught:
        answered(('{"text": "he', "length"))
    told = Typed(Conversions()).encode_error(caught.value)
    words = typed.CUT_OFF
    assert msgspec.json.decode(told) == {
        "error": f"a: {words}",
        "code": 422,
        "param": "max_tokens",
        "errors": [{"index": 0, "model": "a", "code": "constraint_violated", "message": words}],
    }


def test_one_of_several_that_was_cut_off_stays_in_its_place() -> None:
    first, second = answered(('{"text": "he', "length"), ('{"text": "x"}', "stop"))["choices"]
    assert (first["text"], first["finish_reason"], first["error"]["code"]) == ("", "error", "constraint_violated")
    assert second["text"] == '{"text": "x"}'
    with pytest.raises(GatewayError):
        answered(('{"text": "he', "length"), ('{"text": "x"}', "stop"), strict=True)


CUT: tuple[str, Finish] = ('{"text": "he', "length")
WHOLE: tuple[str, Finish] = ('{"text": "x"}', "stop")


@pytest.mark.parametrize(
    ("texts", "fanout"),
    [
        ((CUT, WHOLE), {"min_success": 2}),
        ((CUT, WHOLE, CUT), {"min_success": 2, "mode": "quorum"}),
        ((CUT, WHOLE), {"mode": "quorum", "models": 3}),
    ],
)
def test_an_answer_that_was_cut_off_does_not_count_as_one(texts: Any, fanout: Any) -> None:
    with pytest.raises(GatewayError) as caught:
        answered(*texts, **fanout)
    assert (caught.value.status, caught.value.param) == (422, "max_tokens")


def test_where_enough_are_whole_one_may_be_cut_off() -> None:
    for fanout in ({"min_success": 2}, {"mode": "quorum"}):
        assert len(answered(CUT, WHOLE, WHOLE, **fanout)["choices"]) == 3


def test_a_model_with_one_whole_choice_has_answered_once() -> None:
    request = decode(**BODY, model=["a", "b"], n=2, fanout={"min_success": 2})

    def said(*texts: tuple[str, Finish]) -> int:
        parts = tuple([Part(i, "ab"[i // 2], text, end, Usage(5, 3), 7, 20) for i, (text, end) in enumerate(texts)])
        response = CompletionResponse("id", 1, parts, Usage(5, 3), 20, 2)
        return len(msgspec.json.decode(Typed(Conversions()).encode(request, response))["choices"])

    assert said(WHOLE, CUT, WHOLE, CUT) == 4
    with pytest.raises(GatewayError):
        said(WHOLE, WHOLE, CUT, CUT)


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
