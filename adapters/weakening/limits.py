"""How large a schema is."""

from typing import Any

from adapters.weakening.document import inner, listed, mapped
from adapters.weakening.table import Limits

CONTAINERS = ("object", "array")


def is_within(schema: dict[str, Any], limits: Limits) -> bool:
    """Whether a target takes a written schema for its size."""
    properties = characters = values = depth = 0
    todo: list[tuple[Any, int]] = [(schema, 0), *[(one, 0) for one in mapped(schema, "$defs").values()]]
    characters += sum(map(len, mapped(schema, "$defs")))
    while todo:
        found, level = todo.pop()
        if not isinstance(found, dict):
            continue
        level += found.get("type") in CONTAINERS
        names, literals = mapped(found, "properties"), listed(found, "enum")
        texts = sum([len(value) for value in literals if isinstance(value, str)])
        if len(literals) > limits.long_list and texts > limits.list_characters:
            return False
        depth = max(depth, level)
        properties += len(names)
        values += len(literals)
        characters += sum(map(len, names)) + texts + (len(found["const"]) if isinstance(found.get("const"), str) else 0)
        todo += [(one, level) for one in inner(found)]
    return (
        properties <= limits.properties
        and values <= limits.values
        and characters <= limits.characters
        and depth <= limits.depth
    )
