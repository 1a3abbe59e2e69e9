"""Answers come out of what they were asked for in as they are written, and the same however their text is split."""

from itertools import pairwise
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.restoring import Restore, Restorer, restored

JSON = Restore("json")
TEXT = Restore("text")
TREE: dict[str, Any] = {
    "type": "object",
    "properties": {
        "a": {"type": "integer"},
        "k": {"type": "string"},
        "list": {"type": "array", "items": {"$ref": "#"}},
        "open": {"type": ["string", "null"]},
    },
    "required": ["a"],
    "additionalProperties": {"$ref": "#"},
}
OPTIONAL = Restore(optional=TREE)
CLOSED = Restore(optional={"properties": {"a": TREE}, "required": ["a"]})
RESTORES = [Restore(), JSON, TEXT, OPTIONAL, Restore("json", TREE), Restore("text", TREE)]


def in_pieces(pieces: list[str], restore: Restore) -> str:
    restorer = Restorer(restore)
    return "".join([*map(restorer.feed, pieces), restorer.close()])


def so_far(text: str, restore: Restore) -> str:
    """What is told before it is known that the text has ended."""
    return Restorer(restore).feed(text)


# ------------------------------------------------------------------ values, written in many ways

TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
NAMES = st.sampled_from(["a", "k", "list", "open", "answer", "é😀", ""])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES | TEXTS, inner, max_size=4),
    max_leaves=12,
)
SEEDS = st.integers(0, 2**32)


def written(value: Any, random: Random) -> str:
    """JSON with white space and escapes wherever they may stand."""
    spaces = random.choice([[""], ["", " "], ["\n  ", "\t", "\r\n", " "]])

    def space() -> str:
        return random.choice(spaces)

    def text(one: str) -> str:
        if random.random() < 0.7:
            return msgspec.json.encode(one).decode()
        units = one.encode("utf-16-be").hex()
        return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'

    def write(one: Any) -> str:
        if isinstance(one, dict):
            inside = [
                f"{space()}{text(name)}{space()}:{space()}{write(member)}{space()}" for name, member in one.items()
            ]
            return "{" + (",".join(inside) or space()) + "}"
        if isinstance(one, list):
            return "[" + (",".join(f"{space()}{write(element)}{space()}" for element in one) or space()) + "]"
        return text(one) if isinstance(one, str) else msgspec.json.encode(one).decode()

    return write(value)


def split(text: str, random: Random) -> list[str]:
    if random.random() < 0.3:
        return list(text)
    ends = sorted(random.randint(0, len(text)) for _ in range(random.randint(0, 8)))
    return [text[start:end] for start, end in pairwise([0, *ends, len(text)])]


# ------------------------------------------------------------------ the same, however it is split

FRAGMENTS = st.sampled_from(
    [*'{}[],:"\\ \n\x01x0n-', '{"answer":', "null", "nul", "true", "1.5", "-0", "01", "1e", '"k":', '"a":1', '"list":[']
    + ['"open":null', '"k":null', ',"k":null', '"\\u006b"', "\\u", "\\ud83d", "\\ude00", "\\u00e9", "\\n", '{"k":null}']
    + ['"answer"', '"a": [1, "b"],', "null,", "null}", '{"a":{"a":1},"list":[{"k":null']
)
BROKEN = st.lists(FRAGMENTS | st.text(max_size=3), max_size=12).map("".join)


@given(BROKEN, SEEDS, st.sampled_from(RESTORES))
@example('{"k":nullx,"k":null}', 0, OPTIONAL)
@example('{"answer":"\\ud83d\\u0041"}', 0, TEXT)
@example('{"answer":1 2', 1, JSON)
def test_any_text_in_any_pieces_becomes_the_same(text: str, seed: int, restore: Restore) -> None:
    assert in_pieces(split(text, Random(seed)), restore) == restored(text, restore)


