"""What is refused, where, and what the message says instead."""

import pytest

from gateway.typescript import TypeScriptError, schema_of


def refused(text: str, type_name: str = "A") -> TypeScriptError:
    with pytest.raises(TypeScriptError) as caught:
        schema_of(text, type_name)
    return caught.value


NOT_DATA = "only data has a JSON form"

TYPES = [
    ("X extends string ? 1 : 2", 2, "conditional types are not supported; write the union out"),
    ("keyof X", 0, "'keyof' is not supported; write the names out as a union of texts"),
    ("X['x']", 1, "indexed access types are not supported; write the member's type out"),
    ("{ [K in 'a']: 1 }", 2, 'mapped types are not supported; write the members out, or use Record<"a" | "b", T>'),
    ("{ -readonly [K in 'a']: 1 }", 2, "mapped types are not supported; write the members out"),
    ("() => void", 0, f"function types are not supported; {NOT_DATA}"),
    ("(a: string) => void", 0, f"function types are not supported; {NOT_DATA}"),
    ("<T>(a: T) => T", 0, f"function types are not supported; {NOT_DATA}"),
    ("new () => X", 0, f"constructor types are not supported; {NOT_DATA}"),
    ("{ f(): void }", 3, f"'f' is a method; {NOT_DATA}"),
    ("{ f?<T>(): void }", 4, f"'f' is a method; {NOT_DATA}"),
    ("{ (): void }", 2, f"call signatures are not supported; {NOT_DATA}"),
    ("{ get x(): 1 }", 2, "accessors are not supported; write 'x: ' and its type"),
    ("{ [Symbol.x]: 1 }", 2, "computed names are not supported; write the member's name, or [key: string]"),
    ("{ [k: symbol]: 1 }", 6, "an index signature's key must be string or number"),
    ("{ public a: 1 }", 2, "'public' belongs to classes; leave it out"),
    ("never", 0, "'never' allows no value; leave the member out"),
    ("void", 0, "'void' has no JSON form; write null"),
    ("symbol", 0, "'symbol' has no JSON form; write string"),
    ("unique symbol", 0, f"'unique symbol' is not supported; {NOT_DATA}"),
    ("typeof x", 0, "'typeof' is not supported; write the type out"),
    ("infer X", 0, "'infer' is not supported; write the type out"),
    ("import('x').Y", 0, "import types are not supported; declare the type in this text"),
    ("{ a: this }", 5, "'this' is not supported; write the type's name"),
    ("asserts x is string", 0, f"type predicates are not supported; {NOT_DATA}"),
    ("Map<string, X>", 0, "'Map' has no JSON form; write Record<string, T>"),
    ("Set<X>", 0, "'Set' has no JSON form; write a list: T[]"),
    ("Exclude<'a', 'b'>", 0, "'Exclude' is not supported; write the resulting type out"),
    ("String", 0, "'String' is not supported; write string"),
    ("strng", 0, "there is no type 'strng'; did you mean 'string'?"),
    ("X.y", 0, "there is no type 'X.y'"),
    ("Array", 0, "'Array' takes 1 type argument, not 0"),
    ("Record<string>", 0, "'Record' takes 2 type arguments, not 1"),
    ("X<string>", 0, "'X' takes no type arguments"),
    ("Box", 0, "'Box' takes 1 to 2 type arguments, not 0"),
    ("Box<1, 2, 3>", 0, "'Box' takes 1 to 2 type arguments, not 3"),
    ("{ a: string b: number }", 12, "expected ';' after the member, found 'b'"),
    ("{ a: string", 11, "expected '}' after the member, found the end"),
    ("{ a }", 4, "expected ':' and a type after 'a', found '}'"),
    ("{ a: }", 5, "expected a type, found '}'"),
    ("{ a: 1; 'a': 2 }", 8, "member 'a' is declared twice"),
    ("{ ; }", 2, "expected a member's name or '}', found ';'"),
    ("{ [k: string]: 1; [j: number]: 1 }", 18, "an object has at most one index signature"),
    ("'a' | | 'b'", 6, "expected a type, found '|'"),
    ("[string?, number]", 10, "a required element cannot follow an optional one"),
    ("[...string[], number]", 4, "a rest element must be the last of its tuple"),
    ("[...string]", 4, "the rest of a tuple is a list such as string[], not 'string'"),
    ("readonly string", 0, "'readonly' stands before a list type such as string[] or [string, number]"),
    ("string & number", 0, "nothing can be all the parts of this intersection at once"),
    ("{ a: 1 } & { b: 2; a: 2 }", 19, "member 'a' is declared with types of which no value can be both"),
    ("undefined", 0, "'undefined' has no JSON form; write null, or '?' after a member's name"),
    ("(string | undefined)[]", 10, "'undefined' has no JSON form; write null, or '?' after a member's name"),
    ("{ a: undefined }", 5, "'undefined' alone has no JSON form; leave the member out, or write null"),
    ("Pick<X, 'xx'>", 8, "there is no member 'xx' to pick; did you mean 'x'?"),
    ("Omit<X, string>", 8, "Omit needs the names as literal texts"),
    ("Record<boolean, X>", 7, "names are string, number, or a union of literal texts, not 'boolean'"),
    ("Partial<string>", 8, "expected an object type here, not 'string'"),
    ("Partial<X[]>", 8, "expected an object type here, not a list"),
    ("Pick<X | Box<1>, 'x'>", 5, "a union of several types cannot be used here; use each of its types by itself"),
    ("`a${X}`", 4, "a template can hold texts, numbers and booleans, not 'X'"),
    ("`a${string|}`", 11, "expected a type, found the end"),
    ("`abc", 0, "a template begins here and does not end; close it with `"),
    ("'abc", 0, "a text begins here and does not end; close it with '"),
    ('"a\n"', 0, 'a text begins here and does not end; close it with "'),
    ("'\\ud83d'", 0, "half a surrogate pair is not a character"),
    ("'\\u{110000}'", 0, "there is no character 110000"),
    ("5abc", 0, "'5abc' is not a number"),
    ("1e400", 0, "the number is too large for JSON"),
    ("- x", 2, "expected a number after '-', found 'x'"),
    ("string /* abc", 7, "a comment begins here and does not end; close it with '*/'"),
    ("A", -5, "'A' refers to itself with no object or list in between"),
    ("A | string", -5, "'A' refers to itself with no object or list in between"),
    ("Partial<A>", -5, "'A' refers to itself with no object or list in between"),
    ("Grows<string>", 78, "'Grows' unfolds without end: each use of it needs another one"),
]
MORE = """
interface X { x: string }
interface Box<T, U = T> { t: T; u: U }
type B = A
interface Grows<T> { g: Grows<T[]> }"""


