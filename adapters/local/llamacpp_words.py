"""llama.cpp's words for sampling and constraints, which are the same on both of its routes."""

import re
from typing import Any

from msgspec import Raw

from adapters.errors import Rule, inexpressible, require
from adapters.local.gbnf import from_choices, from_regex
from adapters.local.lark import from_lark
from adapters.local.refusals import lacks, plain_schema
from adapters.types import AnyJson, Grammar, Host, JsonSchema, OneOf, Params, Regex
from adapters.weakening import weakened
from adapters.weakening.table import DEMO, LLAMA_CPP, Knows

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

OBJECT = Raw(b'{"type":"object"}')
"""The schema of any JSON object."""

ANGLES = re.compile(r"^[ \t]*<[^<>\n]+>[ \t]*::=", re.MULTILINE)


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


def knows(host: Host) -> Knows:
    """What the schemas of its model can say."""
    return DEMO if host.demo else LLAMA_CPP


def schema(constraint: JsonSchema | AnyJson, knows: Knows) -> Raw:
    """The schema that an answer keeps."""
    asked = OBJECT if isinstance(constraint, AnyJson) else plain_schema(constraint, "llama.cpp")
    return weakened(asked, knows).schema


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
