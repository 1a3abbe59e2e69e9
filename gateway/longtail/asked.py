"""What a request asks of litellm: the arguments of the one call that it becomes.

litellm takes several hundred keyword arguments, and new ones with each release: keys and addresses of providers and of
loggers, fallbacks, hooks, mock answers, whole lists of other deployments. So a body is not cleaned of what is known to
be dangerous: only what is known to be a question to a model goes in, and every other name is refused.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import msgspec
from msgspec import Raw, Struct

from adapters.fields import HINTS, NEUTRAL, is_neutral

Route = Literal["/chat/completions", "/completions", "/embeddings"]

INPUT: dict[str, str] = {"/chat/completions": "messages", "/completions": "prompt", "/embeddings": "input"}
"""What is asked, by route."""

SHARED = frozenset(
    {"frequency_penalty", "logit_bias", "logprobs", "max_tokens", "n", "presence_penalty", "seed", "stop"}
    | {"temperature", "top_p"}
)
OPENAI: dict[str, frozenset[str]] = {
    "/chat/completions": SHARED
    | {"audio", "function_call", "functions", "max_completion_tokens", "modalities", "parallel_tool_calls"}
    | {"prediction", "reasoning_effort", "response_format", "tool_choice", "tools", "top_logprobs", "verbosity"}
    | {"web_search_options"},
    "/completions": SHARED | {"best_of", "echo", "suffix"},
    "/embeddings": frozenset({"dimensions", "encoding_format"}),
}
"""The parameters of OpenAI's reference, which litellm translates for each provider that has words for them.

https://platform.openai.com/docs/api-reference
"""

NAMED_ALIKE = frozenset({"min_p", "repetition_penalty", "thinking", "top_k"})
"""What is no parameter of OpenAI's but has one name at all providers that know it: sent on as it is, and refused by
those that do not know it."""

POLITE = frozenset({"prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier", "store", "user"})
"""Hints that litellm can pass on; they go to the providers that take them. ``metadata`` is not among them: litellm
takes it for an instruction to its loggers."""

TEXT_ONLY = frozenset({"best_of", "echo", "logprobs", "suffix"})
TEXT_ROUTES: dict[str, str] = {
    "openai": "text-completion-openai",
    "text-completion-openai": "text-completion-openai",
    "azure_text": "text-completion-openai",
}
"""Providers whose own completion route litellm calls; others are asked by chat, which has no words for some things."""

ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
WORDS = frozenset({"data", "signature", "text", "thinking"})
"""Keys of a message's part that hold what is said, and may begin with anything."""

OBJECT = re.compile(r"(gs|s3)://", re.IGNORECASE)
"""How texts begin that litellm takes for objects in a cloud's storage, whatever follows: names may have spaces."""

FILE = re.compile(r"files/|https?://generativelanguage\.googleapis\.com/", re.IGNORECASE)
FILING = frozenset({"gemini", "vertex_ai", "vertex_ai_beta"})
"""Providers for which litellm takes a text that begins so for a file that the operator has given them, whatever
follows."""

OWN = frozenset({"model", "stream", "stream_options"})

NULL = Raw(b"null")

decode_fields = msgspec.json.Decoder(dict[str, Raw]).decode
decode_value = msgspec.json.Decoder().decode
decode_flag = msgspec.json.Decoder(bool | None).decode
decode_name = msgspec.json.Decoder(str).decode


class StreamOptions(Struct):
    include_usage: bool | None = None


decode_options = msgspec.json.Decoder(StreamOptions | None).decode

Supported = Callable[[str, str], list[str] | None]
"""litellm's list of the parameters that a model has words for, by model and provider; None if it has no list."""


class Refused(Exception):
    """The request cannot be passed on. ``param`` is the caller's own name for what is wrong."""

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param


class Asked(Struct, frozen=True):
    """The arguments of litellm's call, and whether its answer is streamed and counted."""

    arguments: dict[str, Any]
    stream: bool
    usage: bool


