"""The thiggle dialect: ``POST /v1/completion``, one prompt to one model or several. Its routes that constrain an answer
are in ``typed``, ``regex``, ``cfg`` and ``categorize``.

What its three published clients can read is narrow, and decides the form of every field: ``id`` is a bare UUID, the
top-level ``created`` an RFC 3339 text while a choice's is an integer, no number has a fraction, and errors are flat:
``{"error": <text>, "code": <HTTP status>}``. Source: github.com/thiggle/api, its documentation and clients.
Ours beyond it: ``n``, ``seed``, ``stream``, ``fanout``, and ``error`` inside a choice.
"""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Annotated, Any, Protocol

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType

from adapters.errors import ProviderError, TimedOut, path_of
from adapters.types import Delta, Fields, Finish, Params, Usage
from gateway.errors import BadRequest, GatewayError, LegFailure
from gateway.types import NO_FANOUT, CompletionRequest, CompletionResponse, FanoutBody, Leg, Part, Plan
from gateway.wire import body as wire
from gateway.wire.values import FANOUT, Count, Int64, Name, Penalty, Share, Text

MAX_STOPS = 16
CONSTRAINTS = (
    "guided_",
    "structured_",
    "json_schema",
    "grammar",
    "regex",
    "response_format",
    "schema",
    "type_name",
)
"""Beginnings of unknown fields that would constrain the answer. Other unknown fields are ignored; these are refused,
since an answer without the constraint would look like one that kept it."""

FINISH: dict[Finish | None, str] = {"length": "length"}
"""The clients' types know ``stop``, ``length`` and ``timeout``; whatever else ended a choice is told as ``stop``."""


EXPECTED = {
    "prompt": "a text that is not empty",
    "model": "a model's name, or a list of at least one",
    "max_tokens": "a whole number from 1 to 2147483647",
    "max_new_tokens": "a whole number from 1 to 2147483647",
    "temperature": "a number from 0 to 1",
    "top_p": "a number from 0 to 1",
    "stop": f"a text, or a list of up to {MAX_STOPS} texts, none of them empty",
    "presence_penalty": "a number from -2 to 2",
    "frequency_penalty": "a number from -2 to 2",
    "n": "a whole number from 1 to 128",
    "seed": "a whole number of 64 bits",
    "stream": "true or false",
    "user": "a text",
    **FANOUT,
}


class RequestBody(Struct):
    """The documented fields, and ours. null is the same as absence."""

    prompt: Text
    model: Name | Annotated[tuple[Name, ...], Meta(min_length=1)] | None = None
    max_tokens: Count | None = None
    max_new_tokens: Count | None = None
    temperature: Share | None = None
    top_p: Share | None = None
    stop: Text | Annotated[tuple[Text, ...], Meta(max_length=MAX_STOPS)] | None = None
    presence_penalty: Penalty | None = None
    frequency_penalty: Penalty | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    seed: Int64 | None = None
    stream: bool | None = None
    fanout: FanoutBody | None = None
    user: str | None = None


class UsageBody(Struct):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prediction_time_ms: int


class FailureBody(Struct, omit_defaults=True):
    code: str
    message: str
    path: str | None = None


class ChoiceBody(Struct):
    text: str
    created: int
    model: str
    finish_reason: str
    usage: UsageBody
    error: FailureBody | UnsetType = UNSET
    agreement: Any = UNSET


class ResponseBody(Struct):
    """``errors`` names the models that have no choice of their own and did not answer."""

    id: str
    object: str
    created: str
    choices: list[ChoiceBody]
    usage: UsageBody
    errors: tuple[LegFailure, ...] | UnsetType = UNSET


class PieceBody(Struct):
    """What ends a streamed choice."""

    index: int
    model: str
    text: str
    finish_reason: str
    created: int
    usage: UsageBody
    error: FailureBody | UnsetType = UNSET
    agreement: Any = UNSET
    errors: tuple[LegFailure, ...] | UnsetType = UNSET


class ErrorBody(Struct, omit_defaults=True):
    error: str
    code: int
    param: str | None = None
    errors: tuple[Struct, ...] = ()


GOES_ON = b',"finish_reason":null}]}\n\n'
KNOWN = frozenset(RequestBody.__struct_fields__)
decode_body = msgspec.json.Decoder(RequestBody).decode
to_json = msgspec.json.Encoder().encode


read = wire.read_leniently


