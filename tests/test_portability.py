"""The gateway runs on every Python 3.11. Before 3.11.5 a group that is repeated possessively matches too little or
nothing (https://github.com/python/cpython/issues/106052); an atomic group around a greedy repetition means the same.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    str(file.relative_to(ROOT))
    for folder in ("adapters", "bench", "gateway", "tools")
    for file in (ROOT / folder).rglob("*.py")
)

UNIT = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]", re.DOTALL)
"""What is one character to a regular expression, and may hold brackets of its own: an escape or a class."""
POSSESSIVE_GROUP = re.compile(r"\)\s*(?:[*+?]|\{\d*(?:,\d*)?\})\+")


def repeats_a_group_possessively(text: str) -> bool:
    return POSSESSIVE_GROUP.search(UNIT.sub("x", text)) is not None


def texts(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Every text in a module, by its line; what is filled in is an x."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
            yield node.lineno, "".join(parts)


@pytest.mark.parametrize("file", FILES)
def test_no_group_is_repeated_possessively(file: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    assert [line for line, text in texts(tree) if repeats_a_group_possessively(text)] == []


def test_the_files_are_there() -> None:
    assert "gateway/typescript/lexer.py" in FILES


@pytest.mark.parametrize(
    "text", ["(?:a|b)*+", "(a)++c", "(a)?+", "(a|b){2,}+", "([)])*+", r"(\))*+", "( a\n) *+", ")*+"]
)
def test_a_possessive_group_is_seen(text: str) -> None:
    assert repeats_a_group_possessively(text)
    assert [found for _, found in texts(ast.parse(f"A = {text!r}")) if repeats_a_group_possessively(found)]


@pytest.mark.parametrize(
    "text", ["[a-z]*+", "[()*+]", r"\)*+", "(?>(?:a|b)*)", "(a)*", "{} + {}+{}", "[^)]*+", r"\[(a)*\]+"]
)
def test_what_is_no_group_may_be_repeated_possessively(text: str) -> None:
    assert not repeats_a_group_possessively(text)


def test_a_text_with_parts_filled_in_is_one_text() -> None:
    found = [text for _, text in texts(ast.parse("A = f'(?:{B})*+'"))]
    assert any(repeats_a_group_possessively(text) for text in found)
