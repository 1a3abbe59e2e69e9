"""Schemas for answers that are no JSON object, for providers that constrain to JSON objects only: such an answer is
asked for as the one property of an object. ``adapters.restoring`` takes it out of that again.

https://platform.openai.com/docs/guides/structured-outputs and https://docs.cohere.com/docs/structured-outputs both
want an object at a schema's root.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.errors import UNREADABLE
from adapters.types import Fields

ANSWER = "answer"
"""The property's name. Models read it, so it says what is meant."""

OF_THE_ROOT = ("$schema", "$id", "$defs", "definitions")
"""Keywords that stay at the root, so that references to them and by them keep their meaning."""

BRANCHES = frozenset({"$ref", "anyOf", "oneOf", "allOf", "not", "if"})
"""Keywords that no root may have, even of an object."""

MAPS = frozenset({"properties", "patternProperties", "dependentSchemas", "$defs", "definitions"})
"""Keywords whose values are schemas by names of the schema's author."""

DATA = frozenset({"const", "enum", "default", "examples"})
"""Keywords whose values are no schemas."""

HERE = f"#/properties/{ANSWER}"


class Root(Struct):
    type: Any = None


decode_root = msgspec.json.Decoder(Root).decode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_any = msgspec.json.Decoder().decode
encode = msgspec.json.Encoder().encode


def is_object(schema: Raw) -> bool:
    """Whether the schema may stand at the root: it allows objects only, and says so at once."""
    try:
        return decode_root(schema).type == "object" and not BRANCHES & decode_fields(schema).keys()
    except UNREADABLE:
        return False


def wrapped(schema: Raw) -> tuple[Raw, bool]:
    """A schema for an object, and whether the answer has to be taken out of it. References keep their meaning. Raises
    what is UNREADABLE if it is no JSON, or nested beyond reason."""
    if is_object(schema):
        return schema, False
    inner = decode_any(schema)
    root: dict[str, Any] = {}
    if isinstance(inner, dict):
        root = {name: inner.pop(name) for name in OF_THE_ROOT if name in inner}
        inner, root = moved(inner), {name: moved_map(one) if name in MAPS else one for name, one in root.items()}
    return Raw(encode(root | around(inner))), True


def around(schema: Any) -> dict[str, Any]:
    """The schema of an object whose one member keeps this one."""
    return {"type": "object", "properties": {ANSWER: schema}, "required": [ANSWER], "additionalProperties": False}


def moved(schema: Any) -> Any:
    """The schema, with its references to what has moved from the root."""
    if isinstance(schema, list):
        return [moved(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        name: moved_reference(value)
        if name == "$ref"
        else moved_map(value)
        if name in MAPS
        else value
        if name in DATA
        else moved(value)
        for name, value in schema.items()
    }


def moved_map(schemas: Any) -> Any:
    return {name: moved(one) for name, one in schemas.items()} if isinstance(schemas, dict) else schemas


def moved_reference(target: Any) -> Any:
    if not isinstance(target, str) or target.startswith(("#/$defs/", "#/definitions/")):
        return target
    return HERE + target[1:] if target == "#" or target.startswith("#/") else target
