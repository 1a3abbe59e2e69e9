"""What OpenAI's two generating routes have in common: sampling, fan-out, usage, errors, and the shape of a stream.

https://platform.openai.com/docs/api-reference. vLLM's additions are read as well:
https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html. Ours are ``fanout`` and lists of models.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from adapters.errors import ProviderError, path_of
from adapters.fields import CONSTRAINTS, HINTS, NEUTRAL
from adapters.types import Fields, Finish, Input, Params, Usage
from gateway.errors import BadRequest, Exhausted, GatewayError, OverLimit
from gateway.keeping import Free
from gateway.types import NO_FANOUT, CompletionRequest, CompletionResponse, FanoutBody, Part
from gateway.wire import body as wire
from gateway.wire.guided import GUIDED, constraint_of
from gateway.wire.values import FANOUT, Int64, Name, Penalty, Share, Text, Whole

MAX_STOPS = 64


EXPECTED = {
    "model": "a model's name, or a list of at least one",
    "n": "a whole number from 1 to 128",
    "max_tokens": "a whole number from 1 to 2147483647",
    "max_completion_tokens": "a whole number from 1 to 2147483647",
    "temperature": "a number from 0 to 2",
    "top_p": "a number from 0 to 1",
    "stop": f"a text, or a list of up to {MAX_STOPS} texts, none of them empty",
    "seed": "a whole number of 64 bits",
    "presence_penalty": "a number from -2 to 2",
    "frequency_penalty": "a number from -2 to 2",
    "logit_bias": "an object of token ids with numbers from -100 to 100",
    "top_k": "a whole number: -1 or 0 for off, or at least 1",
    "min_p": "a number from 0 to 1",
    "repetition_penalty": "a number above 0",
    "min_tokens": "a whole number from 0 to 2147483647",
    "stop_token_ids": "a list of token ids",
    "ignore_eos": "true or false",
    "include_stop_str_in_output": "true or false",
    "truncate_prompt_tokens": "a whole number from 1 to 2147483647, or -1 for the model's context",
    "stream": "true or false",
    "stream_options": 'an object such as {"include_usage": true}',
    "stream_options.include_usage": "true or false",
    "stream_options.continuous_usage_stats": "true or false",
    **FANOUT,
}

FINISH: dict[Finish | None, str] = {
    "stop": "stop",
    "length": "length",
    "filtered": "content_filter",
    "tool_calls": "tool_calls",
}
REASONS = frozenset({b'"stop"', b'"length"', b'"tool_calls"', b'"content_filter"', b'"function_call"'})
"""Finish reasons that OpenAI's clients know; a provider's other words are told by their meaning."""

TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "invalid_request_error",
    429: "rate_limit_error",
}

NULL = Raw(b"null")


class StreamOptions(Struct):
    include_usage: bool | None = None
    continuous_usage_stats: bool | None = None


class Common(Struct, kw_only=True):
    """The fields of both routes that the gateway reads. null is the same as absence."""

    model: Name | Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Share | None = None
    stop: Text | Annotated[tuple[Text, ...], Meta(max_length=MAX_STOPS)] | None = None
    seed: Int64 | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[float, Meta(ge=-100, le=100)]] | None = None
    top_k: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    min_p: Share | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    min_tokens: Whole | None = None
    stop_token_ids: tuple[int, ...] | None = None
    ignore_eos: bool | None = None
    include_stop_str_in_output: bool | None = None
    truncate_prompt_tokens: Annotated[int, Meta(ge=-1, le=2**31 - 1)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    fanout: FanoutBody | None = None


class Note(Struct, frozen=True):
    """What the answer must be like. ``usage``: a stream tells it at its end; ``running``: with each piece, too."""

    usage: bool = False
    running: bool = False
    logprobs: bool = False


class ErrorBody(Struct, omit_defaults=True):
    """``errors`` names each model of a call that failed."""

    message: str
    type: str
    param: str | None
    code: str | None
    errors: tuple[Struct, ...] = ()


to_json = msgspec.json.Encoder().encode
decode_text = msgspec.json.Decoder(str).decode


def small(found: Fields, known: frozenset[str]) -> bytes:
    """The fields that are read here, as JSON: a long prompt is not among them."""
    return to_json({name: value for name, value in found.items() if name in known})


PLAIN = Note()


def note_of(options: StreamOptions | None, logprobs: bool) -> Note:
    if options is None:
        return Note(logprobs=True) if logprobs else PLAIN
    return Note(bool(options.include_usage), bool(options.continuous_usage_stats), logprobs)


RARE = frozenset(
    {"ignore_eos", "include_stop_str_in_output", "logit_bias", "min_p", "min_tokens", "repetition_penalty"}
    | {"stop_token_ids", "top_k", "truncate_prompt_tokens"}
)
"""Sampling fields that few requests have."""


def params_of(asked: Common, found: Fields, limit: int | None, logprobs: int | None) -> Params:
    stop = asked.stop
    params = Params(
        n=asked.n or 1,
        temperature=asked.temperature,
        top_p=asked.top_p,
        stop=() if stop is None else (stop,) if isinstance(stop, str) else stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty,
        frequency_penalty=asked.frequency_penalty,
        max_tokens=limit,
        logprobs=logprobs,
    )
    if RARE.isdisjoint(found):
        return params
    return msgspec.structs.replace(
        params,
        logit_bias=asked.logit_bias or None,
        top_k=asked.top_k,
        min_p=asked.min_p,
        repetition_penalty=asked.repetition_penalty,
        min_tokens=asked.min_tokens,
        stop_token_ids=asked.stop_token_ids or (),
        ignore_eos=asked.ignore_eos or False,
        include_stop=asked.include_stop_str_in_output or False,
        truncate=asked.truncate_prompt_tokens,
    )


def usual(known: frozenset[str]) -> frozenset[str]:
    """Fields that need no second look: those that a route reads, and all that mean what they always mean."""
    return (known | NEUTRAL.keys() | HINTS) - GUIDED


OURS = frozenset({"model_name", "stream", "fanout"})
"""Fields that the gateway says itself, where they are to be said."""


def request_of(
    asked: Common,
    found: Fields,
    input: Input,
    params: Params,
    said_in: str,
    usual: frozenset[str],
    unheld: frozenset[Free],
    logprobs: bool = False,
) -> CompletionRequest:
    """The request. What goes to a provider as it was written is all but what the gateway says itself: the model, the
    input, whose field is ``said_in``, and what constrains the answer where that has other names elsewhere."""
    fields = dict(found)
    del fields[said_in]
    fields.pop("model", None)
    if not OURS.isdisjoint(fields):
        fields = {name: value for name, value in fields.items() if name not in OURS}
    constraint, param = None, None
    if not usual.issuperset(fields):
        check_unknown(fields, GUIDED)
        constraint, param = constraint_of(found)
        kept = "response_format" if constraint is None or param == "response_format" else ""
        fields = {name: value for name, value in fields.items() if name not in GUIDED or name == kept}
    return CompletionRequest(
        models_of(asked.model),
        input,
        params,
        asked.stream or False,
        asked.fanout or NO_FANOUT,
        isinstance(asked.model, str),
        fields,
        constraint,
        param,
        unheld,
        None,
        note_of(asked.stream_options, logprobs),
        user_of(found),
    )


def user_of(found: Fields) -> str:
    """Who asks, in the caller's own words; empty where they do not say."""
    if "user" not in found:
        return ""
    try:
        return wire.user_name(decode_text(found["user"]))
    except msgspec.ValidationError:
        return ""  # the provider may know what it means


