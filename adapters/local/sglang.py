"""SGLang, by its OpenAI wire. https://docs.sglang.ai/basic_usage/openai_api_completions.html

It says what vLLM says, in flat error objects; it takes several choices at any temperature, and no nulls. What it does
not know it passes over, so that is refused here.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import Rule
from adapters.fields import NULL, refuse_rest
from adapters.local.gbnf import one_of_pattern
from adapters.local.refusals import lacks, plain_schema, unsayable
from adapters.local.vllm import NOT_SENT, Vllm, unasked
from adapters.openai import decode_fields
from adapters.stream import Outer
from adapters.types import (
    AnyJson,
    Call,
    Chat,
    Constraint,
    Decoder,
    Delta,
    Fields,
    Grammar,
    HttpResponse,
    JsonSchema,
    OneOf,
    Regex,
    Reply,
)
from adapters.weakening import weakened
from adapters.weakening.table import SGLANG

RULES: tuple[Rule, ...] = (
    ("max_tokens", lambda p: p.max_tokens is None or p.max_tokens >= 1, "SGLang's max_tokens is at least 1"),
    (
        "echo",  # it gives the answer's alone, with a warning in its log
        lambda p: not p.echo or p.logprobs is None,
        "SGLang cannot score a prompt: leave out echo or logprobs",
    ),
)

HANDLED = frozenset(
    {"chat_template_kwargs", "continue_final_message", "echo", "frequency_penalty", "ignore_eos", "logit_bias"}
    | {"include_stop_str_in_output", "logprobs", "max_completion_tokens", "max_tokens", "min_p", "min_tokens", "n"}
    | {"parallel_tool_calls", "presence_penalty", "reasoning", "reasoning_effort", "repetition_penalty"}
    | {"response_format", "return_token_ids", "seed", "stop", "stop_token_ids", "temperature", "tool_choice", "tools"}
    | {"best_of", "top_k", "top_logprobs", "top_p"}
)


class SGLang(Vllm):
    rules: tuple[Rule, ...] = RULES

    def most(self, call: Call) -> int | None:
        return self.max_n

    def body(self, call: Call) -> dict[str, Any]:
        lacks(call.params, "SGLang", "suffix", "truncate")
        refuse_rest(call, HANDLED, "SGLang")
        return renamed(super().body(call))

    def in_its_words(self, call: Call, fields: Fields) -> Fields:
        unsaid = (*NOT_SENT, *unasked(fields))
        return {name: value for name, value in fields.items() if value != NULL and name not in unsaid}

    def constrained(self, call: Call, constraint: Constraint) -> dict[str, Any]:
        match constraint:
            case JsonSchema() if isinstance(call.input, Chat):
                schema = {"name": constraint.name, "schema": schema_of(constraint)}
                return {"response_format": {"type": "json_schema", "json_schema": schema}}
            case JsonSchema():
                return {"json_schema": bytes(schema_of(constraint)).decode()}
            case AnyJson():
                return {"response_format": {"type": "json_object"}}
            case Regex():
                return {"regex": constraint.pattern}
            case OneOf():
                return {"regex": one_of_pattern(constraint.choices)}
            case Grammar() if "::=" in constraint.text:
                return {"ebnf": constraint.text}
        raise unsayable(constraint, "SGLang", "a grammar in EBNF, with ::=, a regex, choices or a JSON schema")

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        reply = super().decode(call, response)
        for choice in reply.choices:
            if choice.raw is not None:
                name_stop(choice.raw)
        return reply

    def decoder(self, call: Call) -> Decoder:
        decoder = super().decoder(call)
        return decoder if call.fields is None else Naming(decoder)


def schema_of(constraint: JsonSchema) -> Raw:
    return weakened(plain_schema(constraint, "SGLang"), SGLANG).schema


class Naming(Outer):
    """Reads a stream, and names what has stopped its choices as vLLM does."""

    __slots__ = ()

    def told(self, delta: Delta) -> list[Delta]:
        if delta.finish is None or delta.raw is None:
            return [delta]
        raw = decode_fields(delta.raw)
        name_stop(raw)
        return [msgspec.structs.replace(delta, raw=Raw(msgspec.json.encode(raw)))]


def name_stop(raw: Fields) -> None:
    """What has stopped a choice, under vLLM's name for it."""
    if "matched_stop" in raw:
        raw["stop_reason"] = raw.pop("matched_stop")


def renamed(body: dict[str, Any]) -> dict[str, Any]:
    if "include_stop_str_in_output" in body:
        body["no_stop_trim"] = body.pop("include_stop_str_in_output")
    return body
