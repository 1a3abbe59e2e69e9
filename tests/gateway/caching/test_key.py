"""The same meaning has the same digest, and any other meaning another."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.fields import HINTS, NEUTRAL
from adapters.types import AnyJson, Call, Chat, Constraint, Fields, Grammar, JsonSchema, OneOf, Params, Prompts, Regex
from gateway.caching.key import IN_PARAMS, WHO, digest
from gateway.constraints import Checker
from gateway.keeping import Keeping
from gateway.wire import chat, completions

CHECKER = Checker()


def fields(**given: Any) -> Fields:
    return {name: Raw(json.dumps(value).encode()) for name, value in given.items()}


def of(call: Call, team: str = "t", model: str = "m", keeping: Keeping | None = None) -> str:
    return digest(team, model, call, keeping)


def asked(dialect: Any, data: bytes) -> str:
    """The digest of a request as a caller writes it."""
    request = dialect.decode(dialect.read(data, 64))
    return of(Call("-", request.input, request.params, request.stream, request.fields, request.constraint))


def chatted(**more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}], **more}).encode()


def test_it_is_a_full_digest() -> None:
    assert len(of(Call("-", "hi"))) == 64
    assert int(of(Call("-", "hi")), 16) > 0


SAME = [
    (chatted(temperature=0), chatted(temperature=0.0)),
    (chatted(temperature=0), chatted(temperature=0, stream=True)),
    (chatted(temperature=0), chatted(temperature=0, stream=True, stream_options={"include_usage": True})),
    (chatted(temperature=0), chatted(temperature=0, user="ann", metadata={"a": "b"}, store=True, service_tier="flex")),
    (chatted(), chatted(seed=None, tools=None, logit_bias=None, stop=None, n=None, response_format=None)),
    (chatted(n=1), chatted()),
    (chatted(stop="a"), chatted(stop=["a"])),
    (chatted(max_tokens=5), chatted(max_completion_tokens=5)),
    (chatted(max_tokens=5), chatted(max_completion_tokens=5, max_tokens=5)),
    (chatted(logprobs=False), chatted()),
    (chatted(logprobs=True), chatted(logprobs=True, top_logprobs=0)),
    (chatted(logit_bias={"1": 2, "3": 4}), chatted(logit_bias={"3": 4.0, "1": 2.0})),
    (chatted(x={"a": 1, "b": [0.5, 2.0]}), chatted(x={"b": [5e-1, 2], "a": 1.0})),
    (b'{"model":"m","messages":[{"role":"user","content":"hi"}]}', chatted()),
    (b' {"messages" : [ {"content":"h\\u0069", "role":"user", "name":null} ], "model":"m"}', chatted()),
    (chatted(model="another name"), chatted()),
    (chatted(fanout={"mode": "first"}), chatted()),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_one_meaning(one: bytes, other: bytes) -> None:
    assert asked(chat, one) == asked(chat, other)


SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "required": ["a"]}
TURNED = {"required": ["a"], "properties": {"b": {"type": "string"}, "a": {"type": "integer"}}, "type": "object"}
SHUFFLED = {"required": ["a"], "properties": {"a": {"type": "integer"}, "b": {"type": "string"}}, "type": "object"}


def typed(schema: Any, **more: Any) -> bytes:
    return chatted(response_format={"type": "json_schema", "json_schema": {"name": "x", "schema": schema, **more}})


def tool(schema: Any) -> bytes:
    return chatted(tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])


DIFFERENT = [
    chatted(),
    chatted(temperature=0),
    chatted(temperature=1),
    chatted(seed=0),
    chatted(seed=2**63 - 1),
    chatted(seed=2**63 - 2),
    chatted(n=2),
    chatted(max_tokens=5),
    chatted(max_tokens=5, max_completion_tokens=6),
    chatted(max_completion_tokens=6),
    chatted(logprobs=True),
    chatted(logprobs=True, top_logprobs=3),
    chatted(stop=["a", "b"]),
    chatted(stop=["ab"]),
    chatted(stop=["b", "a"]),
    chatted(logit_bias={"1": 2}),
    chatted(unknown=1),
    chatted(unknown=True),
    chatted(unknown="1"),
    chatted(unknown=0.1),
    chatted(unknown=[None]),
    chatted(unknown={"a": None}),
    chatted(unknown={}),
    chatted(unknown=2**53),
    chatted(unknown=2**53 + 1),
    chatted(cache_salt="a"),
    chatted(reasoning_effort="low"),
    chatted(limits=[5, 6]),
    chatted(messages=[{"role": "user", "content": "hi "}]),
    chatted(messages=[{"role": "system", "content": "hi"}]),
    chatted(messages=[{"role": "user", "content": "hi"}, {"role": "user", "content": "hi"}]),
    chatted(messages=[{"role": "user", "content": [{"type": "text", "text": "hi"}]}]),
    chatted(messages=[{"role": "user", "content": "hi", "name": "ann"}]),
    typed(SCHEMA),
    typed(TURNED),
    typed(SCHEMA, strict=False),
    typed(SCHEMA, description="d"),
    typed({"type": "object"}),
    typed({"const": None}),
    typed({}),
    chatted(response_format={"type": "json_object"}),
    tool(SCHEMA),
    tool(TURNED),
    chatted(guided_regex="a"),
    chatted(guided_choice=["a"]),
    chatted(guided_grammar='root ::= "a"'),
    chatted(tool_choice="none"),
    chatted(unknown={"properties": {"a": 1}}),
    chatted(unknown={"properties": [["a", 1]]}),
    chatted(unknown={"properties": ["in order", [["a", 1]]]}),
]


def test_other_meanings() -> None:
    found = [asked(chat, data) for data in DIFFERENT]
    found += [asked(completions, b'{"model":"m","prompt":%b}' % prompt) for prompt in PROMPTS]
    assert len(set(found)) == len(DIFFERENT) + len(PROMPTS)


PROMPTS = [b'"hi"', b'["h", "i"]', b'["i", "h"]', b'["hi", "hi"]', b"[1]", b"[1, 2]", b"[[1], [2]]", b'"1"']


def test_where_schemas_are_written_in_another_order() -> None:
    assert asked(chat, typed(SCHEMA)) == asked(chat, typed(SHUFFLED))
    assert asked(chat, tool(SCHEMA)) == asked(chat, tool(SHUFFLED))


def test_one_text_and_a_list_of_one() -> None:
    assert asked(completions, b'{"model":"m","prompt":"hi"}') == asked(completions, b'{"prompt":["hi"],"model":"m"}')


def test_what_cannot_be_read_still_counts() -> None:
    """An escape that is half a letter; providers may take it."""
    calls = [Call("-", Chat(Raw(b'[{"role":"user","content":"\\ud80%d"}]' % n)), fields={}) for n in (0, 1)]
    assert of(calls[0]) != of(calls[1])
    assert of(calls[0]) == of(calls[0])
    assert of(Call("-", "hi", fields={"x": Raw(b'"\\ud800"')})) != of(Call("-", "hi", fields={"x": Raw(b'"\\ud801"')}))


@pytest.mark.parametrize(
    "numbers", [(b"1e400", b"1e500"), (b"0.1", b"0.2"), (b"9007199254740992.0", b"1e17"), (b"1" * 40, b"1" * 41)]
)
def test_numbers_that_are_not_the_same(numbers: tuple[bytes, bytes]) -> None:
    one, other = [of(Call("-", "hi", fields={"x": Raw(number)})) for number in numbers]
    assert one != other


def test_who_speaks_another_dialect_has_entries_of_their_own() -> None:
    assert of(Call("-", "hi")) != of(Call("-", "hi", fields={}))
    assert of(Call("-", "hi", fields={})) != of(Call("-", Chat(Raw(b'"hi"')), fields={}))


CONSTRAINTS: list[Constraint | None] = [
    None,
    AnyJson(),
    Regex("a"),
    Regex("b"),
    Grammar("a"),
    OneOf(("a",)),
    OneOf(("a", "b")),
    OneOf(("b", "a")),
    JsonSchema(Raw(b"{}")),
    JsonSchema(Raw(b"true")),
    JsonSchema(Raw(b"{}"), "other"),
    JsonSchema(Raw(b"{}"), strict=False),
    JsonSchema(Raw(b"{}"), description=""),
    JsonSchema(Raw(b"{}"), options=fields(whitespace_pattern=" ")),
]


def keepings(constraint: Constraint) -> list[Keeping]:
    return [
        Keeping(CHECKER, constraint),
        Keeping(CHECKER, constraint, frozenset({"cut"})),
        Keeping(CHECKER, constraint, frozenset({"cut", "messages"})),
        Keeping(CHECKER, constraint, rounds=0),
        Keeping(CHECKER, constraint, hint=""),
        Keeping(CHECKER, constraint, hint="interface A {}"),
    ]


def test_constraints_and_how_they_are_kept() -> None:
    found = [of(Call("-", "hi", constraint=one)) for one in CONSTRAINTS]
    for one in CONSTRAINTS:
        if one is not None:
            found += [of(Call("-", "hi", constraint=one), keeping=keeping) for keeping in keepings(one)]
    assert len(set(found)) == len(found)
    assert of(Call("-", "hi", constraint=JsonSchema(Raw(b"{ }")))) == of(
        Call("-", "hi", constraint=JsonSchema(Raw(b"{}")))
    )


def test_every_param_counts() -> None:
    """Also those that are added later."""
    values: dict[str, Any] = {"stop": ("a",), "stop_token_ids": (1,), "logit_bias": {"1": 1.0}, "suffix": "s"}
    found = {of(Call("-", "hi"))}
    for name in Params.__struct_fields__:
        value = values.get(name, True if name in ("echo", "ignore_eos", "include_stop") else 3)
        found.add(of(Call("-", "hi", Params(**{name: value}))))
    assert len(found) == len(Params.__struct_fields__) + 1


@pytest.mark.parametrize("dialect", [chat, completions])
def test_no_field_that_means_something_is_passed_over(dialect: Any) -> None:
    """Of those that OpenAI and vLLM know, all but those that params hold and those that say who asks. What only the
    other route reads is sent to providers all the same, and vLLM's chats have an ``echo``."""
    known = NEUTRAL.keys() | HINTS
    said = Chat(Raw(b"[]")) if dialect is chat else "hi"
    base = of(Call("-", said, fields={}))
    over = {name for name in known if of(Call("-", said, fields=fields(**{name: "x"}))) == base}
    assert over == ((IN_PARAMS & dialect.KNOWN) | WHO) & known


