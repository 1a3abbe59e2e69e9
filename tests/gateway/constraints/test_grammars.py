"""Grammars in both notations, and texts that are sentences of them or not."""

import contextlib
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.types import Grammar
from gateway.constraints import Checker, ConstraintError, Verdict
from gateway.constraints.earley import Recogniser, Rules
from gateway.constraints.expressions import expression
from gateway.constraints.grammars import COMMON, compile_grammar

SUMS = r"""
    // sums and products
    ?start: sum
    ?sum: product | sum "+" product -> add
    ?product: atom
            | product "*" atom      # a comment
    atom: NUMBER | "-" atom | "(" sum ")"
    %import common.NUMBER
    %import common.WS_INLINE
    %ignore WS_INLINE
"""
PAIRS = r"""
root   ::= "{" ws pair ("," ws pair)* "}"  # an object
pair   ::= string ":" ws
           [0-9]+
string ::= "\"" ([^"\\\x7F\x00-\x1F] | "\\" ["\\bfnrt])* "\""
ws     ::= [ \t\n]{0,2}
"""


def refused(text: str) -> str:
    with pytest.raises(ConstraintError) as caught:
        Checker().prepare(Grammar(text))
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ("1", True),
        ("1 + 2*(3 + -4.5)", True),
        (" 1", True),
        ("1 +", False),
        ("1 - 2", False),
        ("(1", False),
        ("", False),
    ],
)
def test_lark(text: str, good: bool) -> None:
    assert compile_grammar(SUMS)(text) is good


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('{"a": 1}', True),
        ('{"a": 1,\n\t"b\\n": 22}', True),
        ('{"a":   1}', False),
        ('{"a": x}', False),
        ('{"a": 1} ', False),
        ('{"a\n": 1}', False),
    ],
)
def test_gbnf(text: str, good: bool) -> None:
    assert compile_grammar(PAIRS)(text) is good


@pytest.mark.parametrize(
    ("grammar", "good", "bad"),
    [
        ('start: "a" | "b"', ["a", "b"], ["ab", ""]),
        ('start: "a"~2', ["aa"], ["a", "aaa"]),
        ('start: "a" ~ 1 .. 3', ["a", "aaa"], ["", "aaaa"]),
        ('start: "a"~1..3 "b"', ["ab", "aaab"], ["b", "aaaab"]),
        ('start: ["a"] "b"', ["b", "ab"], ["a", "aab"]),
        ('start: ("a" | "b")+ "c"?', ["a", "abc"], ["c", ""]),
        ('start: "yes"i', ["yes", "YES", "yEs"], ["no"]),
        ("start: /[a-c]+x?/i", ["abx", "AX"], ["x", "ad"]),
        ("start: /a.b/s", ["a\nb"], []),
        ("start: /a.b/", ["axb"], ["a\nb"]),
        (r"start: /\d{2}\/\w+/", ["12/ab"], ["1/ab"]),
        ('start: X\nX.2: "a".."f" Y\nY: "0" | "1"', ["b0", "f1"], ["g0", "b2"]),
        ("start: (WORD INT)+\n%import common (WORD, INT)", ["a1bc23"], ["1a"]),
        ("start: S\n%import common.ESCAPED_STRING -> S", ['"a\\"b"', '""'], ['"a"b"', '"a']),
        ('start: a b\n!a: "x" |\n?b: "y"', ["xy", "y"], ["x"]),
        ('start: "\\u00e9\\n\\x41\\""', ['é\nA"'], ["e"]),
        ('start: "#" "//" // not a string\n', ["#//"], ["#"]),
        ('start: s\ns: s s | "a" |', ["", "a", "aaaa"], ["b"]),
        ('start: a\na: b "x"\nb: a | ', ["x", "xx"], [""]),
        ("root ::= [^a-c\\n] .", ["dx", "d\n"], ["ax", "d"]),
        ("root ::= [-a] [a-]", ["--", "aa"], ["b-"]),
        ('root ::= "a"{2,} b? b-c\nb ::= "b"\nb-c ::= "c" | root', ["aac", "aaabc", "aaaac"], ["ac", "aab"]),
        ("<start> ::= <noun> ' ' <verb>\n<noun> ::= 'cat' | 'dog'\n<verb> ::= 'runs'", ["cat runs"], ["cat"]),
        ('root ::= (\n  "a" |\n  "b"\n)\n', ["a", "b"], ["c"]),
    ],
)
def test_constructs(grammar: str, good: list[str], bad: list[str]) -> None:
    accepts = compile_grammar(grammar)
    assert [text for text in good if not accepts(text)] == []
    assert [text for text in bad if accepts(text)] == []