@pytest.mark.parametrize(("type_", "column", "message"), TYPES)
def test_types(type_: str, column: int, message: str) -> None:
    error = refused(
        f"// a line\r\n  export type A =\r\n\t{type_}" + ("" if "/*" in type_ or "the end" in message else MORE)
    )
    assert error.message == message
    if column >= 0 and "unfolds" not in message:
        assert (error.line, error.column) == (3, column + 2)
    elif "unfolds" in message:
        assert (error.line, error.column) == (7, 25)
    else:
        assert (error.line, error.column) == (2, 15)
    assert str(error) == f"line {error.line}, column {error.column}: {message}"
    assert error.param == "schema"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("import { X } from 'x'", (1, 1), "imports are not supported; declare every type in this text"),
        ("import type { X } from 'x'", (1, 1), "imports are not supported; declare every type in this text"),
        ("export { X } from 'x'", (1, 8), "imports are not supported; declare every type in this text"),
        ("export class X {}", (1, 8), "classes are not supported; write an interface"),
        ("abstract class X {}", (1, 1), "classes are not supported; write an interface"),
        ("function f() {}", (1, 1), "functions are not supported; only types can be declared"),
        ("export const x = 1", (1, 8), "values are not supported; only types can be declared"),
        ("\n @x class X {}", (2, 2), "decorators are not supported; write an interface"),
        ("x()", (1, 1), "expected a declaration such as 'export interface X { ... }', found 'x'"),
        ("declare global {}", (1, 9), "global declarations are not supported; declare the types themselves"),
        ("interface X = { x: 1 }", (1, 13), "an interface has no '='; write 'interface X {' or 'type X ='"),
        ("interface X { x: 1 ", (1, 20), "expected '}' after the member, found the end"),
        ("interface X extends {}", (1, 21), "expected a type's name after 'extends', found '{'"),
        ("interface X extends Y { y: 2 }; type Y = 1", (1, 42), "expected an object type here, not a literal"),
        (
            "interface X extends Y { y: 2 }; type Y = {y: '1'}",
            (1, 25),
            "member 'y' is declared with types of which no value can be both",
        ),
        ("type X string", (1, 8), "expected '=' after 'type X', found 'string'"),
        ("type = 5", (1, 6), "expected a name after 'type', found '='"),
        ("type string = 5", (1, 6), "'string' is a type already; choose another name"),
        ("type X = 1; interface X {}", (1, 23), "'X' is declared twice"),
        ("interface X<T> {}; interface X {}", (1, 30), "'X' is declared twice, with different type parameters"),
        ("interface X {a: 1}; interface X {a: 1}", (1, 34), "member 'a' is declared twice"),
        ("type X<T = 1, U> = T", (1, 15), "type parameter 'U' needs a default, like the one before it"),
        ("type X<T, T> = T", (1, 11), "type parameter 'T' is declared twice"),
        ("enum X { A = 1 << 2 }", (1, 16), "an enum's value must be a number or a text; write the result out"),
        ("enum X { A = 'a', B }", (1, 19), "'B' needs a value, since the one before it is a text"),
        ("enum X { A, A }", (1, 13), "'A' is declared twice"),
        ("enum X {}", (1, 6), "enum 'X' has no constants"),
        ("namespace N { type Y = 1", (1, 25), "expected '}' at the end of namespace 'N', found the end"),
        ("export { Y }", (1, 10), "'Y' is exported, but no type of that name is declared"),
        (
            "/** hello\n * @minimum low */ type X = 1",
            (1, 1),
            "@minimum takes a number, not 'low'",
        ),
        ("/** @minLength -1 */ type X = 1", (1, 1), "@minLength takes a whole number, not '-1'"),
        ("/** @examples a */ type X = 1", (1, 1), "@examples takes a JSON list, not 'a'"),
        ("/** @asType string */ type X = 1", (1, 1), "@asType takes integer, not 'string'"),
        ("/** @asType integer */ type X = 'x'", (1, 29), "@asType integer goes with number only"),
        ("/** @additionalProperties */ type X = 'x'", (1, 35), "@additionalProperties goes with objects only"),
    ],
)
def test_declarations(text: str, place: tuple[int, int], message: str) -> None:
    closed = text.startswith(("namespace", "interface X { x: 1 "))
    error = refused(text if closed else f"{text}\nexport interface A {{ x: X }}")
    assert ((error.line, error.column), error.message, error.param) == (place, message, "schema")


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\u2028"])
def test_lines_are_counted_whatever_ends_them(newline: str) -> None:
    error = refused(newline.join(["// one", "/* two", "three */", "export type A = {", "  ä: 'ö'; b: never", "}"]))
    assert (error.line, error.column) == (5, 14)


