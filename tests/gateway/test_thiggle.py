"""The thiggle dialect, byte by byte: what is taken, what is refused and with which words, what is answered."""

import contextlib
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import TimedOut, Unavailable
from adapters.types import Call, Delta, Params, Usage
from gateway.errors import BadRequest, LegFailure, Unanswered
from gateway.types import CompletionRequest, CompletionResponse, FanoutBody, Leg, Part
from gateway.wire import thiggle

DEPTH = 64


def decode(body: object) -> CompletionRequest:
    return thiggle.decode(thiggle.read(body if isinstance(body, bytes) else msgspec.json.encode(body), DEPTH))


def refusal(body: object) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(body)
    return caught.value


def test_everything_that_can_be_asked() -> None:
    asked = {
        "prompt": "hi", "model": ["a", "b"], "max_tokens": 5, "temperature": 0, "top_p": 1, "stop": ["x"],
        "presence_penalty": -2, "frequency_penalty": 2.0, "n": 2, "seed": -3, "stream": True,
        "fanout": {"mode": "quorum", "min_success": 2, "deadline_ms": 900, "strict": True},
        "user_id": "00000000-0000-0000-0000-000000000000", "some_later_field": {"a": 1},
    }  # fmt: skip
    params = Params(
        n=2, max_tokens=5, temperature=0, top_p=1, stop=("x",), seed=-3, presence_penalty=-2, frequency_penalty=2
    )
    assert decode(asked) == CompletionRequest(("a", "b"), "hi", params, True, FanoutBody("quorum", 2, 900, True))


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, {}),
        ({"model": None, "stop": None, "max_tokens": None, "n": None, "stream": None, "fanout": None}, {}),
        ({"max_new_tokens": 7}, {"max_tokens": 7}),
        ({"max_new_tokens": 7, "max_tokens": 7}, {"max_tokens": 7}),
        ({"stop": "."}, {"stop": (".",)}),
        ({"stop": []}, {}),
        ({"guided_json": None}, {}),
    ],
)
def test_other_spellings(more: dict[str, Any], expected: dict[str, Any]) -> None:
    assert decode({"prompt": "hi", **more}) == CompletionRequest((), "hi", Params(**expected))


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        (b"", "the body is empty", None),
        (b"   ", "the body is empty", None),
        (b"nonsense", "not valid JSON: expecting value at line 1, column 1", None),
        (b'{"prompt": "a",\n "n": tru}', "line 2, column 7", None),
        (b'{"prompt": "a"', "not valid JSON", None),
        (b'{"prompt": "a"} x', "not valid JSON: extra data at line 1, column 17", None),
        (b'{"prompt": "\xff"}', "not valid UTF-8", None),
        (b'{"prompt": "\\ud800"}', "half of a surrogate pair", None),
        (b'{"prompt": "a", "temperature": NaN}', "NaN", None),
        (b"[1]", "must be a JSON object", None),
        (b'"text"', "must be a JSON object", None),
        (b"null", "must be a JSON object", None),
        (b'{"prompt": "a", "prompt": "b"}', '"prompt" is given twice'.replace('"', ""), "prompt"),
        (b'{"prompt":"a","n":1,"n":2}', "n is given twice", "n"),
        (b'{"prompt" : "a", "n" : 1 , "n":2}', "n is given twice", "n"),
        (b'{"prompt": "a","n":1,"n":2,"seed":3,"top_p":1}', "n is given twice", "n"),
        (b'{"prompt": "' + b"a" * 9000 + b'","n":1,"n":2,"seed":3,"top_p":1}', "n is given twice", "n"),
        (b'{"prompt":"' + b"a" * 9000 + b'","n":1,"n":2}', "n is given twice", "n"),
        (b'{"prompt": "a", "fanout": {"mode": "all", "mode": "first"}}', "mode is given twice", "mode"),
        ({}, "prompt is missing", "prompt"),
        ({"prompt": None}, "prompt: must be a text", "prompt"),
        ({"prompt": ""}, "prompt: must be a text that is not empty", "prompt"),
        ({"prompt": ["a private text"]}, "prompt: must be a text that is not empty", "prompt"),
        ({"prompt": 5}, "prompt: must be a text", "prompt"),
        ({"prompt": "a", "model": []}, "model: must be a model's name, or a list of at least one, not []", "model"),
        ({"prompt": "a", "model": ""}, "model: must be", "model"),
        ({"prompt": "a", "model": ["x", ""]}, "model[1]: must be", "model[1]"),
        ({"prompt": "a", "model": ["x", 3]}, "model[1]: must be", "model[1]"),
        ({"prompt": "a", "model": {"x": 1}}, "model: must be", "model"),
        ({"prompt": "a", "temperature": 1.5}, "temperature: must be a number from 0 to 1, not 1.5", "temperature"),
        ({"prompt": "a", "temperature": "hot"}, 'temperature: must be a number from 0 to 1, not "hot"', "temperature"),
        ({"prompt": "a", "temperature": True}, "temperature: must be", "temperature"),
        ({"prompt": "a", "top_p": -0.1}, "top_p: must be a number from 0 to 1", "top_p"),
        (
            {"prompt": "a", "presence_penalty": 2.1},
            "presence_penalty: must be a number from -2 to 2",
            "presence_penalty",
        ),
        ({"prompt": "a", "frequency_penalty": -3}, "frequency_penalty: must be", "frequency_penalty"),
        (
            {"prompt": "a", "max_tokens": 0},
            "max_tokens: must be a whole number from 1 to 2147483647, not 0",
            "max_tokens",
        ),
        ({"prompt": "a", "max_tokens": -5}, "max_tokens: must be", "max_tokens"),
        ({"prompt": "a", "max_tokens": 1.5}, "max_tokens: must be a whole number", "max_tokens"),
        ({"prompt": "a", "max_tokens": 10**30}, "max_tokens: must be", "max_tokens"),
        ({"prompt": "a", "max_tokens": 5, "max_new_tokens": 6}, "contradict each other", "max_new_tokens"),
        ({"prompt": "a", "n": 0}, "n: must be a whole number from 1 to 128", "n"),
        ({"prompt": "a", "n": 129}, "n: must be", "n"),
        ({"prompt": "a", "seed": 2**64}, "seed: must be", "seed"),
        ({"prompt": "a", "stop": [""]}, "stop[0]: must be", "stop[0]"),
        ({"prompt": "a", "stop": ["x"] * 17}, "stop: must be", "stop"),
        ({"prompt": "a", "stop": 7}, "stop: must be", "stop"),
        ({"prompt": "a", "stream": "yes"}, "stream: must be true or false", "stream"),
        ({"prompt": "a", "fanout": "first"}, "fanout: must be an object", "fanout"),
        ({"prompt": "a", "fanout": {"mode": "any"}}, 'fanout.mode: must be "all", "first" or "quorum"', "fanout.mode"),
        ({"prompt": "a", "fanout": {"min_success": 0}}, "fanout.min_success: must be", "fanout.min_success"),
        ({"prompt": "a", "fanout": {"deadline_ms": -1}}, "fanout.deadline_ms: must be", "fanout.deadline_ms"),
        ({"prompt": "a", "fanout": {"modes": "all"}}, "unknown field modes", "fanout"),
        (
            {"prompt": "a", "guided_json": {"type": "object"}},
            "would constrain the answer; /v1/completion/typed",
            "guided_json",
        ),
        ({"prompt": "a", "response_format": {"type": "json_object"}}, "would constrain the answer", "response_format"),
        ({"prompt": "a", "x": "[" * 100}, None, None),
        (b'{"prompt": "a", "x": ' + b"[" * 64 + b"]" * 64 + b"}", "nested deeper than 64", None),
        (b'{"prompt": "a", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested deeper than 64", None),
        (b"[" * 100_000, "must be a JSON object", None),
    ],
)
def test_refusals_say_what_is_wrong_and_what_would_be_right(body: object, words: str | None, param: str | None) -> None:
    if words is None:
        decode(body)
        return
    error = refusal(body)
    assert words in error.message
    assert error.param == param
    assert "private" not in error.message
    assert len(error.message) < 300


