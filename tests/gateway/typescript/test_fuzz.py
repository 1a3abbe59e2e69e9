"""Any text is a schema or a TypeScriptError, and what is built from rules we know is the schema we know."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.typescript import TypeScriptError, schema_of

SOME = """
export interface type enum namespace declare default const extends readonly keyof infer never undefined null string
number boolean any object bigint Date Array Record Partial Pick Omit Required A B N T 'a' "b" `c${ }` 1 -2 0x1f 1e9
{ } [ ] ( ) < > | & : ; , ? = => . ... @ # \\ ' " ` $ /* */ // /** @minimum @default
"""
WORDS = [*SOME.split(), "\n", "\r"]

soup = st.lists(st.sampled_from(WORDS), max_size=60).map(" ".join)
typed_soup = soup.map(lambda text: f"export type A = {text}")
nested_soup = soup.map(lambda text: f"interface B<T> {{ a: T }} export interface A {{ x: {text} }}")


@given(st.one_of(st.text(), st.text(alphabet=st.characters()), soup, typed_soup, nested_soup), st.text(max_size=3))
@example("export type A = '\ud800'", "A")
@example("export type A = `${", "A")
@example("type A<T = T> = T; export type B = A", "B")
@example("export interface A<T = U, U = 1> { t: T }", "A")
@example("export type A = - ", "A")
@example("export type A = {readonly", "A")
@example("export type A = [a?", "A")
@example("/**/ export type A = 1", "A")
@example("/** @default '  */ export type A = 1", "A")
def test_any_text(text: str, name: str) -> None:
    for type_name in ("A", name):
        try:
            json.loads(bytes(schema_of(text, type_name)))
        except TypeScriptError as exc:
            assert exc.param in ("schema", "type_name")
            assert str(exc).isprintable()


NAMES = st.from_regex(r"[a-zA-Z_$][\w$]{0,6}", fullmatch=True)
Pair = tuple[str, Any]

leaves: st.SearchStrategy[Pair] = st.one_of(
    st.sampled_from(
        [
            ("string", {"type": "string"}),
            ("number", {"type": "number"}),
            ("boolean", {"type": "boolean"}),
            ("null", {"type": "null"}),
            ("unknown", {}),
            ("Date", {"type": "string", "format": "date-time"}),
        ]
    ),
    st.integers(-(2**53), 2**53).map(lambda n: (str(n), {"type": "number", "const": n})),
    st.text(max_size=8).map(lambda text: (json.dumps(text), {"type": "string", "const": text})),
)


def lists(inner: Pair) -> st.SearchStrategy[Pair]:
    schema = {"type": "array", "items": inner[1]}
    return st.sampled_from([f"({inner[0]})[]", f"Array<{inner[0]}>", f"readonly ({inner[0]})[]"]).map(
        lambda text: (text, schema)
    )


@st.composite
def objects(draw: st.DrawFn, inner: st.SearchStrategy[Pair]) -> Pair:
    members: dict[str, Pair] = draw(
        st.dictionaries(st.one_of(NAMES, st.text(max_size=5)), inner, min_size=1, max_size=4)
    )
    optional = {name for name in members if draw(st.booleans())}
    ends = st.sampled_from([";", ",", "\n", ";\r\n", " /* x */;", "// y\n"])
    text = "".join(
        f"{draw(st.sampled_from(['', 'readonly ']))}{json.dumps(name)}{'?' * (name in optional)}: {type_}{draw(ends)}"
        for name, (type_, _) in members.items()
    )
    required = [name for name in members if name not in optional]
    schema = {"type": "object", "properties": {name: made for name, (_, made) in members.items()}}
    return f"{{{text}}}", schema | ({"required": required} if required else {}) | {"additionalProperties": False}


types = st.recursive(leaves, lambda inner: st.one_of(inner.flatmap(lists), objects(inner)), max_leaves=12)


@given(types, st.sampled_from(["export type A = {}", "export type A = ({});", "export type A = |{}"]))
def test_what_is_written_comes_back(pair: Pair, form: str) -> None:
    text, schema = pair
    made = json.loads(bytes(schema_of(form.replace("{}", text, 1), "A")))
    assert made == schema
    assert json.dumps(made) == json.dumps(schema)  # in this order, too


@given(objects(types))
def test_every_form_of_declaration_means_the_same(pair: Pair) -> None:
    text, schema = pair
    for form in ("export interface A {}", "export type A {}", "export type B<T> = T; export type A = B<{}>"):
        assert json.loads(bytes(schema_of(form.replace("{}", text, 1), "A"))) == schema


def test_the_examples_above_can_fail() -> None:
    with pytest.raises(TypeScriptError):
        schema_of("export type A = `${", "A")
