"""What a text that was cut off may have been the beginning of."""

import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.types import AnyJson, Grammar, JsonSchema, OneOf, Regex
from gateway.constraints import begun

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)
SCHEMA = JsonSchema(Raw(b"{}"))


@given(VALUES, st.sampled_from([None, 1]), st.data())
def test_each_beginning_of_a_document_is_one(value: object, indent: int | None, data: st.DataObject) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=data.draw(st.booleans()))
    start = text[: data.draw(st.integers(0, len(text)))]
    try:
        whole = not isinstance(json.loads(start), int | float) or start in ("true", "false")
    except ValueError:
        whole = False
    assert begun(SCHEMA, start) is not whole


@pytest.mark.parametrize(
    "text",
    ["Sure! {", "{]", "[1 2", '{"a" 1', '{"a":,', "{1", "[,", '{"a":1,}', "tru!", "nulll", "01", "{}{", "[1]]", '"a" b',
     '{"a":1 "', "-a", "+1", "[1,,", "{,", "'a'", '{"a":"\n', "1.e", '"\\x'],
)  # fmt: skip
def test_what_is_no_beginning(text: str) -> None:
    assert not begun(SCHEMA, text)


def test_an_object_begins_with_a_brace() -> None:
    assert begun(AnyJson(), ' {"a": [1, {"b"') and begun(AnyJson(), "")
    assert not begun(AnyJson(), "[1")


def test_a_choice() -> None:
    assert begun(OneOf(("red", "green")), "gre") and begun(OneOf(("red",)), "")
    assert not begun(OneOf(("red", "green")), "blu")


PATTERNS = [
    r"\d{3}-\d{4}", r"^[a-z]+$", r"(foo|bar)*baz", r"a{2,}b?", r"(?:x(?:y|z){1,3}){2}", r"[^,]*,[ \t]*\w+", r"a|b|cde",
    r"((1)|(22)|333)+", r"\.\*\[\]", "", r"(a*)*b", r"v\d+\.\d+(\.\d+)?",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
@given(data=st.data())
def test_each_beginning_of_a_match_is_one(pattern: str, data: st.DataObject) -> None:
    ascii = st.characters(max_codepoint=126)
    text = data.draw(st.from_regex(re.compile(pattern, re.ASCII), fullmatch=True, alphabet=ascii))
    assert begun(Regex(pattern), text[: data.draw(st.integers(0, len(text)))])


@pytest.mark.parametrize(
    ("pattern", "text"),
    [(r"\d{3}-\d{4}", "12-"), (r"[a-z]+", "aB"), (r"(foo|bar)*baz", "fob"), (r"a{2,}b?", "ab"), (r"a|b|cde", "cx"),
     (r"\d{3}", "1234"), ("yes|no", "Well, yes"), (r"(a*)*b", "ac")],
)  # fmt: skip
def test_what_no_match_begins_with(pattern: str, text: str) -> None:
    assert not begun(Regex(pattern), text)


@pytest.mark.parametrize(
    ("pattern", "text"), [("(?i:yes)", "YE"), ("a(?i:b)c", "aBc"), ("(?:(?i:yes)|no)+", "noY"), ("(?s:.)x", "\n")]
)
def test_a_group_with_flags_of_its_own_is_not_told(pattern: str, text: str) -> None:
    assert begun(Regex(pattern), text)


def test_a_long_pattern_is_quick() -> None:
    assert begun(Regex("abc" * 300), "abc" * 200 + "a")
    assert not begun(Regex("(a+)+$"), "a" * 5000 + "b")


def test_of_a_grammar_nothing_is_known() -> None:
    assert begun(Grammar('start: "a"'), "b")