def test_sixty_four_levels_are_allowed() -> None:
    decode(b'{"prompt": "a", "x": ' + b"[" * 63 + b"]" * 63 + b"}")


@pytest.mark.parametrize(
    "body",
    [
        b'{"prompt": "' + b'\\"' * 200_000,
        b'{"prompt": "a", "x": [' + b"[],{}," * 200_000 + b"1]}",
        b'{"prompt": "hi", "a": ' + b"1" * 5000 + b", }",
        b'{"prompt": "hi" , "a": ' + b"1" * 5000 + b"}",
        b'{"prompt": "hi", "x": ' + b'["\\"[",' * 60 + b"1" + b"]" * 60 + b"}",
    ],
    ids=["quotes", "brackets", "digits", "digits oddly spaced", "brackets in strings"],
)
def test_a_nasty_body_is_read_in_no_time(body: bytes) -> None:
    began = time.process_time()
    with contextlib.suppress(BadRequest):
        decode(body)
    assert time.process_time() - began < 1


def test_raw_line_breaks_in_strings_are_taken() -> None:
    assert decode(b'{"prompt": "one\ntwo\t\\"three\\"", "n": 2}').input == 'one\ntwo\t"three"'
    assert refusal(b'{"prompt": "one\ntwo",, "n": 2}').message.startswith("the body is not valid JSON")