# ---------------------------------------------------------------------- properties

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
NUMBERS = st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False)
JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | st.just("properties"), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["x", "y", "tools", "response_format", "reasoning_effort"])
PARAMS = st.builds(
    Params,
    n=st.integers(1, 3),
    max_tokens=st.none() | st.integers(1, 9),
    temperature=st.none() | st.sampled_from([0.0, 0.5, 1.0]),
    seed=st.none() | st.integers(0, 3),
    stop=st.lists(TEXT, max_size=2).map(tuple),
    suffix=st.none() | TEXT,
)
TURNS = st.lists(st.fixed_dictionaries({"role": TEXT, "content": TEXT}, optional={"name": TEXT}), max_size=3)
INPUTS = st.one_of(
    TEXT.map(lambda text: ("text", text)),
    st.lists(TEXT, min_size=2, max_size=3).map(lambda items: ("prompts", items)),
    TURNS.map(lambda turns: ("chat", turns)),
)
MEANINGS = st.tuples(TEXT, TEXT, INPUTS, PARAMS, st.none() | st.dictionaries(NAMES, JSON, max_size=3))
Meaning = tuple[str, str, tuple[str, Any], Params, dict[str, Any] | None]


def spelt(value: Any, wide: bool) -> bytes:
    return json.dumps(value, ensure_ascii=wide, indent=2 if wide else None).encode()