@given(VALUES, SEEDS, st.sampled_from(RESTORES), st.booleans())
def test_json_in_any_pieces_becomes_the_same(value: Any, seed: int, restore: Restore, is_wrapped: bool) -> None:
    random = Random(seed)
    text = written(value, random)
    if is_wrapped:
        text = f'{{"answer": {text} }}'
    whole = restored(text, restore)
    for _ in range(3):
        assert in_pieces(split(text, random), restore) == whole
    assert all(whole.startswith(so_far(text[:end], restore)) for end in range(len(text)))


# ------------------------------------------------------------------ wrapped answers


@given(VALUES, SEEDS)
def test_a_wrapped_answer_is_told_as_it_is_written(value: Any, seed: int) -> None:
    random = Random(seed)
    inside = written(value, random)
    around = random.choice(['{"answer":%s}', ' {\n"answer" : %s\t}\n'])
    assert restored(around % inside, JSON) == inside
    cut = random.randint(0, len(inside))
    told = "" if inside[0] in "-0123456789" else inside[:cut]  # nobody knows how a number would have gone on
    assert restored(around.partition("%s")[0] + inside[:cut], JSON) == told


@given(TEXTS, SEEDS)
def test_a_wrapped_text_is_decoded(value: str, seed: int) -> None:
    text = f'{{"answer": {written(value, Random(seed))}}}'
    assert restored(text, TEXT) == value
    assert all(value.startswith(restored(text[:end], TEXT)) for end in range(len(text)))


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer": [1, 2.50]}', "[1, 2.50]"),
        (' {"answer":"red"} ', '"red"'),
        ('{"answer": 1e2 } \n', "1e2"),
        ('{"answer": [1', "[1"),
        ('{"answer": "a\\u00', '"a\\u00'),
        ('{"answer": tru', "tru"),
        ('{"answer": 12', ""),
        # of an answer that has not begun there is nothing
        ("", ""),
        (' {"ans', ""),
        ('{"answer" : ', ""),
        # what is behind the answer is not told
        ('{"answer": 1} {}', "1"),
        ('{"answer": [1], "more": 2}', "[1]"),
        ('{"answer": "a"]', '"a"'),
        # what is no such object
        ("[1]", "[1]"),
        (' "answer"', ' "answer"'),
        ("{}", "{}"),
        ('{"answers": 1}', '{"answers": 1}'),
        ('{"why": 0, "answer": 1}', '{"why": 0, "answer": 1}'),
        ('{"answer" 1}', '{"answer" 1}'),
        ('{"ans wer": 1}', '{"ans wer": 1}'),
        ('{"answer": }', '{"answer": }'),
        ('{"answer": x}', '{"answer": x}'),
        # what is no JSON any more
        ('{"answer": [1 2]}', "[1 2]}"),
        ('{"answer": 01}', "01}"),
        ('{"answer": [1}}', "[1}}"),
        ('{"answer": "a\nb"}', '"a\nb"}'),
    ],
)
def test_wrapped_json(text: str, answer: str) -> None:
    assert restored(text, JSON) == in_pieces(list(text), JSON) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"answer":"a\\n\\"b\\""}', 'a\n"b"'),
        ('{ "answer" : "\\ud83d\\ude00\\u00E9/\\/" } ', "😀é//"),
        ('{"answer": "posi', "posi"),
        ('{"answer":"a\\', "a"),
        ('{"answer":"a\\u00e', "a"),
        ('{"answer":"a\\ud83d', "a"),
        ('{"answer":"a\\ud83d\\ude0', "a"),
        ('{"answer":""}', ""),
        ('{"answer":"a", "more": "b"}', "a"),
        ('{"answer":1}', "1"),
        ('{"answer":["a"]} ', '["a"]'),
        ("positive", "positive"),
        ('"positive"', '"positive"'),
        ('{"answer":"a\\x"}', 'a\\x"}'),
        ('{"answer":"a\\ud83d b"}', 'a\\ud83d b"}'),
        ('{"answer":"a\\ude00"}', 'a\\ude00"}'),
        ('{"answer":"a\nb"}', 'a\nb"}'),
    ],
)
def test_wrapped_text(text: str, answer: str) -> None:
    assert restored(text, TEXT) == in_pieces(list(text), TEXT) == answer