@pytest.mark.parametrize(
    ("text", "type_name", "param", "message"),
    [
        ("type B = 1", "A", "schema", "the schema exports no type; write 'export' before the type that is wanted"),
        ("", "A", "schema", "the schema exports no type; write 'export' before the type that is wanted"),
        ("export type Order = 1", "order", "type_name", "the schema has no type 'order'; did you mean 'Order'?"),
        ("export type X = 1; export enum Y {Z}", "A", "type_name", "the schema has no type 'A'; it exports X, Y"),
        ("export type X = 1", "", "type_name", "the schema has no type ''; it exports X"),
    ],
)
def test_a_type_that_is_not_there(text: str, type_name: str, param: str, message: str) -> None:
    error = refused(text, type_name)
    assert (error.param, str(error), error.line, error.column) == (param, message, None, None)


def test_a_type_that_is_not_exported() -> None:
    error = refused("export type B = A; type A = 1")
    assert error.param == "type_name"
    assert str(error) == "line 1, column 25: 'A' is declared but not exported; write 'export' before it"
    assert refused("export namespace N { type A = 1 }", "N.A").param == "type_name"
    assert refused("namespace N { export type A = 1 }", "N.A").param == "type_name"


def test_aliases_that_go_round() -> None:
    error = refused("export type A = B;\ntype B = C | string;\ntype C = Readonly<A>")
    assert error.message.endswith("refers to itself with no object or list in between")
    assert refused("export type A = { b: B }; type B = C; type C = B").column == 32


def test_a_generic_type_cannot_be_what_is_wanted() -> None:
    error = refused("export type A<T> = T")
    assert (error.param, error.message) == (
        "type_name",
        "'A' needs type arguments; export a type that gives them",
    )


def test_messages_quote_little() -> None:
    error = refused(f"export type A = {'x' * 200}")
    assert error.message == f"there is no type '{'x' * 48}...'"
    assert refused("export type A = \x1b").message == "expected a type, found '\\x1b'"
