"""Regular expressions as llama.cpp's grammars: what is written, and what is refused. What the real server makes of
them is seen in test_llamacpp."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import Rejected
from adapters.local.gbnf import from_choices, from_regex, one_of_pattern


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("ab?", '"a" "b"?'),
        ("^yes$|^no$", '("y" "e" "s" | "n" "o")'),
        (r"\d{3}-\w+", '[0-9]{3} "-" [a-zA-Z0-9_]+'),
        ("[^a-z]{2,}?", "[^a-z]{2,}"),
        (r"[]\-\]^a-]", r"[\x5D\x2D\x5D\x5Ea\x2D]"),
        (r"(?:a|(?P<x>b))*", '(("a" | ("b")))*'),
        (r"\.\n\x41\u00e9", r'"." "\x0A" "A" "é"'),
        (".{,3}", r"[^\n]{0,3}"),
        ("a{x}", '"a" "{" "x" "}"'),
        ("", '""'),
        ("(|a)", '(("" | "a"))'),
        (r"\S\D", r"[^ \t\n\r\x0C\x0B] [^0-9]"),
    ],
)
def test_a_pattern_becomes_a_rule(pattern: str, rule: str) -> None:
    assert from_regex(pattern) == f"root ::= {rule}"


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        ("(?=a)b", "look-around"),
        ("(?<!a)b", "look-around"),
        (r"(a)\1", "back reference"),
        ("(?P<x>a)(?P=x)", "back reference"),
        ("(?i)a", "flags"),
        ("(?>a)", "flags or conditions"),
        ("a++", "possessive"),
        ("a**", "repeated"),
        (r"\bcat", r"\\b"),
        (r"\p{L}", r"\\p"),
        (r"[\D]", r"\\D"),
        ("a$b", "anchors"),
        ("(a$)", "anchors"),
        ("a^", "anchors"),
        ("a{2001}", "2000"),
        ("((a{50}){50})", "2000"),
        ("a{3,2}", "below"),
        ("[b-a]", "range"),
        ("(a", "not closed"),
        ("a)", "not opened"),
        ("[a", "ends too early"),
        ("a\\", "ends too early"),
        ("*a", "nothing to repeat"),
        (r"\xZZ", "hexadecimal"),
        ("(" * 60 + ")" * 60, "nested"),
    ],
)
def test_what_a_grammar_cannot_say_is_refused(pattern: str, why: str) -> None:
    with pytest.raises(Rejected, match=why) as refused:
        from_regex(pattern)
    assert refused.value.param == "guided_regex"


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(pattern: str) -> None:
    with contextlib.suppress(Rejected):
        assert "\n" not in from_regex(pattern)


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_choices_match_themselves(choices: list[str]) -> None:
    pattern = one_of_pattern(tuple(choices))
    assert all(re.fullmatch(pattern, choice) for choice in choices)
    assert not re.fullmatch(pattern, "".join(choices) + "!")
    assert from_choices(tuple(choices)).count(" | ") >= len(choices) - 1
