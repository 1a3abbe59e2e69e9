"""llama.cpp's server, by its native route. https://github.com/ggml-org/llama.cpp/tree/master/tools/server

The server's own sampling defaults differ between builds and can be set on its command line, so every value is sent.
Its ``repeat_last_n`` is left to it: how far back its penalties look has no counterpart among our parameters.
"""

import msgspec
from msgspec import Struct

from adapters.errors import Garbled, Rule, TooLong, bare, read, require
from adapters.openai import NULL, headers, kind_of, reported, url
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import (
    Call,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Mode,
    Reply,
    Usage,
)

FINISH: dict[str, Finish] = {"eos": "stop", "word": "stop", "limit": "length"}

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "llama.cpp gives one choice a request: ask for n = 1"),
    (
        "max_tokens",  # 0 gives one token and -1 no limit, without complaint
        lambda p: p.max_tokens is None or p.max_tokens >= 1,
        "llama.cpp's max_tokens is at least 1",
    ),
    (
        "temperature",  # below 0 it is greedy, without complaint
        lambda p: p.temperature is None or p.temperature >= 0,
        "llama.cpp's temperature is at least 0",
    ),
    (
        "top_p",  # above 1 it is off, without complaint
        lambda p: p.top_p is None or 0 <= p.top_p <= 1,
        "llama.cpp's top_p goes from 0 to 1",
    ),
    (
        "seed",  # cut to 32 bits without complaint, and the largest of them stands for a random one
        lambda p: p.seed is None or 0 <= p.seed < 2**32 - 1,
        "llama.cpp's seed goes from 0 to 4294967294",
    ),
    (
        "stop",  # the empty string is found everywhere
        lambda p: "" not in p.stop,
        "llama.cpp's stop strings cannot be empty",
    ),
)


class Request(Struct):
    model: str
    prompt: str
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    stop: tuple[str, ...]
    stream: bool
    n_predict: int | msgspec.UnsetType = msgspec.UNSET
    seed: int | msgspec.UnsetType = msgspec.UNSET
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0


class Timings(Struct):
    cache_n: int | None = None


class Answer(Struct):
    """A whole answer, or one event. ``tokens_evaluated`` is the whole prompt, with what was in the cache of it;
    ``tokens_cached`` is what the cache holds afterwards of prompt and answer."""

    content: str | None = None
    stop: bool = False
    stop_type: str = ""
    truncated: bool = False
    tokens_evaluated: int | None = None
    tokens_predicted: int | None = None
    tokens_cached: int | None = None
    timings: Timings | None = None
    error: msgspec.Raw = NULL

    def usage(self) -> Usage | None:
        if self.tokens_evaluated is None or self.tokens_predicted is None:
            return None
        cached = self.timings.cache_n if self.timings else None
        return Usage(self.tokens_evaluated, self.tokens_predicted, cached=cached)

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

    modes: tuple[Mode, ...] = ("completion",)
    max_n: int | None = 1

    def __init__(self, host: Host) -> None:
        self._whole = Endpoint(url(host, "/completion", ""), headers(host))
        # After a stream the server hangs up, although its head promises to go on.
        self._stream = Endpoint(url(host, "/completion", ""), headers(host), keep_alive=False)

    def encode(self, call: Call) -> HttpRequest:
        endpoint = self._stream if call.stream else self._whole
        return HttpRequest(endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read(response, decode_answer, kind_of)
        if answer.error != NULL:
            raise reported(answer.error)
        if answer.content is None:
            raise Garbled("the provider's answer holds no text", status=200)
        return Reply((Choice(0, answer.content, answer.finish()),), answer.usage())

    def decoder(self, call: Call) -> Decoder:
        return LlamaCppDecoder()


class LlamaCppDecoder(StreamDecoder):
    """Complete when an event said ``stop``; there is no ``[DONE]`` on this route."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Events())

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        event = decode_answer(payload)
        self.usage = event.usage() or self.usage
        if event.error != NULL:
            raise reported(event.error)
        if event.stop:
            deltas.append(Delta(0, event.content or "", event.finish()))
            self.done = True
        elif event.content:
            deltas.append(Delta(0, event.content))


def request(call: Call) -> Request:
    prompt = bare(call)
    asked = call.params
    require(asked, RULES)
    return Request(
        model=call.model,
        prompt=prompt,
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        presence_penalty=asked.presence_penalty or 0.0,
        frequency_penalty=asked.frequency_penalty or 0.0,
        stop=asked.stop,
        stream=call.stream,
        n_predict=msgspec.UNSET if asked.max_tokens is None else asked.max_tokens,
        seed=msgspec.UNSET if asked.seed is None else asked.seed,
    )
