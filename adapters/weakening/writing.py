"""Writes a schema in the words of one target: what it cannot say is dropped, or said more widely."""

from typing import Any

from adapters.errors import inexpressible
from adapters.restoring.places import Places
from adapters.weakening.document import Document, listed, mapped
from adapters.weakening.kinds import (
    CONTAINERS,
    COUNTS,
    NUMBERS,
    OWN_ENDS,
    TEXTS,
    TYPES,
    is_one_of,
    kinds_of,
    named_types,
    number,
    only,
    type_of,
    whole_bounds,
    without,
)
from adapters.weakening.merging import ASSERTIONS, asserts, merged, notes
from adapters.weakening.names import Names
from adapters.weakening.patterns import pattern_of
from adapters.weakening.table import Knows
from adapters.weakening.unions import each_once, or_null
from adapters.weakening.words import described, phrases_of

Schema = dict[str, Any]

MOST_PARTS = 100_000
"""Schemas within one that are written at most."""

MOST_ADDED = 4_000
"""Of these, how many may be there for being inlined or merged."""

DEEPEST_INLINED = 40
DEEPEST_MERGED = 20


class Writer:
    """``held``: whether the target can be held to what was written. ``nulled`` are the members that may be null for
    being absent, by the identity of the written ``properties``."""

    def __init__(self, document: Document, knows: Knows) -> None:
        self.held = True
        self.nulled: dict[int, set[str]] = {}
        self._document = document
        self._knows = knows
        self._places = Places(document.root)
        self._names = Names()
        self._merged: list[Any] = []  # kept alive, since schemas are told by identity
        self._parts = 0
        self._added = 0
        self._merging = 0

    def whole(self) -> tuple[Schema, Schema]:
        """What is written of the document, and the definitions that it refers to, by name."""
        root = self._document.root
        if isinstance(root, dict) and "$ref" in root:  # what stands at the root is no reference, wherever that can be
            target = self._document.target(root["$ref"])
            if isinstance(target, dict):
                root = merged(notes(root), target)
        made = self._written(root, 0) or {}
        definitions: Schema = {}
        while self._names.waiting:
            name, target = self._names.waiting.pop()
            definitions[name] = self._written(target, 0) or {}
        return made, dict(sorted(definitions.items()))

    # ------------------------------------------------------------------ any schema

    def _written(self, schema: Any, depth: int) -> Schema | None:
        """The schema in the target's words; None if nothing can keep it."""
        self._parts += 1
        if self._parts > MOST_PARTS:
            raise inexpressible("guided_json", f"the schema has more than {MOST_PARTS} parts")
        if not isinstance(schema, dict):
            return None if schema is False else self._anything({})
        flat = self._flat(schema)
        if flat is None or "$ref" in flat:
            return None if flat is None else self._reference(flat, depth)
        alternatives = self._alternatives(flat)
        if alternatives is not None:
            return self._any_of(alternatives, notes(flat), depth)
        if "const" in flat or "enum" in flat:
            return self._values(flat)
        kinds = kinds_of(flat)
        if len(kinds) > 1 and CONTAINERS & set(kinds):
            return self._any_of([only(flat, kind) for kind in kinds], notes(flat), depth)
        if kinds == ["object"]:
            return self._object(flat, depth)
        if kinds == ["array"]:
            return self._bounded(self._array(flat, depth))
        return self._bounded(self._scalar(flat, kinds)) if kinds else self._anything(notes(flat))

    def _flat(self, schema: Schema) -> Schema | None:
        """The schema as one, without ``allOf``; a reference only where nothing stands beside it but notes. None if
        nothing can keep it."""
        flat = schema
        while "allOf" in flat or ("$ref" in flat and asserts(without(flat, "$ref"))):
            keyword = "$ref" if "$ref" in flat else "allOf"
            parts = [{"$ref": flat["$ref"]}] if keyword == "$ref" else listed(flat, "allOf")
            whole, flat = flat, without(flat, keyword)
            for part in parts:
                both = self._together(flat, part)
                if both is False:
                    return None
                if both is not None:
                    flat = both
                elif keyword == "$ref" and isinstance(self._document.target(whole["$ref"]), dict):
                    return {"$ref": whole["$ref"], **notes(whole)}  # which says more than what stands beside it
                else:
                    self.held = False
        return flat

    def _together(self, flat: Schema, part: Any) -> Any:
        """One schema for both, as ``merged`` has it."""
        self._added += 1
        if self._added > MOST_ADDED or self._merging > DEEPEST_MERGED:
            return None
        self._merging += 1
        if asserts(flat) and isinstance(part, dict) and asserts(part):
            flat, part = self._resolved(flat), self._resolved(part)
        self._added += sum([len(mapped(one, "properties")) for one in (flat, part) if isinstance(one, dict)])
        both = merged(flat, part)
        self._merging -= 1
        self._merged.append(both)
        return both

    def _resolved(self, schema: Any) -> Any:
        """The schema without references and ``allOf`` of its own; a reference only where it has no end."""
        flat = self._flat(schema)
        if flat is None or "$ref" not in flat:
            return False if flat is None else flat
        target = self._document.target(flat["$ref"])
        if target is None or self._document.is_recursive(target):
            return flat
        return self._resolved(target) if isinstance(target, dict) else target

    def _anything(self, said: Schema) -> Schema:
        self.held &= self._knows.open
        return said if self._knows.any_written else {"type": list(TYPES), **said}

    def _reference(self, flat: Schema, depth: int) -> Schema | None:
        target, said = self._document.target(flat["$ref"]), notes(flat)
        if not isinstance(target, dict):
            return None if target is False else self._anything(said)
        how = self._knows.references
        if (how == "inlined" or (how == "bare" and said)) and not self._document.is_recursive(target):
            before = self._parts
            if self._added <= MOST_ADDED and depth < DEEPEST_INLINED:
                made = self._written(target, depth + 1)
                self._added += self._parts - before
                return made if made is None else {**made, **said}
        reference = {"$ref": self._names.reference(target, flat["$ref"])}
        return reference if how == "bare" else {**reference, **said}

    # ------------------------------------------------------------------ alternatives and values

    def _alternatives(self, flat: Schema) -> list[Any] | None:
        """The alternatives, each with what stands beside them; None if there are none, or none that are simple."""
        keyword = "anyOf" if "anyOf" in flat else "oneOf"
        if keyword not in flat:
            return None
        base = without(flat, "anyOf", "oneOf", "title", "description")
        branches = listed(flat, keyword)
        if not asserts(base):
            return branches
        found = []
        for branch in branches:
            both = self._together(base, branch)
            if both is None:
                return branches if base.keys() & ASSERTIONS == {"type"} else None
            found.append({**both, **notes(branch)} if isinstance(both, dict) else both)
        return found

    def _any_of(self, branches: list[Any], said: Schema, depth: int) -> Schema | None:
        made = [self._written(branch, depth + 1) for branch in branches]
        found = each_once([one for one in made if one is not None])
        if not found:
            return None
        return {**found[0], **said} if len(found) == 1 else {"anyOf": found, **said}

    def _values(self, flat: Schema) -> Schema | None:
        kinds = named_types(flat)
        values = [flat["const"]] if "const" in flat else listed(flat, "enum")
        values = [value for value in values if not kinds or is_one_of(value, kinds)]
        if not values:
            return None
        types = list(dict.fromkeys([type_of(value) for value in values]))
        if self._knows.scalars and CONTAINERS & set(types):
            self.held = False
            return self._written({"type": types, **notes(flat)}, 0)
        made: Schema = {}
        if "type" in flat or self._knows.typed:
            made["type"] = flat.get("type", types[0] if len(types) == 1 else types)
        single = "const" in flat and "const" in self._knows.keywords
        return {**made, **({"const": values[0]} if single else {"enum": values}), **notes(flat)}

    # ------------------------------------------------------------------ texts and numbers

    def _scalar(self, flat: Schema, kinds: list[str]) -> Schema:
        names = (*(TEXTS if "string" in kinds else ()), *(NUMBERS if {"integer", "number"} & set(kinds) else ()))
        kept, phrases = self._kept(whole_bounds(flat) if kinds == ["integer"] else flat, names)
        if not self._knows.together and "string" in kinds:
            first = next((name for name in ("pattern", "format") if name in kept), None)
            kept = kept if first is None else {first: kept[first]}
        return {"type": kinds[0] if len(kinds) == 1 else kinds, **kept, **described(notes(flat), phrases)}

    def _kept(self, flat: Schema, names: tuple[str, ...]) -> tuple[Schema, list[str]]:
        """Of these keywords those that the target knows, and the others in words if it reads them."""
        asked = {name: flat[name] for name in names if name in flat}
        kept = {name: said for name, value in asked.items() if (said := self._sayable(name, value)) is not None}
        dropped = {name: value for name, value in asked.items() if name not in kept}
        return kept, phrases_of(dropped) if self._knows.shows else []

    def _sayable(self, name: str, value: Any) -> Any:
        """A keyword's value in the target's words; None if it has none."""
        if name == "pattern":
            return pattern_of(value, self._knows) if isinstance(value, str) else None
        if name == "format":
            return value if isinstance(value, str) and value in self._knows.formats else None
        if name not in self._knows.keywords or isinstance(value, bool) or not isinstance(value, int | float):
            return None
        largest = self._knows.largest
        if largest is None:
            return value
        return value if abs(value) <= (2**53 if name in NUMBERS else largest) else None

    def _bounded(self, made: Schema) -> Schema:
        """With ends for what has none, where the target needs them."""
        kinds = kinds_of(made)
        for kind, bounds in self._knows.bounds.items():
            if kind in kinds and not OWN_ENDS[kind] & made.keys():
                made = {**bounds, **made}
        return made

    # ------------------------------------------------------------------ lists

    def _array(self, flat: Schema, depth: int) -> Schema:
        first = listed(flat, "prefixItems") or listed(flat, "items")
        if first:
            return self._tuple(flat, first, depth)
        kept, phrases = self._kept(flat, (*COUNTS, "uniqueItems"))
        made = {"type": "array", **described(notes(flat), phrases)}
        items = flat.get("items", True)
        if items is not True and items != {}:
            written = self._written(items, depth + 1)
            return {**made, **({"items": written} if written is not None else self._no_items()), **kept}
        if kept.get("maxItems") == 0:
            return {**made, **self._no_items()}
        self.held &= self._knows.open
        if "items" in flat and self._knows.any_written:
            made["items"] = items
        return {**made, **kept}

    def _no_items(self) -> Schema:
        """What only the empty list keeps, where that can be said."""
        return {"items": {"type": "null"}, "maxItems": 0} if "maxItems" in self._knows.keywords else {}

    def _tuple(self, flat: Schema, first: list[Any], depth: int) -> Schema:
        """A list whose first elements have schemas of their own, and the others another."""
        rest = flat.get("additionalItems" if isinstance(flat.get("items"), list) else "items", True)
        least, most = number(flat.get("minItems")) or 0, number(flat.get("maxItems"))
        if rest is False and (most is None or most > len(first)):
            most = len(first)
        elements = [self._written(one, depth + 1) for one in first]
        others = None if most is not None and most <= len(first) else self._written(rest, depth + 1)
        ends: Schema = {**({"minItems": least} if least else {}), **({"maxItems": most} if most is not None else {})}
        if self._knows.tuples is not None and None not in elements:
            if least == most == len(first):
                return {"type": "array", **notes(flat), "prefixItems": elements, **ends}
            if self._knows.tuples == "any":
                items = {} if others == {} else {"items": False if others is None else others}
                return {"type": "array", **notes(flat), "prefixItems": elements, **items, **ends}
        kept, phrases = self._kept(ends, COUNTS)
        found = each_once([one for one in (*elements, others) if one is not None])
        made: Schema = {"type": "array", **described(notes(flat), phrases)}
        if {} not in found:
            made["items"] = found[0] if len(found) == 1 else {"anyOf": found}
        return {**made, **kept}

    # ------------------------------------------------------------------ objects

    def _object(self, flat: Schema, depth: int) -> Schema | None:
        members, rest = dict(mapped(flat, "properties")), self._rest(flat)
        required = list(dict.fromkeys([name for name in listed(flat, "required") if isinstance(name, str)]))
        members |= {name: rest for name in required if name not in members}
        if rest is None:
            rest = not (self._knows.closes and members)
        written = {name: self._written(one, depth + 1) for name, one in members.items()}
        if any(written[name] is None for name in required):
            return None
        properties = {name: made for name, made in written.items() if made is not None}
        needed = self._needed(members, properties, required)
        kept, phrases = self._kept(flat, ("minProperties", "maxProperties"))
        made: Schema = {"type": "object", **described(notes(flat), phrases)}
        if properties or "properties" in flat or (rest is False and "patternProperties" not in flat):
            made["properties"] = properties
        if needed or "required" in flat or self._knows.required == "all":
            made["required"] = needed
        return {**made, **self._others(flat, rest, depth), **kept}

    def _rest(self, flat: Schema) -> Any:
        """What members may be that are not named; None if this is not said."""
        rest = flat.get("additionalProperties", False if flat.get("unevaluatedProperties") is False else None)
        patterns = list(mapped(flat, "patternProperties").values())
        if not patterns or "patternProperties" in self._knows.keywords:
            return rest
        return {"anyOf": patterns} if rest is False else True

    def _needed(self, members: Schema, properties: Schema, required: list[str]) -> list[str]:
        """The members that are required. What may be absent and must not be null is nulled for it."""
        how = self._knows.required
        always = set(required)
        absent = [name for name in properties if name not in always]
        if how == "any" or (how == "one" and len(absent) < len(properties)):
            return required
        for name in absent if how == "all" else absent[:1]:
            if not self._places.allows_null(members[name]):
                properties[name] = {**notes(members[name]), **or_null(properties[name])}
                self.nulled.setdefault(id(properties), set()).add(name)
        return list(properties) if how == "all" else absent[:1]

    def _others(self, flat: Schema, rest: Any, depth: int) -> Schema:
        """What is said of members that are not named."""
        found: Schema = {}
        if rest is False or rest is True:
            if "additionalProperties" in flat or rest is False:
                found["additionalProperties"] = rest
        else:
            found["additionalProperties"] = self._within(rest, depth)
        self.held &= self._knows.open or found.get("additionalProperties") is False
        if "patternProperties" in flat and "patternProperties" in self._knows.keywords:
            patterns = mapped(flat, "patternProperties").items()
            found["patternProperties"] = {
                pattern_of(name, self._knows) or name: self._within(one, depth) for name, one in patterns
            }
        if "propertyNames" in flat and "propertyNames" in self._knows.keywords:
            found["propertyNames"] = self._within(flat["propertyNames"], depth)
        return found

    def _within(self, schema: Any, depth: int) -> Any:
        made = self._written(schema, depth + 1)
        return False if made is None else made
