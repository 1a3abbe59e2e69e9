"""Ollama, by its native route. https://github.com/ollama/ollama/blob/main/docs/api.md

Its sampling defaults come from the model's own file, so every value is sent. ``raw`` keeps that file's template away
from the prompt.
"""

import msgspec
from msgspec import Struct

from adapters.errors import Garbled, Rule, Unavailable, bare, read, require
from adapters.openai import headers, url
from adapters.stream import Lines, StreamDecoder
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
    Params,
    Reply,
    Usage,
)

FINISH: dict[str, Finish] = {"stop": "stop", "length": "length"}

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "Ollama gives one choice a request: ask for n = 1"),
    (
        "max_tokens",  # 0 and below stand for no limit
        lambda p: p.max_tokens is None or p.max_tokens >= 1,
        "Ollama's max_tokens is at least 1",
    ),
    (
        "temperature",  # below 0 it is greedy, without complaint
        lambda p: p.temperature is None or p.temperature >= 0,
        "Ollama's temperature is at least 0",
    ),
    (
        "top_p",  # above 1 it is off, without complaint
        lambda p: p.top_p is None or 0 <= p.top_p <= 1,
        "Ollama's top_p goes from 0 to 1",
    ),
    (
        "seed",  # its runner cuts seeds to 32 bits, and -1 stands for a random one
        lambda p: p.seed is None or 0 <= p.seed < 2**32 - 1,
        "Ollama's seed goes from 0 to 4294967294",
    ),
    (
        "stop",  # the empty string is found everywhere
        lambda p: "" not in p.stop,
        "Ollama's stop strings cannot be empty",
    ),
)


class Options(Struct):
    temperature: float
    top_p: float
    presence_penalty: float
    frequency_penalty: float
    stop: tuple[str, ...]
    num_predict: int | msgspec.UnsetType = msgspec.UNSET
    seed: int | msgspec.UnsetType = msgspec.UNSET
    top_k: int = 0
    min_p: float = 0.0
    repeat_penalty: float = 1.0


class Request(Struct):
    """``stream`` is always said, since Ollama streams unless told not to; so are ``truncate`` and ``shift``, without
    which it cuts a prompt that is too long, and forgets its beginning while answering, and says nothing."""

    model: str
    prompt: str
    options: Options
    stream: bool
    raw: bool = True
    truncate: bool = False
    shift: bool = False


class Answer(Struct):
    """A whole answer, or one line, of which the last is ``done``."""

    response: str | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None

    def usage(self) -> Usage | None:
        """Both counts or nothing: one is left out where the prompt was known already, which is not a 0."""
        if self.prompt_eval_count is None or self.eval_count is None:
            return None
        return Usage(self.prompt_eval_count, self.eval_count)

    def finish(self) -> Finish:
        return FINISH.get(self.done_reason or "", "other")


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class Ollama:
    """The adapter."""

    modes: tuple[Mode, ...] = ("completion",)
    max_n: int | None = 1

    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/api/generate", ""), headers(host))

    def encode(self, call: Call) -> HttpRequest:
        return HttpRequest(self._endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read(response, decode_answer)
        if answer.error is not None:
            raise failed()
        if answer.response is None or not answer.done:
            raise Garbled("the provider's answer is not finished", status=200)
        return Reply((Choice(0, answer.response, answer.finish()),), answer.usage())

    def decoder(self, call: Call) -> Decoder:
        return OllamaDecoder()


class OllamaDecoder(StreamDecoder):
    """Complete when a line was ``done``."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(Lines())

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        line = decode_answer(payload)
        if line.error is not None:
            raise failed()
        if line.done:
            self.usage = line.usage()
            self.done = True
            deltas.append(Delta(0, line.response or "", line.finish()))
        elif line.response:
            deltas.append(Delta(0, line.response))


def failed() -> Unavailable:
    """An error under status 200 is a bare text, so it can mean anything that breaks while answering."""
    return Unavailable("the provider failed while it was answering")


def request(call: Call) -> Request:
    prompt = bare(call)
    require(call.params, RULES)
    return Request(call.model, prompt, options(call.params), call.stream)


def options(asked: Params) -> Options:
    return Options(
        temperature=1.0 if asked.temperature is None else asked.temperature,
        top_p=1.0 if asked.top_p is None else asked.top_p,
        presence_penalty=asked.presence_penalty or 0.0,
        frequency_penalty=asked.frequency_penalty or 0.0,
        stop=asked.stop,
        num_predict=msgspec.UNSET if asked.max_tokens is None else asked.max_tokens,
        seed=msgspec.UNSET if asked.seed is None else asked.seed,
    )
