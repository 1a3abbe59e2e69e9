"""``gpt``: the OpenAI wire, chat completions and legacy completions, and what its many speakers have in common.

https://platform.openai.com/docs/api-reference/chat and .../completions. Hosts that differ only in data (Azure, most
llama hosts) are rows of configuration; see ``Host``.
"""

from typing import Any
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from adapters.complaints import Detail, decode_body, read_answer
from adapters.errors import (
    UNREADABLE,
    Filtered,
    Garbled,
    ProviderError,
    TooLong,
    Unauthorized,
    Unavailable,
    class_of,
    failure,
    garbled,
    inexpressible,
)
from adapters.restoring import Restore
from adapters.sse import Events
from adapters.stream import StreamDecoder
from adapters.types import (
    COUNTABLE,
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
    OneOf,
    Path,
    Prompts,
    Reply,
    Usage,
    count,
)
from adapters.undoing import UNCHANGED, refuse_logprobs, undoing, undone
from adapters.weakening import Weakened, by_schema
from adapters.weakening.table import OPENAI

FINISH: dict[str, Finish] = {
    "stop": "stop",
    "eos": "stop",  # Together's word for it
    "length": "length",
    "content_filter": "filtered",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
}

BROKEN = frozenset({"abort", "error"})
"""Finish reasons that are failures: SGLang's and vLLM's word for it, and OpenRouter's."""

CODES: dict[str, type[ProviderError]] = {
    "context_length_exceeded": TooLong,
    "exceed_context_size_error": TooLong,
    "content_filter": Filtered,
    "content_policy_violation": Filtered,
    "insufficient_quota": Unauthorized,  # a spent account is told as 429, and waiting does not help
}
"""Error codes that say more than the status does; each is a documented value, never a phrase of a message."""


class StreamOptions(Struct, frozen=True):
    include_usage: bool = True


WITH_USAGE = StreamOptions()


class Request(Struct, omit_defaults=True):
    """Both routes' requests: ``messages`` on the one, ``prompt`` on the other."""

    model: str
    messages: msgspec.Raw | None = None
    prompt: str | tuple[Any, ...] | None = None
    n: int = 1
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    stream: bool = False
    stream_options: StreamOptions | None = None


class Content(Struct, gc=False):
    """A message, or the part of one that a chunk brings."""

    content: str | None = None
    refusal: str | None = None


class WireChoice(Struct, gc=False):
    """A choice of either route, whole or in pieces. One is made for each event of a stream, so that even the garbage
    collector's eye on it costs; nothing in it can refer back to it."""

    index: int = 0
    message: Content | None = None
    delta: Content | None = None
    text: str | None = None
    finish_reason: str | None = None


class InputDetails(Struct):
    cached_tokens: float | None = None


class OutputDetails(Struct):
    reasoning_tokens: float | None = None


class WireUsage(Struct):
    prompt_tokens: float | None = None
    completion_tokens: float | None = None
    prompt_tokens_details: InputDetails | None = None
    completion_tokens_details: OutputDetails | None = None

    def canonical(self, raw: msgspec.Raw | None = None) -> Usage | None:
        """None where the host says too little; vLLM's type leaves ``completion_tokens`` out where it is nothing."""
        into, out = self.prompt_tokens_details, self.completion_tokens_details
        prompt, completion = self.prompt_tokens, self.completion_tokens or 0
        if prompt is None or not (0 <= prompt < COUNTABLE and 0 <= completion < COUNTABLE):
            return None
        if into is None and out is None:
            return Usage(int(prompt), int(completion), raw=raw)
        return Usage(
            int(prompt),
            int(completion),
            cached=count(into.cached_tokens) if into else None,
            reasoning=count(out.reasoning_tokens) if out else None,
            raw=raw,
        )


NULL = msgspec.Raw(b"null")

CHOICES = b'"choices":['
ERROR = msgspec.Raw(b'"error"')

READ_HERE = frozenset({"choices", "usage", "error"})
"""Fields of an answer that have a place of their own among the canonical values."""


