"""What processes say to each other of calls that they share: a line of JSON, and a kept answer behind it.

follow    I hear this call from now on, and said again: still
leave     ... and no more
alive     it goes on
pieces    what has come of it
answered  all of it, but for pieces that were told
failed    ... or why there is no answer
unknown   there is no such call here (any more)
alone     it goes on, but its beginning is forgotten: ask for yourself
"""

from typing import Any, Literal

import msgspec
from msgspec import Struct

from adapters.errors import Invalid, ProviderError
from gateway.caching.entry import Kept, pack, unpack

Kind = Literal["follow", "leave", "alive", "pieces", "answered", "failed", "unknown", "alone"]


class Failed(Struct, frozen=True, array_like=True):
    """A ProviderError, by the name of its class."""

    kind: str
    message: str
    status: int | None
    retry_after: float | None
    param: str | None
    path: str | None


class Message(Struct, frozen=True, array_like=True):
    """``key`` is what the call asks, ``sender`` the process that says so, ``ear`` the number that who hears has given
    to this time of hearing: what was said to another is none of its business. ``attempts`` and ``target`` are the
    call's, ``whole`` as there. ``place`` is how many reads were told before; of one who follows, how many it has taken.
    ``broken`` are choices that do not keep the constraint."""

    kind: Kind
    key: str
    sender: str
    ear: int = 0
    place: int = 0
    attempts: int = 0
    target: str = ""
    whole: bool = False
    failed: Failed | None = None
    broken: dict[int, Failed] = {}


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Message).decode


def written(message: Message, kept: Kept | None = None) -> bytes:
    return encode(message) + b"\n" + (b"" if kept is None else pack(kept))


def read(data: bytes) -> tuple[Message, Kept | None] | None:
    """None for what cannot be read: from another version, say."""
    head, _, rest = data.partition(b"\n")
    try:
        return decode(head), unpack(rest) if rest else None
    except msgspec.MsgspecError:
        return None


def failed_by(error: ProviderError) -> Failed:
    path = error.path if isinstance(error, Invalid) else None
    return Failed(type(error).__name__, error.message, error.status, error.retry_after, error.param, path)


def error_of(failed: Failed) -> ProviderError:
    """The same error on this side; of a class that is not known here, its nearest."""
    kind: type[ProviderError] = kinds(ProviderError).get(failed.kind, ProviderError)
    error = kind.__new__(kind)
    ProviderError.__init__(
        error, failed.message, status=failed.status, retry_after=failed.retry_after, param=failed.param
    )
    if isinstance(error, Invalid):
        error.path = failed.path
    return error


def kinds(base: type[ProviderError]) -> dict[str, Any]:
    found: dict[str, Any] = {base.__name__: base}
    for kind in base.__subclasses__():
        found |= kinds(kind)
    return found
