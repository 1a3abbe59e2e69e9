"""thiggle's routes that constrain an answer: what is asked of the models, what is refused, what is answered."""

import re
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.errors import Rejected
from adapters.types import Finish, Grammar, JsonSchema, OneOf, Params, Regex, Usage
from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionRequest, CompletionResponse, Part
from gateway.wire import categorize, cfg, regex
from gateway.wire.regex import shortest

DEFAULTS = Params(max_tokens=5, temperature=1.0, top_p=1.0, top_k=50, repetition_penalty=1.0)
WRITTEN = {"max_tokens": b"5", "temperature": b"1.0", "top_p": b"1.0", "top_k": b"50", "repetition_penalty": b"1.0"}


def decode(route: ModuleType, **body: Any) -> CompletionRequest:
    found: CompletionRequest = route.decode(route.read(msgspec.json.encode(body), 64))
    return found


def refusal(route: ModuleType, **body: Any) -> BadRequest:
    with pytest.raises(BadRequest) as caught:
        decode(route, **body)
    return caught.value


def answered(
    route: ModuleType, request: CompletionRequest, text: str, finish: Finish = "stop", tokens: int = 3
) -> dict[str, Any]:
    part = Part(0, "a", text, finish, Usage(9, tokens), 1_700_000_000, 20)
    response = CompletionResponse("id", 1_700_000_000, (part,), part.usage, 20)
    found: dict[str, Any] = msgspec.json.decode(route.encode(request, response))
    return found


# ---------------------------------------------------------------------- regex


def test_a_pattern_with_the_documented_defaults() -> None:
    request = decode(regex, prompt="hi", pattern="^[a-z]+$")
    fields = {name: Raw(value) for name, value in WRITTEN.items()}
    assert request == CompletionRequest(
        (), "hi", DEFAULTS, fields=fields, constraint=Regex("[a-z]+"), constrained_by="pattern", note=True
    )


def test_all_that_can_be_asked_of_a_pattern() -> None:
    request = decode(
        regex, prompt="hi", patterns=["^yes$", "no"], model=["a"], max_tokens=9, max_new_tokens=9, top_k=0, top_p=0.5,
        temperature=0, repetition_penalty=1.2, seed=4, stop_after_match=False, stream=False, n=1, user_id="x",
    )  # fmt: skip
    params = Params(max_tokens=9, temperature=0.0, top_p=0.5, top_k=0, repetition_penalty=1.2, seed=4)
    assert request == CompletionRequest(
        ("a",),
        "hi",
        params,
        fields={name: Raw(msgspec.json.encode(getattr(params, name))) for name in [*WRITTEN, "seed"]},
        constraint=Regex("(?:yes)|(?:no)"),
        constrained_by="patterns",
        note=False,
    )


@pytest.mark.parametrize("given_", [None, True])
def test_a_match_ends_the_answer_unless_told_otherwise(given_: bool | None) -> None:
    assert decode(regex, prompt="hi", pattern="a", stop_after_match=given_).note is True