@pytest.mark.parametrize(
    ("restore", "pieces"),
    [
        (JSON, [('{"ans', ""), ('wer":', ""), (" ", ""), ('{"a', '{"a'), ('b":1', 'b":1'), ("2}", "2}"), ("}", "")]),
        (JSON, [(" [", " ["), ("1", "1")]),
        (JSON, [('{"answer"', ""), ("!", '{"answer"!'), ("x", "x")]),
        (JSON, [('{"answer":"a\\', '"a'), ("u00", ""), ('e9b"', '\\u00e9b"')]),
        (TEXT, [('{"answer":"re', "re"), ("d\\", "d"), ("n", "\n"), ("\\ud8", ""), ("3d\\ude0", ""), ("0!", "😀!")]),
        (OPTIONAL, [('{"a":1', '{"a":1'), (', "k"', ""), (":", ""), (' "x', ', "k": "x'), ("y", "y"), ('"}', '"}')]),
        (OPTIONAL, [('{"a":1,', '{"a":1'), ('"k":n', ""), ("ull", ""), ("\n", "\n"), ("}", "}")]),
        (OPTIONAL, [("{ ", "{"), ("}", " }")]),
        (OPTIONAL, [('{"a":1,"k"', '{"a":1'), ("!", ',"k"!'), ("null", "null")]),
        (CLOSED, [('{"x":1,"a', '{"x":1,"a'), ('":', '":'), ("[", "[")]),
        (OPTIONAL, [("{", "{"), ('"a"', ""), (":", '"a":'), ("12", "12"), (" ", " ")]),
        (Restore(), [('{"answer":"', '{"answer":"'), ("\\", "\\")]),
    ],
)
def test_each_piece_tells_as_much_as_is_certain(restore: Restore, pieces: list[tuple[str, str]]) -> None:
    restorer = Restorer(restore)
    assert [(text, restorer.feed(text)) for text, _ in pieces] == pieces


# ------------------------------------------------------------------ optional members


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ('{"a":1,"k":null,"open":"b"}', '{"a":1,"open":"b"}'),
        ('{"k":null}', "{}"),
        ('{"k":null,"a":1}', '{"a":1}'),
        ('{"a":1,"k":null}', '{"a":1}'),
        ('{"k":null,"list":null,"a":1}', '{"a":1}'),
        ('{"\\u006b":null,"a":1}', '{"a":1}'),
        ('{\n  "a": 1.0,\n  "k": null,\n  "open": "\\u00e9"\n}', '{\n  "a": 1.0,\n  "open": "\\u00e9"\n}'),
        ('{\n  "k": null,\n  "a": 1\n}', '{\n  "a": 1\n}'),
        ('{\n  "a": 1,\n  "k": null\n}', '{\n  "a": 1\n}'),
        ('{ "k" : null , "a" : 1 }', '{  "a" : 1 }'),
        ('{"list":[{"k":null},{"a":2,"list":null}, null]}', '{"list":[{},{"a":2}, null]}'),
        ('{"other":{"k":null,"a":{"k":null}}}', '{"other":{"a":{"k":null}}}'),
        ("{ }", "{ }"),
        ('{"k":null} {"k":null}', '{} {"k":null}'),
        # null is meant
        ('{"a":null,"open":null}', '{"a":null,"open":null}'),
        ('{"k":"null","a":[null]}', '{"k":"null","a":[null]}'),
        ('{"k":"n","a":{"k":null}}', '{"k":"n","a":{"k":null}}'),
        ('{"\\ud83d":null,"k":null}', '{"\\ud83d":null}'),
        # cut off
        ('{"a":1,"k":', '{"a":1,"k":'),
        ('{"a":1,"k":nu', '{"a":1'),
        ('{"a":1,"k":null', '{"a":1'),
        ('{"a":1,"k\\u00', '{"a":1,"k\\u00'),
        ('{"a":1,"k":"\\', '{"a":1,"k":"\\'),
        # no JSON any more
        ('{"a":1,"k":nul}', '{"a":1,"k":nul}'),
        ('{"a":1,"k":nullx,"k":null}', '{"a":1,"k":nullx,"k":null}'),
        ('{"k":nx', '{"k":nx'),
        ('{"k":null"a"', '{"k":null"a"'),
        ('{"a":1.,"k":null}', '{"a":1.,"k":null}'),
        ('{"a" 1,"k":null}', '{"a" 1,"k":null}'),
        ('{"a":1 "k":null,"k":null}', '{"a":1 "k":null,"k":null}'),
        ('{"a":1,,"k":null}', '{"a":1,,"k":null}'),
        ('{"list":[1,],"k":null}', '{"list":[1,],"k":null}'),
        ('{"list":[1},"k":null}', '{"list":[1},"k":null}'),
        ('{"a":[1,2,],"k":null}', '{"a":[1,2,],"k":null}'),
        ('{"a":{"b":1,},"k":null}', '{"a":{"b":1,},"k":null}'),
        ('{"a":[1, ],"k":null}', '{"a":[1, ],"k":null}'),
        ('{"a":{"b":1, },"k":null}', '{"a":{"b":1, },"k":null}'),
        ('{"a":"\t","k":null}', '{"a":"\t","k":null}'),
        ('Here it is: {"k":null}', 'Here it is: {"k":null}'),
    ],
)
def test_an_optional_member_that_is_null_is_taken_out(text: str, answer: str) -> None:
    assert restored(text, OPTIONAL) == in_pieces(list(text), OPTIONAL) == answer