def read(route: str, body: bytes, provider: str, supported: Supported) -> Asked:
    """What the body asks. Raises ``Refused`` with the name of what is not understood, allowed, or expressible."""
    try:
        fields = decode_fields(body)
        model = decode_name(fields["model"])
        stream = decode_flag(fields.get("stream", Raw(b"false"))) or False
        options = decode_options(fields.get("stream_options", NULL))
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        raise Refused("the body must be a JSON object with a model") from None
    name = INPUT[route]
    if name not in fields:
        raise Refused(f"{name} is missing", name)
    arguments = parameters(route, fields, known_to(route, model, provider, supported))
    arguments |= {"model": model, name: decode_value(fields[name])}
    if name == "messages":
        refuse_addresses(arguments[name])
    if name == "input":
        refuse_address_texts(arguments[name], provider)
    return Asked(arguments, stream, bool(options and options.include_usage))


def known_to(route: str, model: str, provider: str, supported: Supported) -> frozenset[str] | None:
    """The parameters that the provider has words for; None if that cannot be said."""
    if route == "/embeddings":
        return None
    if route == "/completions" and provider in TEXT_ROUTES:
        listed = supported(model, TEXT_ROUTES[provider])
        return None if listed is None else frozenset(listed) | TEXT_ONLY
    listed = supported(model, provider)
    if listed is None:
        return None
    return frozenset(listed) - TEXT_ONLY if route == "/completions" else frozenset(listed)


def parameters(route: str, fields: Mapping[str, Raw], known: frozenset[str] | None) -> dict[str, Any]:
    """The parameters to be passed on, by name. What asks for nothing is left out where the provider has no word for it:
    clients write defaults in full."""
    found: dict[str, Any] = {}
    for name, raw in fields.items():
        if name in OWN or name == INPUT[route] or raw == NULL:
            continue
        if name in OPENAI[route]:
            if known is None or name in known:
                found[name] = decode_value(raw)
            elif name not in NEUTRAL or not is_neutral(name, raw):
                raise Refused(f"this provider has no word for {name}: leave it out", name)
        elif name in HINTS:
            if name in POLITE and known is not None and name in known:
                found[name] = decode_value(raw)
        elif name in NAMED_ALIKE and route != "/embeddings":
            if not is_neutral(name, raw):
                found[name] = decode_value(raw)
        elif name not in NEUTRAL or not is_neutral(name, raw):
            raise Refused(f"{name[:100]} is not passed on to this provider: leave it out", name[:100])
    return found


def refuse_addresses(messages: Any) -> None:
    """Raises ``Refused`` for images and files that are given by address. litellm, or the provider in the operator's
    name, would fetch them: a caller must not choose where anybody here connects, or what is read with our rights."""
    if not isinstance(messages, list):
        raise Refused("messages must be a list", "messages")
    for message in messages:
        content = message.get("content") if isinstance(message, dict) else None
        for part in content if isinstance(content, list) else ():
            if names_address(part):
                raise Refused(
                    "messages: images and files must be given in the request itself, as data: URLs", "messages"
                )


def names_address(part: Any) -> bool:
    """Whether something in a message's part, other than what is said, is an address."""
    if isinstance(part, str):
        return ADDRESS.match(part.strip()) is not None
    if isinstance(part, list):
        return any(map(names_address, part))
    if isinstance(part, dict):
        return any(names_address(value) for key, value in part.items() if key not in WORDS or isinstance(value, dict))
    return False


def refuse_address_texts(given: Any, provider: str) -> None:
    """Raises ``Refused`` for a text to be embedded that is an address and nothing else: for some models litellm, or the
    provider in the operator's name, reads what is there. A text that mentions an address is only a text."""
    for item in given if isinstance(given, list) else (given,):
        if isinstance(item, list):
            refuse_address_texts(item, provider)
        elif isinstance(item, str):
            if is_address(item, provider):
                raise Refused("input: a text that is an address would be read there: send what it holds", "input")
        elif not isinstance(item, int):
            raise Refused("input must be texts or token ids", "input")


def is_address(text: str, provider: str) -> bool:
    text = text.strip()
    if OBJECT.match(text) or (provider in FILING and FILE.match(text)):
        return True
    return ADDRESS.match(text) is not None and not any(map(str.isspace, text))