class Answer(Struct, gc=False):
    """A whole answer, or one chunk. ``error`` comes with status 200 from several hosts; others say by ``object`` that
    all of it is one."""

    choices: tuple[WireChoice, ...] | None = None
    usage: WireUsage | None = None
    error: msgspec.Raw = NULL
    object: str | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode
decode_detail = msgspec.json.Decoder(Detail | str).decode
decode_fields = msgspec.json.Decoder(Fields).decode
decode_choice = msgspec.json.Decoder(WireChoice).decode
decode_choices = msgspec.json.Decoder(tuple[Fields, ...] | None).decode
decode_wire_choices = msgspec.json.Decoder(tuple[WireChoice, ...] | None).decode
decode_usage = msgspec.json.Decoder(WireUsage | None).decode
decode_pieces = msgspec.json.Decoder(tuple[msgspec.Raw, ...]).decode


class OpenAI:
    """The adapter. Relatives override ``body`` for what they say differently."""

    modes: tuple[Mode, ...] = ("chat", "completion")
    takes: frozenset[str] = frozenset({"prompts", "tokens", "echo", "best_of"})
    max_n: int | None = None
    chat_limit = "max_completion_tokens"
    left_out: frozenset[str] = frozenset({"continuous_usage_stats"})
    """Stream options that the host does not know; the gateway counts a running usage itself."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._headers = headers(host)
        self._endpoints: dict[tuple[str, str], Endpoint] = {}
        kind = type(self)  # a relative may refuse what it says differently
        self.plain = kind.encode is OpenAI.encode and kind.body is OpenAI.body and kind.asked is OpenAI.asked
        # Without [DONE], a stream that is cut between two choices cannot be told from one that has ended.
        self.max_n = host.max_n or (self.max_n if host.done_marker else 1)
        self.chat_limit = host.max_tokens_field or self.chat_limit

    def path(self, call: Call) -> Path | None:
        return "native" if isinstance(call.input, Chat) else None

    def most(self, call: Call) -> int | None:
        return self.max_n

    def encode(self, call: Call) -> HttpRequest:
        if self.max_n is not None and call.params.n > self.max_n:
            raise inexpressible("n", f"this provider gives n = {self.max_n} at most")
        route = "/chat/completions" if isinstance(call.input, Chat) else "/completions"
        endpoint = self._endpoints.get((route, call.model)) or self._endpoint(route, call.model)
        usual = self.plain and call.fields is None and call.constraint is None
        return HttpRequest(endpoint, encode_request(self.asked(call) if usual else self.body(call)), call.stream)

    def body(self, call: Call) -> Any:
        """The request in the host's words, to be sent as JSON."""
        if call.fields is not None:
            return self.forwarded(call, call.fields)
        if call.constraint is None:
            return self.asked(call)
        body: dict[str, Any] = msgspec.to_builtins(self.asked(call), builtin_types=(msgspec.Raw,))
        return body | self.constrained(call, call.constraint)

    def forwarded(self, call: Call, fields: Fields) -> dict[str, Any]:
        """A request that came in this wire, as the caller wrote it."""
        body: dict[str, Any] = {"model": call.model, **fields}
        chat = isinstance(call.input, Chat)
        body["messages" if chat else "prompt"] = spoken(call)
        limit = self.chat_limit if chat else "max_tokens"
        if call.params.max_tokens is not None and "max_tokens" not in fields and "max_completion_tokens" not in fields:
            body[limit] = call.params.max_tokens
        if call.constraint is not None and "response_format" not in fields:
            body |= self.constrained(call, call.constraint)
        if call.stream:
            body["stream"] = True
            body["stream_options"] = self.stream_options(fields.get("stream_options"))
            if not self._host.stream_usage:
                del body["stream_options"]
        return body

    def constrained(self, call: Call, constraint: Constraint) -> dict[str, Any]:
        """The fields that make the answer keep a constraint. Raises ``Rejected`` where there are none."""
        if not isinstance(call.input, Chat):
            raise inexpressible("response_format", "this provider's completion route cannot constrain an answer")
        if isinstance(constraint, AnyJson):
            return {"response_format": {"type": "json_object"}}
        asked = self.by_schema(constraint)
        if asked is None:
            name = type(constraint).__name__.lower()
            raise inexpressible(name, "this provider can be constrained by a JSON schema only")
        refuse_logprobs(call, asked.restore, "this provider")
        said: dict[str, Any] = {"name": "choice", "schema": asked.schema}
        if isinstance(constraint, JsonSchema):
            for option in constraint.options or ():
                raise inexpressible(option, f"this provider's schemas have no {option}: leave it out")
            said["name"] = constraint.name
            if constraint.description is not None:
                said["description"] = constraint.description
        said["strict"] = asked.strict
        return {"response_format": {"type": "json_schema", "json_schema": said}}

    def by_schema(self, constraint: Constraint) -> Weakened | None:
        """The schema by which the host is asked for an answer under this constraint; None where it is not asked by
        one, or by one that all its answers keep as they are."""
        return by_schema(constraint, OPENAI) if isinstance(constraint, JsonSchema | OneOf) else None

    def restore(self, call: Call) -> Restore:
        """What the answers to a call are taken out of; nothing if the caller asked for them as they are."""
        if call.constraint is None or (call.fields is not None and "response_format" in call.fields):
            return UNCHANGED
        asked = self.by_schema(call.constraint)
        return UNCHANGED if asked is None else asked.restore

    def stream_options(self, asked: msgspec.Raw | None) -> Any:
        """What a stream is asked to tell: its usage, which is needed whether or not the caller wants to see it."""
        if asked is None or asked == NULL:
            return WITH_USAGE
        options = {name: value for name, value in decode_fields(asked).items() if name not in self.left_out}
        return {**options, "include_usage": True}

    def asked(self, call: Call) -> Request:
        """A request of another dialect in this one's words."""
        asked, text = call.params, call.input
        chat = isinstance(text, Chat)
        limit = self.chat_limit if chat else "max_tokens"
        return Request(
            model=call.model,
            prompt=None if chat else spoken(call),
            messages=text.messages if isinstance(text, Chat) else None,
            n=asked.n,
            max_tokens=asked.max_tokens if limit == "max_tokens" else None,
            max_completion_tokens=asked.max_tokens if limit != "max_tokens" else None,
            temperature=asked.temperature,
            top_p=asked.top_p,
            stop=asked.stop,
            seed=asked.seed,
            presence_penalty=asked.presence_penalty,
            frequency_penalty=asked.frequency_penalty,
            stream=call.stream,
            stream_options=WITH_USAGE if call.stream and self._host.stream_usage else None,
        )

    def decode(self, call: Call, response: HttpResponse) -> Reply:
        form = thin if call.fields is None else rich
        if call.constraint is None and response.status == 200:  # as most are
            try:
                return form(response.body)
            except UNREADABLE as exc:
                raise garbled() from exc
        reply = read_answer(call, response, form, kind_of)
        return undone(reply, self.restore(call))

    def decoder(self, call: Call) -> Decoder:
        decoder = OpenAIDecoder(self._host.done_marker, rich=call.fields is not None)
        return undoing(decoder, self.restore(call))

    def _endpoint(self, route: str, model: str) -> Endpoint:
        found = self._endpoints[route, model] = Endpoint(url(self._host, route, model), self._headers)
        return found


