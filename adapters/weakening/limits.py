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


def is_larger(schema: Any, most: int) -> bool:
    """Whether a value has more characters than this when it is written: what stands in several places counts for each
    of them. Looks no further than that."""
    left, size = [schema], 0
    while left and size <= most:
        one = left.pop()
        if isinstance(one, dict):
            size += 4 * len(one) + sum(map(len, one))
            left += one.values()
        elif isinstance(one, list):
            size += len(one)
            left += one
        else:
            size += len(one) if isinstance(one, str) else 4
    return size > most
