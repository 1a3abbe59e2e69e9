"""Typed calls to the demo model: what is asked, and how an answer is judged."""

import json
import threading
from collections import Counter
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from jsonschema_rs import validator_for

from bench.demo import AT_ONCE, Called, call_all, failures, judged
from bench.scenarios import TYPE_NAME, TYPE_TEXT, TYPED_ANSWER
from bench.schemas import LONG_PART, LONG_TEXT, LONG_TYPE, SCHEMAS, Asked
from gateway.typescript import schema_of

DATED = {"type": "object", "properties": {"day": {"format": "date"}}, "required": ["day"]}
VALIDATOR = validator_for(DATED, validate_formats=True)
GOOD = '{"day": "2026-05-04"}'


def answered(text: object, reason: str = "stop") -> bytes:
    return json.dumps({"choices": [{"text": text, "finish_reason": reason}]}).encode()


@pytest.mark.parametrize("asked", SCHEMAS, ids=lambda asked: asked.name)
def test_each_type_has_a_schema_and_prompts_that_differ(asked: Asked) -> None:
    assert not validator_for(json.loads(bytes(schema_of(asked.text, asked.type_name)))).is_valid([{}])
    assert len(set(asked.prompts)) == len(list(asked.prompts)) == 50


def test_the_types_differ() -> None:
    assert len({asked.name for asked in SCHEMAS}) == len({asked.text for asked in SCHEMAS}) == len(SCHEMAS) == 20


def test_the_mock_provider_answers_the_type_that_is_asked_of_it() -> None:
    validator = validator_for(json.loads(bytes(schema_of(TYPE_TEXT, TYPE_NAME))), validate_formats=True)
    assert validator.is_valid(json.loads(TYPED_ANSWER))


def test_the_long_text_is_another_type_under_another_name() -> None:
    assert 1_900 < len(LONG_TEXT) < 2_100
    first = bytes(schema_of(LONG_TEXT, LONG_TYPE))
    other = schema_of(LONG_TEXT.replace(LONG_PART, "T001"), LONG_TYPE.replace(LONG_PART, "T001"))
    assert bytes(other).replace(b"T001", LONG_PART.encode()) == first


@pytest.mark.parametrize(
    ("status", "data", "problem"),
    [
        (200, answered(GOOD), ""),
        (200, answered('{"day": "2026-02-30"}'), '"2026-02-30" is not a "date", at'),
        (200, answered('{"day": NaN}'), "NaN is no JSON"),
        (200, answered(GOOD[:-1]), "JSONDecodeError"),
        (200, answered(None), "TypeError"),
        (200, answered(GOOD, "length"), "finish_reason length"),
        (200, b'{"choices": []}', "not enough values"),
        (422, b'{"error": "the answer is too long", "code": 422}', "HTTP 422: the answer is too long"),
        (500, b"[1]", "HTTP 500: [1]"),
    ],
)
def test_answers_are_judged(status: int, data: bytes, problem: str) -> None:
    said = judged(status, data, VALIDATOR)
    assert problem in said if problem else said == ""


class Parrot(BaseHTTPRequestHandler):
    """Answers each call with JSON of no type but the Weather's; remembers what it was asked, and how often at once."""

    protocol_version = "HTTP/1.1"
    asked: list[dict[str, str]]
    now: list[None]
    most: int

    def do_POST(self) -> None:
        owner = type(self)
        owner.now.append(None)
        owner.most = max(owner.most, len(owner.now))
        owner.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        data = answered('{"place": "Rome", "degrees": 21, "sky": "clear", "windy": false}')
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        owner.now.pop()
        self.wfile.write(data)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def parrot() -> Iterator[tuple[int, type[Parrot]]]:
    handler = type("Handler", (Parrot,), {"asked": [], "now": [], "most": 0})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_address[1], handler
        server.shutdown()


def test_all_types_are_asked_for_alike_and_the_bad_ones_are_told(parrot: tuple[int, type[Parrot]]) -> None:
    port, handler = parrot
    validators = [validator_for(json.loads(bytes(schema_of(one.text, one.type_name)))) for one in SCHEMAS]
    made = call_all(port, ("Authorization: Bearer x",), validators, 40)
    assert Counter(body["type_name"] for body in handler.asked) == {one.type_name: 2 for one in SCHEMAS}
    assert len({(body["type_name"], body["prompt"]) for body in handler.asked}) == 40
    assert handler.most <= AT_ONCE
    assert {call.asked.name for call in made if not call.problem} == {"flat"}
    told = failures(made)
    assert len(told) == len(SCHEMAS) - 1
    assert told[0].startswith("demo, nested: 2 of 2 not valid; the first: ")


def test_a_connection_that_fails_is_a_bad_answer() -> None:
    made: list[Called] = call_all(9, (), [VALIDATOR] * len(SCHEMAS), len(SCHEMAS))
    assert all("ConnectionRefusedError" in call.problem for call in made)
