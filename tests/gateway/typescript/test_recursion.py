"""Types that come back to themselves behind lists and objects, and small things found in other projects' types."""

from typing import Any

import msgspec
import pytest
from jsonschema_rs import Draft7Validator

from gateway.typescript import TypeScriptError, schema_of


def keeps(text: str, value: Any) -> bool:
    return Draft7Validator(msgspec.json.decode(schema_of(text, "A"))).is_valid(value)


@pytest.mark.parametrize(
    ("text", "good", "bad"),
    [
        ("export type A = { a: A | null } | string", [{"a": {"a": "x"}}, {"a": None}], [{"a": 1}, None]),
        ("export type A = string | (A | null)[]", ["x", [], [None, ["x", [None]]]], [None, [1]]),
        (
            "export type A = string | number | boolean | null | { [key: string]: A | undefined } | A[]",
            [{"a": [1, {"b": None}]}, True],
            [],
        ),
        (
            'export type A = {kind: "branch"; left?: A | null} | {kind: "leaf"}',
            [{"kind": "branch", "left": {"kind": "leaf"}}, {"kind": "branch", "left": None}],
            [{"kind": "leaf", "left": None}, {"kind": "branch", "left": 1}],
        ),
        ("type T<X> = X | T<X>[]; export type A = {a: T<string> | null}", [{"a": [["x"]]}], [{"a": [1]}]),
        (
            "export type A = {a: B | null}; type B = {b: A} | {c: B[]} | string",
            [{"a": {"c": ["x", {"b": {"a": None}}]}}],
            [{"a": {"c": [1]}}],
        ),
        (
            'type X = {a: X | null; k: "1"} | {k: "2"}; export type A = X & {z: number}',
            [{"k": "2", "z": 1}, {"a": {"k": "2"}, "k": "1", "z": 1}],
            [{"k": "2"}, {"a": {"k": "2", "z": 1}, "k": "1", "z": 1}],
        ),
        ('/** Doc. */ type G = "a" | "b"; export type A = {g: string} & {g: G}', [{"g": "a"}], [{"g": "c"}]),
        ('/** Doc. */ enum G {X = "x", Y = "y"}; export type A = {g: G} & {g: G.X}', [{"g": "x"}], [{"g": "y"}]),
        ("type Box<T,> = {v: T}\nexport type A = Box<\n  string\n>", [{"v": "x"}], [{"v": 1}]),
    ],
)
def test_what_a_type_allows(text: str, good: list[Any], bad: list[Any]) -> None:
    assert [value for value in good if not keeps(text, value)] == []
    assert [value for value in bad if keeps(text, value)] == []


@pytest.mark.parametrize(
    "text", ["export type A = A", "export type A = A | string", "type B = A; export type A = B | 1"]
)
def test_nothing_in_between(text: str) -> None:
    with pytest.raises(TypeScriptError, match="refers to itself"):
        schema_of(text, "A")


def test_members_are_not_spread() -> None:
    with pytest.raises(TypeScriptError, match=r"cannot be spread; write 'extends B'"):
        schema_of("type B = {b: string}; export type A = { ...B; a: string }", "A")


def test_a_value_of_two_names_stands_once() -> None:
    assert msgspec.json.decode(schema_of("enum E {X = 1, Y = 1, Z = 2}\nexport type A = E", "A"))["enum"] == [1, 2]
