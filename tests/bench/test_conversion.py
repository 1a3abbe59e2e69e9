"""The process beside, in which the gateway's own code is asked."""

from pathlib import Path

import pytest

from bench import Problem
from bench.conversion import ask_inside
from bench.schemas import LONG_PART, LONG_TEXT, LONG_TYPE

ROOT = Path(__file__).parents[2]


def test_a_new_text_costs_more_than_a_known_one() -> None:
    figures = ask_inside(ROOT, "cost", [LONG_TEXT, LONG_TYPE, LONG_PART, 20])
    assert figures["cold_cpu_us"] > 5 * figures["known_cpu_us"] > 0


def test_the_checkout_that_is_measured_is_the_one_that_was_named(tmp_path: Path) -> None:
    for name, text in {
        "__init__.py": "",
        "typescript.py": "def schema_of(text, name): return b'7'",
        "wire/typed.py": "Conversions = None",
    }.items():
        file = tmp_path / "gateway" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    assert ask_inside(tmp_path, "schemas", [("export type A = string", "A")]) == [7]


def test_what_cannot_be_converted_is_told() -> None:
    with pytest.raises(Problem, match="there is no type 'B'"):
        ask_inside(ROOT, "schemas", [("export type A = B", "A")])
