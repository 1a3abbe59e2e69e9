"""Whether OpenAI's strict mode takes a schema. https://platform.openai.com/docs/guides/structured-outputs

What it does not take is asked for without ``strict``: the schema is then a wish, which the gateway sees kept.
"""

from typing import Any

import msgspec

from adapters.errors import UNREADABLE

UNKNOWN = frozenset(
    {"allOf", "contains", "dependentRequired", "dependentSchemas", "else", "if", "maxContains", "maxLength"}
    | {"maxProperties", "minContains", "minLength", "minProperties", "not", "oneOf", "patternProperties"}
    | {"prefixItems", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties", "uniqueItems"}
)
"""Keywords that strict mode refuses, in some version of it at least."""

MAPS = ("properties", "$defs", "definitions")


def is_strict(schema: msgspec.Raw) -> bool:
    """Every object closed, every property required, no keyword that is refused."""
    try:
        return taken(msgspec.json.decode(schema))
    except UNREADABLE:
        return False


def taken(schema: Any) -> bool:
    if not isinstance(schema, dict) or not schema or UNKNOWN & schema.keys():
        return False
    properties = schema.get("properties", {})
    closed = schema.get("additionalProperties") is False and set(schema.get("required", ())) == set(properties)
    if (schema.get("type") == "object" or properties) and not closed:
        return False
    items = schema.get("items")
    inner = [one for name in MAPS for one in schema.get(name, {}).values()]
    inner += [*schema.get("anyOf", ()), *([] if items is None else [items])]
    return all(map(taken, inner))
