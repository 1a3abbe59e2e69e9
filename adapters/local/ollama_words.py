"""Ollama's words, and what it has none for: the same for texts and for chats.

https://github.com/ollama/ollama/blob/main/docs/api.md
"""

from typing import Any

import msgspec
from msgspec import Struct

from adapters.errors import ProviderError, Rejected, Rule, Unavailable, require
from adapters.local.refusals import lacks, plain_schema, unsayable
from adapters.restoring import Restore
from adapters.types import AnyJson, Constraint, Finish, HttpResponse, JsonSchema, OneOf, Params, Usage, count
from adapters.undoing import UNCHANGED
from adapters.weakening import of_choices, weakened
from adapters.weakening.table import OLLAMA

FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "Ollama gives one choice a request: ask for n = 1"),
    (
        "max_tokens",  # 0 and below stand for no limit
        lambda p: p.max_tokens is None or p.max_tokens >= 1,
        "Ollama's max_tokens is at least 1",
    ),
    (
        "temperature",  # below 0 it is greedy, without complaint
        lambda p: p.temperature is None or p.temperature >= 0,
        "Ollama's temperature is at least 0",
    ),
    (
        "top_p",  # above 1 it is off, without complaint
        lambda p: p.top_p is None or 0 <= p.top_p <= 1,
        "Ollama's top_p goes from 0 to 1",
    ),
    (
        "seed",  # its runner cuts seeds to 32 bits, and -1 stands for a random one
        lambda p: p.seed is None or 0 <= p.seed < 2**32 - 1,
        "Ollama's seed goes from 0 to 4294967294",
    ),
    (
        "stop",  # the empty string is found everywhere
        lambda p: "" not in p.stop,
        "Ollama's stop strings cannot be empty",
    ),
    ("min_p", lambda p: p.min_p is None or 0 <= p.min_p <= 1, "Ollama's min_p goes from 0 to 1"),
    (
        "repetition_penalty",
        lambda p: p.repetition_penalty is None or p.repetition_penalty > 0,
        "Ollama's repetition_penalty is above 0",
    ),
    (
        "include_stop_str_in_output",
        lambda p: not p.include_stop,
        "Ollama does not say which stop string has ended an answer: leave it out",
    ),
    ("logprobs", lambda p: p.logprobs is None, "Ollama tells no logprobs: leave it out"),
)

LACKED = ("echo", "logit_bias", "min_tokens", "stop_token_ids", "ignore_eos", "truncate")

HANDLED = frozenset(
    {"best_of", "frequency_penalty", "include_stop_str_in_output", "max_tokens", "min_p", "n", "presence_penalty"}
    | {"repetition_penalty", "seed", "stop", "temperature", "top_k", "top_p"}
)
"""The fields of either route that are said by their values."""


class Options(Struct):
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    stop: tuple[str, ...]
    num_predict: int | msgspec.UnsetType = msgspec.UNSET
    seed: int | msgspec.UnsetType = msgspec.UNSET
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0


class Counts(Struct):
    """What the last line of an answer counts."""

    prompt_eval_count: float | None = None
    eval_count: float | None = None

    def usage(self) -> Usage | None:
        """Both counts or nothing: one is left out where the prompt was known already, which is not a 0."""
        prompt, answer = count(self.prompt_eval_count), count(self.eval_count)
        return None if prompt is None or answer is None else Usage(prompt, answer)


def failed() -> Unavailable:
    """An error under status 200 is a bare text, so it can mean anything that breaks while answering."""
    return Unavailable("the provider failed while it was answering")


def kind_of(response: HttpResponse) -> type[ProviderError] | None:
    """A format that it cannot make a grammar of is told as a failure of its own."""
    return Rejected if b"invalid JSON schema in format" in response.body else None


def check(asked: Params) -> None:
    """Raises ``Rejected`` for what the server would pass over, or take for something else."""
    require(asked, RULES)
    lacks(asked, "Ollama", *LACKED)


def options(asked: Params) -> Options:
    return Options(
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        presence_penalty=asked.presence_penalty or 0.0,
        frequency_penalty=asked.frequency_penalty or 0.0,
        stop=asked.stop,
        num_predict=msgspec.UNSET if asked.max_tokens is None else asked.max_tokens,
        seed=msgspec.UNSET if asked.seed is None else asked.seed,
        top_k=max(asked.top_k or 0, 0),
        min_p=asked.min_p or 0.0,
        repeat_penalty=1.0 if asked.repetition_penalty is None else asked.repetition_penalty,
    )


def format_of(constraint: Constraint | None) -> Any:
    """The field ``format``."""
    match constraint:
        case None:
            return msgspec.UNSET
        case AnyJson():
            return "json"
        case JsonSchema():
            return weakened(plain_schema(constraint, "Ollama"), OLLAMA).schema
        case OneOf():
            return of_choices(constraint, OLLAMA).schema
    raise unsayable(constraint, "Ollama", "a JSON schema or choices")


def restore_of(constraint: Constraint | None) -> Restore:
    """What an answer is taken out of."""
    return of_choices(constraint, OLLAMA).restore if isinstance(constraint, OneOf) else UNCHANGED
