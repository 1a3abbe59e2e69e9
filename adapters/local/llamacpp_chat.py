"""llama.cpp's chats, by its OpenAI wire, which also takes the server's own words for sampling and grammars.

https://github.com/ggml-org/llama.cpp/tree/master/tools/server
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.errors import inexpressible
from adapters.fields import NULL, refuse_rest
from adapters.local.llamacpp_words import check, grammar, knows, sampling, schema
from adapters.openai import OpenAI, headers, spoken, url
from adapters.types import AnyJson, Call, Constraint, Endpoint, Fields, Host, HttpRequest, JsonSchema, Mode
from adapters.weakening import Weakened

NAMES = {"max_completion_tokens": "max_tokens", "repetition_penalty": "repeat_penalty"}
"""Fields that the server knows by another name."""

SENT = frozenset(
    {"add_generation_prompt", "chat_template_kwargs", "frequency_penalty", "ignore_eos", "logit_bias", "logprobs"}
    | {"max_tokens", "min_p", "parallel_tool_calls", "presence_penalty", "seed", "stop"}
    | {"temperature", "tool_choice", "tools", "top_k", "top_logprobs", "top_p", *NAMES}
)
"""The caller's fields that have a word on this wire. No other is sent: the server passes over most that it does not
know, and refuses the mere presence of some."""

HANDLED = SENT | {"best_of", "include_stop_str_in_output", "n"}


class LlamaCppChat(OpenAI):
    modes: tuple[Mode, ...] = ("chat",)
    max_n: int | None = 1
    chat_limit = "max_tokens"

    def __init__(self, host: Host) -> None:
        host = msgspec.structs.replace(host, base_url=host.base_url.rstrip("/") + "/v1", max_n=1)
        super().__init__(host)
        self._knows = knows(host)
        # After a stream the server hangs up, although its head promises to go on.
        self._stream = Endpoint(url(host, "/chat/completions", ""), headers(host), keep_alive=False)

    def encode(self, call: Call) -> HttpRequest:
        request = super().encode(call)
        return HttpRequest(self._stream, request.body, True) if call.stream else request

    def body(self, call: Call) -> dict[str, Any]:
        asked, fields = call.params, call.fields or {}
        check(asked)
        refuse_rest(call, HANDLED, "llama.cpp")
        if asked.include_stop and asked.stop:
            raise inexpressible(
                "include_stop_str_in_output", "llama.cpp's chats do not say which stop string has ended them"
            )
        body = {"model": call.model, "messages": spoken(call), **sampling(asked), **renamed(fields)}
        if asked.max_tokens is not None:
            body["max_tokens"] = asked.max_tokens
        if asked.logprobs is not None or fields.get("logprobs") == Raw(b"true"):
            body |= {"logprobs": True, "top_logprobs": max(asked.logprobs or 0, 1)}  # 0 turns them off altogether
        if call.constraint is not None:
            body |= self.constrained(call, call.constraint)
        body["stream"] = call.stream
        if call.stream:
            body["stream_options"] = self.stream_options(fields.get("stream_options"))
        return body

    def constrained(self, call: Call, constraint: Constraint) -> dict[str, Any]:
        if isinstance(constraint, JsonSchema | AnyJson):
            return {
                "response_format": {"type": "json_schema", "json_schema": {"schema": schema(constraint, self._knows)}}
            }
        return {"grammar": grammar(constraint)}

    def by_schema(self, constraint: Constraint) -> Weakened | None:
        return None


def renamed(fields: Fields) -> Fields:
    """What the caller wrote, in the server's words."""
    return {NAMES.get(name, name): value for name, value in fields.items() if name in SENT and value != NULL}
