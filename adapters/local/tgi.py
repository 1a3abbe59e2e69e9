"""Text Generation Inference, by its native routes. https://huggingface.co/docs/text-generation-inference/reference

Its OpenAI route for texts passes over parameters that it does not know, so it is not used.
"""

import msgspec
from msgspec import Struct

from adapters.errors import (
    UNREADABLE,
    Garbled,
    ProviderError,
    Rejected,
    Rule,
    Throttled,
    Unavailable,
    bare,
    failure,
    read,
    require,
)
from adapters.openai import headers, url
from adapters.sse import Events
from adapters.stops import Held, trimmed
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
    Params,
    Reply,
    Usage,
)

STOPPED = "stop_sequence"
"""The reason of an answer that a stop string has ended, and that still holds it."""

FINISH: dict[str, Finish] = {"eos_token": "stop", STOPPED: "stop", "length": "length"}

ERRORS: dict[str, tuple[int, type[ProviderError]]] = {
    "validation": (422, Rejected),
    "generation": (424, Unavailable),
    "overloaded": (429, Throttled),
    "incomplete_generation": (500, Unavailable),
    "incomplete_generation_stream": (500, Unavailable),
}
"""By ``error_type``, which stands beside the text of every error; and the status that the error has before a stream
begins."""

RULES: tuple[Rule, ...] = (
    ("n", lambda p: p.n == 1, "TGI gives one choice a request: ask for n = 1"),
    (
        "temperature",
        lambda p: p.temperature is None or p.temperature >= 0,
        "TGI's temperature is at least 0",
    ),
    ("top_p", lambda p: p.top_p is None or 0 < p.top_p <= 1, "TGI's top_p is above 0 and at most 1"),
    ("seed", lambda p: p.seed is None or 0 < p.seed < 2**64, "TGI's seed is a positive number of 64 bits"),
    ("presence_penalty", lambda p: not p.presence_penalty, "TGI has no presence_penalty: leave it out"),
    (
        "frequency_penalty",
        lambda p: -2 <= (p.frequency_penalty or 0) <= 2,
        "TGI's frequency_penalty goes from -2 to 2",
    ),
    (
        "stop",  # the empty string ends every answer
        lambda p: "" not in p.stop,
        "TGI's stop strings cannot be empty",
    ),
)


class Parameters(Struct, omit_defaults=True):
    do_sample: bool
    details: bool
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    stop: tuple[str, ...] = ()


class Request(Struct):
    inputs: str
    parameters: Parameters


class Details(Struct):
    """The end of an answer. A stream counts the prompt here, a whole answer in a header: its ``prefill`` lists the
    prompt's tokens only where the server was started to allow it."""

    finish_reason: str = ""
    generated_tokens: int | None = None
    input_length: int | None = None

    def usage(self, input_length: int | None) -> Usage | None:
        if input_length is None or self.generated_tokens is None:
            return None
        return Usage(input_length, self.generated_tokens)


class Token(Struct):
    text: str = ""
    special: bool = False


class Answer(Struct):
    """A whole answer, or one event, of which the last has ``details``."""

    generated_text: str | None = None
    details: Details | None = None
    token: Token | None = None
    error: str | None = None
    error_type: str | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class Tgi:
    """The adapter. The server holds one model, so the call's ``model`` is not sent."""

    modes: tuple[Mode, ...] = ("completion",)
    max_n: int | None = 1

    def __init__(self, host: Host) -> None:
        self._whole = Endpoint(url(host, "/generate", ""), headers(host))
        self._stream = Endpoint(url(host, "/generate_stream", ""), headers(host))

    def encode(self, call: Call) -> HttpRequest:
        endpoint = self._stream if call.stream else self._whole
        return HttpRequest(endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read(response, decode_answer, kind_of)
        if answer.error is not None:
            raise reported(answer)
        if answer.generated_text is None or answer.details is None:
            raise Garbled("the provider's answer holds no text", status=200)
        reason, text = answer.details.finish_reason, answer.generated_text
        if reason == STOPPED:
            text = trimmed(text, call.params.stop)
        choice = Choice(0, text, FINISH.get(reason, "other"))
        return Reply((choice,), answer.details.usage(prompt_tokens(response)))

    def decoder(self, call: Call) -> Decoder:
        return TgiDecoder(call.params.stop)


class TgiDecoder(StreamDecoder):
    """Complete when an event brought ``details``; there is no ``[DONE]`` on this route."""

    __slots__ = ("_text",)

    def __init__(self, stops: tuple[str, ...]) -> None:
        super().__init__(Events())
        self._text = Held(stops)

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        event = decode_answer(payload)
        if event.error is not None:
            raise reported(event)
        text = event.token.text if event.token is not None and not event.token.special else ""
        text = self._text.feed(text)
        if event.details is not None:
            reason = event.details.finish_reason
            self.usage = event.details.usage(event.details.input_length)
            self.done = True
            deltas.append(Delta(0, text + self._text.end(reason == STOPPED), FINISH.get(reason, "other")))
        elif text:
            deltas.append(Delta(0, text))


def request(call: Call) -> Request:
    """The call in TGI's words. What would change nothing has no words there: a top_p of 1, a penalty of 0, and,
    where temperature 0 leaves no choice between tokens, any top_p."""
    prompt = bare(call)
    require(call.params, RULES)
    return Request(prompt, parameters(call.params))


def parameters(asked: Params) -> Parameters:
    greedy = asked.temperature == 0
    return Parameters(
        do_sample=not greedy,
        details=True,
        max_new_tokens=asked.max_tokens,
        temperature=None if greedy else asked.temperature,
        top_p=None if greedy or asked.top_p == 1 else asked.top_p,
        seed=asked.seed,
        frequency_penalty=asked.frequency_penalty or None,
        stop=asked.stop,
    )


def prompt_tokens(response: HttpResponse) -> int | None:
    value = response.header(b"x-prompt-tokens")
    return int(value) if value is not None and value.isdigit() else None


def kind_of(response: HttpResponse) -> type[ProviderError] | None:
    """What the error body says beyond the status; None if there is no such body."""
    try:
        _, kind = ERRORS[decode_answer(response.body).error_type or ""]
    except (KeyError, *UNREADABLE):
        return None
    return kind


def reported(answer: Answer) -> ProviderError:
    """An error that came under status 200: by its type if that is a known word, else an outage."""
    status, kind = ERRORS.get(answer.error_type or "", (500, Unavailable))
    return failure(HttpResponse(status, []), kind)
