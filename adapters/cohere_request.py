"""A call in the words of Cohere's chat, version 2. https://docs.cohere.com/reference/chat.

What Cohere has no word for is refused by the name of the caller's field.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

from adapters import chat
from adapters.cohere_chat import WHO, Message, Tool, is_strict, message, tools_of
from adapters.errors import Rejected, Rule, inexpressible, require
from adapters.fields import NULL, refuse_rest
from adapters.restoring import Restore
from adapters.types import AnyJson, Call, Chat, Constraint, Fields, Grammar, JsonSchema, OneOf, Regex
from adapters.undoing import UNCHANGED, refuse_logprobs
from adapters.weakening import of_choices, weakened
from adapters.weakening.table import COHERE

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "Cohere gives one choice a request: ask for n = 1"),
    (
        "temperature",
        lambda p: p.temperature is None or 0 <= p.temperature <= 1,
        "Cohere's temperature goes from 0 to 1",
    ),
    (
        "top_p",
        lambda p: p.top_p is None or p.top_p == 1 or 0.01 <= p.top_p <= 0.99,
        "Cohere's top_p goes from 0.01 to 0.99",
    ),
    ("stop", lambda p: len(p.stop) <= 5, "Cohere takes 5 stop sequences at most"),
    (
        "seed",
        lambda p: p.seed is None or 0 <= p.seed < 2**64,
        "Cohere's seed is a positive number of 64 bits",
    ),
    (
        "presence_penalty",
        lambda p: 0 <= (p.presence_penalty or 0) <= 1,
        "Cohere's presence_penalty goes from 0 to 1",
    ),
    (
        "frequency_penalty",
        lambda p: 0 <= (p.frequency_penalty or 0) <= 1,
        "Cohere's frequency_penalty goes from 0 to 1",
    ),
    (
        "presence_penalty",
        lambda p: not (p.presence_penalty and p.frequency_penalty),
        "Cohere takes presence_penalty or frequency_penalty, not both: leave one of them out",
    ),
    ("top_k", lambda p: p.top_k is None or -1 <= p.top_k <= 500, "Cohere's top_k goes from 0, which is off, to 500"),
    ("top_logprobs", lambda p: not p.logprobs, "Cohere tells the logprobs of the answer's own tokens only"),
    ("best_of", lambda p: (p.best_of or 1) == 1, "Cohere has no word for best_of: leave it out"),
    ("echo", lambda p: not p.echo, "Cohere does not repeat the prompt: leave echo out"),
    ("suffix", lambda p: not p.suffix, "Cohere has no word for suffix: leave it out"),
    ("logit_bias", lambda p: not p.logit_bias, "Cohere has no word for logit_bias: leave it out"),
    ("min_p", lambda p: not p.min_p, "Cohere has no word for min_p: leave it out"),
    (
        "repetition_penalty",
        lambda p: (1 if p.repetition_penalty is None else p.repetition_penalty) == 1,
        "Cohere has no word for repetition_penalty: leave it out",
    ),
    ("min_tokens", lambda p: not p.min_tokens, "Cohere has no word for min_tokens: leave it out"),
    ("stop_token_ids", lambda p: not p.stop_token_ids, "Cohere stops at texts, not at token ids: write stop"),
    ("ignore_eos", lambda p: not p.ignore_eos, "Cohere has no word for ignore_eos: leave it out"),
    ("include_stop", lambda p: not p.include_stop, "Cohere cuts stop sequences off the answer"),
    ("truncate", lambda p: p.truncate is None, "Cohere does not cut prompts to a number of tokens"),
)

OWN = frozenset({"citation_options", "documents", "priority", "safety_mode", "strict_tools", "thinking"})
"""Cohere's own fields: whoever writes them speaks to Cohere, so they are sent as they are."""

HANDLED = OWN | {
    "frequency_penalty",
    "logprobs",
    "max_completion_tokens",
    "max_tokens",
    "n",
    "presence_penalty",
    "reasoning_effort",
    "response_format",
    "seed",
    "stop",
    "temperature",
    "tool_choice",
    "tools",
    "top_k",
    "top_p",
}
"""Fields that are translated here. ``top_logprobs`` is not: Cohere tells no alternatives."""

GUIDED = {
    AnyJson: "guided_json",
    Grammar: "guided_grammar",
    JsonSchema: "guided_json",
    OneOf: "guided_choice",
    Regex: "guided_regex",
}
"""Names of constraints that came without a ``response_format``."""


class Request(Struct, omit_defaults=True):
    """Cohere's names for what is asked."""

    model: str
    messages: tuple[Message, ...]
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = field(default=None, name="p")
    top_k: int | None = field(default=None, name="k")
    stop: tuple[str, ...] = field(default=(), name="stop_sequences")
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    logprobs: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: str | None = None
    response_format: dict[str, Any] | None = None
    stream: bool = False