def test_members_are_taken_out_of_wrapped_answers() -> None:
    list_of_trees = Restore("json", {"type": "array", "items": {"properties": {"k": {"type": "string"}}}})
    assert restored('{"answer": [{"k":null, "x":null}]}', list_of_trees) == '[{ "x":null}]'
    assert restored('[{"k":null}]', list_of_trees) == '[{"k":null}]'


TEXT_TYPE = {"type": "string"}
OWN = {"properties": {"k": TEXT_TYPE}}


@pytest.mark.parametrize(
    ("schema", "text", "answer"),
    [
        # one of several schemas holds
        ({"anyOf": [OWN, {"type": "string"}]}, '{"k":null}', "{}"),
        ({"oneOf": [{"type": "string"}, OWN]}, '{"k":null}', "{}"),
        ({"oneOf": [OWN, {"properties": {"k": TEXT_TYPE}, "required": ["k"]}]}, '{"k":null}', '{"k":null}'),
        ({"anyOf": [OWN, {"properties": {"k": {"type": ["null", "string"]}}}]}, '{"k":null}', '{"k":null}'),
        ({"anyOf": [OWN, {"properties": {"x": OWN}}]}, '{"k":null,"x":{"k":null}}', '{"x":{}}'),
        ({"anyOf": [OWN, {"additionalProperties": TEXT_TYPE}]}, '{"k":null,"l":null}', '{"l":null}'),
        ({"anyOf": [OWN, {"additionalProperties": {"type": "null"}}]}, '{"k":null}', '{"k":null}'),
        ({"allOf": [OWN, {"properties": {"l": TEXT_TYPE}}]}, '{"k":null,"l":null}', "{}"),
        ({"allOf": [OWN, {"required": ["k"]}]}, '{"k":null}', '{"k":null}'),
        ({**OWN, "anyOf": [{"required": ["k"]}]}, '{"k":null}', '{"k":null}'),
        # lists
        ({"items": OWN}, '[[], {"k":null}, {"k":null}]', "[[], {}, {}]"),
        ({"prefixItems": [{}, OWN]}, '[{"k":null}, {"k":null}, {"k":null}]', '[{"k":null}, {}, {"k":null}]'),
        ({"prefixItems": [{}], "items": OWN}, '[{"k":null},{"k":null},{"k":null}]', '[{"k":null},{},{}]'),
        ({"items": [{}, OWN]}, '[{"k":null}, {"k":null}, {"k":null}]', '[{"k":null}, {}, {"k":null}]'),
        ({"items": [{}], "additionalItems": OWN}, '[{"k":null},{"k":null}]', '[{"k":null},{}]'),
        ({"items": [TEXT_TYPE] * 3 + [OWN]}, '[1, "2", [3], {"k":null}]', '[1, "2", [3], {}]'),
        # references
        ({"$ref": "#/$defs/a", "$defs": {"a": OWN}}, '{"k":null}', "{}"),
        ({"$ref": "#/definitions/a~1b~0%25%20", "definitions": {"a/b~% ": OWN}}, '{"k":null}', "{}"),
        ({"$ref": "#/$defs/~01", "$defs": {"~1": OWN}}, '{"k":null}', "{}"),
        ({"$ref": "#/anyOf/1", "anyOf": [{"type": "null"}, OWN]}, '{"k":null}', "{}"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, '{"k":null}', '{"k":null}'),
        ({"$ref": "#/$defs/none"}, '{"k":null}', '{"k":null}'),
        ({"$ref": "#/anyOf/7", "anyOf": [OWN]}, '{"k":null}', "{}"),
        ({"$ref": "other.json#/a"}, '{"k":null}', '{"k":null}'),
        (True, '{"k":null}', '{"k":null}'),
    ],
)
def test_the_place_is_followed_through_the_schema(schema: Any, text: str, answer: str) -> None:
    restore = Restore(optional=schema)
    assert restored(text, restore) == in_pieces(list(text), restore) == answer


