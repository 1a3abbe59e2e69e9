"""Regular expressions: whole matches, in linear time."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.types import Regex
from gateway.constraints import Checker, ConstraintError, Verdict
from gateway.constraints.patterns import stripped, whole_match


@pytest.mark.parametrize(
    ("pattern", "text", "matches"),
    [
        ("[0-9]{3}", "123", True),
        ("[0-9]{3}", "1234", False),
        ("[0-9]{3}", "123\n", False),
        ("^[0-9]{3}$", "123", True),
        ("a|b", "ab", False),
        ("^a|b$", "a", True),
        ("^a|b$", "ab", False),
        (".*prompt$", "a good prompt", True),
        (".*prompt$", "a prompt\nmore", False),
        (r"\d", "٣", False),
        (r"\$$", "$", True),
        (r"\p{L}+", "über", True),
        ("😀{2}", "😀😀", True),
        ("", "", True),
    ],
)
def test_the_whole_text_matches(pattern: str, text: str, matches: bool) -> None:
    assert whole_match(pattern)(text) is matches


@pytest.mark.parametrize(
    "pattern", ["(?=a)b", "(?<!a)b", r"(a)\1", "(", "a)(b", "[a", "a{3}{1000}{1000}", "a" * 20_000]
)
def test_refuses(pattern: str) -> None:
    with pytest.raises(ConstraintError, match="pattern"):
        Checker().prepare(Regex(pattern))


def test_no_pattern_explodes() -> None:
    started = time.process_time()
    assert Checker().check(Regex("(a+)+$"), "a" * 100_000 + "b").problem is not None
    assert Checker().check(Regex("(a|a)*(a|a)*(a|a)*c"), "a" * 100_000).problem is not None
    assert time.process_time() - started < 1


def test_space_and_fences_around_are_taken_away() -> None:
    checker = Checker()
    assert checker.check(Regex("[0-9]+"), " 12\n") == Verdict("12")
    assert checker.check(Regex("[0-9]+"), "```\n12\n```") == Verdict("12")
    assert checker.check(Regex(" ?[0-9]+"), " 12") == Verdict(" 12")
    assert checker.check(Regex("[0-9]+"), "12 x") == Verdict("12 x", "the answer as a whole does not match the pattern")
    assert checker.check(Regex(".*"), "\ud800").problem == "the answer holds half of a surrogate pair"


@pytest.mark.parametrize(
    ("pattern", "bare"), [("^a$", "a"), (r"a\$", r"a\$"), (r"a\\$", r"a\\"), ("^", ""), ("a^b", "a^b"), ("$", "")]
)
def test_anchors_at_the_ends(pattern: str, bare: str) -> None:
    assert stripped(pattern) == bare


@given(st.text(), st.text())
def test_any_pattern_and_any_text(pattern: str, text: str) -> None:
    try:
        assert Checker().check(Regex(pattern), text).text in text
    except ConstraintError as error:
        assert len(error.message) < 300
