"""Answers that are no JSON object, from providers that constrain to JSON objects only: asked for as the one property of
an object, and taken out of it again.

https://platform.openai.com/docs/guides/structured-outputs and https://docs.cohere.com/docs/structured-outputs both
want an object at a schema's root.
"""

import re
from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.errors import UNREADABLE
from adapters.stream import Outer
from adapters.types import Constraint, Decoder, Delta, Fields, JsonSchema, OneOf

Unwrap = Callable[[str], str]
"""Takes an answer out of its object, also what there is of one that was cut off. What is no such object stays as it
is."""

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

BEGINNING = re.compile(r'^\s*\{\s*"' + ANSWER + r'"\s*:\s*')
CUT_ESCAPE = re.compile(r"(?<!\\)((?:\\\\)*)\\(?:u[0-9a-fA-F]{0,3})?$")
"""An escape at the end of a text that is not complete."""


class Wrapped(Struct):
    answer: Raw


class Root(Struct):
    type: Any = None


decode_root = msgspec.json.Decoder(Root).decode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_any = msgspec.json.Decoder().decode
decode_wrapped = msgspec.json.Decoder(Wrapped).decode
decode_text = msgspec.json.Decoder(str).decode
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
    root |= {"type": "object", "properties": {ANSWER: inner}, "required": [ANSWER], "additionalProperties": False}
    return Raw(encode(root)), True


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


def schema_of(constraint: JsonSchema | OneOf) -> tuple[Raw, Unwrap | None]:
    """The schema of an object for a constraint, and how its answer is taken out of it."""
    if isinstance(constraint, OneOf):
        return wrapped(Raw(encode({"type": "string", "enum": constraint.choices})))[0], chosen
    schema, is_wrapped = wrapped(constraint.schema)
    return schema, unwrapped if is_wrapped else None


def unwrapping(constraint: Constraint | None) -> Unwrap | None:
    """How an answer under this constraint is taken out of its object; None if it is not in one."""
    if isinstance(constraint, OneOf):
        return chosen
    return unwrapped if isinstance(constraint, JsonSchema) and not is_object(constraint.schema) else None


def unwrapped(text: str) -> str:
    """The JSON that was wrapped."""
    try:
        return bytes(decode_wrapped(text).answer).decode()
    except UNREADABLE as exc:
        return BEGINNING.sub("", text, count=1) if is_cut(exc) else text


def chosen(text: str) -> str:
    """The text that was wrapped."""
    try:
        return decode_text(decode_wrapped(text).answer)
    except UNREADABLE as exc:
        return begun_text(BEGINNING.sub("", text, count=1)) if is_cut(exc) else text


def is_cut(problem: Exception) -> bool:
    """Whether what could not be read would have gone on."""
    return "truncated" in str(problem)


def begun_text(text: str) -> str:
    """What there is of a text in JSON that was cut off; anything else as it is."""
    if not text.startswith('"'):
        return text
    try:
        return decode_text(CUT_ESCAPE.sub(r"\1", text) + '"')
    except UNREADABLE:
        return text


class Unwrapping(Outer):
    """Reads a stream whose choices are wrapped: a choice's text is held back until it ends, since what is around it
    can be told from it only then. Pieces without a text pass; a piece's ``raw`` goes with its text."""

    __slots__ = ("_held", "_unwrap")

    def __init__(self, decoder: Decoder, unwrap: Unwrap) -> None:
        super().__init__(decoder)
        self._held: dict[int, list[str]] = {}
        self._unwrap = unwrap

    def told(self, delta: Delta) -> list[Delta]:
        if delta.text:
            self._held.setdefault(delta.index, []).append(delta.text)
        if delta.finish is None:
            return [] if delta.text else [delta]
        text = "".join(self._held.pop(delta.index, ()))
        raw = None if delta.text else delta.raw
        end = Delta(delta.index, "", delta.finish, raw, delta.more)
        return [Delta(delta.index, self._unwrap(text), None, None, delta.more), end] if text else [end]