class OpenAIDecoder(StreamDecoder):
    """Complete when ``[DONE]`` came, or, from hosts without it, when every choice has ended.

    A ``rich`` one keeps what the provider wrote beside the text. The events of a stream are alike but for their choice:
    what stands before and behind it is remembered, and an event with the same surroundings is read for its choice
    alone.
    """

    __slots__ = ("_after", "_around", "_before", "_ended", "_marker", "_more", "_open", "_over", "_rich")

    def __init__(self, marker: bool = True, rich: bool = False) -> None:
        super().__init__(Events())
        self._marker = marker
        self._rich = rich
        self._before = self._after = b""
        self._around: Fields | None = None  # what the surroundings say
        self._more: Fields | None = None
        self._ended: set[int] = set()
        self._over = False  # [DONE] has come
        self._open: set[int] = set()

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        if not payload.isascii():
            payload.decode()  # raises for what is not UTF-8: names that are not known are skipped without a look
        if self._before and payload.startswith(self._before) and self._read_choice(payload, deltas):
            return
        if payload == b"[DONE]":
            self.done = bool(self._ended) and not self._open
            self._over = True
            self._before = b""
        if self._over:
            return  # whatever follows is no part of the answer
        chunk = decode_answer(payload)
        top = decode_fields(payload) if self._rich else None
        if chunk.usage is not None:
            self.usage = chunk.usage.canonical(top["usage"] if top else None) or self.usage
        if chunk.error is not NULL and chunk.error != NULL:  # before the choices, which may say "error" too
            raise reported(chunk.error)
        if chunk.object == "error":
            raise reported(msgspec.Raw(payload))
        if top is not None:
            self._read_rich(payload, chunk, top, deltas)
            return
        for choice in chunk.choices or ():
            if choice.finish_reason is None and choice.index in self._open:  # as most are
                text = (choice.text if choice.delta is None else choice.delta.content) or ""
                if text:
                    deltas.append(Delta(choice.index, text))
            else:
                self._piece(choice, deltas)

    def _read_choice(self, payload: bytes, deltas: list[Delta]) -> bool:
        """Whether the event is like one before, and has been read as such."""
        if not payload.endswith(self._after):
            return False
        raw = payload[len(self._before) : len(payload) - len(self._after)]
        try:
            choice = decode_choice(raw)
        except msgspec.DecodeError:  # not one choice, but several, or none
            return False
        if choice.finish_reason is None and choice.index in self._open:
            text = (choice.text if choice.delta is None else choice.delta.content) or ""
            deltas.append(Delta(choice.index, text, None, msgspec.Raw(raw), self._around))
        else:
            self._piece(choice, deltas, msgspec.Raw(raw), self._around)
        return True

    def _read_rich(self, payload: bytes, chunk: Answer, top: Fields, deltas: list[Delta]) -> None:
        raws = decode_pieces(top["choices"]) if chunk.choices else ()
        more = {name: value for name, value in top.items() if name not in READ_HERE} or None
        if more != self._more:
            self._more = more
        more = self._more
        if chunk.usage is not None and chunk.choices:  # the running usage that vLLM can be asked for
            more = {**(more or {}), "usage": top["usage"]}
        elif len(raws) == 1:
            self._remember(payload, bytes(raws[0]))
        for choice, raw in zip(chunk.choices or (), raws, strict=True):
            self._piece(choice, deltas, raw, more)

    def _remember(self, payload: bytes, choice: bytes) -> None:
        at = payload.find(CHOICES) + len(CHOICES)
        if payload.startswith(choice, at):
            self._before, self._after, self._around = payload[:at], payload[at + len(choice) :], self._more

    def _piece(
        self, choice: WireChoice, deltas: list[Delta], raw: msgspec.Raw | None = None, more: Fields | None = None
    ) -> None:
        index, piece, reason = choice.index, choice.delta, choice.finish_reason
        text = (choice.text if piece is None else piece.content) or ""
        if not text and index in self._ended:
            return  # OpenRouter's usage rides on an empty piece behind the end, and some say the end twice
        if reason:
            deltas.append(Delta(index, text, finish_of(reason), raw, more))
            self._open.discard(index)
            self._ended.add(index)
            self.done = not (self._marker or self._open)
            return
        self._open.add(index)
        self.done = False  # without a marker, one choice may end before the next begins
        if text or raw is not None:
            deltas.append(Delta(index, text, None, raw, more))


