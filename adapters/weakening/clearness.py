"""Whether the nulls that stand for absent members can be told from others when they are taken out again."""

from typing import Any

from adapters.restoring.places import Place, Places
from adapters.weakening.document import listed, mapped

Schema = dict[str, Any]

NO_NAME = "\0"
"""A member that no schema names."""

MOST = 20_000
"""Pairs of a written schema and a place that are looked at."""

DEEPEST = 20
"""Lists within each other whose elements have schemas of their own."""


class Clearness:
    """``definitions`` are what written schemas refer to, ``nulled`` their members that may be null for being absent
    (see ``Writer``); ``root`` is the schema by which they are taken out."""

    def __init__(self, definitions: Schema, nulled: dict[int, set[str]], root: Any) -> None:
        self._definitions = definitions
        self._nulled = nulled
        self._places = Places(root)
        self._looked_at = 0

    def of(self, written: Schema) -> bool:
        """Whether all such nulls of what keeps the written schema are taken out."""
        return not self._nulled or self._is_clear(written, self._places.root(), 0)

    def _is_clear(self, written: Any, place: Place | None, depth: int) -> bool:
        todo, seen = [(written, place)], set[tuple[int, int]]()
        while todo and self._looked_at <= MOST:
            found, where = todo.pop()
            if not isinstance(found, dict) or (id(found), id(where)) in seen:
                continue
            seen.add((id(found), id(where)))
            self._looked_at += 1
            nulled = self._nulled.get(id(found.get("properties")), ())
            if not all(where is not None and where.is_optional(name) for name in nulled):
                return False
            if where is not None and where.fixed:
                if not self._has_clear_elements(found.get("items"), where, depth + 1):
                    return False
            else:
                todo.append((found.get("items"), where and where.element(0)))
            todo += self._inner(found, where)
        return self._looked_at <= MOST

    def _inner(self, written: Schema, place: Place | None) -> list[tuple[Any, Place | None]]:
        """What a written schema consists of, but for a list's items, with the places that it speaks of."""
        found = [(one, place and place.member(name)) for name, one in mapped(written, "properties").items()]
        found.append((written.get("additionalProperties"), place and place.member(NO_NAME)))
        found += [(one, place) for one in listed(written, "anyOf")]
        if "$ref" in written:
            found.append((self._definitions[written["$ref"].rpartition("/")[2]], place))
        return found

    def _has_clear_elements(self, items: Any, place: Place, depth: int) -> bool:
        """Of several elements with schemas of their own, each will stand where its own holds."""
        ones = listed(items, "anyOf") if isinstance(items, dict) and "anyOf" in items else [items]
        places = [place.element(index) for index in range(place.fixed + 1)]
        return depth < DEEPEST and all(any(self._is_clear(one, where, depth) for where in places) for one in ones)
