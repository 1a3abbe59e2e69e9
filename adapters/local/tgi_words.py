"""TGI's words, and what it has none for: the same on its native route and on its OpenAI wire.

https://huggingface.co/docs/text-generation-inference/reference
"""

from typing import Any

from adapters.errors import Rule, require
from adapters.local.gbnf import one_of_pattern
from adapters.local.refusals import lacks, plain_schema, unsayable
from adapters.restoring import Restore
from adapters.types import AnyJson, Call, Constraint, JsonSchema, OneOf, Params, Regex
from adapters.undoing import UNCHANGED, refuse_logprobs
from adapters.weakening import weakened
from adapters.weakening.table import TGI

STOPPED = "stop_sequence"
"""The reason of an answer that a stop string has ended, and that still holds it."""

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "TGI gives one choice a request: ask for n = 1"),
    (
        "temperature",
        lambda p: p.temperature is None or p.temperature >= 0,
        "TGI's temperature is at least 0",
    ),
    ("top_p", lambda p: p.top_p is None or 0 < p.top_p <= 1, "TGI's top_p is above 0 and at most 1"),
    ("seed", lambda p: p.seed is None or 0 < p.seed < 2**64, "TGI's seed is a positive number of 64 bits"),
    ("presence_penalty", lambda p: not p.presence_penalty, "TGI has no presence_penalty: leave it out"),
    (
        "frequency_penalty",
        lambda p: -2 <= (p.frequency_penalty or 0) <= 2,
        "TGI's frequency_penalty goes from -2 to 2",
    ),
    (
        "stop",  # the empty string ends every answer
        lambda p: "" not in p.stop,
        "TGI's stop strings cannot be empty",
    ),
    (
        "repetition_penalty",
        lambda p: p.repetition_penalty is None or p.repetition_penalty > 0,
        "TGI's repetition_penalty is above 0",
    ),
    (
        "truncate_prompt_tokens",
        lambda p: p.truncate is None or p.truncate > 0,
        "TGI keeps at least 1 token of a prompt",
    ),
    ("logprobs", lambda p: p.logprobs is None or p.logprobs >= 0, "TGI's logprobs is at least 0"),
)

LACKED = ("echo", "suffix", "logit_bias", "min_p", "min_tokens", "stop_token_ids", "ignore_eos")


def check(asked: Params) -> None:
    """Raises ``Rejected`` for what the server would refuse, or pass over."""
    require(asked, RULES)
    lacks(asked, "TGI", *LACKED)


def grammar(call: Call, constraint: Constraint) -> dict[str, Any]:
    """A constraint as both routes have it; what the chat wire of OpenAI writes otherwise is said so there, too."""
    match constraint:
        case JsonSchema():
            asked = weakened(plain_schema(constraint, "TGI"), TGI)
            refuse_logprobs(call, asked.restore, "TGI")
            return {"type": "json", "value": asked.schema}
        case AnyJson():
            return {"type": "json", "value": {"type": "object"}}
        case Regex():
            return {"type": "regex", "value": constraint.pattern}
        case OneOf():
            return {"type": "regex", "value": one_of_pattern(constraint.choices)}
    raise unsayable(constraint, "TGI", "a JSON schema, a regex or choices")


def restore_of(call: Call) -> Restore:
    """What an answer is taken out of."""
    return weakened(call.constraint.schema, TGI).restore if isinstance(call.constraint, JsonSchema) else UNCHANGED
