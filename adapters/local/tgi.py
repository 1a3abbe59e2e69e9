"""Text Generation Inference: texts by its native routes, chats by its OpenAI wire.
https://huggingface.co/docs/text-generation-inference/reference

Its OpenAI route for texts passes over parameters that it does not know, so it is not used.
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.complaints import read_answer
from adapters.errors import (
    UNREADABLE,
    Garbled,
    ProviderError,
    Rejected,
    Throttled,
    Unavailable,
    failure,
    inexpressible,
)
from adapters.fields import refuse_rest
from adapters.local.logprobs import TokenLogprob, as_field
from adapters.local.refusals import one_text
from adapters.local.tgi_chat import TgiChat
from adapters.local.tgi_words import STOPPED, check, grammar, restore_of
from adapters.openai import headers, url
from adapters.restoring import restored
from adapters.sse import Events
from adapters.stops import Held, trimmed
from adapters.stream import StreamDecoder
from adapters.types import (
    AnyJson,
    Call,
    Chat,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Fields,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Mode,
    Path,
    Reply,
    Usage,
    count,
)
from adapters.undoing import undoing

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

HANDLED = frozenset(
    {"best_of", "frequency_penalty", "include_stop_str_in_output", "logprobs", "max_tokens", "n", "presence_penalty"}
    | {"repetition_penalty", "seed", "stop", "temperature", "top_k", "top_p", "truncate_prompt_tokens"}
)

WIRE = {"stop": "stop", "length": "length"}
"""OpenAI's words for how an answer ended."""


class Parameters(Struct, omit_defaults=True):
    do_sample: bool
    details: bool
    max_new_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    top_k: int | None = None
    truncate: int | None = None
    top_n_tokens: int | None = None
    stop: tuple[str, ...] = ()
    grammar: dict[str, Any] | None = None


class Request(Struct):
    inputs: str
    parameters: Parameters


class Token(Struct):
    text: str = ""
    logprob: float | None = None
    special: bool = False

    def told(self, others: "tuple[Token, ...]" = ()) -> TokenLogprob:
        return TokenLogprob(self.text, self.logprob, top_logprobs=tuple([other.told() for other in others]))


class Details(Struct):
    """The end of an answer. A stream counts the prompt here, a whole answer in a header: its ``prefill`` lists the
    prompt's tokens only where the server was started to allow it. ``top_tokens`` are the alternatives to each token."""

    finish_reason: str = ""
    generated_tokens: float | None = None
    input_length: float | None = None
    tokens: tuple[Token, ...] = ()
    top_tokens: tuple[tuple[Token, ...], ...] = ()

    def usage(self, input_length: float | None) -> Usage | None:
        prompt, answer = count(input_length), count(self.generated_tokens)
        return None if prompt is None or answer is None else Usage(prompt, answer)

    def logprobs(self) -> tuple[TokenLogprob, ...]:
        others = self.top_tokens or ((),) * len(self.tokens)
        return tuple([token.told(beside) for token, beside in zip(self.tokens, others, strict=False)])


