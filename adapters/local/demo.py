"""The model that ships with the gateway, by the llama.cpp that serves it: a model of a megabyte, which was taught to
chat in a few sentences, and nothing else.

What it was never taught is refused here, since the server would pass over it. Its JSON is asked for within bounds where
the schema has none: digits, texts and lists have no end of their own in a grammar, and so small a model does not end
them.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.chat import text_of, turns
from adapters.errors import UNREADABLE, inexpressible
from adapters.fields import NULL, is_neutral
from adapters.local.llamacpp import LlamaCpp
from adapters.types import Call, Chat, HttpRequest, JsonSchema

TOOLS = ("tools", "functions")
BOUNDS: dict[str, dict[str, Any]] = {
    "integer": {"minimum": -999_999, "maximum": 999_999},
    "number": {"minimum": -999_999, "maximum": 999_999, "multipleOf": 0.01},
    "string": {"maxLength": 48},
    "array": {"maxItems": 4},
}
OWN_ENDS: dict[str, frozenset[str]] = {
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "string": frozenset({"maxLength", "minLength", "pattern", "format"}),
    "array": frozenset({"maxItems", "minItems", "prefixItems"}),
}
"""Keywords by which a schema bounds these values itself."""


class Demo(LlamaCpp):
    """The adapter."""

    def encode(self, call: Call) -> HttpRequest:
        for name in TOOLS:
            value = (call.fields or {}).get(name, NULL)
            if not is_neutral(name, value):
                raise inexpressible(name, "the demo model was not taught to call tools: leave them out")
        if isinstance(call.input, Chat):
            for turn in turns(call.input):
                text_of(turn, "the demo model")
        if isinstance(call.constraint, JsonSchema):
            call = msgspec.structs.replace(call, constraint=within_bounds(call.constraint))
        return super().encode(call)


def within_bounds(constraint: JsonSchema) -> JsonSchema:
    """The constraint, with ends for what has none. Every answer that keeps it keeps the caller's as well."""
    try:
        schema = msgspec.json.decode(constraint.schema)
    except UNREADABLE:
        return constraint
    return msgspec.structs.replace(constraint, schema=Raw(msgspec.json.encode(bounded(schema))))


def within(name: str, value: Any) -> Any:
    """A keyword's value: schemas in it are bounded, but not those that an answer must not keep."""
    if name in ("properties", "patternProperties", "$defs", "definitions") and isinstance(value, dict):
        return {key: bounded(one) for key, one in value.items()}
    return value if name in ("enum", "const", "default", "examples", "not", "if") else bounded(value)


def bounded(schema: Any) -> Any:
    if isinstance(schema, list):
        return [bounded(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    found = {name: within(name, value) for name, value in schema.items()}
    kind = schema.get("type")
    if not isinstance(kind, str) or kind not in BOUNDS or isinstance(schema.get("items"), list):
        return found
    bounds_itself = ({"enum", "const"} | OWN_ENDS[kind]) & schema.keys()
    return found if bounds_itself else found | BOUNDS[kind]