def turned(value: Any) -> Any:
    """The same with keys in another order, but for properties, and with other numbers."""
    if isinstance(value, dict):
        items = [(name, ordered_only(one) if name == "properties" else turned(one)) for name, one in value.items()]
        return dict(reversed(items))
    if isinstance(value, list):
        return [turned(one) for one in value]
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**53:
        return float(value)
    return value


def ordered_only(value: Any) -> Any:
    return {name: turned(one) for name, one in value.items()} if isinstance(value, dict) else turned(value)


def call_of(meaning: Meaning, wide: bool) -> str:
    team, model, (kind, said), params, extra = meaning
    again = turned if wide else (lambda value: value)
    spoken: Any = (
        said if kind == "text" else Prompts(tuple(said)) if kind == "prompts" else Chat(Raw(spelt(again(said), wide)))
    )
    found = None if extra is None else {name: Raw(spelt(again(one), wide)) for name, one in extra.items()}
    if found is not None and wide:
        found = dict(reversed([*found.items(), ("user", Raw(b'"ann"')), ("nothing", Raw(b"null"))]))
    return digest(team, model, Call("any", spoken, params, wide, found), None)


def plain(value: Any) -> Any:
    """The value, such that two are equal if and only if they mean the same."""
    if isinstance(value, dict):
        return ("object", *sorted([(name, placed(name, one)) for name, one in value.items()], key=lambda item: item[0]))
    if isinstance(value, list):
        return ("list", *[plain(one) for one in value])
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return ("int", repr(int(value)))
    return (type(value).__name__, repr(value))


def placed(name: str, value: Any) -> Any:
    if name == "properties" and isinstance(value, dict):
        return ("in order", *[(inner, plain(one)) for inner, one in value.items()])
    return plain(value)


def meant(meaning: Meaning) -> Any:
    team, model, (kind, said), params, extra = meaning
    found = None if extra is None else {name: one for name, one in extra.items() if one is not None}
    return team, model, kind, plain(said), msgspec.json.encode(params), None if found is None else plain(found)


@given(MEANINGS)
def test_one_meaning_written_in_two_ways(meaning: Meaning) -> None:
    assert call_of(meaning, False) == call_of(meaning, True)


@given(MEANINGS, MEANINGS)
def test_two_meanings(one: Meaning, other: Meaning) -> None:
    assert (call_of(one, False) == call_of(other, False)) == (meant(one) == meant(other))


@given(MEANINGS, st.data())
def test_a_small_difference(one: Meaning, data: st.DataObject) -> None:
    """Of two that have most in common."""
    place = data.draw(st.integers(0, 4))
    other: Any = (*one[:place], data.draw(MEANINGS)[place], *one[place + 1 :])
    assert (call_of(one, False) == call_of(other, True)) == (meant(one) == meant(other))


@given(TEXT, TEXT, TEXT, TEXT)
def test_teams_never_share(team: str, model: str, other: str, another: str) -> None:
    call = Call("-", "hi")
    same = (team, model) == (other, another)
    assert (of(call, team, model) == of(call, other, another)) == same
