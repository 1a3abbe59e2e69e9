"""Types as they come from TypeScript, with values of them: for tests of what becomes of schemas."""

from typing import Any, NamedTuple

from hypothesis import strategies as st

Schema = dict[str, Any]


class Pair(NamedTuple):
    """A value, and how it is written where absent members may have to be null. ``expected`` is what comes back: as the
    value, but for members that may be null anyway."""

    expected: Any
    wire: Any


NAMES = "abcde"
WORDS = st.text("xyz é/-", max_size=8)
ID = {"type": "string", "pattern": r"^id-[0-9]+(\.[a-z]*)?$"}
LEAVES: list[tuple[Schema, st.SearchStrategy[Any]]] = [
    ({"type": "string"}, WORDS),
    ({"type": "string", "minLength": 2, "maxLength": 5}, st.text("xyz", min_size=2, max_size=5)),
    ({"type": "number"}, st.integers(-999, 999)),
    ({"type": "integer"}, st.integers(-999, 999)),
    ({"type": "integer", "minimum": 3, "maximum": 7}, st.integers(3, 7)),
    ({"type": "boolean"}, st.booleans()),
    ({"type": "null"}, st.none()),
    ({"type": "string", "const": "k"}, st.just("k")),
    ({"type": "integer", "const": 5}, st.just(5)),
    ({"type": "string", "enum": ["x", "y"]}, st.sampled_from(["x", "y"])),
    ({"type": ["string", "integer"], "enum": ["x", 2]}, st.sampled_from(["x", 2])),
    ({"type": ["string", "null"]}, WORDS | st.none()),
    ({"type": ["number", "boolean"]}, st.integers(-9, 9) | st.booleans()),
    ({"type": "string", "format": "date-time"}, st.just("2024-02-29T12:00:00Z")),
    (ID, st.sampled_from(["id-7", "id-12.ab"])),
]
VALUES = {repr(schema): values for schema, values in LEAVES}
leaves = st.sampled_from([schema for schema, _ in LEAVES])


def objects(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    """Closed ones. Required members come first, as some grammars have them."""

    def made(properties: Schema, required: int) -> Schema:
        names = list(properties)[:required]
        found = {"type": "object", "properties": properties, "additionalProperties": False}
        return found | {"required": names} if names else found

    return st.builds(made, st.dictionaries(st.sampled_from(NAMES), inner, max_size=4), st.integers(0, 4))


def tuples(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    def made(elements: list[Schema], optional: bool) -> Schema:
        least = len(elements) - optional
        return {"type": "array", "items": elements, "minItems": least, "maxItems": len(elements)}

    return st.builds(made, st.lists(inner, min_size=1, max_size=3), st.booleans())


def types(inner: st.SearchStrategy[Schema]) -> st.SearchStrategy[Schema]:
    return (
        objects(inner)
        | tuples(inner)
        | inner.map(lambda items: {"type": "array", "items": items})
        | inner.map(lambda value: {"type": "object", "additionalProperties": value})
        | inner.map(lambda one: {"anyOf": [one, {"type": "null"}]})
        | st.lists(inner, min_size=2, max_size=3).map(lambda branches: {"anyOf": branches})
    )


NODE = {"$ref": "#/definitions/Node"}
LEAF = {"$ref": "#/definitions/Leaf"}
DEFINITIONS = {
    "Node": {
        "type": "object",
        "properties": {
            "name": {"type": "string"},
            "children": {"type": "array", "items": NODE},
            "leaf": LEAF,
            "next": {"anyOf": [NODE, {"type": "null"}]},
        },
        "required": ["name", "children"],
        "additionalProperties": False,
    },
    "Leaf": {"type": "object", "properties": {"x": {"type": "string"}}, "additionalProperties": False},
}
BODIES = st.recursive(leaves | st.sampled_from([NODE, LEAF]), types, max_leaves=6)
SCHEMAS = BODIES.map(lambda body: {**body, "definitions": DEFINITIONS})


def pairs(schema: Any, required: str, depth: int = 0) -> st.SearchStrategy[Pair]:
    """Values of a schema, and how they are written where so many members are required: ``any``, ``one`` or ``all``."""
    if schema is True:
        return WORDS.map(lambda text: Pair(text, text))
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return st.deferred(lambda: pairs(DEFINITIONS[name], required, depth + 1))
    if "anyOf" in schema:
        branches = [one for one in schema["anyOf"] if depth < 4 or one == {"type": "null"}] or schema["anyOf"]
        return st.one_of([pairs(branch, required, depth + 1) for branch in branches])
    if schema["type"] == "array":
        if isinstance(schema["items"], list):
            return listed_pairs(schema, required, depth)
        longest = 3 if depth < 4 else 0
        inner = st.lists(pairs(schema["items"], required, depth + 1), max_size=longest) if longest else st.just([])
        return inner.map(lambda found: Pair([one.expected for one in found], [one.wire for one in found]))
    if schema["type"] == "object":
        if "properties" not in schema:
            values = pairs(schema["additionalProperties"], required, depth + 1)
            return st.dictionaries(st.sampled_from(["p", "q"]), values, max_size=2).map(of_members)
        return object_pairs(schema, required, depth)
    body = {keyword: value for keyword, value in schema.items() if keyword != "definitions"}
    return VALUES[repr(body)].map(lambda value: Pair(value, value))


def listed_pairs(schema: Schema, required: str, depth: int) -> st.SearchStrategy[Pair]:
    elements = [pairs(one, required, depth + 1) for one in schema["items"]]
    length = st.integers(schema["minItems"], schema["maxItems"])
    return st.builds(
        lambda found, size: Pair([one.expected for one in found[:size]], [one.wire for one in found[:size]]),
        st.tuples(*elements),
        length,
    )


def of_members(found: dict[str, Pair]) -> Pair:
    return Pair({name: one.expected for name, one in found.items()}, {name: one.wire for name, one in found.items()})


ABSENT = Pair(None, None)


def object_pairs(schema: Schema, required: str, depth: int) -> st.SearchStrategy[Pair]:
    needed = schema.get("required", [])
    optional = [name for name in schema["properties"] if name not in needed]
    forced = optional if required == "all" else optional[:1] if required == "one" and not needed else []
    here: dict[str, st.SearchStrategy[Pair]] = {}
    for name, inner in schema["properties"].items():
        values = pairs(inner, required, depth + 1)
        here[name] = values if name in needed else st.just(ABSENT) if depth > 3 else st.just(ABSENT) | values

    def made(found: dict[str, Pair]) -> Pair:
        expected, wire = {}, {}
        for name in schema["properties"]:
            one = found[name]
            if one is not ABSENT:
                expected[name], wire[name] = one
            elif name in forced:
                wire[name] = None
                if allows_null(schema["properties"][name]):
                    expected[name] = None
        return Pair(expected, wire)

    return st.fixed_dictionaries(here).map(made)


def allows_null(schema: Schema) -> bool:
    if "$ref" in schema:
        return False  # both definitions are objects
    if "anyOf" in schema:
        return any(map(allows_null, schema["anyOf"]))
    return "null" in schema["type"] if isinstance(schema["type"], list) else schema["type"] == "null"