@pytest.mark.parametrize(
    ("pattern", "bare"),
    [
        (".*prompt$", ".*prompt"),
        ("^a|b$", "a|b"),
        (r"a\$", r"a\$"),
        (r"a\\$", r"a\\"),
        ("$", ""),
        ("^", ""),
        (r"\^a", r"\^a"),
        ("[$]", "[$]"),
    ],
)
def test_anchors_at_the_ends_are_left_out(pattern: str, bare: str) -> None:
    assert decode(regex, prompt="hi", pattern=pattern).constraint == Regex(bare)


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        ({}, "prompt is missing", "prompt"),
        ({"prompt": "hi"}, "pattern is missing", "pattern"),
        ({"prompt": "hi", "pattern": []}, "pattern: must be a regular expression, or a list", "pattern"),
        ({"prompt": "hi", "pattern": ["a", ""]}, "pattern[1]: must be a regular expression", "pattern[1]"),
        ({"prompt": "hi", "pattern": ["a"] * 257}, "list of up to 256", "pattern"),
        ({"prompt": "hi", "pattern": "a", "patterns": ["b"]}, "contradict each other", "patterns"),
        ({"prompt": "hi", "pattern": "(a"}, "pattern: ", "pattern"),
        ({"prompt": "hi", "patterns": ["a)(b"]}, "patterns: ", "patterns"),
        ({"prompt": "hi", "pattern": ["a)|(?:b", "(?:c"]}, "pattern: ", "pattern"),
        ({"prompt": "hi", "pattern": "a(?=b)"}, "look-around", "pattern"),
        ({"prompt": "hi", "pattern": r"(a)\1"}, "back-references", "pattern"),
        ({"prompt": "hi", "pattern": "a", "max_new_tokens": 0}, "from 1 to 2147483647, not 0", "max_new_tokens"),
        ({"prompt": "hi", "pattern": "a", "max_new_tokens": 4, "max_tokens": 5}, "contradict", "max_new_tokens"),
        ({"prompt": "hi", "pattern": "a", "top_k": -1}, "top_k: must be a whole number from 0", "top_k"),
        ({"prompt": "hi", "pattern": "a", "top_p": 1.5}, "top_p: must be a number from 0 to 1", "top_p"),
        ({"prompt": "hi", "pattern": "a", "temperature": 2.5}, "temperature: must be", "temperature"),
        ({"prompt": "hi", "pattern": "a", "repetition_penalty": 0}, "a number above 0", "repetition_penalty"),
        ({"prompt": "hi", "pattern": "a", "stop_after_match": "no"}, "must be true or false", "stop_after_match"),
        ({"prompt": "hi", "pattern": "a", "model": ["a", "b"]}, "the answer has room for one", "model"),
        ({"prompt": "hi", "pattern": "a", "stream": True}, "stream: this route gives one whole answer", "stream"),
        ({"prompt": "hi", "pattern": "a", "n": 2}, "n: this route gives one whole answer", "n"),
        ({"prompt": "hi", "pattern": "a", "fanout": {"mode": "first"}}, "fanout: this route", "fanout"),
        ({"prompt": "hi", "pattern": "a", "stop": ["x"]}, "stop: is not a field of this route", "stop"),
        ({"prompt": "hi", "pattern": "a", "presence_penalty": 1}, "is not a field", "presence_penalty"),
        ({"prompt": "hi", "pattern": "a", "grammar": "start: B"}, "would constrain the answer", "grammar"),
        ({"prompt": "hi", "pattern": "a", "schema": "type A = {}"}, "would constrain the answer", "schema"),
        ({"prompt": "hi", "pattern": "a", "guided_regex": "b"}, "would constrain the answer", "guided_regex"),
    ],
)
def test_what_a_pattern_cannot_come_with(body: dict[str, Any], words: str, param: str) -> None:
    error = refusal(regex, **body)
    assert words in error.message
    assert error.param == param


def test_raw_line_breaks_are_taken() -> None:
    for route, more in (
        (regex, b'"pattern": "a"'),
        (cfg, b'"grammar": "start: \n B"'),
        (categorize, b'"categories":["a"]'),
    ):
        assert route.decode(route.read(b'{"prompt": "one\ntwo", ' + more + b"}", 64)).input.startswith("one\ntwo")


