"""The Lamini dialect and its door: what is taken, what is refused and in which form, what is answered."""

from typing import Any

import msgspec
import pytest

from adapters.types import Delta, JsonSchema, Params, Prompts, Usage
from gateway import lamini as polling
from gateway.errors import BadRequest, GatewayError, NotOffered, Unanswered, Unauthenticated, UnknownModel
from gateway.jobs import Look
from gateway.lamini import Answering
from gateway.types import Caller, CompletionRequest, CompletionResponse, Part
from gateway.wire import completions, lamini
from gateway.wire.door import CompletionsDoor

NOTHING = Usage(0, 0)


def asked(**fields: Any) -> CompletionRequest:
    body = {"model_name": "m", "prompt": "How old are you?"} | fields
    return lamini.decode(lamini.read(msgspec.json.encode(body), 64))


def refusal(**fields: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        asked(**fields)
    return caught.value


def answered(request: CompletionRequest, *texts: str, finish: Any = "stop") -> Any:
    parts = tuple(Part(i, "m", text, finish, NOTHING, 1, 1) for i, text in enumerate(texts))
    return msgspec.json.decode(lamini.encode(request, CompletionResponse("id", 1, parts, NOTHING, 1)))


def schema(request: CompletionRequest) -> Any:
    assert isinstance(request.constraint, JsonSchema)
    return msgspec.json.decode(request.constraint.schema)


# ------------------------------------------------------------------ requests


def test_what_the_client_of_today_sends() -> None:
    request = asked(output_type=None, max_tokens=None)
    assert request == CompletionRequest(("m",), "How old are you?", Params(), note=lamini.Note(True))


def test_a_list_of_prompts() -> None:
    assert asked(prompt=["a", "b"]).input == Prompts(("a", "b"))
    assert asked(prompt=["a"]).input == "a"
    assert asked(prompt=["a"]).note == lamini.Note(False)


@pytest.mark.parametrize("name", ["output_type", "out_type"])
def test_a_type_becomes_a_schema_in_the_order_of_its_names(name: str) -> None:
    declared = {"z": "str", "a": "int", "f": "float", "b": "bool", "old": "string", "c": ["x", "y"], "n": [1, 2]}
    request = asked(**{name: declared})
    assert schema(request) == {
        "type": "object",
        "properties": {
            "z": {"type": "string"},
            "a": {"type": "integer"},
            "f": {"type": "number"},
            "b": {"type": "boolean"},
            "old": {"type": "string"},
            "c": {"type": "string", "enum": ["x", "y"]},
            "n": {"type": "integer", "enum": [1, 2]},
        },
        "required": ["z", "a", "f", "b", "old", "c", "n"],
        "additionalProperties": False,
    }
    assert list(schema(request)["properties"]) == list(declared)
    assert request.params.temperature == 0  # the likeliest object
    assert asked(**{name: declared}, temperature=0.7).params.temperature == 0.7
    assert asked().params.temperature is None


def test_the_two_names_of_a_type() -> None:
    assert schema(asked(output_type=None, out_type={"a": "int"}))["required"] == ["a"]
    assert schema(asked(output_type={"a": "int"}, out_type={"a": "int"}))["required"] == ["a"]
    error = refusal(output_type={"a": "int"}, out_type={"a": "str"})
    assert (error.status, error.param) == (422, "out_type")


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({}, "output_type: needs at least one name with its type"),
        ({"age": "integer"}, 'output_type.age: must be "str", "int", "float", "bool", or a list'),
        ({"age": {"years": "int"}}, "objects within the object are not possible"),
        ({"age": []}, "output_type.age: must be"),
        ({"age": ["a", 1]}, "output_type.age: must be"),
        ({"age": [True]}, "output_type.age: must be"),
        ({"age": [1.5]}, "output_type.age: must be"),
        ({"age": None}, "output_type.age: must be"),
        ({"age": 3}, "output_type.age: must be"),
    ],
)
def test_what_is_no_type(declared: Any, message: str) -> None:
    error = refusal(output_type=declared)
    assert message in error.message
    assert (error.status, error.param) == (400, "output_type")


def test_limits() -> None:
    assert asked(max_new_tokens=7).params.max_tokens == 7
    assert asked(max_new_tokens=None).params.max_tokens is None
    assert asked(prompt="a" * 40, max_tokens=30).params.max_tokens == 20  # 4 bytes are taken for a token
    assert asked(prompt=["a" * 40, "a"], max_tokens=30, max_new_tokens=50).params.max_tokens == 20
    assert asked(prompt="a" * 40, max_tokens=30, max_new_tokens=5).params.max_tokens == 5
    error = refusal(prompt="a" * 40, max_tokens=10)
    assert (error.status, error.param) == (400, "max_tokens")
    assert "10 leave no room for an answer to a prompt of about 10 tokens" in error.message


