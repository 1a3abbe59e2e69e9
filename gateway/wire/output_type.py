"""What a Lamini caller says an answer must hold, as a JSON Schema, and an answer's text as such an object.

The declaration is flat: each name with ``"str"``, ``"int"``, ``"float"``, ``"bool"``, or the list of the texts or the
whole numbers that are allowed. ``"string"`` stands for ``"str"`` in old documentation.
https://lamini-ai.github.io/inference/json_output/
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.types import JsonSchema
from gateway.errors import BadRequest
from gateway.wire.body import shown

TYPES = {"str": "string", "string": "string", "int": "integer", "float": "number", "bool": "boolean"}
HOW = 'must be "str", "int", "float", "bool", or a list of the texts or whole numbers that are allowed'

Types = dict[str, Any]
"""Names in the order in which they were declared, each with what stands for its type on the wire."""

to_json = msgspec.json.Encoder().encode


class Mismatch(Exception):
    """A text that is not an object of the declared names and types."""


def constraint_of(declared: Types, param: str) -> JsonSchema:
    """The schema of the answer. Raises BadRequest naming what is not a type."""
    if not declared:
        raise BadRequest(f'{param}: needs at least one name with its type, like {{"age": "int"}}', param=param)
    properties = {name: schema_of(value, f"{param}.{shown(name)}", param) for name, value in declared.items()}
    schema = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return JsonSchema(Raw(to_json(schema)))


def schema_of(value: Any, path: str, param: str) -> dict[str, Any]:
    if isinstance(value, str) and value in TYPES:
        return {"type": TYPES[value]}
    if isinstance(value, list) and value:
        for kind, name in ((str, "string"), (int, "integer")):
            if all(type(item) is kind for item in value):
                return {"type": name, "enum": list(dict.fromkeys(value))}
    given = f", not {shown(repr(value))}" if isinstance(value, str) else ""
    flat = "; objects within the object are not possible" if isinstance(value, dict) else ""
    raise BadRequest(f"{path}: {HOW}{given}{flat}", param=param)


def typed(text: str, declared: Types) -> dict[str, Any]:
    """The object that a text is, its names in the order of the declaration. Raises Mismatch."""
    try:
        found = msgspec.json.decode(text, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError) as exc:
        raise Mismatch from exc
    if found.keys() != declared.keys():
        raise Mismatch
    return {name: value_of(found[name], kind) for name, kind in declared.items()}


def value_of(value: Any, kind: Any) -> Any:
    """The value, if it is of the type. A whole number may have been written as 10.0."""
    if isinstance(kind, list):
        for allowed in kind:
            if value == allowed and not isinstance(value, bool):
                return allowed  # 1 where 1.0 was written
        raise Mismatch
    if kind == "float" and type(value) in (int, float):
        return value
    if kind == "int" and type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not {"int": int, "bool": bool}.get(kind, str):
        raise Mismatch
    return value
