"""What makes two calls the same: a digest of all that can change the answer, and of nothing else.

A whole and a streamed answer are the same; so are calls that differ in the order of keys, in spaces, in how a number is
written, in nulls, and in who of the team asks. The order of a schema's ``properties`` counts: models write them so.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import UNREADABLE
from adapters.fields import NULL
from adapters.types import Call, Chat, Constraint, Fields, Input, JsonSchema, Params
from gateway.keeping import Keeping

FORM = 2
"""Another number, and all that was kept is forgotten: for changes of what is digested."""

IN_PARAMS = frozenset(
    {"best_of", "echo", "frequency_penalty", "ignore_eos", "include_stop_str_in_output", "logit_bias", "logprobs"}
    | {"max_completion_tokens", "max_tokens", "min_p", "min_tokens", "n", "presence_penalty", "repetition_penalty"}
    | {"seed", "stop", "stop_token_ids", "suffix", "temperature", "top_k", "top_logprobs", "top_p"}
    | {"truncate_prompt_tokens"}
)
"""Fields whose values ``Call.params`` holds: they count there, where a number is a number however it is written."""

WHO = frozenset(
    {"metadata", "priority", "prompt_cache_key", "prompt_cache_options", "prompt_cache_retention", "request_id"}
    | {"safety_identifier", "service_tier", "session_id", "store", "stream", "stream_interval", "stream_options"}
    | {"user"}
)
"""Fields that say who asks, how soon, and in how many pieces, but not what. ``cache_salt`` is not among them: its
purpose is that callers do not share what is cached."""

IN_CHAT = (IN_PARAMS | WHO) - {"best_of", "echo", "suffix"}
IN_TEXT = (IN_PARAMS | WHO) - {"max_completion_tokens", "top_logprobs"}
"""Fields that are passed over on either route. Those of the other route no ``params`` hold, but providers are sent them
as they were written, and some know them: vLLM's chats have an ``echo``."""

LIMITS = ("max_tokens", "max_completion_tokens")
PROPERTIES = b'"properties"'

EXACT = 2**53
"""Up to here each whole number has a float of its own."""


def number(text: str) -> Any:
    """A number with a point or an exponent, in the one way in which it is written here."""
    value = float(text)
    if -EXACT < value < EXACT:
        return int(value) if value.is_integer() else value
    return text.encode()  # too large to be sure


encode = msgspec.msgpack.Encoder(order="sorted").encode
decode = msgspec.json.Decoder(float_hook=number).decode
decode_messages = msgspec.json.Decoder(list[dict[str, Any]], float_hook=number).decode
plain = msgspec.json.Encoder().encode


def digest(team: str, model: str, call: Call, keeping: Keeping | None) -> str:
    """64 hexadecimal digits. ``model`` is the model's own name, after aliases and before routing; nothing that belongs
    to a target is in it. ``call.model`` does not count."""
    said = (
        FORM,
        team,
        model,
        spoken(call.input),
        numbered(call.params),
        None if call.fields is None else beyond(call.fields, IN_CHAT if isinstance(call.input, Chat) else IN_TEXT),
        None if call.constraint is None else constrained(call.constraint),
        None if keeping is None else (sorted(keeping.free), keeping.rounds, keeping.hint),
    )
    try:
        packed = encode(said)
    except OverflowError:  # a whole number of more than 64 bits: then the order of keys counts
        packed = repr(said).encode()
    return sha256(packed).hexdigest()


def numbered(params: Params) -> Any:
    """What is asked of the answer, each number in the one way in which it is written here. All but a bias have a type,
    which says how they are written."""
    return params if params.logit_bias is None else decode(plain(params))


def spoken(input: Input) -> Any:
    """What is asked. One text is the same as a list of one."""
    if isinstance(input, str):
        return ("text", input)
    if isinstance(input, Chat):
        return ("chat", messages(input.messages))
    if len(input.items) == 1 and isinstance(input.items[0], str):
        return ("text", input.items[0])
    return ("prompts", *input.items)


def messages(raw: Raw) -> Any:
    """The messages; a key of theirs that is null is the same as none."""
    try:
        found = decode_messages(raw)
    except UNREADABLE:
        return canonical(raw)
    return [stripped(one) if None in one.values() else one for one in found]


def stripped(message: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if value is not None}


def beyond(fields: Fields, passed_over: frozenset[str]) -> Any:
    """What the caller wrote that is not in ``params`` and changes the answer."""
    found = {name: canonical(raw) for name, raw in fields.items() if name not in passed_over and raw != NULL}
    if LIMITS[0] in fields and LIMITS[1] in fields:
        limits = [bytes(fields[name]) for name in LIMITS if fields[name] != NULL]
        if len(set(limits)) == 2:  # params have one of them; some providers are sent both
            return found, limits
    return found, None


def constrained(constraint: Constraint) -> Any:
    """A constraint with its kind."""
    kind = type(constraint).__name__
    if isinstance(constraint, JsonSchema):
        options = {name: canonical(raw) for name, raw in (constraint.options or {}).items() if raw != NULL}
        schema = canonical(constraint.schema)
        return (kind, schema, constraint.name, constraint.strict, constraint.description, options)
    return (kind, *[getattr(constraint, name) for name in constraint.__struct_fields__])


def canonical(raw: Raw) -> Any:
    """JSON as it is, but for order, spaces and spelling. What cannot be read counts byte by byte."""
    try:
        found = decode(raw)
        return ("json", ordered(found) if PROPERTIES in bytes(raw) else found)
    except UNREADABLE:
        return ("bytes", bytes(raw))


def ordered(value: Any) -> Any:
    """A schema's properties as a list, which keeps their order."""
    if isinstance(value, dict):
        return {name: in_order(one) if name == "properties" else ordered(one) for name, one in value.items()}
    return [ordered(one) for one in value] if isinstance(value, list) else value


def in_order(properties: Any) -> Any:
    if isinstance(properties, dict):
        return ("in order", [(name, ordered(one)) for name, one in properties.items()])
    return ("no object", ordered(properties))
