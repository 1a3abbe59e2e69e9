"""What lies in ``tests/recordings``, as values. Its README says what each file means."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

from adapters import ADAPTERS
from adapters.errors import ProviderError
from adapters.types import Adapter, Call, Choice, Delta, Headers, Host, HttpRequest, HttpResponse, Usage

ROOT = Path(__file__).parents[1] / "recordings"


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
        return msgspec.json.decode((self.path / "call.json").read_bytes(), type=Call)

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
        path = self.path / file
        if accept:
            said = got if isinstance(got, Sent) else bare(msgspec.to_builtins(got))  # null is a word in requests
            path.write_bytes(msgspec.json.format(msgspec.json.encode(said), indent=2) + b"\n")
        assert got == msgspec.json.decode(path.read_bytes(), type=type(got))


def bare(value: Any) -> Any:
    """Without the fields that say nothing, so that a file shows what its case is about."""
    if isinstance(value, dict):
        return {name: bare(field) for name, field in value.items() if field is not None}
    return [bare(item) for item in value] if isinstance(value, list | tuple) else value


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
        return Whole(reply.choices, reply.usage)
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
