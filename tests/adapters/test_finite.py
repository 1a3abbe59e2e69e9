"""Every sentence of a finite grammar keeps the schema it was made of, and is as short as was promised."""

import json
import random
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema_rs import validator_for
from msgspec import Raw

from adapters.local.demo import CLOSING, Demo
from adapters.local.finite import finite_grammar, fitting
from adapters.local.finite.documents import Unsuited
from adapters.local.finite.sentences import Chars, Choice, Literal, Repeat, Sentence, Sequence
from adapters.types import Call, Host, HttpRequest, JsonSchema, Params
from bench.schemas import SCHEMAS as SCHEMAS_OF_TYPES
from bench.schemas import Asked
from gateway.typescript import schema_of

Schema = dict[str, Any]

FORMATS = ("date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4", "ipv6", "iri") + (
    ("iri-reference", "json-pointer", "regex", "relative-json-pointer", "time", "uri", "uri-reference", "uri-template")
    + ("uuid", "no-such-format")
)
PATTERNS = (
    r"^[A-Z]{3}-[0-9]{4}$",
    r"^v-?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?\.-?[0-9]+$",
    r"^(stable|beta)-(linux|mac)$",
    r"^\d{3}-\w+\s?[^a-z]$",
    r"^https?://",
    r"\.png$",
    r"colou?r",
    r"^a|b$",
    r"^(?:[a-f]{2}:){2,}[^\d]*$",
    r"^.*@.+$",
    r"^\u00e9[À-ÿ]+$",
    r'^"\\\n$',
    r"^\p{Lu}\p{L}*$",
    r"^[\w.+-]+@[\w-]+\.[a-z]{2,}$",
    r"^$",
    r"^[^\x00-\x7f]$",
)


def sentence_of(node: Sentence, chance: random.Random) -> str:
    """One of the sentences."""
    match node:
        case Literal():
            return node.text
        case Chars():
            first, last = chance.choice(node.ranges)
            return chr(chance.choice((first, last, chance.randint(first, last))))
        case Sequence():
            return "".join([sentence_of(part, chance) for part in node.parts])
        case Choice():
            return sentence_of(chance.choice(node.options), chance)
        case Repeat():
            times = chance.choice((node.least, node.most, chance.randint(node.least, node.most)))
            return "".join([sentence_of(node.part, chance) for _ in range(times)])


def assert_kept(schema: Any, longest: int, seed: int = 0, times: int = 6) -> bool:
    """Whether the schema has a finite grammar, and its sentences keep it."""
    try:
        found = fitting(schema, longest)
    except Unsuited:
        return False
    if found is None:
        return False
    chance = random.Random(seed)
    validator = validator_for(schema, validate_formats=True)
    for _ in range(times):
        text = sentence_of(found, chance)
        assert len(text.encode()) <= found.longest
        validator.validate(json.loads(text))
    return True


# --- any schema ----------------------------------------------------------------------------------------------

NAMES = st.sampled_from(("name", "age", "a b", "é", 'q"\\', "Kind", "x", "zeta"))
SCALARS = st.none() | st.booleans() | st.integers(-1000, 1000) | st.sampled_from(("", "a", 'b"', "é", "c\n", 1.5, -0.5))
REFERENCES = st.sampled_from(({"$ref": "#/definitions/A"}, {"$ref": "#/definitions/B"}, {"$ref": "#"}))


def some(**keywords: st.SearchStrategy[Any]) -> st.SearchStrategy[Schema]:
    return st.fixed_dictionaries({}, optional=keywords)