@pytest.mark.parametrize(
    ("pattern", "text", "finish", "expected"),
    [
        ("[a-z]+", "hello", "stop", ("h", "pattern_match")),
        ("[0-9]{3}-[0-9]{2}", "123-45", "stop", ("123-45", "pattern_match")),
        ("(?:yes|yes, sir)", "yes, sir", "stop", ("yes", "pattern_match")),
        ("a*", "aaa", "stop", ("a", "pattern_match")),
        ("(?:abc)*", "abcabc", "stop", ("abc", "pattern_match")),
        ("a*", "", "stop", ("", "pattern_match")),
        ("a{8}", "aaaaa", "length", ("aaaaa", "token_limit")),
        ("a{3,8}", "aaaaa", "length", ("aaa", "pattern_match")),
        ("yes$|no", "yes", "stop", ("yes", "pattern_match")),
    ],
)
def test_the_answer_ends_at_the_first_match(pattern: str, text: str, finish: Finish, expected: tuple[str, str]) -> None:
    request = decode(regex, prompt="hi", pattern=pattern)
    completion, reason = expected
    assert answered(regex, request, text, finish) == {
        "completion": completion,
        "tokens_generated": 3,
        "stop_reason": reason,
    }


@pytest.mark.parametrize(("finish", "reason"), [("stop", "pattern_match"), ("length", "token_limit")])
def test_without_stop_after_match_nothing_is_cut(finish: Finish, reason: str) -> None:
    request = decode(regex, prompt="hi", pattern="[a-z]+", stop_after_match=False)
    assert answered(regex, request, "hello", finish) == {
        "completion": "hello",
        "tokens_generated": 3,
        "stop_reason": reason,
    }


PATTERNS = st.sampled_from(["a+b?", "(?:ab|abc)d*", "[a-c]{2,4}", "b*", "(?:a|bc)+c", "a?b?c?", "(?:aa)*c"])


@given(PATTERNS, st.text("abcd", max_size=8))
def test_no_shorter_beginning_matches(pattern: str, text: str) -> None:
    matching = [end for end in range(1, len(text) + 1) if re.fullmatch(pattern, text[:end])]
    assert shortest(pattern, text) == (matching[0] if matching else None)


def test_refusals_of_models_name_those_that_can() -> None:
    error = BadRequest("model 'a': by a JSON schema only", param="pattern")
    error.__cause__ = Rejected("by a JSON schema only", param="regex")
    assert msgspec.json.decode(regex.encode_error(error)) == {
        "error": "model 'a': by a JSON schema only; models on vLLM, SGLang, TGI or llama.cpp can be held to a regular "
        "expression",
        "code": 400,
        "param": "pattern",
    }
    assert msgspec.json.decode(regex.encode_error(BadRequest("pattern is missing", param="pattern"))) == {
        "error": "pattern is missing",
        "code": 400,
        "param": "pattern",
    }


# ---------------------------------------------------------------------- cfg


def test_a_grammar() -> None:
    request = decode(cfg, prompt="hi", grammar='start: "a"', model="m", max_new_tokens=7)
    assert (request.models, request.params.max_tokens) == (("m",), 7)
    assert (request.constraint, request.constrained_by) == (Grammar('start: "a"'), "grammar")
    assert answered(cfg, request, "a") == {
        "completion": "a",
        "tokens_generated": 3,
        "stop_reason": "pattern_match",
    }
    assert answered(cfg, request, "a", "length")["stop_reason"] == "token_limit"


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        ({"prompt": "hi"}, "grammar is missing", "grammar"),
        ({"prompt": "hi", "grammar": ["a"]}, "grammar: must be a grammar as a text", "grammar"),
        ({"prompt": "hi", "grammar": "start: A", "pattern": "a"}, "is not a field of this route", "pattern"),
        ({"prompt": "hi", "grammar": "start: A", "stream": True}, "stream: this route", "stream"),
    ],
)
def test_what_a_grammar_cannot_come_with(body: dict[str, Any], words: str, param: str) -> None:
    error = refusal(cfg, **body)
    assert words in error.message
    assert error.param == param


# ---------------------------------------------------------------------- categorize


