"""llama.cpp's server: texts by its native route, chats by its OpenAI wire.
https://github.com/ggml-org/llama.cpp/tree/master/tools/server

The server's own sampling defaults differ between builds and can be set on its command line, so every value is sent.
Its ``repeat_last_n`` is left to it: how far back its penalties look has no counterpart among our parameters.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.complaints import read_answer
from adapters.errors import Garbled, TooLong, inexpressible
from adapters.fields import refuse_rest
from adapters.local.llamacpp_chat import LlamaCppChat
from adapters.local.llamacpp_words import check, grammar, knows, sampling, schema
from adapters.local.logprobs import TokenLogprob, as_field
from adapters.openai import NULL, headers, kind_of, reported, url
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import (
    AnyJson,
    Call,
    Chat,
    Choice,
    Constraint,
    Decoder,
    Delta,
    Endpoint,
    Fields,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    JsonSchema,
    Mode,
    Path,
    Prompt,
    Prompts,
    Reply,
    Usage,
    count,
)
from adapters.weakening.table import Knows

FINISH: dict[str, Finish] = {"eos": "stop", "word": "stop", "limit": "length"}

WIRE = {"stop": "stop", "length": "length"}
"""OpenAI's words for the reasons above."""

HANDLED = frozenset(
    {"frequency_penalty", "ignore_eos", "include_stop_str_in_output", "logit_bias", "logprobs", "max_tokens", "min_p"}
    | {"best_of", "n", "presence_penalty", "repetition_penalty", "seed", "stop", "temperature", "top_k", "top_p"}
)


class Timings(Struct):
    cache_n: float | None = None


class Answer(Struct):
    """A whole answer, or one event. ``tokens_evaluated`` is the whole prompt, with what was in the cache of it;
    ``tokens_cached`` is what the cache holds afterwards of prompt and answer."""

    content: str | None = None
    stop: bool = False
    stop_type: str = ""
    stopping_word: str = ""
    truncated: bool = False
    tokens_evaluated: float | None = None
    tokens_predicted: float | None = None
    tokens_cached: float | None = None
    completion_probabilities: tuple[TokenLogprob, ...] = ()
    timings: Timings | None = None
    error: msgspec.Raw = NULL

    def usage(self) -> Usage | None:
        prompt, answer = count(self.tokens_evaluated), count(self.tokens_predicted)
        if prompt is None or answer is None:
            return None
        return Usage(prompt, answer, cached=count(self.timings.cache_n) if self.timings else None)

    def text(self, call: Call) -> str:
        """What it adds to the answer; the stop string that has ended it is told apart from it."""
        text = self.content or ""
        return text + self.stopping_word if call.params.include_stop and self.stop_type == "word" else text

    def finish(self) -> Finish:
        if self.forgot():
            raise TooLong("the context overflowed, and the server went on without a part of the text")
        return FINISH.get(self.stop_type, "other")

    def forgot(self) -> bool:
        """Whether the server dropped a part of the text to go on, as ``--context-shift`` lets it. ``truncated`` is
        true of an answer that just filled the context, too; then the cache holds all but the last token."""
        if not self.truncated or self.tokens_evaluated is None or self.tokens_predicted is None:
            return False
        return (self.tokens_cached or 0) + 1 < self.tokens_evaluated + self.tokens_predicted


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class LlamaCpp:
    """The adapter. A server of one model passes over ``model``; one that routes among several reads it."""

    modes: tuple[Mode, ...] = ("completion", "chat")
    plain = False
    takes: frozenset[str] = frozenset({"tokens"})

    def __init__(self, host: Host) -> None:
        self._chat = LlamaCppChat(host)
        self._knows = knows(host)
        self._whole = Endpoint(url(host, "/completion", ""), headers(host))
        # After a stream the server hangs up, although its head promises to go on.
        self._stream = Endpoint(url(host, "/completion", ""), headers(host), keep_alive=False)

    def path(self, call: Call) -> Path | None:
        return "guided"

    def most(self, call: Call) -> int | None:
        return 1

    def encode(self, call: Call) -> HttpRequest:
        if isinstance(call.input, Chat):
            return self._chat.encode(call)
        endpoint = self._stream if call.stream else self._whole
        return HttpRequest(endpoint, encode_request(request(call, prompt_of(call), self._knows)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        if isinstance(call.input, Chat):
            return self._chat.decode(call, response)
        answer = read_answer(call, response, decode_answer, kind_of)
        if answer.error != NULL:
            raise reported(answer.error)
        if answer.content is None:
            raise Garbled("the provider's answer holds no text", status=200)
        finish, probable = answer.finish(), answer.completion_probabilities
        raw = told(call, answer.text(call), finish, probable) if wants_raw(call) else None
        return Reply((Choice(0, answer.text(call), finish, raw=raw),), answer.usage())

    def decoder(self, call: Call) -> Decoder:
        return self._chat.decoder(call) if isinstance(call.input, Chat) else LlamaCppDecoder(call)


class LlamaCppDecoder(StreamDecoder):
    """Complete when an event said ``stop``; there is no ``[DONE]`` on this route."""

    __slots__ = ("_call", "_rich")

    def __init__(self, call: Call) -> None:
        super().__init__(Events())
        self._call = call
        self._rich = wants_raw(call)

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        event = decode_answer(payload)
        self.usage = event.usage() or self.usage
        if event.error != NULL:
            raise reported(event.error)
        finish, text = event.finish() if event.stop else None, event.text(self._call)
        raw = None
        if self._rich and event.completion_probabilities:
            piece = told(self._call, text, finish, event.completion_probabilities)
            raw = Raw(msgspec.json.encode({"index": 0, **piece}))
        if event.stop:
            deltas.append(Delta(0, text, finish, raw))
            self.done = True
        elif text or raw is not None:
            deltas.append(Delta(0, text, None, raw))


def wants_raw(call: Call) -> bool:
    return call.fields is not None and call.params.logprobs is not None


def told(call: Call, text: str, finish: Finish | None, probable: tuple[TokenLogprob, ...]) -> Fields:
    """A choice, or a piece of one, in OpenAI's form."""
    reason = None if finish is None else WIRE.get(finish, "stop")
    return {
        "text": Raw(msgspec.json.encode(text)),
        "logprobs": as_field(probable, call.params.logprobs or 0),
        "finish_reason": Raw(msgspec.json.encode(reason)),
    }


def prompt_of(call: Call) -> Prompt:
    """The text, or the token ids."""
    if isinstance(call.input, str):
        return call.input
    if isinstance(call.input, Prompts) and len(call.input.items) == 1:
        return call.input.items[0]
    raise inexpressible("prompt", "llama.cpp continues one prompt a request: send one")


def request(call: Call, prompt: Prompt, knows: Knows) -> dict[str, Any]:
    asked = call.params
    check(asked)
    refuse_rest(call, HANDLED, "llama.cpp")
    body = {"model": call.model, "prompt": prompt, "stream": call.stream, **sampling(asked)}
    if asked.max_tokens is not None:
        body["n_predict"] = asked.max_tokens
    if asked.logprobs is not None:
        body["n_probs"] = max(asked.logprobs, 1)  # 0 turns them off altogether
    if call.constraint is not None:
        body |= constrained(call.constraint, knows)
    return body


def constrained(constraint: Constraint, knows: Knows) -> dict[str, Any]:
    """This route passes over ``response_format``, but takes a schema or a grammar."""
    if isinstance(constraint, JsonSchema | AnyJson):
        return {"json_schema": schema(constraint, knows)}
    return {"grammar": grammar(constraint)}