encode = msgspec.json.Encoder().encode
decode_effort = msgspec.json.Decoder(str | None).decode
decode_fields = msgspec.json.Decoder(Fields).decode


def body(call: Call) -> bytes:
    """The request's body. Raises ``Rejected`` for what Cohere has no word for.

    A ``top_p`` of 1 is left out, for Cohere has no word for it; a penalty of 0 is, for it is the default and only one
    of the two may be said.
    """
    if not isinstance(call.input, Chat):
        raise inexpressible("prompt", "Cohere is asked by chat: send messages")
    refuse_rest(call, HANDLED, WHO)
    asked = call.params
    require(asked, RULES)
    own = own_fields(call)
    tools, choice = tools_of(call)
    request = Request(
        model=call.model,
        messages=tuple([message(turn) for turn in chat.turns(call.input)]),
        max_tokens=asked.max_tokens,
        temperature=asked.temperature,
        top_p=None if asked.top_p == 1 else asked.top_p,
        top_k=asked.top_k if (asked.top_k or 0) > 0 else None,
        stop=asked.stop,
        seed=asked.seed,
        presence_penalty=asked.presence_penalty or None,
        frequency_penalty=asked.frequency_penalty or None,
        logprobs=asked.logprobs is not None,
        tools=tools,
        tool_choice=choice,
        response_format=response_format(call, bool(tools)),
        stream=call.stream,
    )
    return joined(encode(request), own)


def joined(request: bytes, own: Fields) -> bytes:
    """The request with Cohere's own fields behind it."""
    return request[:-1] + b"," + encode(own)[1:] if own else request


def own_fields(call: Call) -> Fields:
    """What the caller wrote in Cohere's words, and what only these can say."""
    fields = call.fields or {}
    own = {name: value for name, value in fields.items() if name in OWN and value != NULL}
    effort = chat.read_field(call, "reasoning_effort", decode_effort)
    if effort is not None:
        if effort != "none" or "thinking" in own:
            raise inexpressible(
                "reasoning_effort",
                "Cohere's reasoning is on or off: say none, or write thinking in Cohere's form instead",
            )
        own["thinking"] = Raw(b'{"type":"disabled"}')
    if "strict_tools" not in own and is_strict(chat.tools_of(call)):
        own["strict_tools"] = Raw(b"true")
    return own


def response_format(call: Call, tools: bool) -> dict[str, Any] | None:
    """What the answer must be, in the form of Cohere's own client: its documentation writes ``schema`` for
    ``json_schema`` in places."""
    constraint = call.constraint
    if constraint is None:
        return None
    param = param_of(call, constraint)
    if tools or (call.fields or {}).get("documents", NULL) != NULL:
        raise inexpressible(param, "Cohere constrains no answer that has tools or documents: leave out one of them")
    if isinstance(constraint, AnyJson):
        return {"type": "json_object"}
    if not isinstance(constraint, JsonSchema | OneOf):
        raise inexpressible(param, f"Cohere cannot be constrained by {param}: use a JSON schema")
    if isinstance(constraint, JsonSchema):
        refuse_options(constraint)
    try:
        asked = (
            weakened(constraint.schema, COHERE)
            if isinstance(constraint, JsonSchema)
            else of_choices(constraint, COHERE)
        )
    except Rejected as refusal:
        raise inexpressible(param, refusal.message) from None
    refuse_logprobs(call, asked.restore, WHO)
    return {"type": "json_object", "json_schema": described(asked.schema, constraint)}


def restore_of(call: Call) -> Restore:
    """What an answer is taken out of."""
    if isinstance(call.constraint, OneOf):
        return of_choices(call.constraint, COHERE).restore
    return weakened(call.constraint.schema, COHERE).restore if isinstance(call.constraint, JsonSchema) else UNCHANGED


def described(schema: Raw, constraint: JsonSchema | OneOf) -> Raw | Fields:
    """The schema with what OpenAI's form says of it beside it."""
    text = constraint.description if isinstance(constraint, JsonSchema) else None
    return schema if text is None else {"description": Raw(encode(text)), **decode_fields(schema)}


def param_of(call: Call, constraint: Constraint) -> str:
    """The caller's name for it; of vLLM's two spellings the older one, since which was written is not known here."""
    by_format = isinstance(constraint, JsonSchema | AnyJson) and "response_format" in (call.fields or {})
    return "response_format" if by_format else GUIDED[type(constraint)]


def refuse_options(constraint: JsonSchema) -> None:
    for name, value in (constraint.options or {}).items():
        if value not in (NULL, Raw(b"false")):
            raise inexpressible(name, f"Cohere has no word for {name}: leave it out")
