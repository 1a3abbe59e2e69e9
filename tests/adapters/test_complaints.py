"""Refusals are told by the parameter that they are about, so that what follows can be decided by it."""

from typing import Any

import msgspec
import pytest
from msgspec import Raw

from adapters.complaints import named, read_answer
from adapters.errors import Filtered, Rejected, TooLong, Unavailable
from adapters.types import AnyJson, Call, Chat, Constraint, Fields, HttpResponse, JsonSchema, OneOf, Regex
from tests.adapters.recordings import adapters

CHAT = Chat(Raw(b'[{"role":"user","content":"hello"}]'))
SCHEMA = JsonSchema(Raw(b'{"type":"object","properties":{"a":{"type":"string"}}}'))
ADAPTERS = adapters()


def refused(body: Any, constraint: Constraint | None = SCHEMA, fields: Fields | None = None) -> Rejected:
    response = HttpResponse(400, [], msgspec.json.encode(body))
    return named(Rejected("refused", status=400), Call("m", CHAT, fields=fields, constraint=constraint), response)


def error(message: str, param: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", "param": param, "code": None}}


@pytest.mark.parametrize(
    "body",
    [
        error("Invalid schema for response_format 'answer': ...", "response_format"),
        error("not permitted", "response_format.json_schema.schema"),
        error("Extra inputs", "structured_outputs"),
        error("Extra inputs", "guided_json"),
        error("This model does not support response format `json_schema`"),
        error("This response_format type is unavailable now"),
        error("'response_format' of type 'json_schema' is not supported with this model"),
        error("The provided JSON schema contains features not supported by xgrammar."),
        {"object": "error", "message": "Failed to parse grammar", "type": "BadRequest", "param": None, "code": 400},
        {"message": "structured outputs are not available for this model"},
        {"error": "Input validation error: grammar is not valid", "error_type": "validation"},
    ],
    ids=str,
)
@pytest.mark.parametrize("constraint", [SCHEMA, AnyJson(), OneOf(("a", "b"))], ids=lambda one: type(one).__name__)
def test_what_is_about_the_format_of_the_answer(body: Any, constraint: Constraint) -> None:
    found = refused(body, constraint)
    assert (found.param, found.message, found.status) == ("response_format", "refused: response_format", 400)


@pytest.mark.parametrize(
    ("body", "constraint", "param"),
    [
        (error("no", "messages[0].content"), SCHEMA, "messages"),
        (error("response_format needs the word JSON", "messages"), SCHEMA, "messages"),
        (error("no", "seed"), SCHEMA, "seed"),
        (error("no", "user"), SCHEMA, None),  # which was not sent
        (error("no", "response_format"), None, None),
        (error("This model does not support response format"), None, None),
        (error("Failed to parse grammar"), Regex("a"), None),  # for which there is nothing weaker
        (error("no"), SCHEMA, None),
        ([], SCHEMA, None),
    ],
)
def test_what_is_about_something_else(body: Any, constraint: Constraint | None, param: str | None) -> None:
    assert refused(body, constraint, {"seed": Raw(b"1")}).param == param


@pytest.mark.parametrize("kind", [TooLong, Filtered])
def test_a_prompt_that_is_refused_is_not_taken_for_a_format(kind: type[Rejected]) -> None:
    response = HttpResponse(400, [], b'{"error":{"message":"json_schema and prompt are too long"}}')
    assert named(kind("refused"), Call("m", CHAT, constraint=SCHEMA), response).param is None


def test_only_the_beginning_of_an_error_is_looked_at() -> None:
    assert refused(error("x" * 3000 + "json_schema")).param is None


def test_other_failures_stay_as_they_are() -> None:
    call, response = Call("m", CHAT, constraint=SCHEMA), HttpResponse(503, [], b'{"error":"json_schema"}')
    with pytest.raises(Unavailable) as failed:
        read_answer(call, response, bytes)
    assert failed.value.param is None
    assert read_answer(call, HttpResponse(200, [], b"x"), bytes) == b"x"


@pytest.mark.parametrize("name", ADAPTERS)
def test_every_adapter_names_it(name: str) -> None:
    """Both on the way of a text and on that of a chat, where it has them."""
    adapter = ADAPTERS[name]
    response = HttpResponse(400, [], msgspec.json.encode(error("This model does not support response format")))
    for text in ("hello", CHAT) if "completion" in adapter.modes else (CHAT,):
        with pytest.raises(Rejected) as caught:
            adapter.decode(Call("m", text, constraint=SCHEMA), response)
        assert caught.value.param == "response_format"