class Answer(Struct):
    """A whole answer, or one event, of which the last has ``details``."""

    generated_text: str | None = None
    details: Details | None = None
    token: Token | None = None
    top_tokens: tuple[Token, ...] = ()
    error: str | None = None
    error_type: str | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class Tgi:
    """The adapter. The server holds one model, so the call's ``model`` is not sent. Of several answers it can tell the
    best, but not in a stream and not with a seed, so that is left to the gateway."""

    modes: tuple[Mode, ...] = ("completion", "chat")
    plain = False
    takes: frozenset[str] = frozenset()

    def __init__(self, host: Host) -> None:
        self._chat = TgiChat(host)
        self._whole = Endpoint(url(host, "/generate", ""), headers(host))
        self._stream = Endpoint(url(host, "/generate_stream", ""), headers(host))

    def path(self, call: Call) -> Path | None:
        """Any object is none of its grammars: those of JSON name an object's members."""
        return None if isinstance(call.constraint, AnyJson) else "guided"

    def most(self, call: Call) -> int | None:
        return 1

    def encode(self, call: Call) -> HttpRequest:
        if isinstance(call.input, Chat):
            return self._chat.encode(call)
        endpoint = self._stream if call.stream else self._whole
        return HttpRequest(endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        answer = read_answer(call, response, decode_answer, kind_of)
        if answer.error is not None:
            raise reported(answer)
        if isinstance(call.input, Chat):
            return self._chat.decode(call, response)
        if answer.generated_text is None or answer.details is None:
            raise Garbled("the provider's answer holds no text", status=200)
        reason, text = answer.details.finish_reason, answer.generated_text
        if reason == STOPPED:
            text = trimmed(text, cut(call))
        if call.constraint is not None:
            text = restored(text, restore_of(call))
        finish = FINISH.get(reason, "other")
        raw = told(call, text, finish, answer.details.logprobs()) if wants_raw(call) else None
        return Reply((Choice(0, text, finish, raw=raw),), answer.details.usage(prompt_tokens(response)))

    def decoder(self, call: Call) -> Decoder:
        return self._chat.decoder(call) if isinstance(call.input, Chat) else undoing(TgiDecoder(call), restore_of(call))


class TgiDecoder(StreamDecoder):
    """Complete when an event brought ``details``; there is no ``[DONE]`` on this route."""

    __slots__ = ("_call", "_rich", "_text")

    def __init__(self, call: Call) -> None:
        super().__init__(Events())
        self._call = call
        self._rich = wants_raw(call)
        self._text = Held(cut(call))

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        event = decode_answer(payload)
        if event.error is not None:
            raise reported(event)
        text = event.token.text if event.token is not None and not event.token.special else ""
        text, finish = self._text.feed(text), None
        if event.details is not None:
            reason = event.details.finish_reason
            self.usage = event.details.usage(event.details.input_length)
            self.done = True
            text, finish = text + self._text.end(reason == STOPPED), FINISH.get(reason, "other")
        raw = None
        if self._rich and event.token is not None:
            piece = told(self._call, text, finish, (event.token.told(event.top_tokens),))
            raw = Raw(msgspec.json.encode({"index": 0, **piece}))
        if text or finish is not None or raw is not None:
            deltas.append(Delta(0, text, finish, raw))


def cut(call: Call) -> tuple[str, ...]:
    """The stop strings that are cut off: TGI leaves them where they are."""
    return () if call.params.include_stop else call.params.stop


def wants_raw(call: Call) -> bool:
    return call.fields is not None and call.params.logprobs is not None


def told(call: Call, text: str, finish: Finish | None, tokens: tuple[TokenLogprob, ...]) -> Fields:
    """A choice, or a piece of one, in OpenAI's form."""
    reason = None if finish is None else WIRE.get(finish, "stop")
    return {
        "text": Raw(msgspec.json.encode(text)),
        "logprobs": as_field(tokens, call.params.logprobs or 0),
        "finish_reason": Raw(msgspec.json.encode(reason)),
    }


def request(call: Call) -> Request:
    """The call in TGI's words. What would change nothing has no words there: a top_p of 1, a penalty of 0, and,
    where temperature 0 leaves no choice between tokens, any top_p and top_k."""
    prompt = one_text(call, "TGI")
    check(call.params)
    refuse_rest(call, HANDLED, "TGI")
    if call.params.truncate is not None and (call.fields or {}).get("truncation_side") == Raw(b'"right"'):
        raise inexpressible("truncation_side", "TGI cuts a prompt at its left side: leave out truncation_side")
    return Request(prompt, parameters(call))


def parameters(call: Call) -> Parameters:
    asked = call.params
    greedy = asked.temperature == 0
    return Parameters(
        do_sample=not greedy,
        details=True,
        max_new_tokens=asked.max_tokens,
        temperature=None if greedy else asked.temperature,
        top_p=None if greedy or asked.top_p == 1 else asked.top_p,
        seed=asked.seed,
        frequency_penalty=asked.frequency_penalty or None,
        repetition_penalty=None if asked.repetition_penalty == 1 else asked.repetition_penalty,
        top_k=None if greedy or (asked.top_k or 0) < 1 else asked.top_k,
        truncate=asked.truncate,
        top_n_tokens=None if asked.logprobs is None else max(asked.logprobs, 1),  # 0 is none of its numbers
        stop=asked.stop,
        grammar=grammar(call, call.constraint) if call.constraint else None,
    )


def prompt_tokens(response: HttpResponse) -> int | None:
    value = response.header(b"x-prompt-tokens")
    return count(float(value)) if value is not None and value.isdigit() else None


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