@pytest.mark.parametrize(
    ("schema", "allows_null"),
    [
        ({"type": "string"}, False),
        ({"type": "null"}, True),
        ({"type": ["string", "null"]}, True),
        ({"type": ["string", "integer"]}, False),
        ({"const": None}, True),
        ({"const": "a"}, False),
        ({"enum": ["a", None]}, True),
        ({"enum": ["a", 0, False]}, False),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, True),
        ({"oneOf": [{"type": "string"}, {"type": "integer"}]}, False),
        ({"allOf": [{"type": ["string", "null"]}, {"enum": [None]}]}, True),
        ({"allOf": [{"type": ["string", "null"]}, {"type": "string"}]}, False),
        ({"$ref": "#/$defs/maybe"}, True),
        ({"$ref": "#/$defs/text"}, False),
        ({"$ref": "#/$defs/self"}, False),
        ({"$ref": "#/$defs/none"}, True),
        ({"type": ["string", "null"], "enum": ["a"]}, False),
        ({"description": "anything"}, True),
        ({}, True),
        (True, True),
        (False, False),
    ],
)
def test_a_member_goes_where_null_is_not_allowed(schema: Any, allows_null: bool) -> None:
    definitions = {
        "maybe": {"anyOf": [{"$ref": "#/$defs/text"}, {"type": "null"}]},
        "text": {"type": "string"},
        "self": {"anyOf": [{"$ref": "#/$defs/self"}, {"type": "string"}]},
    }
    restore = Restore(optional={"properties": {"k": schema}, "$defs": definitions})
    assert restored('{"k":null}', restore) == ('{"k":null}' if allows_null else "{}")


# ------------------------------------------------------------------ against a plain reading of the schema

LEAVES: st.SearchStrategy[Any] = st.sampled_from(
    [{"type": "string"}, {"type": ["integer", "null"]}, {}, {"$ref": "#"}, {"$ref": "#/$defs/d"}, {"enum": ["a", 1]}]
)


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    objects = st.builds(
        lambda members, required, others: {
            "type": "object",
            "properties": members,
            "required": [name for name in members if name in required],
            **({} if others is None else {"additionalProperties": others}),
        },
        st.dictionaries(NAMES, inner, max_size=4),
        st.sets(NAMES),
        st.none() | st.just(False) | inner,
    )
    lists = st.builds(
        lambda first, others: {"type": "array", "prefixItems": first, "items": others},
        st.lists(inner, max_size=2),
        inner,
    )
    return objects | objects | lists


