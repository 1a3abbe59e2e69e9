"""One schema for all targets, weakened to what each of them can say.

What a target cannot say is dropped or said more widely, so that every answer that keeps the schema keeps what is left
of it, in the form in which it is asked for; ``restore`` says how it is taken out of that. Whether an answer keeps the
whole schema is checked elsewhere. See ``table`` for what the targets know.
"""

from functools import lru_cache
from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.errors import UNREADABLE, Rejected, inexpressible
from adapters.restoring import Restore
from adapters.types import JsonSchema, OneOf
from adapters.weakening.clearness import Clearness
from adapters.weakening.document import Document, depth_of
from adapters.weakening.limits import is_larger, is_within
from adapters.weakening.table import TABLE, Knows
from adapters.weakening.writing import Writer
from adapters.wrapping import around, wrapped

MAX_KEPT = 32 * 1024
"""Bytes of a schema whose weakened form is kept."""

LARGEST = 1_000_000
"""Characters of a schema as it is sent, references written out. About: of its names and texts."""

DEEPEST = 100
"""Levels of a schema."""

encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder().decode


class Weakened(Struct, frozen=True):
    """``schema`` is what the target is asked, and ``restore`` what its answers are taken out of. ``strict``: whether it
    can be held to the schema, where it can also be asked without."""

    schema: Raw
    restore: Restore = Restore()
    strict: bool = True


def weakened(schema: Raw, knows: Knows) -> Weakened:
    """The schema in the words of one target. Raises ``Rejected`` for what is no schema, or too deep or too large."""
    data = bytes(schema)
    return (kept(data, knows.name) if len(data) <= MAX_KEPT else None) or made(data, knows)


def of_choices(constraint: OneOf, knows: Knows) -> Weakened:
    """Choices as the texts of a member of an object."""
    choices = {"type": "string", "enum": constraint.choices}
    found = weakened(Raw(encode(around(choices))), knows)
    return Weakened(found.schema, Restore("text"), found.strict)


def by_schema(constraint: JsonSchema | OneOf, knows: Knows) -> Weakened:
    """What is asked of a target that knows nothing but schemas."""
    if isinstance(constraint, OneOf):
        return of_choices(constraint, knows)
    return weakened(constraint.schema, knows) if constraint.strict else loose(constraint.schema)


def loose(schema: Raw) -> Weakened:
    """The schema as it is, as far as its root lets it: a wish."""
    try:
        asked, is_wrapped = wrapped(schema)
    except UNREADABLE as exc:
        raise refused() from exc
    return Weakened(asked, Restore("json") if is_wrapped else Restore(), False)


@lru_cache(maxsize=256)
def kept(data: bytes, name: str) -> Weakened | None:
    """None where it has become too large to be kept."""
    found = made(data, TABLE[name])
    return found if len(found.schema) <= 2 * MAX_KEPT else None


def made(data: bytes, knows: Knows) -> Weakened:
    try:
        root = decode(data)
        if isinstance(root, dict | bool) and depth_of(root) <= DEEPEST:
            return written(data, root, knows)
    except (*UNREADABLE, OverflowError) as exc:
        raise refused() from exc
    raise refused()


def refused() -> Rejected:
    return inexpressible("guided_json", f"a schema is a JSON object of at most {DEEPEST} levels")


def written(data: bytes, root: Any, knows: Knows) -> Weakened:
    document = Document(root)
    writer = Writer(document, knows)
    schema, definitions = writer.whole()
    if not Clearness(definitions, writer.nulled, root).of(schema):
        if knows.strict is not None:
            return loose(Raw(data))
        return written(data, root, msgspec.structs.replace(knows, required="any"))
    is_wrapped = not fits(schema, knows)
    whole = around(schema) if is_wrapped else schema
    if definitions:
        whole["$defs"] = definitions
    whole = {**knows.beside, **own(root, knows), **whole}
    if is_larger(whole, LARGEST):
        if knows.strict is not None:
            return loose(Raw(data))
        raise inexpressible("guided_json", f"written for this model, the schema has more than {LARGEST} characters")
    if knows.strict is not None and not (writer.held and is_within(whole, knows.strict)):
        return loose(Raw(data))
    restore = Restore("json" if is_wrapped else "no", root if writer.nulled else None)
    return Weakened(Raw(data) if whole == root else Raw(encode(whole)), restore)


def fits(schema: dict[str, Any], knows: Knows) -> bool:
    """Whether a written schema may stand at the root."""
    if knows.root == "any":
        return True
    return schema.get("type") == "object" and (knows.root == "object" or "properties" in schema)


def own(root: Any, knows: Knows) -> dict[str, Any]:
    """What the caller says to the engine itself."""
    names = knows.keywords & {"x-guidance"}
    return {name: root[name] for name in names if isinstance(root, dict) and name in root}
