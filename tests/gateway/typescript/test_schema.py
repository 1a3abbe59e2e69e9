"""What the declarations of a text become, word for word."""

import json
from typing import Any

import pytest

from gateway.typescript import schema_of


def schema(text: str, type_name: str = "A") -> Any:
    return json.loads(bytes(schema_of(text, type_name)))


def of(type_: str, more: str = "") -> Any:
    return schema(f"export type A = {type_}\n{more}")


@pytest.mark.parametrize(
    ("type_", "expected"),
    [
        ("string", {"type": "string"}),
        ("number", {"type": "number"}),
        ("boolean", {"type": "boolean"}),
        ("null", {"type": "null"}),
        ("bigint", {"type": "integer"}),
        ("any", {}),
        ("unknown", {}),
        ("object", {"type": "object"}),
        ("{}", {"type": "object"}),
        ("Date", {"type": "string", "format": "date-time"}),
        ("'x'", {"type": "string", "const": "x"}),
        ("-5", {"type": "number", "const": -5}),
        ("1.5e3", {"type": "number", "const": 1500}),
        ("0xff", {"type": "number", "const": 255}),
        ("10n", {"type": "number", "const": 10}),
        ("true", {"type": "boolean", "const": True}),
        ("'\\u0041\\x42\\u{43}\\n\\''", {"type": "string", "const": "ABC\n'"}),
        ("'\\ud83d\\ude00'", {"type": "string", "const": "😀"}),
        ("'a' | 'b'", {"type": "string", "enum": ["a", "b"]}),
        ("'a' | 1 | null", {"type": ["string", "number", "null"], "enum": ["a", 1, None]}),
        ("1 | true", {"type": ["number", "boolean"], "enum": [1, True]}),
        ("true | false", {"type": "boolean"}),
        ("string | null", {"type": ["string", "null"]}),
        ("string | number | null", {"type": ["string", "number", "null"]}),
        ("string | 'a'", {"type": "string"}),
        ("bigint | number", {"type": "number"}),
        ("string | unknown", {}),
        ("'a' | number | 'b'", {"anyOf": [{"type": "string", "enum": ["a", "b"]}, {"type": "number"}]}),
        ("string & {}", {"type": "string"}),
        ("string & 'a'", {"type": "string", "const": "a"}),
        ("('a' | 'b') & ('b' | 'c')", {"type": "string", "const": "b"}),
        ("string[]", {"type": "array", "items": {"type": "string"}}),
        ("readonly string[]", {"type": "array", "items": {"type": "string"}}),
        ("Readonly<string[]>", {"type": "array", "items": {"type": "string"}}),
        ("Array<'a' | null>", {"type": "array", "items": {"type": ["string", "null"], "enum": ["a", None]}}),
        ("[]", {"type": "array", "maxItems": 0}),
        ("[number, number]", {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2}),
        ("[number, number?]", {"type": "array", "items": {"type": "number"}, "minItems": 1, "maxItems": 2}),
        ("[string, ...string[]]", {"type": "array", "items": {"type": "string"}, "minItems": 1}),
        ("Record<string, number>", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("{ [k: string]: number | undefined }", {"type": "object", "additionalProperties": {"type": "number"}}),
        ("{ readonly [k: number]: null }", {"type": "object", "additionalProperties": {"type": "null"}}),
    ],
)
def test_types(type_: str, expected: Any) -> None:
    assert of(type_) == expected


@pytest.mark.parametrize(
    ("type_", "pattern"),
    [
        ("`id-${number}`", r"^id--?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$"),
        ("`${'a' | 'b'}.${string}`", r"^(a|b)\..*$"),
        ("`${boolean}/${bigint}`", r"^(true|false)\/-?[0-9]+$"),
        ("`${Side}-${5}\\n`", "^(left|right)-5\n$"),
        ("`<${`x${string}`}>`".replace("`x${string}`", "Inner"), "^<x.*>$"),
    ],
)
def test_templates_are_patterns(type_: str, pattern: str) -> None:
    more = "enum Side { L = 'left', R = 'right' }\ntype Inner = `x${string}`"
    assert of(type_, more) == {"type": "string", "pattern": pattern}


def test_a_tuple_of_several_types_says_which_draft_it_is_written_in() -> None:
    assert of("[name: string, age?: number, ...rest: null[]]") == {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "array",
        "items": [{"type": "string", "title": "name"}, {"type": "number", "title": "age"}],
        "additionalItems": {"type": "null"},
        "minItems": 1,
    }


def test_an_object_keeps_the_order_of_its_members() -> None:
    made = of("{ z: string; 2: number, a?: null\n'b-c': boolean\r\n 1?: 'x' }")
    assert list(made) == ["type", "properties", "required", "additionalProperties"]
    assert list(made["properties"]) == ["z", "2", "a", "b-c", "1"]
    assert made["required"] == ["z", "2", "b-c"]
    assert made["additionalProperties"] is False


def test_the_form_without_an_equals_sign() -> None:
    expected = {
        "type": "object",
        "properties": {"text": {"type": "string"}},
        "required": ["text"],
        "additionalProperties": False,
    }
    for text in (
        "export type A { text: string; }",
        "export type A {\r\n\ttext: string;\r\n}\r\n",
        "export type A {text: string} export type B<T> {b: T}",
        "export type A = { text: string };",
        "export interface A { text: string }",
        "export default interface A { text: string }",
        "export declare type A = { text: string }",
        "interface A { text: string } export default A",
        "interface A { text: string }\nexport { A }",
        "interface B { text: string }\nexport type { B as A };",
        "\ufeff// first\nexport interface A /* so */ { text /* here */ : string }",
    ):
        assert schema(text) == expected


def test_undefined_makes_a_member_optional() -> None:
    made = of("{ a: string | undefined; b: Maybe<5>; c: null | undefined }", "type Maybe<T> = T | undefined")
    assert "required" not in made
    assert made["properties"] == {
        "a": {"type": "string"},
        "b": {"type": "number", "const": 5},
        "c": {"type": "null"},
    }


def test_required_takes_undefined_out() -> None:
    made = of("Required<{ a?: string; b: number | undefined }>")
    assert made["properties"] == {"a": {"type": "string"}, "b": {"type": "number"}}
    assert made["required"] == ["a", "b"]


def test_bases_come_first_and_a_member_may_be_made_narrower() -> None:
    made = schema(
        "interface B { kind: string; b?: number } interface C { c: null }\n"
        "export interface A extends B, C { a: boolean; kind: 'a' }"
    )
    assert list(made["properties"]) == ["kind", "b", "c", "a"]
    assert made["properties"]["kind"] == {"type": "string", "const": "a"}
    assert made["required"] == ["kind", "c", "a"]


def test_an_intersection_is_one_object() -> None:
    made = of("B & { c: C | string } & { c: 'x'; d?: D } & { d: D }", "type B = {b: 1}; type C = 'x'; type D = null")
    assert made == {
        "type": "object",
        "properties": {
            "b": {"type": "number", "const": 1},
            "c": {"type": "string", "const": "x"},
            "d": {"type": "null"},
        },
        "required": ["b", "c", "d"],
        "additionalProperties": False,
    }


def test_an_intersection_with_a_union_keeps_what_is_possible() -> None:
    made = of("(X | Y) & { kind: 'y' }", "type X = {kind: 'x'; x: 1}; type Y = {kind: 'y'; y: 2}")
    assert made["properties"] == {"kind": {"type": "string", "const": "y"}, "y": {"type": "number", "const": 2}}


def test_an_object_that_may_have_any_other_members() -> None:
    assert of("{ a: string } & Record<string, unknown>") == {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": {},
    }


def test_an_interface_in_two_parts() -> None:
    made = schema("export interface A { a: 1 } export interface A { b?: 2 }")
    assert list(made["properties"]) == ["a", "b"]


def test_partial_of_a_union_is_a_union_of_partials() -> None:
    made = of("Partial<{ a: 1 } | { b: 2 }>")
    assert [list(part["properties"]) for part in made["anyOf"]] == [["a"], ["b"]]
    assert not any("required" in part for part in made["anyOf"])


def test_enums_count_from_zero_and_go_on_from_what_is_given() -> None:
    assert schema("export enum A { A, B = 'b', C = 3, D, E = -1.5, F }") == {
        "type": ["number", "string"],
        "enum": [0, "b", 3, 4, -1.5, -0.5],
    }


def test_names_are_looked_up_from_the_inside_out() -> None:
    text = """
    interface I { outer: string }
    export namespace N {
        interface I { inner: number }
        export interface A { mine: I; theirs: M.B }
        export namespace M { export interface B { i: I; e: E.X } enum E { X = "x" } }
    }
    export interface A { i: I; n: N.A }
    """
    assert list(schema(text)["properties"]["i"]["properties"]) == ["outer"]
    assert list(schema(text, "N.A")["properties"]["mine"]["properties"]) == ["inner"]
    assert schema(text, "N.M.B")["properties"]["e"] == {"type": "string", "const": "x"}


def test_generics_are_filled_in_with_defaults_and_each_other() -> None:
    more = "interface Pair<X, Y = X[]> { x: X; y: Y }"
    made = of("Pair<'a'> | Pair<1, Pair<2, 3>>", more)
    first, second = made["anyOf"]
    assert first["properties"] == {
        "x": {"type": "string", "const": "a"},
        "y": {"type": "array", "items": {"type": "string", "const": "a"}},
    }
    assert second["properties"]["y"]["properties"]["y"] == {"type": "number", "const": 3}


def test_a_type_parameter_hides_a_type_of_its_name() -> None:
    made = of("Box<number>", "type T = string; interface Box<T> { value: T }")
    assert made["properties"]["value"] == {"type": "number"}


# ---- references


def test_what_is_used_once_is_written_where_it_is_used() -> None:
    made = of("{ b: B }", "interface B { c: C } interface C { d: string }")
    assert "definitions" not in made
    assert made["properties"]["b"]["properties"]["c"]["properties"] == {"d": {"type": "string"}}


def test_what_is_used_often_is_a_definition_unless_it_is_small() -> None:
    more = "interface B { a: 1; b: 2; c: 3; d: 4; e: 5; f: 6; g: 7 } type S = 's' | 't'"
    made = of("{ one: B; two: B; s: S; t: S }", more)
    assert made["properties"]["one"] == made["properties"]["two"] == {"$ref": "#/definitions/B"}
    assert made["properties"]["s"] == {"type": "string", "enum": ["s", "t"]}
    assert list(made["definitions"]) == ["B"]


def test_a_type_that_contains_itself_is_an_object_at_the_root_and_a_definition() -> None:
    made = schema("export interface A { kids: A[]; parent?: A | null }")
    assert made["type"] == "object"
    assert (
        made["properties"]
        == made["definitions"]["A"]["properties"]
        == {
            "kids": {"type": "array", "items": {"$ref": "#/definitions/A"}},
            "parent": {"anyOf": [{"$ref": "#/definitions/A"}, {"type": "null"}]},
        }
    )


def test_an_alias_of_a_type_that_contains_itself_is_no_bare_reference() -> None:
    made = schema("type T = { next?: T }\nexport type A = T")
    assert made["properties"] == {"next": {"$ref": "#/definitions/T"}}


def test_definitions_have_names_that_need_no_escaping() -> None:
    made = of(
        "{ a: Größe<'x/y', string[]>; b: N.L; c: Partial<N.L>; d: N.L & { m?: N.L } }",
        "interface Größe<T, U> { t: T; u: U; again?: Größe<T, U> } namespace N { export interface L { l?: L } }",
    )
    assert all(name.isascii() and name.replace("_", "").replace(".", "").isalnum() for name in made["definitions"])
    assert set(made["definitions"]) >= {"Gr_e_x_y_string_list", "N.L"}


def test_two_definitions_never_share_a_name() -> None:
    made = of("{ a: G<{ a: 1 }>; b: G<{ b: 2 }> }", "interface G<T> { t: T; g?: G<T> }")
    assert list(made["definitions"]) == ["G_type", "G_type_2"]
    assert made["definitions"]["G_type_2"]["properties"]["g"] == {"$ref": "#/definitions/G_type_2"}


def test_utility_types_of_a_type_that_contains_itself() -> None:
    made = schema("export interface A { a: string; kids?: Partial<A>[]; bare: Omit<A, 'bare'> }")
    assert "bare" not in made["properties"]["bare"]["properties"]
    assert made["definitions"]["Partial_A"]["properties"]["kids"] == {
        "type": "array",
        "items": {"$ref": "#/definitions/Partial_A"},
    }


# ---- comments


def test_comments_become_keywords() -> None:
    made = schema("""
    /**
     * A person.
     * Wrapped.
     *
     * - one
     * - two
     * @title Person
     * @additionalProperties true
     */
    export interface A {
        // not this
        /** In years, see {@link Age}.
         * @asType integer
         * @minimum 0 at least
         * @exclusiveMaximum 1.5e2
         * @default 18
         * @see nothing
         */
        age: number | null;
        /** overruled */ /** @pattern ^a@b$ */
        text: string
        /** @minItems 1 @ @uniqueItems
         * @uniqueItems
         * @examples [["a"]] */
        list: string[]
        /** @nullable */ either: 'a' | 'b'
        /***/ none: string /** for nothing */
    }
    """)
    assert (made["title"], made["additionalProperties"]) == ("Person", True)
    assert made["description"] == "A person. Wrapped.\n\n- one\n- two"
    assert made["properties"] == {
        "age": {
            "type": ["integer", "null"],
            "description": "In years, see Age.",
            "minimum": 0,
            "exclusiveMaximum": 150,
            "default": 18,
        },
        "text": {"type": "string", "pattern": "^a@b$"},
        "list": {"type": "array", "items": {"type": "string"}, "minItems": 1, "uniqueItems": True, "examples": [["a"]]},
        "either": {"type": ["string", "null"], "enum": ["a", "b", None]},
        "none": {"type": "string"},
    }


@pytest.mark.parametrize(
    ("comment", "keywords"),
    [
        ("@minimum 1 @maximum 5", {"minimum": 1, "maximum": 5}),
        ("@asType integer @minimum 1", {"type": "integer", "minimum": 1}),
        ("@minimum 1 @asType integer", {"type": "integer", "minimum": 1}),
        ("@asType integer years", {"type": "integer"}),
        ("An age @minimum 1\t@MAXIMUM 5", {"description": "An age", "minimum": 1, "maximum": 5}),
        ("@title An age @default 3 @see you", {"title": "An age", "default": 3}),
        ("@nullable @minimum 1", {"type": ["number", "null"], "minimum": 1}),
        ("@deprecated @minimum 1\n * @maximum 5", {"deprecated": True, "minimum": 1, "maximum": 5}),
        ("@see @minimum 1", {"minimum": 1}),
        ("@see me\n * @minimum 1", {"minimum": 1}),
    ],
)
def test_tags_may_share_a_line(comment: str, keywords: dict[str, object]) -> None:
    made = schema(f"export interface A {{\n/** {comment} */ k: number }}")
    assert made["properties"]["k"] == {"type": "number"} | keywords


@pytest.mark.parametrize(
    "text",
    [
        "ask me@title.org",
        "ask @team or @titles",
        "ask (@minimum 1)",
        "see @minimum: it is 1",
        "see `@minimum`",
        "see `x @minimum 1`",
        "a ` @ alone",
        "at @ 5",
        "a@minimum 1",
    ],
)
def test_an_at_sign_within_a_text_is_text(text: str) -> None:
    made = schema(f"export interface A {{\n/** {text} */ k: number\n/** @title {text} */ l: number }}")
    assert made["properties"]["k"] == {"type": "number", "description": text}
    assert made["properties"]["l"] == {"type": "number", "title": text}


def test_a_text_value_ends_where_the_next_keyword_begins() -> None:
    made = schema("export interface A {\n/** @pattern ^a@b @c$ @minLength 2 @format email */ k: string }")
    assert made["properties"]["k"] == {"type": "string", "pattern": "^a@b @c$", "minLength": 2, "format": "email"}


def test_a_comment_of_an_alias_goes_with_it_into_unions() -> None:
    made = of("{ age: Age | null }", "/** @minimum 0\n * @asType integer */\ntype Age = number")
    assert made["properties"]["age"] == {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]}


def test_a_described_reference_keeps_both() -> None:
    made = schema("/** a tree */ export interface A {\n/** the left one */ left?: A }")
    assert made["properties"]["left"] == {"$ref": "#/definitions/A", "description": "the left one"}


def test_a_constraint_is_never_left_beside_a_reference() -> None:
    """Draft 7 passes over what stands there."""
    more = "type L = (1 | 2 | 3 | 4 | 5 | 6 | 7 | 8 | 9)[]"
    made = of("{\n/** @minItems 2 */ a: L; b: L; c: L }", more)
    assert made["properties"]["a"]["minItems"] == 2
    assert made["properties"]["a"]["type"] == "array"
    assert made["properties"]["b"] == made["properties"]["c"] == {"$ref": "#/definitions/L"}
