"""The chat dialect: ``POST /v1/chat/completions``, as OpenAI's clients and vLLM's speak it.

What the caller wrote goes to a provider of this wire as it is, and what the provider wrote comes back as it is; read
here is only what the gateway needs. https://platform.openai.com/docs/api-reference/chat
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Raw, Struct

from adapters.types import Chat, Delta, Fields
from gateway.errors import BadRequest
from gateway.types import CompletionRequest, CompletionResponse, Part, Plan
from gateway.wire import body as wire
from gateway.wire.guided import GUIDED, constraint_of
from gateway.wire.openai import (
    EXPECTED,
    Common,
    Count,
    FanoutBody,
    Note,
    check_stream,
    check_unknown,
    encode_error,
    envelope,
    finish_name,
    models_of,
    params_of,
    provenance,
    small,
    status,
    to_json,
)
from gateway.wire.pieces import Piecewise, placed

LOOKED_AT = 32_768
"""Bytes of messages up to which their form is checked here; a longer conversation is left to the provider."""

EXPECTED_HERE = {
    **EXPECTED,
    "messages": 'a list of messages such as {"role": "user", "content": "..."}',
    "logprobs": "true or false",
    "top_logprobs": "a whole number from 0 to 20",
}


class Asked(Common, kw_only=True):
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None


class Message(Struct):
    role: Annotated[str, Meta(min_length=1)]


KNOWN = frozenset(Asked.__struct_fields__)
TAKEN = frozenset({"model", "messages", "stream", "fanout"})
"""Fields that the gateway says itself."""

decode_asked = msgspec.json.Decoder(Asked).decode
decode_messages = msgspec.json.Decoder(Annotated[tuple[Message, ...], Meta(min_length=1)]).decode

read = wire.read
__all__ = ["chunks", "decode", "encode", "encode_error", "read", "status"]


def decode(body: wire.Body) -> CompletionRequest:
    found = body.fields
    if "messages" not in found:
        raise BadRequest("messages is missing", param="messages")
    asked: Asked = wire.convert(decode_asked, small(found, KNOWN), found, EXPECTED_HERE)
    check_messages(found["messages"])
    check_stream(asked)
    if asked.top_logprobs and not asked.logprobs:
        raise BadRequest("top_logprobs: needs logprobs: true", param="top_logprobs")
    check_unknown(found, GUIDED)
    constraint, param = (None, None) if GUIDED.isdisjoint(found) else constraint_of(found)
    fields = {name: value for name, value in found.items() if name not in TAKEN}
    if constraint is not None and param != "response_format":
        fields = {name: value for name, value in fields.items() if name not in GUIDED}
    fanout = asked.fanout or FanoutBody()
    options = asked.stream_options
    limit = asked.max_tokens if asked.max_completion_tokens is None else asked.max_completion_tokens
    logprobs = (asked.top_logprobs or 0) if asked.logprobs else None
    return CompletionRequest(
        models_of(asked.model),
        Chat(found["messages"]),
        params_of(asked, max_tokens=limit, logprobs=logprobs),
        asked.stream or False,
        fanout.mode or "all",
        fanout.min_success,
        fanout.deadline_ms,
        fanout.strict or False,
        isinstance(asked.model, str),
        fields,
        constraint,
        param,
        Note(bool(options and options.include_usage), bool(options and options.continuous_usage_stats)),
    )


def check_messages(messages: Raw) -> None:
    """Whether it is a list of messages, as far as it costs little to see."""
    data = bytes(messages)
    problem = "" if data.startswith(b"[") else "expected a list"
    if not problem and len(data) <= LOOKED_AT:
        try:
            decode_messages(data)
        except msgspec.ValidationError as exc:
            problem = str(exc).replace("`", "").replace("$", "messages")
    if problem:
        raise BadRequest(f"messages: must be {EXPECTED_HERE['messages']} ({problem})", param="messages")


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    choices = [choice(part, response.legs) for part in response.parts if part.error is None]
    return to_json(envelope(response, f"chatcmpl-{response.id}", "chat.completion", choices))


def choice(part: Part, legs: int) -> dict[str, Any]:
    raw = part.raw or {}
    said: dict[str, Any] = {"index": part.index}
    if "message" not in raw:
        said["message"] = {"role": "assistant", "content": part.text, "refusal": None}
        said["logprobs"] = None
    said |= {name: value for name, value in raw.items() if name != "index"}
    said["finish_reason"] = finish_name(raw, part.finish)
    return said | provenance(part, legs)


class ChatChunks(Piecewise):
    kind = "chat.completion.chunk"

    def text(self, index: int, text: str) -> bytes:
        said = b'{"index":%d,"delta":{"content":%b},"logprobs":null,"finish_reason":null' % (index, to_json(text))
        return said + (b',"model":%b}' % to_json(self._legs[index].model) if self._several else b"}")

    def opening(self, index: int) -> bytes:
        model = b',"model":%b}' % to_json(self._legs[index].model) if self._several else b"}"
        opening = b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null'
        return opening % index + model

    def closing(self, raw: Fields) -> dict[str, Any]:
        rest = {name: value for name, value in raw.items() if name not in ("index", "delta", "finish_reason")}
        delta = raw.get("delta", Raw(b"{}"))
        return {"delta": {} if b'"content":"' in bytes(delta) else delta, "logprobs": None, **rest}

    def forwarded(self, index: int, delta: Delta, raw: Raw) -> bytes:
        if self._several or delta.index != index:
            return placed(raw, index, self._legs[index].model if self._several else None)
        return bytes(raw)


def chunks(request: CompletionRequest, id: str, created: int, plan: Plan) -> ChatChunks:
    return ChatChunks(request.note, f"chatcmpl-{id}", created, plan)
