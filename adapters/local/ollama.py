"""Ollama, by its native routes. https://github.com/ollama/ollama/blob/main/docs/api.md

Its sampling defaults come from the model's own file, so every value is sent. ``raw`` keeps that file's template away
from the prompt.
"""

import msgspec

from adapters.complaints import read_answer
from adapters.errors import Garbled
from adapters.fields import refuse_rest
from adapters.local.ollama_chat import OllamaChat
from adapters.local.ollama_words import (
    FINISH,
    HANDLED,
    Counts,
    Options,
    check,
    failed,
    format_of,
    kind_of,
    options,
    restore_of,
)
from adapters.local.refusals import one_text
from adapters.openai import headers, url
from adapters.restoring import restored
from adapters.stream import Lines, StreamDecoder
from adapters.types import (
    Call,
    Chat,
    Choice,
    Decoder,
    Delta,
    Endpoint,
    Finish,
    Host,
    HttpRequest,
    HttpResponse,
    Mode,
    Path,
    Reply,
)
from adapters.undoing import undoing


class Request(msgspec.Struct):
    """``stream`` is always said, since Ollama streams unless told not to; so are ``truncate`` and ``shift``, without
    which it cuts a prompt that is too long, and forgets its beginning while answering, and says nothing. A ``suffix``
    has its place in the model's template only, so that it needs one: without ``raw`` a model that cannot fill in the
    middle is refused."""

    model: str
    prompt: str
    options: Options
    stream: bool
    raw: bool = True
    truncate: bool = False
    shift: bool = False
    suffix: str | msgspec.UnsetType = msgspec.UNSET
    format: object = msgspec.UNSET


class Answer(Counts):
    """A whole answer, or one line, of which the last is ``done``."""

    response: str | None = None
    done: bool = False
    done_reason: str | None = None
    error: str | None = None

    def finish(self) -> Finish:
        return FINISH.get(self.done_reason or "", "other")


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class Ollama:
    """The adapter."""

    modes: tuple[Mode, ...] = ("completion", "chat")
    plain = False
    takes: frozenset[str] = frozenset()

    def __init__(self, host: Host) -> None:
        self._chat = OllamaChat(host)
        self._endpoint = Endpoint(url(host, "/api/generate", ""), headers(host))

    def path(self, call: Call) -> Path | None:
        return "guided"

    def most(self, call: Call) -> int | None:
        return 1

    def encode(self, call: Call) -> HttpRequest:
        if isinstance(call.input, Chat):
            return self._chat.encode(call)
        return HttpRequest(self._endpoint, encode_request(request(call)), call.stream)

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        if isinstance(call.input, Chat):
            return self._chat.decode(call, response)
        answer = read_answer(call, response, decode_answer, kind_of)
        if answer.error is not None:
            raise failed()
        if answer.response is None or not answer.done:
            raise Garbled("the provider's answer is not finished", status=200)
        text = restored(answer.response, restore_of(call.constraint))
        return Reply((Choice(0, text, answer.finish()),), answer.usage())

    def decoder(self, call: Call) -> Decoder:
        decoder = self._chat.decoder(call) if isinstance(call.input, Chat) else OllamaDecoder()
        return undoing(decoder, restore_of(call.constraint))


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


def request(call: Call) -> Request:
    prompt, suffix = one_text(call, "Ollama"), call.params.suffix
    check(call.params)
    refuse_rest(call, HANDLED | {"suffix"}, "Ollama")
    return Request(
        call.model,
        prompt,
        options(call.params),
        call.stream,
        raw=not suffix,
        suffix=suffix or msgspec.UNSET,
        format=format_of(call.constraint),
    )
