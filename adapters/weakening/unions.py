"""Schemas of which one holds."""

from typing import Any

import msgspec

from adapters.weakening.kinds import CONTAINERS, without
from adapters.weakening.merging import asserts, notes

Schema = dict[str, Any]

encode = msgspec.json.Encoder().encode


def each_once(schemas: list[Schema]) -> list[Schema]:
    """The alternatives, without alternatives within them."""
    found: dict[bytes, Schema] = {}
    for schema in schemas:
        for one in schema["anyOf"] if schema.keys() == {"anyOf"} else [schema]:
            found.setdefault(encode(one), one)
    return list(found.values())


def or_null(made: Schema) -> Schema:
    """What may also be null."""
    kind = made.get("type")
    if "enum" in made or "const" in made:
        values = made["enum"] if "enum" in made else [made["const"]]
        types = {} if kind is None else {"type": [*(kind if isinstance(kind, list) else [kind]), "null"]}
        return {**without(made, "const"), **types, "enum": [*values, None]}
    if "anyOf" in made:
        return {**made, "anyOf": [*made["anyOf"], {"type": "null"}]}
    if isinstance(kind, list) or (isinstance(kind, str) and kind not in CONTAINERS):
        return {**made, "type": [*(kind if isinstance(kind, list) else [kind]), "null"]}
    if not asserts(made):
        return made
    return {"anyOf": [without(made, "title", "description"), {"type": "null"}], **notes(made)}