def spoken(call: Call) -> Any:
    """The messages or the prompt, as they are sent."""
    if isinstance(call.input, Chat):
        return call.input.messages
    if isinstance(call.input, Prompts):
        return call.input.items[0] if len(call.input.items) == 1 else call.input.items
    return call.input


def thin(body: bytes) -> Reply:
    """A whole answer, as far as every wire has it."""
    if not body.isascii():
        body.decode()  # raises for what is not UTF-8: in a name that is damaged, usage would be overlooked
    answer = decode_answer(body)
    if answer.error is not NULL and answer.error != NULL:
        raise reported(answer.error)
    if answer.object == "error":
        raise reported(msgspec.Raw(body))
    if not answer.choices:
        raise nothing_chosen()
    usage = answer.usage.canonical() if answer.usage else None
    if len(answer.choices) == 1:
        return Reply((choice_of(answer.choices[0]),), usage)
    return Reply(tuple([choice_of(c) for c in answer.choices]), usage)


def rich(body: bytes) -> Reply:
    """A whole answer, with all that the provider wrote."""
    if not body.isascii():
        body.decode()  # raises for what is not UTF-8: what is handed on unread nobody else looks at
    top = decode_fields(body)
    error, choices, usage = top.pop("error", NULL), top.pop("choices", NULL), top.pop("usage", NULL)
    if error is not NULL and error != NULL:
        raise reported(error)
    if top.get("object") == ERROR:
        raise reported(msgspec.Raw(body))
    read, raws, used = decode_wire_choices(choices), decode_choices(choices), decode_usage(usage)
    if not read or not raws:
        raise nothing_chosen()
    total = used.canonical(usage) if used else None
    if len(read) == 1:
        [c] = read
        finish = FINISH.get(c.finish_reason or "") or finish_of(c.finish_reason)
        return Reply((Choice(c.index, text_of(c), finish, None, raws[0]),), total, top)
    pairs = zip(read, raws, strict=True)
    found = tuple([Choice(c.index, text_of(c), finish_of(c.finish_reason), None, raw) for c, raw in pairs])
    return Reply(found, total, top)