def both(one: st.SearchStrategy[Schema], other: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return st.builds(lambda mine, theirs: mine | theirs, one, other)


NUMBERS = both(
    st.sampled_from(({"type": "number"}, {"type": "integer"}, {"type": ["number", "null"]}, {})),
    some(
        minimum=st.integers(-2000, 2000) | st.floats(-5, 5).map(lambda value: round(value, 3)),
        maximum=st.integers(-2000, 2000) | st.floats(-5, 5).map(lambda value: round(value, 3)),
        exclusiveMinimum=st.integers(-10, 10),
        exclusiveMaximum=st.integers(-10, 10),
        multipleOf=st.sampled_from((1, 2, 5, 7, 250, 0.5, 0.01, 2.5, 0.3)),
    ),
)
TEXTS = both(
    st.just({"type": "string"}),
    st.one_of(
        st.just({}),
        some(minLength=st.integers(0, 40), maxLength=st.integers(0, 40)),
        some(pattern=st.sampled_from(PATTERNS), minLength=st.integers(0, 12), maxLength=st.integers(0, 20)),
        some(format=st.sampled_from(FORMATS), maxLength=st.integers(0, 60)),
    ),
)
VALUES = st.one_of(
    st.builds(lambda values: {"enum": values}, st.lists(SCALARS, min_size=1, max_size=4)),
    st.builds(lambda value: {"const": value}, SCALARS | st.just({"a": [1, {}]})),
    st.sampled_from(({"type": "boolean"}, {"type": "null"}, {}, True, {"type": "object"}, {"type": "array"})),
    st.sampled_from(({"type": ["string", "number", "boolean"]}, {"type": "string", "enum": ["a", 1, "bb"]})),
)


def larger(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    listed = st.lists(inner, min_size=1, max_size=3)
    objects = both(
        st.just({"type": "object"}),
        some(
            properties=st.dictionaries(NAMES, inner, max_size=4),
            required=st.lists(NAMES, unique=True, max_size=2),
            additionalProperties=inner | st.booleans(),
            minProperties=st.integers(0, 3),
            maxProperties=st.integers(0, 4),
            propertyNames=st.sampled_from(({"enum": ["name", "x"]}, {"pattern": "^[a-z]+$"}, {"maxLength": 3})),
            patternProperties=st.dictionaries(st.sampled_from(("^x-", "[0-9]$", "a")), inner, max_size=2),
            unevaluatedProperties=st.just(False),
        ),
    )
    lists = both(
        st.just({"type": "array"}),
        some(
            items=inner | listed,
            additionalItems=inner | st.booleans(),
            minItems=st.integers(0, 3),
            maxItems=st.integers(0, 4),
            uniqueItems=st.booleans(),
        ),
    )
    joined = st.sampled_from(("anyOf", "oneOf", "allOf"))
    unions = st.builds(lambda name, options: {name: options}, joined, listed)
    return st.one_of(objects, lists, unions, both(unions, objects), both(REFERENCES, unions))


SCHEMAS = st.recursive(st.one_of(NUMBERS, TEXTS, VALUES, REFERENCES), larger, max_leaves=8)


def defined(root: Any, one: Any, other: Any) -> Schema:
    top = root if isinstance(root, dict) else {}
    return {**top, "$schema": "http://json-schema.org/draft-07/schema#", "definitions": {"A": one, "B": other}}


@given(st.builds(defined, SCHEMAS, SCHEMAS, SCHEMAS), st.sampled_from((30, 199, 1000)), st.integers(0, 1000))
def test_every_sentence_keeps_its_schema(schema: Schema, longest: int, seed: int) -> None:
    assert_kept(schema, longest, seed)


@given(
    st.binary(max_size=200) | st.recursive(SCALARS, lambda inner: st.lists(inner)).map(lambda v: json.dumps(v).encode())
)
def test_what_is_no_schema_has_no_grammar_or_some(schema: bytes) -> None:
    found = finite_grammar(schema, 200)
    assert found is None or found.startswith("root ::= ")


# --- what is known to have a grammar ---------------------------------------------------------------------------

TREE = {
    "type": "object",
    "properties": {"value": {"type": "number"}, "left": {"$ref": "#/$defs/Tree"}, "right": {"$ref": "#/$defs/Tree"}},
    "required": ["value"],
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    "schema",
    [
        *({"type": "string", "format": name} for name in FORMATS),
        *({"type": "string", "pattern": pattern} for pattern in PATTERNS),
        {"type": "string", "pattern": "^[a-z]+$", "minLength": 30, "maxLength": 31},
        {"type": "integer", "minimum": -17, "maximum": 1234},
        {"type": "integer", "minimum": 1_000_000},
        {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
        {"type": "number", "minimum": 0.125, "maximum": 0.126},
        {"type": "number", "multipleOf": 0.01, "minimum": -3, "maximum": -1},
        {"type": "integer", "multipleOf": 12, "minimum": 100},
        {"allOf": [{"type": "number", "multipleOf": 4}, {"multipleOf": 6, "minimum": 1}]},
        {"type": "array", "items": {"enum": ["a", "b", "c"]}, "uniqueItems": True, "minItems": 2},
        {"type": "array", "prefixItems": [{"type": "null"}, {"type": "string"}], "items": False, "minItems": 1},
        {"type": "object", "minProperties": 3, "additionalProperties": {"type": "number"}},
        {"type": "object", "patternProperties": {"^x-[a-z]+$": {"type": "null"}}, "additionalProperties": False},
        {"oneOf": [{"type": "string"}, {"type": "integer"}, {"type": "null"}]},
        {"$ref": "#/$defs/Tree", "$defs": {"Tree": TREE}},
        {"type": "object", "properties": {"more": {"$ref": "#"}}, "additionalProperties": False},
        {"allOf": [{"$ref": "#/$defs/Tree"}, {"required": ["left"]}], "$defs": {"Tree": TREE}},
        {},
        True,
    ],
    ids=str,
)
@pytest.mark.parametrize("longest", [199, 30])
def test_these_have_one(schema: Any, longest: int) -> None:
    assert assert_kept(schema, longest, times=30)


@pytest.mark.parametrize(
    "schema",
    [
        {"not": {"type": "string"}},
        {"type": "string", "pattern": "^(?=a)"},
        {"type": "number", "minimum": 2, "maximum": 1},
        {"oneOf": [{"type": "integer"}, {"type": "number"}]},
        {"type": "object", "properties": {"again": {"$ref": "#"}}, "required": ["again"]},
        {"const": 1, "enum": [2]},
        False,
    ],
    ids=str,
)
def test_these_have_none(schema: Any) -> None:
    assert finite_grammar(json.dumps(schema).encode(), 200) is None


@pytest.mark.parametrize("longest", [60, 100, 160, 199])
def test_the_loosest_bounds_that_fit_are_taken(longest: int) -> None:
    found = fitting({"type": "array", "items": {"type": "string"}, "minItems": 1}, longest)
    assert found is not None
    assert longest * 0.5 <= found.longest <= longest


def doubling(levels: int) -> Schema:
    """Each level holds the next one twice."""
    parts = {f"l{level}": twice(f"#/$defs/l{level + 1}") for level in range(levels)}
    return {"$ref": "#/$defs/l0", "$defs": {**parts, f"l{levels}": {"type": "null"}}}


def twice(name: str) -> Schema:
    return {"type": "object", "properties": {"a": {"$ref": name}, "b": {"$ref": name}}, "required": ["a", "b"]}


@pytest.mark.parametrize(
    "schema",
    [
        doubling(60),
        {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]},
        {"allOf": [{"anyOf": [{"minLength": i}, {"maxLength": i + 50}]} for i in range(20)], "type": "string"},
        {"enum": [[i] for i in range(5000)]},
        {"type": "string", "pattern": "^" + "(" * 30 + "a" + "*)" * 30 + "$"},
        {"type": "string", "pattern": "^((a{1000}){1000}){1000}$"},
        {"type": "object", "properties": {f"p{i}": {} for i in range(2000)}, "minProperties": 1000},
        {"type": "array", "minItems": 10**12},
    ],
    ids=lambda schema: str(schema)[:40],
)
def test_hostile_schemas_make_little_work(schema: Schema) -> None:
    began = time.process_time()
    found = finite_grammar(json.dumps(schema).encode(), 200)
    assert time.process_time() - began < 2.5
    assert found is None or len(found) < 100_000


# --- the model itself ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def model() -> Iterator[httpx.Client]:
    with TemporaryDirectory(prefix="llama-") as folder:
        socket = f"{folder}/llama.sock"
        command = [sys.executable, "-m", "gateway.embedded", "--socket", socket]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None and process.stdout.readline()
            transport = httpx.HTTPTransport(uds=socket, limits=httpx.Limits(max_keepalive_connections=0))
            with httpx.Client(transport=transport, base_url="http://llama", timeout=10) as client:
                yield client
            process.kill()


def completed(model: httpx.Client, request: HttpRequest) -> str:
    answer = model.post("/completion", content=request.body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["stop_type"] == "eos"
    return str(answer.json()["content"])


def asking(prompt: str, schema: Any, **params: Any) -> HttpRequest:
    constraint = JsonSchema(Raw(msgspec.json.encode(schema)))
    return DEMO.encode(Call("demo", prompt, Params(max_tokens=200, **params), constraint=constraint))


DEMO = Demo(Host(base_url="http://llama", engine="llama.cpp", demo=True))

llama = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is optional")


@llama
@pytest.mark.parametrize("asked", SCHEMAS_OF_TYPES, ids=lambda asked: asked.name)
@pytest.mark.parametrize("temperature", [0, 1])
def test_the_model_answers_types_of_all_kinds(model: httpx.Client, asked: Asked, temperature: float) -> None:
    schema = msgspec.json.decode(schema_of(asked.text, asked.type_name))
    text = completed(model, asking(next(asked.prompts), schema, temperature=temperature, seed=1))
    validator_for(schema, validate_formats=True).validate(json.loads(text))


@llama
@pytest.mark.parametrize("kind", ["integer", "number"])
def test_the_model_still_tells_an_age(model: httpx.Client, kind: str) -> None:
    members = {"age": {"type": kind}, "units": {"type": "string"}}
    inner = {"type": "object", "properties": members, "required": [*members]}
    schema = {"type": "object", "properties": {"person": inner}, "required": ["person"]}
    text = completed(model, asking("How old is Tom? Tom is 12 years old.", schema, temperature=0))
    assert json.loads(text) == {"person": {"age": 12, "units": "years"}}


@llama
def test_the_brackets_are_the_tokens_that_are_made_likelier(model: httpx.Client) -> None:
    tokens = [model.post("/tokenize", json={"content": bracket}).json()["tokens"] for bracket in "}]"]
    assert tokens == [[int(token)] for token in CLOSING]
