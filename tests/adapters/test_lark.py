"""Lark's grammars as llama.cpp's: what is written, and what is refused."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import Rejected
from adapters.local.lark import COMMON, from_lark


def rules(text: str) -> dict[str, str]:
    return dict(line.split(" ::= ") for line in from_lark(text).splitlines())


@pytest.mark.parametrize(
    ("grammar", "rule"),
    [
        ('start: "yes" | "no"', '("yes" | "no")'),
        ('start: "a"\n     | "b" -> other  // why not', '("a" | "b")'),
        ('?start: ("a" ["b"])* "c"+ "d"?', '("a" ("b")?)* ("c")+ ("d")?'),
        ('!start.2: "a"~3 "b"~1..2', '("a"){3} ("b"){1,2}'),
        ('start: "a".."f" "on"i', "[a-f] ([oO] [nN])"),
        (r"start: /[0-9]+\/x/", '([0-9]+ "/" "x")'),
        (r'start: "\n\"\\"', r'"\x0A\x22\x5C"'),
        ('start: "a" |', '("a" | "")'),
        ('start: start "," "x" | "x" | "y"', '("x" | "y") ("," "x")*'),
    ],
)
def test_a_rule(grammar: str, rule: str) -> None:
    written = rules(grammar)
    assert written["root"] == "x-start"
    assert written["x-start"].replace("((", "(").replace("))", ")") == rule.replace("((", "(").replace("))", ")")


def test_names_and_imports() -> None:
    grammar = "start: _a B_C INT n\n_a: B_C\nB_C: /x/\n%import common.INT\n%import common.NUMBER -> n"
    assert list(rules(grammar)) == ["root", "x-start", "x--a", "x-B-C", "x-INT", "x-n"]


def test_what_is_ignored_stands_behind_tokens_but_not_in_them() -> None:
    written = rules('start: A "," A\nA: "x" "y"\n%ignore " "')
    assert written["root"] == "ignored? x-start"
    assert written["x-start"] == '(x-A ignored?) ("," ignored?) (x-A ignored?)'
    assert written["x-A"] == '"x" "y"'
    assert written["ignored"] == '((" "))+'


@pytest.mark.parametrize("name", COMMON)
def test_every_common_terminal_can_be_written(name: str) -> None:
    assert f"x-{name.replace('_', '-')}" in rules(f"start: {name}\n%import common.{name}")


@pytest.mark.parametrize(
    ("grammar", "why"),
    [
        ('begin: "a"', "no rule start"),
        ("start: other", "no other"),
        ('start: "a"\n%ignore WS', "no WS"),
        ('start: "a"\nstart: "b"', "twice"),
        ('start: a\na: b "x"\nb: a "y" | "z"', "begin with itself"),
        ('start: a\na: "x"? a', "begin with itself"),
        ('start: start "x"', "never ends"),
        ('start: "a"\n%declare X', "line 2 has %declare"),
        ('_list{x}: x\nstart: "a"', "template"),
        ("start: _list{x}", "template"),
        ("start: /a/i", "flags"),
        ("start: /(?=a)b/", "look-around"),
        ('start: "a" @', "none of Lark's signs"),
        ('start: ("a"', "not closed"),
        ('start: ""', "empty literal"),
        ('start: "b".."a"', "range"),
        ('start: "a"~2000', "1000"),
        ("start: X\n%import python.X", "only common"),
        ("start: X\n%import common.X", "common.X is not known"),
        ("start: " + "(" * 60 + '"a"' + ")" * 60, "nested"),
        ('start "a"', "should have :"),
        ("".join([f"r{'a' * n}: x\n" for n in range(600)]), "500 rules"),
    ],
)
def test_what_a_grammar_cannot_say_is_refused(grammar: str, why: str) -> None:
    with pytest.raises(Rejected, match=why) as refused:
        from_lark(grammar)
    assert refused.value.param in ("guided_grammar", "guided_regex")


def test_rules_that_can_be_empty_are_looked_at_once_each() -> None:
    chain = [f"{'a' * n}: {'a' * (n + 1)} {'a' * (n + 1)}\n" for n in range(1, 100)]
    assert "x-start" in rules("start: a\n" + "".join(chain) + "a" * 100 + ': "x"?\n')


@given(st.text(alphabet=st.sampled_from('start: "a"|()[]*+?~.%/\n\\{}->XY12!'), max_size=40))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(Rejected):
        from_lark("start: X\nX: " + text)