def check_stream(asked: Common) -> None:
    if asked.stream_options is not None and not asked.stream:
        raise BadRequest("stream_options: can only be given with stream: true", param="stream_options")


def check_unknown(found: Fields, known: frozenset[str]) -> None:
    """Unknown fields go to the provider as they are, but for those that look like a constraint: an answer without it
    would look like one that kept it."""
    for name, value in found.items():
        if name not in known and name.startswith(CONSTRAINTS) and value != NULL:
            raise BadRequest(f"{wire.shown(name)}: {elsewhere(name)}", param=wire.shown(name))


ELSEWHERE = {
    "output_type": "is Lamini's, and goes with model_name on /v1/completions",
    "out_type": "is Lamini's, and goes with model_name on /v1/completions",
    "schema": "goes with type_name, on /v1/completion/typed",
    "type_name": "goes with schema, on /v1/completion/typed",
    "pattern": "is for /v1/completion/regex",
    "categories": "are for /v1/categorize",
}


def elsewhere(name: str) -> str:
    return ELSEWHERE.get(name, "is not understood here") + (
        "; here say response_format, structured_outputs, or guided_json, guided_regex, guided_choice, guided_grammar"
    )


def models_of(model: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if model is None:
        raise BadRequest("model is missing; GET /v1/models lists the models", param="model")
    return (model,) if isinstance(model, str) else model


CODES = {"throttled": "rate_limit_exceeded"}
"""Our words for what OpenAI's clients know under another."""


def error_object(error: GatewayError) -> ErrorBody:
    usual = TYPES.get(error.status) or ("server_error" if error.status >= 500 else "invalid_request_error")
    kind = error.kind if isinstance(error, OverLimit) else usual
    return ErrorBody(error.message, kind, error.param, CODES.get(error.code, error.code), error.legs)


def encode_error(error: GatewayError) -> bytes:
    return to_json({"error": error_object(error)})


def status(error: GatewayError) -> int:
    """A budget that is used up is a 429 here (https://platform.openai.com/docs/guides/error-codes)."""
    return 429 if isinstance(error, Exhausted) else error.status


def usage_object(usage: Usage) -> Any:
    """As the provider told it where one provider did; else the sums of what is known."""
    if usage.raw is not None and not usage.estimated:
        return usage.raw
    told: dict[str, Any] = {
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
    }
    if usage.cached is not None:
        told["prompt_tokens_details"] = {"cached_tokens": usage.cached}
    if usage.reasoning is not None:
        told["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning}
    return told


def finish_name(raw: Fields, finish: Finish | None) -> Any:
    told = raw.get("finish_reason")
    return told if told is not None and bytes(told) in REASONS else FINISH.get(finish, "stop")


def failure_object(error: ProviderError) -> dict[str, str]:
    told = {"code": error.code, "message": error.message}
    return told if path_of(error) is None else told | {"path": str(path_of(error))}


def envelope(response: CompletionResponse, id: str, kind: str, choices: list[Any]) -> dict[str, Any]:
    """The answer around its choices. Of one model alone, what its provider wrote stays; the names are the caller's."""
    if response.legs == 1 and response.raw is not None:
        told: dict[str, Any] = {"id": id, "object": kind, "created": response.created, **response.raw}
        told["object"], told["model"] = kind, response.parts[0].model
    else:
        names = ",".join(dict.fromkeys([part.model for part in response.parts]))
        told = {"id": id, "object": kind, "created": response.created, "model": names}
    told["choices"] = choices
    told["usage"] = usage_object(response.usage)
    if len(choices) != len(response.parts):
        failed = [(part, part.error) for part in response.parts if part.error is not None]
        told["errors"] = [{"index": part.index, "model": part.model, **failure_object(e)} for part, e in failed]
    elif response.parts[0].failed:
        told["errors"] = response.parts[0].failed
    return told


def provenance(part: Part) -> dict[str, Any]:
    """What tells the choices of several models apart, or what several have in common."""
    told: dict[str, Any] = {"model": part.model, "usage": usage_object(part.usage)}
    return told if part.agreement is None else told | {"agreement": part.agreement}
