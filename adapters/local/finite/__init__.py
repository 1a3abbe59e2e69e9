"""JSON Schemas as finite grammars, for a model that does not end by itself what has no end.

Every sentence keeps the schema, and the longest has no more bytes than the answer may have tokens: so, whatever the
model writes, it is a valid answer, and a whole one. What the schema leaves open is bounded as loosely as that allows.
White space is as the model was taught it: one space after a colon and a comma.
"""

from functools import lru_cache

import msgspec

from adapters.errors import UNREADABLE
from adapters.local.finite.building import Bounds, Builder
from adapters.local.finite.documents import Document, Unsuited, Work
from adapters.local.finite.sentences import Sentence
from adapters.local.finite.writing import written

LEVELS = (
    Bounds(text=48, digits=4, items=3, depth=2),
    Bounds(text=32, digits=4, items=3, depth=2),
    Bounds(text=24, digits=4, items=2, depth=2),
    Bounds(text=24, digits=4, items=2, depth=1),
    Bounds(text=16, digits=4, items=2, depth=1),
    Bounds(text=16, digits=4, items=1, depth=1),
    Bounds(text=12, digits=4, items=1, depth=1),
    Bounds(text=12, digits=4, items=1, depth=0),
    Bounds(text=12, digits=4, items=1, depth=0, free=False),
    Bounds(text=8, digits=3, items=0, depth=0),
    Bounds(text=8, digits=3, items=0, depth=0, free=False),
    Bounds(text=5, digits=3, items=0, depth=0, free=False),
    Bounds(text=5, digits=3, items=0, depth=0, free=False, narrow=True),
    Bounds(text=2, digits=2, items=0, depth=0, free=False, narrow=True),
)
"""From loose to tight."""

MAX_SCHEMA = 65_536  # bytes
MAX_GRAMMAR = 100_000  # characters
MAX_STEPS = 4000
"""Schemas that are looked at, at all levels together."""

DEFAULT_TOKENS = 400
"""Of an answer without a limit of its own."""

MOST_TOKENS = 600
"""The model's context holds 1024, the prompt's among them."""


def finite_grammar(schema: bytes, max_tokens: int | None) -> str | None:
    """A grammar in llama.cpp's words. None where the schema says something of which nothing here is certain. Where the
    shortest answers are too long, they are asked for all the same: they may come to fewer tokens."""
    return None if len(schema) > MAX_SCHEMA else _grammar(schema, max_tokens)


@lru_cache(maxsize=128)
def _grammar(schema: bytes, max_tokens: int | None) -> str | None:
    try:
        found = fitting(msgspec.json.decode(schema), budget(max_tokens))
        made = None if found is None else written(found)
    except (Unsuited, *UNREADABLE):
        return None
    return made if made is not None and len(made) <= MAX_GRAMMAR else None


def budget(max_tokens: int | None) -> int:
    """Bytes of an answer. One token ends it."""
    return min(DEFAULT_TOKENS if max_tokens is None else max_tokens, MOST_TOKENS) - 1


def fitting(schema: object, longest: int) -> Sentence | None:
    """The sentences of the loosest level of which none is longer, or else of the tightest. Raises Unsuited."""
    document = Document(schema, Work(MAX_STEPS))
    first, last = 0, len(LEVELS) - 1
    tightest = made = Builder(document, LEVELS[last]).whole()
    while first < last:
        middle = (first + last) // 2
        found = Builder(document, LEVELS[middle]).whole()
        if found is not None and found.longest <= longest:
            made, last = found, middle
        else:
            first = middle + 1
    return made if made is not None else tightest
