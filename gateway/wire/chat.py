"""The chat dialect: ``POST /v1/chat/completions``, as OpenAI's clients and vLLM's speak it.

What the caller wrote goes to a provider of this wire as it is, and what the provider wrote comes back as it is; read
here is only what the gateway needs. https://platform.openai.com/docs/api-reference/chat
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from adapters.fields import NULL, is_neutral
from adapters.types import Chat, Delta, Fields
from gateway.errors import BadRequest
from gateway.keeping import Free
from gateway.types import CompletionRequest, CompletionResponse, Part, Plan
from gateway.wire import body as wire
from gateway.wire.openai import (
    EXPECTED,
    Common,
    check_stream,
    encode_error,
    envelope,
    finish_name,
    params_of,
    provenance,
    request_of,
    small,
    status,
    to_json,
    usual,
)
from gateway.wire.pieces import Piecewise, placed
from gateway.wire.values import Count

LOOKED_AT = 32_768
"""Bytes of messages up to which their form is checked here; a longer conversation is left to the provider."""

EXPECTED_HERE = {
    **EXPECTED,
    "messages": 'a list of messages such as {"role": "user", "content": "..."}',
    "logprobs": "true or false",
    "top_logprobs": "a whole number from 0 to 20",
}


class Message(Struct):
    role: Annotated[str, Meta(min_length=1)]


class Asked(Common, kw_only=True):
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class AskedWhole(Asked, kw_only=True):
    """With the messages, where they are not too long to be looked at."""

    messages: Annotated[tuple[Message, ...], Meta(min_length=1)]


KNOWN = frozenset(Asked.__struct_fields__)
USUAL = usual(KNOWN)
UNHELD: frozenset[Free] = frozenset({"cut", "filtered", "messages"})

NOTHING: Fields = {}

decode_asked = msgspec.json.Decoder(Asked).decode
decode_whole = msgspec.json.Decoder(AskedWhole).decode

read = wire.read
__all__ = ["chunks", "decode", "encode", "encode_error", "read", "status"]


def decode(body: wire.Body) -> CompletionRequest:
    found = body.fields
    messages = found.get("messages")
    if messages is None:
        raise BadRequest("messages is missing", param="messages")
    asked = read_asked(body, messages)
    if asked.stream_options is not None:
        check_stream(asked)
    if "tool_choice" in found or "best_of" in found:
        check_company(found)
    if asked.top_logprobs and not asked.logprobs:
        raise BadRequest("top_logprobs: needs logprobs: true", param="top_logprobs")
    limit = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    params = params_of(asked, found, limit, (asked.top_logprobs or 0) if asked.logprobs else None)
    return request_of(asked, found, Chat(messages), params, "messages", USUAL, UNHELD)


def check_company(found: Fields) -> None:
    """Fields that are of no use alone, or here."""
    choosing = not is_neutral("tool_choice", found.get("tool_choice", NULL))
    if choosing and is_neutral("tools", found.get("tools", NULL)):
        raise BadRequest("When using `tool_choice`, `tools` must be set.", param="tool_choice")
    if not is_neutral("best_of", found.get("best_of", NULL)):
        raise BadRequest("best_of: is for /v1/completions; a chat has n", param="best_of")


def read_asked(body: wire.Body, messages: Raw) -> Asked:
    """What is read of the request; of the messages only their form, and of a long conversation only that it is one."""
    asked: Asked
    if len(body.data) <= LOOKED_AT:
        asked = wire.convert(decode_whole, body.data, body.fields, EXPECTED_HERE)
    else:
        asked = wire.convert(decode_asked, small(body.fields, KNOWN), body.fields, EXPECTED_HERE)
        if memoryview(messages)[0] != ord("["):
            raise BadRequest(f"messages: must be {EXPECTED_HERE['messages']}", param="messages")
    return asked


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    choices = [choice(part, response.legs) for part in response.parts if part.error is None]
    return to_json(envelope(response, f"chatcmpl-{response.id}", "chat.completion", choices))


def choice(part: Part, legs: int) -> dict[str, Any]:
    raw = part.raw or NOTHING
    said: dict[str, Any] = {"index": 0, "message": None, "logprobs": None, **raw}
    said["index"] = part.index
    if "message" not in raw:
        said["message"] = {"role": "assistant", "content": part.text, "refusal": None}
    said["finish_reason"] = finish_name(raw, part.finish)
    return said if legs == 1 and part.agreement is None else said | provenance(part)


class ChatChunks(Piecewise):
    kind = "chat.completion.chunk"

    def text(self, index: int, text: str) -> bytes:
        said = b'{"index":%d,"delta":{"content":%b},"logprobs":null,"finish_reason":null' % (index, to_json(text))
        return said + (b',"model":%b}' % to_json(self._told[index].leg.model) if self._several else b"}")

    def opening(self, index: int) -> bytes:
        model = b',"model":%b}' % to_json(self._told[index].leg.model) if self._several else b"}"
        opening = b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null'
        return opening % index + model

    def closing(self, raw: Fields) -> dict[str, Any]:
        rest = {name: value for name, value in raw.items() if name not in ("index", "finish_reason")}
        return {"delta": {}, "logprobs": None, **rest}

    def forwarded(self, index: int, delta: Delta, raw: Raw) -> bytes:
        if self._several or delta.index != index or b'"index"' not in bytes(raw):
            return placed(raw, index, self._told[index].leg.model if self._several else None)
        return bytes(raw)


def chunks(request: CompletionRequest, id: str, created: int, plan: Plan) -> ChatChunks:
    return ChatChunks(request.note, f"chatcmpl-{id}", created, plan)
