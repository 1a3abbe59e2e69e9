"""llama.cpp's words for sampling and constraints, which are the same on both of its routes."""

import re
from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import UNREADABLE, Rule, inexpressible, require
from adapters.local.gbnf import from_choices, from_regex
from adapters.local.lark import from_lark
from adapters.local.refusals import lacks, plain_schema
from adapters.types import AnyJson, Fields, Grammar, JsonSchema, OneOf, Params, Regex

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "llama.cpp gives one choice a request: ask for n = 1"),
    (
        "max_tokens",  # 0 gives one token and -1 no limit, without complaint
        lambda p: p.max_tokens is None or p.max_tokens >= 1,
        "llama.cpp's max_tokens is at least 1",
    ),
    (
        "temperature",  # below 0 it is greedy, without complaint
        lambda p: p.temperature is None or p.temperature >= 0,
        "llama.cpp's temperature is at least 0",
    ),
    (
        "top_p",  # above 1 it is off, without complaint
        lambda p: p.top_p is None or 0 <= p.top_p <= 1,
        "llama.cpp's top_p goes from 0 to 1",
    ),
    ("min_p", lambda p: p.min_p is None or 0 <= p.min_p <= 1, "llama.cpp's min_p goes from 0 to 1"),
    (
        "repetition_penalty",  # at 0 it divides by it
        lambda p: p.repetition_penalty is None or p.repetition_penalty > 0,
        "llama.cpp's repetition_penalty is above 0",
    ),
    (
        "seed",  # cut to 32 bits without complaint, and the largest of them stands for a random one
        lambda p: p.seed is None or 0 <= p.seed < 2**32 - 1,
        "llama.cpp's seed goes from 0 to 4294967294",
    ),
    (
        "stop",  # the empty string is found everywhere
        lambda p: "" not in p.stop,
        "llama.cpp's stop strings cannot be empty",
    ),
    (
        "logit_bias",  # any other key is taken for a text and made tokens
        lambda p: all(key.isdecimal() for key in p.logit_bias or ()),
        "llama.cpp's logit_bias has token ids as keys",
    ),
    ("logprobs", lambda p: p.logprobs is None or p.logprobs >= 0, "llama.cpp's logprobs is at least 0"),
)

LACKED = ("echo", "suffix", "min_tokens", "stop_token_ids", "truncate")

OBJECT = {"type": Raw(b'"object"')}
"""The schema of any JSON object."""

ANGLES = re.compile(r"^[ \t]*<[^<>\n]+>[ \t]*::=", re.MULTILINE)

SPACING = {"x-guidance": {"whitespace_flexible": False, "key_separator": ": ", "item_separator": ", "}}
"""For builds with llguidance (https://github.com/guidance-ai/llguidance/blob/main/docs/json_schema.md), which allow any
white space between tokens unless they are told: small models then write nothing else. Others pass over it."""

LARGEST = 2**53 - 1
BOUNDS = {"minimum": Raw(b"-%d" % LARGEST), "maximum": Raw(b"%d" % LARGEST)}
"""Whole numbers that every reader of JSON can hold. Digits have no end in a grammar: a small model that has begun them
goes on to its limit of tokens."""

NESTED = ("properties", "patternProperties", "$defs", "definitions")
LISTED = ("anyOf", "oneOf", "allOf", "prefixItems")
SINGLE = ("items", "additionalProperties", "contains")

encode = msgspec.json.Encoder().encode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_list = msgspec.json.Decoder(tuple[Raw, ...]).decode
decode_schema = msgspec.json.Decoder(bool | dict[str, Raw]).decode


def check(asked: Params) -> None:
    """Raises ``Rejected`` for what the server would pass over, or take for something else."""
    require(asked, RULES)
    lacks(asked, "llama.cpp", *LACKED)


def sampling(asked: Params) -> dict[str, Any]:
    """How tokens are drawn: OpenAI's defaults, and off for what OpenAI does not have."""
    said: dict[str, Any] = {
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": 1.0 if asked.top_p is None else asked.top_p,
        "presence_penalty": asked.presence_penalty or 0.0,
        "frequency_penalty": asked.frequency_penalty or 0.0,
        "stop": asked.stop,
        "top_k": asked.top_k or 0,
        "min_p": asked.min_p or 0.0,
        "repeat_penalty": 1.0 if asked.repetition_penalty is None else asked.repetition_penalty,
    }
    if asked.seed is not None:
        said["seed"] = asked.seed
    if asked.logit_bias:
        said["logit_bias"] = asked.logit_bias
    if asked.ignore_eos:
        said["ignore_eos"] = True
    return said


def schema(constraint: JsonSchema | AnyJson) -> Any:
    """The schema that an answer keeps."""
    try:
        found = OBJECT if isinstance(constraint, AnyJson) else decode_schema(plain_schema(constraint, "llama.cpp"))
    except UNREADABLE:
        raise inexpressible("guided_json", "the schema is no JSON Schema: it is an object") from None
    return SPACING | bounded(found) if isinstance(found, dict) else found


def bounded(schema: Fields) -> Fields:
    """The schema with bounds for whole numbers where it has none of its own. Raises what is UNREADABLE."""
    found = {name: bounded_in(name, value) for name, value in schema.items()}
    ends = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "enum", "const")
    if schema.get("type") == Raw(b'"integer"') and not any(name in schema for name in ends):
        found |= BOUNDS
    return found


def bounded_in(name: str, value: Raw) -> Raw:
    if b'"integer"' not in bytes(value):
        return value
    if name in NESTED:
        return Raw(encode({key: of_any(one) for key, one in decode_fields(value).items()}))
    if name in LISTED or (name == "items" and bytes(value).startswith(b"[")):
        return Raw(encode([of_any(one) for one in decode_list(value)]))
    return of_any(value) if name in SINGLE else value


def of_any(value: Raw) -> Raw:
    """A schema, which may also be true or false."""
    return Raw(encode(bounded(decode_fields(value)))) if bytes(value).startswith(b"{") else value


def grammar(constraint: Regex | OneOf | Grammar) -> str:
    """The constraint as a grammar. Raises ``Rejected`` for what llama.cpp's grammars cannot say."""
    match constraint:
        case Regex():
            return from_regex(constraint.pattern)
        case OneOf():
            return from_choices(constraint.choices)
        case Grammar():
            if ANGLES.search(constraint.text):
                raise inexpressible("guided_grammar", "names in <angle brackets> are not read: write Lark or GBNF")
            return constraint.text if "::=" in constraint.text else from_lark(constraint.text)
