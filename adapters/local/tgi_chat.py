"""TGI's chats, by its OpenAI wire. https://huggingface.co/docs/text-generation-inference/reference/api_reference

It is OpenAI's but for its constraints, for stop strings, which stay in the answer, and for ``presence_penalty``, which
it takes for a penalty of another kind. How it ends an answer has the words of its native route where OpenAI has none:
those stand for a stop string, or for the end of the text.
"""

from typing import Any

import msgspec
from msgspec import Raw

from adapters.chat import NamedTool, tool_choice_of
from adapters.errors import inexpressible
from adapters.fields import NULL, refuse_rest
from adapters.local.refusals import lacks
from adapters.local.tgi_words import check, grammar, restore_of
from adapters.openai import OpenAI, decode_fields, spoken
from adapters.restoring import Restore
from adapters.stops import Held, trimmed
from adapters.stream import Outer
from adapters.types import Call, Choice, Decoder, Delta, Host, HttpResponse, Mode, Reply

SENT = frozenset({"frequency_penalty", "logprobs", "top_logprobs", "tools"})
"""The caller's fields that are sent as they are; the others that it knows are said by their values."""

HANDLED = SENT | {
    *("best_of", "include_stop_str_in_output", "max_completion_tokens", "max_tokens", "n", "presence_penalty"),
    *("seed", "stop", "temperature", "tool_choice", "top_p"),
}


class TgiChat(OpenAI):
    modes: tuple[Mode, ...] = ("chat",)
    max_n: int | None = 1
    chat_limit = "max_tokens"

    def __init__(self, host: Host) -> None:
        super().__init__(msgspec.structs.replace(host, base_url=host.base_url.rstrip("/") + "/v1", max_n=1))

    def body(self, call: Call) -> dict[str, Any]:
        asked, fields = call.params, call.fields or {}
        check(asked)
        lacks(asked, "TGI's chat", "top_k", "truncate")
        if asked.repetition_penalty not in (None, 1):
            raise inexpressible("repetition_penalty", "TGI's chat has no repetition_penalty: leave it out")
        refuse_rest(call, HANDLED, "TGI's chat")
        body: dict[str, Any] = {"model": "tgi", "messages": spoken(call), "stream": call.stream}
        body |= {name: value for name, value in fields.items() if name in SENT and value != NULL}
        body |= {name: value for name, value in typed(call).items() if value is not None}
        if call.constraint is not None:
            body["response_format"] = grammar(call, call.constraint)
        if call.stream:
            body["stream_options"] = {"include_usage": True}
        return body

    def restore(self, call: Call) -> Restore:
        return restore_of(call)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        reply = super().decode(call, response)
        choices = [ended(one, cut(call)) if one.finish == "other" else one for one in reply.choices]
        return msgspec.structs.replace(reply, choices=tuple(choices))

    def decoder(self, call: Call) -> Decoder:
        return Trimming(super().decoder(call), cut(call))


class Trimming(Outer):
    """Reads a stream, and holds back what may turn out to be a stop string."""

    __slots__ = ("_text",)

    def __init__(self, decoder: Decoder, stops: tuple[str, ...]) -> None:
        super().__init__(decoder)
        self._text = Held(stops)

    def told(self, delta: Delta) -> list[Delta]:
        stopped = delta.finish == "other"
        text = self._text.feed(delta.text)
        if delta.finish is not None:
            text += self._text.end(stopped)
        return [said(delta, text, stopped)] if text or delta.finish is not None or delta.raw is not None else []


def typed(call: Call) -> dict[str, Any]:
    """The parameters whose values differ from OpenAI's, or stand for nothing."""
    asked = call.params
    said: dict[str, Any] = {
        "max_tokens": asked.max_tokens,
        "temperature": 1.0 if asked.temperature is None else asked.temperature,
        "top_p": None if asked.top_p == 1 or asked.temperature == 0 else asked.top_p,
        "seed": asked.seed,
        "stop": asked.stop or None,
        "frequency_penalty": asked.frequency_penalty or None,
    }
    if asked.logprobs is not None:
        said |= {"logprobs": True, "top_logprobs": max(asked.logprobs, 1)}  # without alternatives it tells no tokens
    choice = tool_choice_of(call)
    said["tool_choice"] = choice.function.name if isinstance(choice, NamedTool) else choice
    return said


def cut(call: Call) -> tuple[str, ...]:
    """The stop strings that are cut off."""
    return () if call.params.include_stop else call.params.stop


def ended(choice: Choice, stops: tuple[str, ...]) -> Choice:
    """A choice that a stop string has ended, without it."""
    text, raw = trimmed(choice.text, stops), choice.raw
    if raw is not None:
        raw = {**raw, "message": with_content(raw.get("message", NULL), text), "finish_reason": Raw(b'"stop"')}
    return msgspec.structs.replace(choice, text=text, finish="stop", raw=raw)


def said(piece: Delta, text: str, stopped: bool) -> Delta:
    """A piece with another text, in both of its forms."""
    finish, raw = ("stop" if stopped else piece.finish), piece.raw
    if raw is not None and (stopped or text != piece.text):
        fields = decode_fields(raw)
        fields["delta"] = with_content(fields.get("delta", NULL), text)
        if stopped:
            fields["finish_reason"] = Raw(b'"stop"')
        raw = Raw(msgspec.json.encode(fields))
    return Delta(piece.index, text, finish, raw, piece.more)


def with_content(message: Raw, text: str) -> Raw:
    fields = {} if message == NULL else decode_fields(message)
    return Raw(msgspec.json.encode({**fields, "content": Raw(msgspec.json.encode(text))}))