def test_one_category() -> None:
    request = decode(categorize, prompt="A kitten.", categories=["cat", "dog"])
    assert request.input == (
        "A kitten.\n\nWhich of these categories fits the text above best? Answer with one of them and nothing else:\n"
        "- cat\n- dog\n\nCategory: "
    )
    assert (request.constraint, request.constrained_by) == (OneOf(("cat", "dog")), "categories")
    assert (request.params, request.fields) == (Params(), None)
    assert answered(categorize, request, "dog") == {"choices": ["dog"]}


def test_no_category() -> None:
    request = decode(categorize, prompt="A stone.", categories=["cat", "None of these"], allow_null_category=True)
    assert request.constraint == OneOf(("cat", "None of these", "really none of these"))
    assert "- really none of these\n" in str(request.input)
    assert answered(categorize, request, "really none of these") == {"choices": []}
    assert answered(categorize, request, "None of these") == {"choices": ["None of these"]}


@pytest.mark.parametrize(("optional", "least"), [(False, 1), (True, 0)])
def test_several_categories(optional: bool, least: int) -> None:
    request = decode(
        categorize, prompt="Both.", categories=["cat", 'a "dog"'],
        allow_multiple_classes=True, allow_null_category=optional,
    )  # fmt: skip
    assert isinstance(request.constraint, JsonSchema)
    assert msgspec.json.decode(request.constraint.schema) == {
        "type": "array",
        "items": {"type": "string", "enum": ["cat", 'a "dog"']},
        "minItems": least,
        "maxItems": 2,
    }
    assert ("or with [] if none fits" in str(request.input)) is optional
    assert '- "a \\"dog\\""\n' in str(request.input)
    assert answered(categorize, request, '["a \\"dog\\"", "cat", "cat"]') == {"choices": ['a "dog"', "cat"]}


@pytest.mark.parametrize(("several", "text"), [(False, "ca"), (False, ""), (True, '["cat", "d'), (True, '["cow"]')])
def test_an_answer_that_is_no_category_is_an_error(several: bool, text: str) -> None:
    request = decode(categorize, prompt="hi", categories=["cat"], allow_multiple_classes=several)
    with pytest.raises(GatewayError) as caught:
        answered(categorize, request, text, "length")
    assert (caught.value.status, caught.value.message) == (
        422,
        "a: the model's answer is not among the categories, or was cut off",
    )


@pytest.mark.parametrize(
    ("body", "words", "param"),
    [
        ({"prompt": "hi"}, "categories is missing", "categories"),
        ({"prompt": "hi", "categories": []}, "categories: must be a list of 1 to 256 texts", "categories"),
        ({"prompt": "hi", "categories": [str(i) for i in range(257)]}, "list of 1 to 256", "categories"),
        ({"prompt": "hi", "categories": ["a", "b", "a"]}, "categories[2]: 'a' is given twice", "categories"),
        ({"prompt": "hi", "categories": ["a", ""]}, "categories[1]: must be", "categories[1]"),
        ({"prompt": "hi", "categories": "a"}, "categories: must be a list", "categories"),
        ({"prompt": "hi", "categories": ["a"], "allow_null_category": 1}, "true or false", "allow_null_category"),
        ({"prompt": "hi", "categories": ["a"], "temperature": 0.5}, "is not a field", "temperature"),
        ({"prompt": "hi", "categories": ["a"], "top_k": 5}, "is not a field", "top_k"),
        ({"prompt": "hi", "categories": ["a"], "stream": True}, "stream: this route", "stream"),
        ({"prompt": "hi", "categories": ["a"], "pattern": "a"}, "would constrain", "pattern"),
    ],
)
def test_what_categories_cannot_come_with(body: dict[str, Any], words: str, param: str) -> None:
    error = refusal(categorize, **body)
    assert words in error.message
    assert error.param == param


def test_nulls_are_absent() -> None:
    nulls = {"model": None, "allow_null_category": None, "allow_multiple_classes": None, "stream": None, "n": None}
    plain = decode(categorize, prompt="hi", categories=["a"])
    assert decode(categorize, prompt="hi", categories=["a"], **nulls) == plain
