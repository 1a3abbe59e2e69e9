"""What of a call a provider complains of.

https://platform.openai.com/docs/api-reference/errors: ``param`` names it. Of constraints some hosts speak in the
message alone: "This model does not support response format `json_schema`" (https://console.groq.com/docs/errors),
"This response_format type is unavailable now" (https://api-docs.deepseek.com), "invalid JSON schema in format"
(https://github.com/ollama/ollama), "grammar is not valid" (https://github.com/huggingface/text-generation-inference).
"""

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from adapters.errors import UNREADABLE, ProviderError, Rejected, read
from adapters.types import AnyJson, Call, HttpResponse, JsonSchema, OneOf

T = TypeVar("T")

FORMAT = "response_format"
FORMATS = ("response_format", "structured_outputs", "guided_", "json_schema", "grammar", "format", "text.format")
"""How parameters begin that hold an answer to JSON."""

SPEAKS_OF_FORMAT = re.compile(
    rb"response[_ ]?format|structured[_ ]outputs?|guided_|json[_ ]schema|grammar", re.IGNORECASE
)

LONGEST = 2_000
"""Bytes of an error in which its message is looked for."""


class Detail(Struct):
    code: str | int | None = None
    type: str | None = None
    param: Any = None


class Body(Struct):
    """``error`` is an object, or a string; some speakers send its keys without it."""

    error: Detail | str | None = None
    code: str | int | None = None
    type: str | None = None
    param: Any = None

    def detail(self) -> "Detail | Body":
        return self.error if isinstance(self.error, Detail) else self


decode_body = msgspec.json.Decoder(Body).decode


def read_answer(
    call: Call,
    response: HttpResponse,
    decode: Callable[[bytes], T],
    kind_of: Callable[[HttpResponse], type[ProviderError] | None] | None = None,
) -> T:
    """As ``read``; a refusal names what it complains of, if that was sent."""
    try:
        return read(response, decode, kind_of)
    except Rejected as refusal:
        raise named(refusal, call, response) from refusal.__cause__


def named(refusal: Rejected, call: Call, response: HttpResponse) -> Rejected:
    """The refusal with the name of the parameter that the provider complains of, if it is one that was sent.
    ``response_format`` stands for all that holds an answer to JSON."""
    param = param_of(response)
    if is_held(call) and type(refusal) is Rejected and is_format(param, response):
        param = FORMAT
    elif param not in {*(call.fields or ()), "messages", "prompt"}:
        return refusal
    return type(refusal)(f"{refusal.message}: {param}", status=refusal.status, param=param)


def is_held(call: Call) -> bool:
    return isinstance(call.constraint, JsonSchema | AnyJson | OneOf)


def is_format(param: str | None, response: HttpResponse) -> bool:
    if param is not None:
        return param.startswith(FORMATS)
    return SPEAKS_OF_FORMAT.search(response.body[:LONGEST]) is not None


def param_of(response: HttpResponse) -> str | None:
    """The parameter that the error names, without what is within it."""
    try:
        param = decode_body(response.body).detail().param
    except UNREADABLE:
        return None
    return param.partition("[")[0].partition(".")[0] if isinstance(param, str) else None