@pytest.mark.parametrize(
    ("fields", "param", "status"),
    [
        ({"model_name": None}, "model_name", 422),
        ({"model_name": ""}, "model_name", 422),
        ({"model_name": ["a", "b"]}, "model_name", 422),
        ({"model_name": "a,b"}, "model_name", 400),
        ({"prompt": None}, "prompt", 422),
        ({"prompt": 3}, "prompt", 422),
        ({"prompt": [1, 2]}, "prompt[0]", 422),
        ({"prompt": ""}, "prompt", 400),
        ({"prompt": []}, "prompt", 400),
        ({"prompt": ["a", ""]}, "prompt", 400),
        ({"prompt": ["a"] * 1025}, "prompt", 400),
        ({"output_type": ["int"]}, "output_type", 422),
        ({"output_type": "int"}, "output_type", 422),
        ({"max_new_tokens": "7"}, "max_new_tokens", 422),
        ({"max_new_tokens": 0}, "max_new_tokens", 400),
        ({"max_tokens": 2**31}, "max_tokens", 400),
        ({"temperature": 3}, "temperature", 400),
    ],
)
def test_refused_values(fields: dict[str, Any], param: str, status: int) -> None:
    error = refusal(**fields)
    assert (error.param, error.status) == (param, status)
    assert param in error.message
    detail = msgspec.json.decode(lamini.encode_error(error))["detail"]
    assert detail == error.message if status == 400 else detail[0]["loc"] == ["body", param.partition("[")[0]]


def test_other_fields_are_passed_over_unless_they_ask_for_something() -> None:
    assert asked(cache_id="x", reservation_id="y", stream=True, n=1, stop=None, anything=3) == asked()
    for name, value in {
        "stop": ["."],
        "n": 2,
        "top_k": 5,
        "guided_json": {},
        "response_format": {},
        "regex": "a",
    }.items():
        assert refusal(**{name: value}).param == name


def test_no_error_repeats_a_prompt() -> None:
    for fields in ({"prompt": ["secret", 3]}, {"prompt": "secret " * 9, "max_tokens": 1}):
        assert "secret" not in refusal(**fields).message


# ------------------------------------------------------------------ answers


def test_answers_are_bare() -> None:
    assert answered(asked(), " I am 3.") == {"output": " I am 3."}
    assert answered(asked(prompt=["a", "b"]), "1", "2") == [{"output": "1"}, {"output": "2"}]
    assert answered(asked(prompt=["a"]), "1") == [{"output": "1"}]


def test_typed_answers_have_the_order_of_the_declaration_and_json_types() -> None:
    request = asked(output_type={"age": "int", "units": "str"})
    assert list(answered(request, ' {"units": "years", "age": 10}\n').items()) == [("age", 10), ("units", "years")]
    several = asked(prompt=["a", "b"], output_type={"x": "float"})
    assert answered(several, '{"x": 1.5}', '{"x": 2}') == [{"x": 1.5}, {"x": 2}]


def test_a_whole_number_may_have_been_written_with_a_point() -> None:
    found = answered(asked(output_type={"age": "int"}), '{"age": 10.0}')["age"]
    assert found == 10 and type(found) is int


def test_a_typed_answer_that_was_cut_off_says_that_the_limit_is_too_low() -> None:
    request = asked(output_type={"age": "int"}, max_new_tokens=3)
    with pytest.raises(BadRequest, match="cut off at the limit of tokens") as caught:
        answered(request, '{"age": ', finish="length")
    assert (lamini.status(caught.value), caught.value.param) == (400, "max_new_tokens")
    assert answered(request, '{"age": 3}', finish="length") == {"age": 3}


@pytest.mark.parametrize(
    ("declared", "text"),
    [
        ({"a": "int"}, "I am 10."),
        ({"a": "int"}, '{"a": "10"}'),
        ({"a": "int"}, '{"a": true}'),
        ({"a": "int"}, '{"a": 1.5}'),
        ({"a": "int"}, '{"a": 1, "b": 2}'),
        ({"a": "int", "b": "int"}, '{"a": 1}'),
        ({"a": "bool"}, '{"a": 1}'),
        ({"a": "str"}, '{"a": null}'),
        ({"a": "float"}, '{"a": false}'),
        ({"a": ["x"]}, '{"a": "y"}'),
        ({"a": [1]}, '{"a": true}'),
        ({"a": "int"}, "[" * 20_000),
    ],
)
def test_an_answer_of_another_type_is_an_error(declared: Any, text: str) -> None:
    with pytest.raises(Unanswered) as caught:
        answered(asked(output_type=declared), text)
    assert lamini.status(caught.value) == 422


