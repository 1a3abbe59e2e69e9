"""What lies in ``tests/recordings``, as values. Its README says what each file means."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from adapters import ADAPTERS
from adapters.errors import ProviderError
from adapters.types import (
    Adapter,
    AnyJson,
    Call,
    Chat,
    Choice,
    Constraint,
    Delta,
    Fields,
    Grammar,
    Headers,
    Host,
    HttpRequest,
    HttpResponse,
    Input,
    JsonSchema,
    OneOf,
    Params,
    Prompt,
    Prompts,
    Regex,
    Usage,
)

ROOT = Path(__file__).parents[1] / "recordings"


class Several(Struct, forbid_unknown_fields=True):
    """An ``input`` that is not just one text."""

    prompts: tuple[Prompt, ...]


class Limits(Struct, forbid_unknown_fields=True):
    """A constraint: the one of these that is given. ``strict`` and ``name`` belong to ``schema``."""

    schema: msgspec.Raw = msgspec.Raw()  # empty where it is not given
    name: str = "answer"
    strict: bool = True
    options: Fields | None = None
    json: bool = False
    regex: str | None = None
    choice: tuple[str, ...] | None = None
    grammar: str | None = None

    def constraint(self) -> Constraint:
        if self.schema:
            return JsonSchema(self.schema, self.name, self.strict, options=self.options)
        if self.regex is not None:
            return Regex(self.regex)
        if self.choice is not None:
            return OneOf(self.choice)
        return AnyJson() if self.grammar is None else Grammar(self.grammar)


class Asked(Struct, forbid_unknown_fields=True):
    """What a ``call.json`` holds. ``input`` is a text, a list of messages, or an object with ``prompts``."""

    model: str
    input: msgspec.Raw
    params: Params = Params()
    stream: bool = False
    fields: Fields | None = None
    constraint: Limits | None = None

    def call(self) -> Call:
        constraint = self.constraint.constraint() if self.constraint else None
        return Call(self.model, input_of(self.input), self.params, self.stream, self.fields, constraint)


def input_of(said: msgspec.Raw) -> Input:
    if bytes(said).startswith(b"["):
        return Chat(said)
    read = msgspec.json.decode(said, type=str | Several)
    return read if isinstance(read, str) else Prompts(read.prompts)


class Failed(Struct, omit_defaults=True):
    """A ProviderError, without its sentence: what a caller decides by."""

    code: str
    status: int | None = None
    retry_after: float | None = None
    param: str | None = None


class Sent(Struct):
    url: str
    headers: dict[str, str]
    body: Any


class Received(Struct):
    status: int
    headers: dict[str, str]
    body: Any


class Whole(Struct, omit_defaults=True):
    """What a whole answer comes to: a Reply's fields, or why there is none."""

    choices: tuple[Choice, ...] = ()
    usage: Usage | None = None
    raw: Fields | None = None
    error: Failed | None = None


class Streamed(Struct, omit_defaults=True):
    """What a stream comes to: the pieces, what they cost, and how it broke if it did."""

    deltas: tuple[Delta, ...]
    usage: Usage | None = None
    error: Failed | None = None


class Case:
    """One folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path.relative_to(ROOT))

    def adapter(self) -> Adapter:
        """Of the case's own host, or of the folder's; a folder that is no adapter is an engine of ``local``."""
        own, shared = self.path / "host.json", self.path.parent / "host.json"
        host = msgspec.json.decode((own if own.exists() else shared).read_bytes(), type=Host)
        return ADAPTERS.get(self.path.parent.name, ADAPTERS["local"])(host)

    def call(self) -> Call:
        return msgspec.json.decode((self.path / "call.json").read_bytes(), type=Asked).call()

    def response(self) -> HttpResponse:
        """A body that is a string stands for its bytes, any other for its JSON."""
        got = msgspec.json.decode((self.path / "response.json").read_bytes(), type=Received)
        body = got.body.encode() if isinstance(got.body, str) else msgspec.json.encode(got.body)
        headers: Headers = [(name.encode(), value.encode()) for name, value in got.headers.items()]
        return HttpResponse(got.status, headers, body)

    def stream(self) -> bytes:
        return next(self.path.glob("stream.*")).read_bytes()

    def check(self, file: str, got: Struct, accept: bool) -> None:
        """Compares with an expectation, or makes it the expectation."""
        path, said = self.path / file, shown(got)
        if accept:
            path.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
        assert said == msgspec.json.decode(path.read_bytes())


def shown(value: Any) -> Any:
    """As JSON has it. Our own fields that say nothing are left out, so that a file shows what its case is about; in
    what is a wire's, null is a word."""
    if isinstance(value, msgspec.Raw):
        return msgspec.json.decode(value)
    if isinstance(value, Sent):
        return msgspec.to_builtins(value)
    if isinstance(value, Struct):
        value = {name: getattr(value, name) for name in value.__struct_fields__ if not is_default(value, name)}
    if isinstance(value, dict):
        return {name: shown(field) for name, field in value.items()}
    return [shown(item) for item in value] if isinstance(value, list | tuple) else value


def is_default(value: Struct, name: str) -> bool:
    """None everywhere, and the defaults of the Structs that leave them out of their JSON."""
    field = getattr(value, name)
    if not value.__struct_config__.omit_defaults:
        return field is None
    defaults = {info.name: info.default for info in msgspec.structs.fields(value)}
    return bool(field == defaults[name])


def adapters() -> dict[str, Adapter]:
    """Every adapter there is, by its folder."""
    return {path.parent.name: Case(path.parent / "any").adapter() for path in sorted(ROOT.glob("*/host.json"))}


def cases(file: str = "call.json") -> list[Case]:
    """The folders that hold such a file."""
    return [Case(path.parent) for path in sorted(ROOT.glob(f"*/*/{file}"))]


def sent(request: HttpRequest) -> Sent:
    return Sent(request.endpoint.url, dict(request.endpoint.headers), msgspec.json.decode(request.body))


def failed(exc: ProviderError) -> Failed:
    return Failed(exc.code, exc.status, exc.retry_after, exc.param)


def encoded(case: Case) -> Sent | Whole:
    try:
        return sent(case.adapter().encode(case.call()))
    except ProviderError as exc:
        return Whole(error=failed(exc))


def decoded(case: Case) -> Whole:
    try:
        reply = case.adapter().decode(case.call(), case.response())
        return Whole(reply.choices, reply.usage, reply.raw)
    except ProviderError as exc:
        return Whole(error=failed(exc))


def streamed(case: Case, pieces: Iterable[bytes]) -> Streamed:
    decoder, deltas = case.adapter().decoder(case.call()), list[Delta]()
    error = None
    try:
        for piece in pieces:
            deltas += decoder.feed(piece)
        decoder.close()
    except ProviderError as exc:
        error = failed(exc)
    return Streamed(tuple(deltas), decoder.usage, error)


def split(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))
