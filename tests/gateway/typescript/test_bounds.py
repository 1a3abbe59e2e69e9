"""Whatever the text: a schema or a refusal, soon, in little space and with the stack half empty."""

import json
import sys
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from gateway.typescript import TypeScriptError, schema_of

SECONDS = 5.0  # a twentieth of it suffices where work is bounded; where it is not, no hour does


@contextmanager
def little_stack(frames: int = 600) -> Iterator[None]:
    """A server has some frames of its own on the stack."""
    before = sys.getrecursionlimit()
    here, frame = 0, sys._getframe()
    while frame is not None:
        here, frame = here + 1, frame.f_back  # type: ignore[assignment]
    sys.setrecursionlimit(here + frames)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def outcome(text: str, seconds: float = SECONDS) -> str:
    started = time.process_time()
    try:
        with little_stack():
            made = bytes(schema_of(text, "A"))
    except TypeScriptError as exc:
        made = str(exc).encode()
    else:
        json.loads(made)
    assert time.process_time() - started < seconds
    return made.decode()


def chain(link: str, last: str, number: int) -> str:
    links = (link.replace("THIS", f"T{i}").replace("NEXT", f"T{i + 1}").replace("I", str(i)) for i in range(number))
    return "\n".join(links) + f"\n{last.replace('THIS', f'T{number}')}\nexport type A = T0"


TOO_DEEP = "types nest more than 64 levels deep"
ROUND = "the types refer to one another more than 96 levels deep"
TOO_MUCH = "the types unfold to more than 50000 parts"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{" * 1_000_000, "the schema is longer than 256 KiB"),
        ("é" * 131_073, "the schema is longer than 256 KiB"),
        ("export type A = " + "{a:" * 80_000, TOO_DEEP),
        ("export type A = " + "[" * 200_000, TOO_DEEP),
        ("export type A = " + "(" * 200_000, TOO_DEEP),
        ("export type A = " + "Array<" * 40_000, TOO_DEEP),
        ("export type A = string" + "[]" * 100_000, TOO_DEEP),
        ("namespace N {" * 15_000, TOO_DEEP),
        ("export type A = " + "readonly " * 20_000, "'readonly' stands before"),
        ("/*" * 130_000, "a comment begins here and does not end"),
        ("export type A = '" + "\\'" * 120_000, "a text begins here and does not end"),
        ("export type A = " + "9" * 200_000, "a number has at most 400 digits"),
        ("export type A = '\ud800'", "half a surrogate pair"),
        ("type " + "N" * 200_000 + " = 1", "a name has at most 256 characters"),
        ("export interface A {" + ";".join(f"a{i}: 1" for i in range(10_001)) + "}", "more than 10000"),
        ("\n".join(f"type T{i} = 1" for i in range(10_001)), "more than 10000"),
        ("export type A = " + "|".join(f"'{i}'" for i in range(1_001)), "a union has at most 1000 parts"),
        ("export type A = " + "&".join("{}" for _ in range(1_001)), "an intersection has at most 1000 parts"),
        (chain("type THIS = NEXT", "type THIS = 1", 8_000), ROUND),
        (chain("interface THIS extends NEXT { xI: 1 }", "interface THIS {}", 3_000), ROUND),
        (chain("type THIS = `${NEXT}${NEXT}`", "type THIS = 'xx'", 60), "comes to more than 10000 characters"),
        (chain("type THIS = `${NEXT}${NEXT}`", "type THIS = ''", 60), TOO_MUCH),
        (chain("type THIS = Partial<NEXT | { xI: 1 }>", "type THIS = {}", 500), ROUND),
        ("interface G<T> { a: G<[T]>; b: G<T[]>; c: G<T | 1> } export type A = G<1>", "'G' unfolds without end"),
        ("interface G<T> { h: H<T[]> } interface H<T> { g: G<{ t: T }> } export type A = G<1>", "unfolds without end"),
        ("type G<T> = T | G<T[]>; export type A = G<1>", "'G' unfolds without end"),
        (chain("type THIS<T> = NEXT<NEXT<T>>", "type THIS<T> = { t: T }; type X = T0<1>", 60), "type argument"),
        ("/** @default " + "[" * 100_000 + " */ export type A = 1", "@default takes JSON of less depth"),
    ],
)
def test_refused(text: str, message: str) -> None:
    assert message in outcome(text)


UNION = "type U = " + "|".join(f"'{i}'" for i in range(900)) + "\n"
LONG = "x" * 150_000


@pytest.mark.parametrize(
    "text",
    [
        "export interface A {" + ";".join(f"a{i}: U | null" for i in range(5_000)) + "}\n" + UNION,
        f"type U = '{LONG}'; export interface A {{" + ";".join(f"a{i}: U | 1" for i in range(5_000)) + "}",
        f"/** {LONG} */ type U = 1; export interface A {{" + ";".join(f"a{i}: G<{i}>" for i in range(1_000)) + "}"
        f"interface G<T> {{ /** {LONG[:50_000]} */ t: T }}",
        f"interface G<T> {{ {LONG}: T }} export interface A {{" + ";".join(f"a{i}: G<{i}>" for i in range(1_000)) + "}",
        "interface B {" + ";".join(f"a{i}: 1" for i in range(1_000)) + "}\n"
        "export interface A {" + ";".join(f"b{i}: B & {{ c: {i} }}" for i in range(1_000)) + "}",
        "export type A = " + "&".join("(" + "|".join(f"{{a{i}: {j}}}" for j in range(30)) + ")" for i in range(9)),
    ],
)
def test_a_small_text_cannot_stand_for_a_large_schema(text: str) -> None:
    tracemalloc.start()
    try:
        assert TOO_MUCH in outcome(text, seconds=50)  # being watched takes time
        assert tracemalloc.get_traced_memory()[1] < 100_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("export interface A {" + ";".join(f"a{i}: string" for i in range(9_990)) + "}", 500_000),
        ("export interface A {" + ";".join(f"a{i}: `x${{1}}`" for i in range(4_000)) + "}", 250_000),
        ("export interface A {" + ";".join(f"/** @minimum {i} */ a{i}: number" for i in range(4_000)) + "}", 250_000),
        ("\n".join(f"export interface A {{ a{i}: string }}" for i in range(4_900)), 250_000),
        (chain("type THIS = { a: NEXT; b: NEXT }", "type THIS = 1", 60), 25_000),
        (chain("type THIS = [NEXT, [NEXT]]", "type THIS = 1", 60), 25_000),
        (chain("interface THIS { x: NEXT }", "type THIS = 1", 4_000), 600_000),
        ("export type A = " + "|".join(f"'{i}'" for i in range(1_000)), 10_000),
        ("export type A = " + "{a:" * 63 + "string" + "}" * 63, 7_000),
        ("interface X {" + ";".join(f"a{i}: Partial<X>[]" for i in range(50)) + "} export type A = X", 20_000),
    ],
)
def test_allowed_however_it_is_nested_or_repeated(text: str, size: int) -> None:
    made = outcome(text)
    assert made.startswith("{")
    assert len(made) < size