COMPOSED = st.recursive(LEAVES, composed, max_leaves=8)
SCHEMAS = st.builds(
    lambda schema, definition: schema | {"$defs": {"d": definition}}, composed(COMPOSED), composed(COMPOSED)
)


def plain(value: Any, schema: Any, root: Any) -> Any:
    """The value without the optional members that are null and may not be; for schemas without unions."""
    schema = target(schema, root)
    if isinstance(value, list):
        first = schema.get("prefixItems", [])
        return [plain(one, (first + [schema.get("items", {})] * len(value))[at], root) for at, one in enumerate(value)]
    if not isinstance(value, dict):
        return value
    members = schema.get("properties", {})
    others = schema.get("additionalProperties") or {}
    return {
        name: plain(one, members.get(name, others), root)
        for name, one in value.items()
        if not (one is None and name in members and name not in schema["required"])
        or may_be_null(target(members[name], root))
    }


def target(schema: Any, root: Any) -> Any:
    return {"#": root, "#/$defs/d": root["$defs"]["d"]}[schema["$ref"]] if "$ref" in schema else schema


def may_be_null(schema: Any) -> bool:
    return not schema.keys() & {"type", "enum"} or schema.get("type") == ["integer", "null"]


def answers(schema: Any, root: Any, depth: int = 0) -> st.SearchStrategy[Any]:
    """Values that have the places that the schema speaks of, with nulls anywhere."""
    schema = target(schema, root)
    if depth > 4 or schema.get("type") not in ("object", "array"):
        return SCALARS

    def inner(one: Any) -> st.SearchStrategy[Any]:
        return st.deferred(lambda: answers(one, root, depth + 1))

    if schema["type"] == "array":
        first = st.tuples(*map(inner, schema["prefixItems"]))
        return st.builds(lambda few, more: [*few, *more], first, st.lists(inner(schema["items"]), max_size=2))
    members = {name: st.none() | inner(one) for name, one in schema["properties"].items()}
    return st.none() | st.fixed_dictionaries({}, optional=members | {"other": st.none() | VALUES})


@given(st.data(), SCHEMAS, SEEDS)
@settings(max_examples=50)
def test_what_is_left_is_the_value_without_its_absent_members(data: st.DataObject, schema: Any, seed: int) -> None:
    value = data.draw(answers(schema, schema))
    random = Random(seed)
    text = written(value, random)
    restore = Restore(optional=schema)
    answer = restored(text, restore)
    assert msgspec.json.decode(answer) == plain(value, schema, schema)
    assert in_pieces(split(text, random), restore) == answer


# ------------------------------------------------------------------ hostile texts

LONG = 100_000


@pytest.mark.parametrize(
    "text",
    [
        "[" * LONG,
        '{"list":[' * (LONG // 4),
        '{"other":' * (LONG // 4),
        '{"a":' + "[" * (LONG // 2) + "]" * (LONG // 2) + "}",
        '{"k"' + " " * LONG,
        '{"' + "k" * LONG,
        '{"a":1' + "1" * LONG,
        '{"k":n' + "u" * LONG,
        '["' + "\\n" * LONG,
        "[" + "1," * LONG,
        "{" + '"a":"b",' * LONG,
        '[{"a":[' + "{}," * LONG,
    ],
    ids=lambda text: text[:12],
)
def test_what_is_long_or_deep_passes(text: str) -> None:
    """In a time that grows with its length: with the square of it, this would not end."""
    assert restored(text, OPTIONAL) == text
    assert in_pieces(list(text[: LONG // 4]), OPTIONAL) == text[: LONG // 4]


def test_a_schema_that_is_deep_takes_nothing_out_unknown() -> None:
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(5_000):
        schema = {"anyOf": [schema]}
    assert restored('{"k":null}', Restore(optional={"properties": {"k": schema}})) == '{"k":null}'
    assert restored('{"k":null}', Restore(optional={"allOf": [{"properties": {"k": TEXT_TYPE}}, schema]})) == "{}"
