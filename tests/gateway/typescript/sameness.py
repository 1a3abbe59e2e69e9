"""Whether two JSON Schemas allow the same, however they say it: inlined or referred to, `enum` or `anyOf` of constants,
a list of types or `anyOf`, in whatever order."""

from typing import Any
from urllib.parse import unquote

Schema = dict[str, Any]

NOTES = ("default", "deprecated", "description", "examples", "title")
OF_TYPE = {
    "array": ("additionalItems", "items", "maxItems", "minItems", "uniqueItems"),
    "object": ("additionalProperties", "properties", "required"),
    "string": ("format", "maxLength", "minLength", "pattern"),
    "number": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "integer": ("exclusiveMaximum", "exclusiveMinimum", "maximum", "minimum", "multipleOf"),
    "boolean": (),
    "null": (),
}
JSON_TYPES = {str: "string", bool: "boolean", int: "number", float: "number", type(None): "null"}


class Comparison:
    def __init__(self, one: Schema, other: Schema) -> None:
        self.roots = (one, other)
        self.assumed: set[tuple[int, int]] = set()
        """Pairs that are being compared: a schema that contains itself comes back to them."""

    def same(self) -> bool:
        return self.schemas(*self.roots)

    def schemas(self, one: Schema, other: Schema) -> bool:
        pair = (id(one), id(other))
        if pair in self.assumed:
            return True
        before = self.assumed
        self.assumed = before | {pair}
        made = self.alike(resolved(one, self.roots[0]), resolved(other, self.roots[1]))
        if not made:
            self.assumed = before
        return made

    def alike(self, one: Schema, other: Schema) -> bool:
        if notes(one) != notes(other):
            return False
        left, right = alternatives(one, self.roots[0]), alternatives(other, self.roots[1])
        return all(any(self.atoms(a, b) for b in right) for a in left) and all(
            any(self.atoms(a, b) for a in left) for b in right
        )

    def atoms(self, one: Schema, other: Schema) -> bool:
        """Schemas of one type each, or of one value."""
        if one.keys() != other.keys():
            return False
        return all(self.keyword(key, one[key], other[key]) for key in one)

    def keyword(self, key: str, one: Any, other: Any) -> bool:
        if key == "properties":
            return one.keys() == other.keys() and all(self.schemas(one[name], other[name]) for name in one)
        if isinstance(one, dict) and isinstance(other, dict):
            return self.schemas(one, other)
        if key == "items" and isinstance(one, list) and isinstance(other, list):
            return len(one) == len(other) and all(map(self.schemas, one, other))
        return type(one) is type(other) and bool(one == other)


def resolved(schema: Schema, root: Schema) -> Schema:
    """With what it refers to, and what stands beside that."""
    while "$ref" in schema:
        name = unquote(schema["$ref"].removeprefix("#/definitions/"))
        beside = {key: value for key, value in schema.items() if key != "$ref"}
        schema = root["definitions"][name] | beside
    return schema


def notes(schema: Schema) -> Schema:
    found = {key: schema[key] for key in NOTES if key in schema}
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    return found


def alternatives(schema: Schema, root: Schema) -> list[Schema]:
    """What it may be, each once, without what another of them covers."""
    made: list[Schema] = []
    for atom in expanded(schema, root):
        if atom not in made:
            made.append(atom)
    if {} in made:
        return [{}]
    plain = [atom["type"] for atom in made if atom.keys() == {"type"}]
    return [atom for atom in made if not covered(atom, plain)]


def covered(atom: Schema, plain: list[str]) -> bool:
    kind = JSON_TYPES[type(atom["const"])] if "const" in atom else atom.get("type") if len(atom) > 1 else None
    return kind in plain


def expanded(schema: Schema, root: Schema) -> list[Schema]:
    if "anyOf" in schema:
        return [atom for part in schema["anyOf"] for atom in expanded(resolved(part, root), root)]
    if "enum" in schema or "const" in schema:
        return [{"const": value} for value in schema.get("enum", [schema.get("const")])]
    kinds = schema.get("type", [])
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if not kinds:
        return [{key: value for key, value in schema.items() if key not in (*NOTES, "$schema", "definitions")}]
    return [atom for kind in kinds for atom in of_type(schema, kind)]


def of_type(schema: Schema, kind: str) -> list[Schema]:
    if kind == "boolean":
        return [{"const": True}, {"const": False}]
    if kind == "null":
        return [{"const": None}]
    made = {key: schema[key] for key in OF_TYPE[kind] if key in schema}
    made = {
        key: value for key, value in made.items() if (key, value) not in (("minItems", 0), ("additionalProperties", {}))
    }
    if kind == "object":
        made = {"properties": {}} | made | {"required": sorted(made.get("required", []))}
    return [{"type": kind} | made]


def same(one: Schema, other: Schema) -> bool:
    return Comparison(one, other).same()