# ------------------------------------------------------------------ errors


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnknownModel("x"), 594),
        (NotOffered("x"), 503),
        (Unauthenticated("x"), 401),
        (BadRequest("x"), 400),
        (Unanswered("x", 429, ()), 429),
        (Unanswered("x", 502, ()), 503),
        (Unanswered("x", 503, ()), 503),
        (Unanswered("x", 504, ()), 524),
    ],
)
def test_errors(error: GatewayError, status: int) -> None:
    assert lamini.status(error) == status
    assert msgspec.json.decode(lamini.encode_error(error)) == {"detail": "x"}


def test_a_malformed_body_is_told_as_fastapi_does() -> None:
    assert msgspec.json.decode(lamini.encode_error(refusal(prompt=3))) == {
        "detail": [
            {"loc": ["body", "prompt"], "msg": "prompt: must be a text, or a list of texts", "type": "value_error"}
        ]
    }


# ------------------------------------------------------------------ the door

door = CompletionsDoor()
PROMPT = {"prompt": "x"}


@pytest.mark.parametrize("by_head", [True, False])
def test_one_name_of_a_model_decides(by_head: bool) -> None:
    for body in ({"model_name": "m"}, {"model_name": "m", "model": None}, {"model_name": "m", "output_type": None}):
        assert door.enter(msgspec.json.encode(PROMPT | body), 64, by_head)[0] is lamini
    for body in ({"model": "m"}, {"model": "m", "model_name": None}, {"model": "m", "output_type": None}):
        assert door.enter(msgspec.json.encode(PROMPT | body), 64, by_head)[0] is completions


@pytest.mark.parametrize(
    ("body", "by_head", "status", "error"),
    [
        ({"model": "m", "model_name": "m"}, False, 400, "model"),
        ({"model": "m", "model_name": "m"}, True, 400, None),
        ({"model": "m", "model_name": "m", "out_type": None}, False, 400, None),
        ({"output_type": None}, False, 422, None),
        ({"model_name": None}, False, 422, None),
        ({}, True, 422, None),
        ({}, False, 400, "model"),
        ({"model": None}, False, 400, "model"),
    ],
)
def test_errors_are_told_in_the_callers_dialect(
    body: dict[str, Any], by_head: bool, status: int, error: str | None
) -> None:
    """``error`` is the parameter that OpenAI's form names; None where the form is Lamini's."""
    dialect, read = door.enter(msgspec.json.encode(PROMPT | body), 64, by_head)
    with pytest.raises(BadRequest) as caught:
        dialect.decode(read)
    assert dialect.status(caught.value) == status
    told = msgspec.json.decode(dialect.encode_error(caught.value))
    assert told.keys() == ({"detail"} if error is None else {"error"})
    if error is not None:
        assert told["error"]["param"] == error
    elif status == 422:
        assert told["detail"][0]["loc"] == ["body", "model_name"]
    else:
        assert told["detail"] == "model and model_name are both given; name the model once"


def test_what_is_no_json_is_told_in_the_words_of_all() -> None:
    with pytest.raises(BadRequest) as caught:
        door.enter(b"{", 64, False)
    told = msgspec.json.decode(door.early(False).encode_error(caught.value))
    assert told["detail"] == told["error"]["message"] == caught.value.message
    assert door.early(False).status(caught.value) == 400


def test_what_is_no_json_is_told_to_laminis_client_in_its_own() -> None:
    with pytest.raises(BadRequest) as caught:
        door.enter(b"{", 64, True)
    told = msgspec.json.decode(door.early(True).encode_error(caught.value))
    assert (door.early(True).status(caught.value), told["detail"][0]["loc"]) == (422, ["body"])


def test_a_missing_model_is_never_594_to_others() -> None:
    assert completions.status(UnknownModel("x")) == 404
    assert door.early(False).status(UnknownModel("x")) == 404


# ------------------------------------------------------------------ jobs


async def test_a_streamed_answer_is_put_together_when_it_is_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    looks: list[Look] = []

    def encoded(text: str) -> bytes:
        made.append(text)
        return msgspec.json.encode({"output": text})

    class Talking:
        async def answer(self, request: CompletionRequest, team: Caller, id: str, hear: Any) -> CompletionResponse:
            for i in range(100):
                hear(None, [Delta(0, f"{i} "), Delta(0, "")], 0)
            assert not made
            assert looks[-1]() == msgspec.json.encode({"output": "".join(f"{i} " for i in range(100))})
            return CompletionResponse("id", 1, (Part(0, "m", "", "stop", NOTHING, 1, 1),), NOTHING, 1)

    monkeypatch.setattr(polling, "encoded", encoded)
    completion: Any = Talking()
    output = await Answering(completion, Caller("us", "k"), asked(), ("Hi",), True)(0, looks.append)
    assert (output.finish, msgspec.json.decode(output.data)["output"].split()) == ("stop", [str(i) for i in range(100)])
    assert len(made) == 1
