"""What a comment changes of a schema."""

from gateway.typescript.jsdoc import Documentation
from gateway.typescript.lexer import Source
from gateway.typescript.syntax import Schema

ANNOTATIONS = frozenset(
    {"default", "deprecated", "description", "examples", "readOnly", "title", "writeOnly"},
)
"""Keywords that forbid nothing."""

NULL: Schema = {"type": "null"}


def with_comment(schema: Schema, doc: Documentation, source: Source, at: int) -> Schema:
    """A schema with the keywords of a comment. Raises TypeScriptError for what does not go with the type."""
    if "additionalProperties" in doc.keywords and schema.get("type") != "object":
        raise source.error(at, "@additionalProperties goes with objects only")
    if doc.integer:
        schema = _integer(schema, source, at)
    if doc.nullable:
        schema = _nullable(schema)
    return schema | doc.keywords


def _integer(schema: Schema, source: Source, at: int) -> Schema:
    if "anyOf" in schema:
        parts = [_integer(part, source, at) if part.get("type") == "number" else part for part in schema["anyOf"]]
        if parts != schema["anyOf"]:
            return schema | {"anyOf": parts}
    kind = schema.get("type")
    kinds = kind if isinstance(kind, list) else [kind]
    if "number" not in kinds:
        raise source.error(at, "@asType integer goes with number only")
    whole = ["integer" if one == "number" else one for one in kinds]
    return schema | {"type": whole if len(whole) > 1 else whole[0]}


def _nullable(schema: Schema) -> Schema:
    if "anyOf" in schema:
        return schema if NULL in schema["anyOf"] else schema | {"anyOf": [*schema["anyOf"], NULL]}
    kind = schema.get("type")
    if kind is None:
        return schema
    made = dict(schema)
    values = [made.pop("const")] if "const" in made else made.get("enum")
    kinds = kind if isinstance(kind, list) else [kind]
    made["type"] = kind if "null" in kinds else [*kinds, "null"]
    if values is not None and None not in values:
        made["enum"] = [*values, None]
    return made