@pytest.mark.parametrize("body", [b'{"prompt":"a","n":1,"n":1}', b'{ "prompt" : "a\\u0041" , "\\u006e" : 1 }'])
def test_the_same_thing_said_twice_or_oddly_is_no_conflict(body: bytes) -> None:
    assert decode(body).params == Params()


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
FIELDS = st.sampled_from([*thiggle.RequestBody.__struct_fields__, "guided_json", "other"])


@given(st.dictionaries(FIELDS, JSON, max_size=6))
def test_any_json_is_taken_or_refused(fields: dict[str, Any]) -> None:
    try:
        decode(fields)
    except BadRequest as error:
        assert error.message


@given(st.binary(max_size=200))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    try:
        decode(body)
    except BadRequest as error:
        assert error.message


def test_an_answer() -> None:
    parts = (
        Part(0, "a", "A", "length", Usage(5, 3), 1_700_000_000, 250),
        Part(1, "b", "", None, Usage(0, 0), 1_700_000_001, 90, Unavailable("down")),
        Part(2, "c", "", None, Usage(0, 0), 1_700_000_001, 90, TimedOut("late")),
        Part(3, "d", "D", "filtered", Usage(1, 1), 1_700_000_001, 90),
    )
    answer = CompletionResponse("3f1c1b1e-0000-4000-8000-000000000000", 1_700_000_001, parts, Usage(6, 4), 260)
    none = {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0, "prediction_time_ms": 90}
    assert msgspec.json.decode(thiggle.encode(CompletionRequest((), "hi", Params()), answer)) == {
        "id": "3f1c1b1e-0000-4000-8000-000000000000",
        "object": "text_completion",
        "created": "2023-11-14T22:13:21Z",
        "choices": [
            {
                "text": "A", "created": 1_700_000_000, "model": "a", "finish_reason": "length",
                "usage": {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prediction_time_ms": 250},
            },
            {
                "text": "", "created": 1_700_000_001, "model": "b", "finish_reason": "error", "usage": none,
                "error": {"code": "unavailable", "message": "down"},
            },
            {
                "text": "", "created": 1_700_000_001, "model": "c", "finish_reason": "timeout", "usage": none,
                "error": {"code": "timed_out", "message": "late"},
            },
            {
                "text": "D", "created": 1_700_000_001, "model": "d", "finish_reason": "stop",
                "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2, "prediction_time_ms": 90},
            },
        ],
        "usage": {"prompt_tokens": 6, "completion_tokens": 4, "total_tokens": 10, "prediction_time_ms": 260},
    }  # fmt: skip


def test_errors_are_flat_and_free_of_percent_signs_that_the_go_client_would_format() -> None:
    error = Unanswered("100% down", 502, (LegFailure(0, "a", "unavailable", "down"),))
    assert msgspec.json.decode(thiggle.encode_error(error)) == {
        "error": "100%% down",
        "code": 502,
        "errors": [{"index": 0, "model": "a", "code": "unavailable", "message": "down"}],
    }
    assert msgspec.json.decode(thiggle.encode_error(BadRequest("no"))) == {"error": "no", "code": 400}


def test_a_stream() -> None:
    legs = tuple(Leg(name, Call(name, "hi", Params()), (), i, ()) for i, name in enumerate("ab"))
    chunks = thiggle.chunks(CompletionRequest((), "hi", Params()), "id", 1_700_000_000, legs)
    head = {"id": "id", "object": "text_completion", "created": "2023-11-14T22:13:20Z"}
    figures = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8, "prediction_time_ms": 250}

    def event(data: bytes) -> Any:
        assert data.startswith(b"data: ") and data.endswith(b"\n\n")
        return msgspec.json.decode(data[6:])

    assert event(chunks.texts(1, [Delta(0, 'x"\n'), Delta(0, "", "stop")])) == head | {
        "choices": [{"index": 1, "model": "b", "text": 'x"\n', "finish_reason": None}]
    }
    ended = event(chunks.end(Part(0, "a", "", "stop", Usage(5, 3), 7, 250, Unavailable("down"))))
    assert ended == head | {
        "choices": [
            {
                "index": 0, "model": "a", "text": "", "finish_reason": "error", "created": 7, "usage": figures,
                "error": {"code": "unavailable", "message": "down"},
            }
        ]
    }  # fmt: skip
    last = chunks.usage(Usage(5, 3), 250)
    assert last.endswith(b"\n\ndata: [DONE]\n\n")
    assert event(last[: -len(b"data: [DONE]\n\n")]) == head | {"choices": [], "usage": figures}