def decode(body: wire.Body) -> CompletionRequest:
    """The request, or BadRequest naming the field that is wrong."""
    found = body.fields
    try:
        asked = decode_body(body.data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        asked = wire.convert(decode_body, body.data, found, EXPECTED)  # says what is wrong
    if len(found) > len(KNOWN) or not KNOWN.issuperset(found):
        refuse_constraints(found)
    if asked.fanout is not None:
        wire.check_repeats(bytes(found["fanout"]))
    model, stop, user = asked.model, asked.stop, asked.user
    return CompletionRequest(
        (model,) if isinstance(model, str) else models_of(model),
        asked.prompt,
        Params(
            n=asked.n or 1,
            max_tokens=asked.max_tokens if asked.max_new_tokens is None else limit_of(asked),
            temperature=asked.temperature,
            top_p=asked.top_p,
            stop=() if stop is None else stops_of(stop),
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
        ),
        asked.stream or False,
        asked.fanout or NO_FANOUT,
        isinstance(model, str),
        user=wire.user_name(user) if user else "",
    )


def models_of(model: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if model is None:
        return ()
    return (model,) if isinstance(model, str) else model


def stops_of(stop: str | tuple[str, ...] | None) -> tuple[str, ...]:
    if stop is None:
        return ()
    return (stop,) if isinstance(stop, str) else stop


class Limited(Protocol):
    max_tokens: int | None
    max_new_tokens: int | None


def limit_of(asked: Limited) -> int | None:
    """``max_new_tokens`` is the name that thiggle's own example uses for the same thing."""
    one, other = asked.max_tokens, asked.max_new_tokens
    if one is not None and other is not None and one != other:
        raise BadRequest(
            f"max_tokens ({one}) and max_new_tokens ({other}) contradict each other; give one of them",
            param="max_new_tokens",
        )
    return one if one is not None else other


def refuse_constraints(found: Fields) -> None:
    for name, value in found.items():
        if name not in KNOWN and name.startswith(CONSTRAINTS) and bytes(value) != b"null":
            raise not_here(name)


def not_here(name: str) -> BadRequest:
    return BadRequest(
        f"{wire.shown(name)}: is not a field of this route, and would constrain the answer; "
        "/v1/completion/typed, /v1/completion/regex and /v1/completion/cfg do that",
        param=wire.shown(name),
    )


def encode(request: CompletionRequest, response: CompletionResponse) -> bytes:
    """The merged answer."""
    used, choices = response.usage, list(map(choice_body, response.parts))
    usage = UsageBody(used.input, used.output, used.input + used.output, response.elapsed_ms)
    created, failed = rfc3339(response.created), response.parts[0].failed or UNSET
    return to_json(ResponseBody(response.id, "text_completion", created, choices, usage, failed))


def choice_body(part: Part) -> ChoiceBody:
    used = part.usage
    usage = UsageBody(used.input, used.output, used.input + used.output, part.elapsed_ms)
    if part.error is None:
        finish, shares = FINISH.get(part.finish, "stop"), UNSET if part.agreement is None else part.agreement
        return ChoiceBody(part.text, part.created, part.model, finish, usage, UNSET, shares)
    return ChoiceBody(part.text, part.created, part.model, ended_by(part.error), usage, failure_body(part.error))


def ended_by(error: ProviderError) -> str:
    return "timeout" if isinstance(error, TimedOut) else "error"


def failure_body(error: ProviderError) -> FailureBody:
    return FailureBody(error.code, error.message, path_of(error))


@lru_cache(maxsize=4)
def rfc3339(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def status(error: GatewayError) -> int:
    return error.status


def encode_error(error: GatewayError) -> bytes:
    return flat(error.message, error.param, error)


def flat(message: str, param: str | None, error: GatewayError) -> bytes:
    # The Go client uses the whole body as a format string: a percent sign would be read as a verb.
    return to_json(ErrorBody(message, error.status, param, error.legs)).replace(b"%", b"%%")


class ThiggleChunks:
    """Encodes one streamed answer. What does not change between chunks is written once."""

    def __init__(self, id: str, created: int, plan: Plan) -> None:
        head = to_json({"id": id, "object": "text_completion", "created": rfc3339(created)})[:-1]
        self._head = b"data: " + head + b',"choices":['
        self._text = {
            leg.offset + i: self._head + b'{"index":%d,"model":%b,"text":' % (leg.offset + i, to_json(leg.model))
            for leg in plan
            for i in range(leg.call.choices)
        }

    def texts(self, place: int, deltas: list[Delta]) -> bytes:
        """Pieces of choices."""
        parts: list[bytes] = []
        for delta in deltas:
            if delta.text:
                parts += (self._text[place + delta.index], to_json(delta.text), GOES_ON)
        return b"".join(parts)

    def restart(self, leg: Leg) -> None:
        """Nothing is kept back here."""

    def end(self, part: Part) -> bytes:
        """A choice's last chunk, with what it cost; a failed choice's also says why."""
        choice = choice_body(part)
        ended, shares = choice.finish_reason, choice.agreement
        piece = PieceBody(
            part.index, part.model, "", ended, part.created, choice.usage, choice.error, shares, part.failed or UNSET
        )
        return self._head + to_json(piece) + b"]}\n\n"

    def usage(self, usage: Usage, elapsed_ms: int) -> bytes:
        """The sum, and the end of the stream."""
        total = UsageBody(usage.input, usage.output, usage.input + usage.output, elapsed_ms)
        return self._head + b'],"usage":' + to_json(total) + b"}\n\ndata: [DONE]\n\n"

    def failed(self, error: GatewayError) -> bytes:
        """The whole call has failed after its first byte."""
        return b"data: " + encode_error(error) + b"\n\ndata: [DONE]\n\n"


def chunks(request: CompletionRequest, id: str, created: int, plan: Plan) -> ThiggleChunks:
    return ThiggleChunks(id, created, plan)