def choice_of(said: WireChoice) -> Choice:
    """The choice; one in whose place the model refused is told as a filtered one."""
    message = said.message
    text = (said.text if message is None else message.content) or ""
    finish = FINISH.get(said.finish_reason or "") or finish_of(said.finish_reason)
    if not text and message is not None and message.refusal:
        return Choice(said.index, "", "filtered")
    return Choice(said.index, text, finish)


def nothing_chosen() -> Garbled:
    return Garbled("the provider's answer holds no choices", status=200)


def text_of(choice: WireChoice) -> str:
    return (choice.message.content if choice.message else choice.text) or ""


def finish_of(reason: str | None) -> Finish:
    """Raises for a reason that stands for a failure."""
    if reason in BROKEN:
        raise Unavailable("the provider failed while it was answering")
    return FINISH.get(reason or "", "other")


def headers(host: Host) -> tuple[tuple[str, str], ...]:
    """What every request to this host carries."""
    lines = [("content-type", "application/json"), *host.headers.items()]
    if host.key is not None:
        lines.append(("authorization", f"Bearer {host.key}") if host.auth == "bearer" else ("api-key", host.key))
    return tuple(lines)


def url(host: Host, route: str, model: str) -> str:
    """The address of a route. A model's name cannot leave its place in the path: it is quoted, slashes and all."""
    base = host.base_url.rstrip("/").replace("{model}", quote(model, safe=""))
    return base + route + ("?" + urlencode(host.query) if host.query else "")


def kind_of(response: HttpResponse) -> type[ProviderError] | None:
    """What the error body's code says beyond the status; None if nothing, or if there is no such body."""
    try:
        detail = decode_body(response.body).detail()
    except UNREADABLE:
        return None
    return CODES.get(str(detail.code)) or CODES.get(str(detail.type))


def reported(error: msgspec.Raw) -> ProviderError:
    """An error that came under status 200: by its code if that is a known word or a status, else an outage."""
    try:
        detail = decode_detail(error)
    except UNREADABLE:
        detail = Detail()
    if isinstance(detail, str):
        detail = Detail()
    kind = CODES.get(str(detail.code)) or CODES.get(str(detail.type))
    status = detail.code if isinstance(detail.code, int) and 400 <= detail.code < 600 else None
    return failure(HttpResponse(status or 500, []), kind or (class_of(status) if status else Unavailable))
