"""What the targets' structured output can say of JSON Schema (https://json-schema.org/draft/2020-12): a row for each.

All of them know ``type``, ``properties``, ``required``, ``additionalProperties``, ``items``, ``enum``, ``anyOf``,
``$ref`` to ``$defs``, ``title`` and ``description``.
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct, field


class Limits(Struct, frozen=True):
    """The largest schema that is taken. ``characters`` are those of all names and values; ``list_characters`` those of
    one list of more than ``long_list`` texts. ``depth`` counts objects and lists within each other."""

    properties: int
    depth: int
    characters: int
    values: int
    long_list: int
    list_characters: int


class Knows(Struct, frozen=True, kw_only=True):
    """What one target can say.

    ``root``: what may stand there; ``members`` is an object with ``properties``.
    ``required``: which members may be: any, at least one, or all of them.
    ``closes``: an object that does not say that it is open is taken for a closed one.
    ``open``: objects may have members of any name, and a value may be anything.
    ``any_written``: ``{}`` stands for anything; if not, all types are named.
    ``typed``: beside ``enum`` and ``const`` stands a ``type``. ``scalars``: neither holds lists and objects.
    ``keywords``: those that it knows beyond the common ones. ``formats``: those of texts.
    ``patterns``: as they are written; for the ``whole`` text, where no character stands that JSON escapes; the same
    without such characters in classes; or for the whole text, and ``bare`` of anchors. None with look-around, back
    references, or what not every dialect has.
    ``together``: a text's pattern, format and length are all kept; if not, the first of them.
    ``tuples``: lists whose elements have schemas of their own: any, or only those of an exact length.
    ``references``: kept, with nothing but notes beside them; ``bare``, with nothing; or inlined where that has an end.
    ``largest``: the highest bound of a length or a number of items.
    ``shows``: the model reads the schema, so that words in it help.
    ``bounds``: by type, the ends of what has none. ``beside``: what is added at the root.
    ``strict``: how large a schema may be to be held to; None where there is no other way to ask.
    """

    name: str
    source: str
    root: Literal["any", "object", "members"] = "any"
    required: Literal["any", "one", "all"] = "any"
    closes: bool = False
    open: bool = True
    any_written: bool = True
    typed: bool = False
    scalars: bool = False
    keywords: frozenset[str] = frozenset()
    formats: frozenset[str] = frozenset()
    patterns: Literal["as written", "whole", "unescaped", "bare"] | None = None
    together: bool = True
    tuples: Literal["any", "exact"] | None = None
    references: Literal["kept", "bare", "inlined"] = "kept"
    largest: int | None = None
    shows: bool = False
    bounds: dict[str, dict[str, Any]] = field(default_factory=dict)
    beside: dict[str, Any] = field(default_factory=dict)
    strict: Limits | None = None


RANGES = frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"})
LENGTHS = frozenset({"minLength", "maxLength"})
COUNTS = frozenset({"minItems", "maxItems"})
SIZES = frozenset({"minProperties", "maxProperties"})
SHORTHAND = frozenset({"date-time", "date", "time", "uuid"})

LARGEST = 2**53 - 1
"""A whole number that every reader of JSON can hold. Digits have no end in a grammar: a small model that has begun them
goes on to its limit of tokens."""

SPACING = {"x-guidance": {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}}
"""For builds with llguidance (https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md), which allow any
white space between tokens unless they are told: small models then write nothing else. Others pass over it."""

OPENAI = Knows(
    name="openai",
    source="https://platform.openai.com/docs/guides/structured-outputs#supported-schemas",
    root="object",
    required="all",
    closes=True,
    open=False,
    typed=True,
    scalars=True,
    keywords=frozenset({"const", "multipleOf"}) | RANGES | COUNTS,
    formats=SHORTHAND | {"duration", "email", "hostname", "ipv4", "ipv6"},
    patterns="as written",
    references="bare",
    shows=True,
    strict=Limits(5000, depth=10, characters=120_000, values=1000, long_list=250, list_characters=15_000),
)

COHERE = Knows(
    name="cohere",
    source="https://docs.cohere.com/v2/docs/structured-outputs#parameter-types-support",
    root="object",
    required="one",
    typed=True,
    scalars=True,
    keywords=frozenset({"const"}),
    formats=SHORTHAND,
    patterns="bare",
    references="bare",
    shows=True,
)

VLLM = Knows(
    name="vllm",
    # What its default, auto, finds one decoder for, of which xgrammar is the first and llguidance the second.
    source="https://docs.vllm.ai/en/latest/features/structured_outputs.html",
    keywords=frozenset({"const", "multipleOf", "patternProperties", "propertyNames", "x-guidance"})
    | (RANGES | LENGTHS | COUNTS | SIZES),
    formats=SHORTHAND
    | {"duration", "email", "hostname", "ipv4", "ipv6", "uri", "uri-reference", "uri-template"}
    | {"json-pointer", "relative-json-pointer"},
    patterns="whole",
    tuples="any",
)

SGLANG = msgspec.structs.replace(
    VLLM,
    name="sglang",
    # xgrammar alone, which refuses a number of members where none is named.
    source="https://docs.sglang.ai/advanced_features/structured_outputs.html",
    keywords=VLLM.keywords - SIZES,
)

LLAMA_CPP = Knows(
    name="llama.cpp",
    # What both of its converters understand: its own, which refuses or passes over the rest, and llguidance, with which
    # a schema that it does not understand holds an answer to nothing.
    source="https://github.com/ggml-org/llama.cpp/blob/master/grammars/README.md#json-schemas--gbnf",
    closes=True,
    any_written=False,
    keywords=frozenset({"const", "multipleOf", "x-guidance"}) | RANGES | LENGTHS | COUNTS,
    formats=SHORTHAND | {"duration", "email", "hostname", "ipv4", "ipv6"},
    patterns="unescaped",
    tuples="exact",
    references="inlined",  # nested ones are unreliable: https://github.com/ggml-org/llama.cpp/issues/16790
    largest=2000,
    bounds={"integer": {"minimum": -LARGEST, "maximum": LARGEST}},
    beside=SPACING,
)

DEMO = msgspec.structs.replace(
    LLAMA_CPP,
    name="demo",
    any_written=True,  # the demo's llama.cpp has llguidance
    bounds={
        "integer": {"minimum": -999_999, "maximum": 999_999},
        "number": {"minimum": -999_999, "maximum": 999_999, "multipleOf": 0.01},
        "string": {"maxLength": 48},
        "array": {"maxItems": 4},
    },
)
"""Digits, texts and lists have no end of their own in a grammar, and so small a model does not end them."""

TGI = Knows(
    name="tgi",
    # Its router wants "properties" at the root, and makes a regular expression of the schema.
    source="https://github.com/huggingface/text-generation-inference/blob/main/router/src/validation.rs",
    root="members",
    any_written=False,
    scalars=True,
    keywords=frozenset({"const"}) | LENGTHS | COUNTS,
    formats=SHORTHAND,
    patterns="unescaped",
    together=False,
    tuples="exact",
)

OLLAMA = Knows(
    name="ollama",
    # llama.cpp's own converter; most patterns stop it: https://github.com/ollama/ollama/issues/8185
    source="https://github.com/ollama/ollama/blob/main/docs/api.md#structured-outputs",
    closes=True,
    any_written=False,
    keywords=frozenset({"const"}) | RANGES | LENGTHS | COUNTS,
    formats=SHORTHAND,
    tuples="exact",
    references="inlined",
    largest=2000,
)

TABLE = {row.name: row for row in (OPENAI, COHERE, VLLM, SGLANG, LLAMA_CPP, DEMO, TGI, OLLAMA)}