@pytest.mark.parametrize(
    ("grammar", "message"),
    [
        ("start: a", "line 1 of the grammar names a, which it does not define"),
        ('x: "a"', "the grammar has no rule start, with which a sentence begins"),
        ('start ::= a\na ::= "b" c', "line 2 of the grammar names c, which it does not define"),
        ('start: "a"\nstart: "b"', "line 2 of the grammar defines start a second time"),
        ('start: "a" start', "no answer can keep the grammar: its rules never come to an end"),
        ("root ::= root", "no answer can keep the grammar: its rules never come to an end"),
        ('start: ("a"', "the bracket in line 1 of the grammar is never closed"),
        ('start: "a")', "line 1 of the grammar has ) where it cannot stand"),
        ('start: "a', 'line 1 of the grammar cannot be read at "a'),
        ("start: /(a/", "the pattern /(a/ of the grammar is malformed"),
        (
            "start: /(?=a)./",
            "a pattern of the grammar has look-around or back-references, which cannot be followed",
        ),
        ("start: X\n%import ..secrets.X", "line 2 of the grammar imports ..secrets.X: only common is at hand"),
        ("start: X\n%import common.X", "line 2 of the grammar imports common.X, which is unknown"),
        ('start: "a".."bc"', "the range in line 1 of the grammar is not from one character to a later"),
        ('start: "a"~3..1', "the grammar has a repetition that is too large, or ends before it begins"),
        ('start: "a"~1..60000', "the grammar is too large, with its repetitions written out"),
        ('root ::= "a"{9999999}', "the grammar has the repetition {9999999}, which is too large or no range"),
        ('start: "\\U00110000"', "the grammar has \\U00110000, which is no character"),
        ("start: " + "(" * 65 + '"a"' + ")" * 65, "the grammar is nested deeper than 64 levels"),
        ("start: " + '"a" ' * 20_000, "the grammar is longer than 65536 characters"),
        ("%declare X\nstart: X", "line 1 of the grammar cannot be read at %declare X"),
        ("", "the grammar has no rule start, with which a sentence begins"),
    ],
)
def test_refuses(grammar: str, message: str) -> None:
    assert refused(grammar) == message


@pytest.mark.parametrize(
    ("grammar", "text"),
    [
        ('start: s\ns: s s | "a" |', "a" * 20_000),
        ('start: /(a+)+/ "b"', "a" * 20_000),
        ("start: " + " ".join(['"a"?'] * 2_000), "a" * 5_000),
        ("start: /" + "(" * 200 + "a" + "*)" * 200 + "/", "a" * 5_000),
    ],
)
def test_a_text_that_takes_too_long_passes(grammar: str, text: str) -> None:
    accepts = compile_grammar(grammar)
    started = time.process_time()
    assert accepts(text)
    assert time.process_time() - started < 2


def test_a_thousand_characters_are_followed() -> None:
    accepts = compile_grammar(SUMS)
    assert accepts("+".join(["1"] * 500))
    assert not accepts("+".join(["1"] * 500) + "+")


@pytest.mark.parametrize(
    "text", ["{" + " " * 60_000, "[" * 60_000, "(" * 60_000, '"' * 60_001, " " * 60_000 + "é", "~1" * 30_000]
)
@pytest.mark.parametrize("start", ["start: ", "root ::= "])
def test_hostile_grammars_are_refused_soon(start: str, text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(ConstraintError):
        Checker().prepare(Grammar(start + text))
    assert time.process_time() - started < 2


def test_the_verdict() -> None:
    checker = Checker()
    assert checker.check(Grammar(SUMS), "```\n1+1\n```") == Verdict("1+1")
    assert checker.check(Grammar(SUMS), "1+") == Verdict("1+", "the answer is no sentence of the grammar")


@pytest.mark.parametrize("name", sorted(COMMON))
def test_common_terminals_end(name: str) -> None:
    compile_grammar(f"start: {name}\n%import common.{name}")


PIECES = st.sampled_from(
    ["a", "b", "[ab]", "[^a]", "(?:a|bb)", "a?", "b*", "(ab)+", "a{2,3}", ".", r"\w", r"\D", "(a|)", "b*?"]
)


@given(st.lists(PIECES, min_size=1, max_size=4).map("".join), st.text("ab1 \n", max_size=8))
def test_patterns_mean_what_they_mean_to_python(pattern: str, text: str) -> None:
    rules = Rules()
    start = rules.rule(expression(rules, pattern))
    assert Recogniser(rules, start).accepts(text) is (re.fullmatch(pattern, text) is not None)


FRAGMENTS = st.sampled_from(
    [
        "start",
        "root",
        ": ",
        "::= ",
        '"a"',
        '"',
        "/b+/i",
        "[a-z]",
        "(",
        ")",
        "[",
        "]",
        "*",
        "+",
        "?",
        "|",
        "~2..3",
        "{2}",
    ]
    + ["\n", " ", "%import common.INT\n", "%ignore ", "->x", "X", "//", "#", "..", "\\", "é", "<a>"]
)


@given(st.lists(FRAGMENTS, max_size=30).map("".join) | st.text(), st.text('ab"1', max_size=10))
def test_any_grammar_and_any_text(grammar: str, text: str) -> None:
    try:
        Checker().check(Grammar(grammar), text)
    except ConstraintError as error:
        assert len(error.message) < 300
