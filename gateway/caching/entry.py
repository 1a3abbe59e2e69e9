"""One kept answer, and its bytes. What cannot be read any more is as if it had never been kept."""

import zlib

import msgspec
from msgspec import Raw, Struct

from adapters.chat import delta_of
from adapters.types import Choice, Delta, Fields, Finish, Path, Reply, Usage

FORM = b"\x01"
"""The first byte; another form of the rest has another."""
PLAIN, ZIPPED = b"j", b"z"

ZIPPED_FROM = 2048
"""Bytes from which a value is compressed."""
MOST = 64 << 20
"""Bytes that a value may have when it is unpacked: what claims to be more is none of ours."""

HEAD = 6
"""Form, compression, and four bytes that say whether the rest is whole."""

EMPTY = frozenset({b"null", b'""'})

Batches = tuple[tuple[int, tuple[Delta, ...]], ...]


class Kept(Struct, frozen=True):
    """An answer as a target gave it. ``at`` is the wall clock's when it was kept, in seconds. ``batches`` are of an
    answer that was streamed: how far the indexes of each read's pieces are from their places in the leg, and the
    pieces; the choices' own texts are then empty. ``path`` is how it was held to its constraint."""

    target: str
    at: float
    choices: tuple[Choice, ...]
    usage: Usage | None = None
    raw: Fields | None = None
    path: Path | None = None
    batches: Batches = ()


# What is written: the values above, where Raw stands for anything, null for nothing (a Raw | None cannot be read).


class Used(Struct, array_like=True):
    """A Usage."""

    input: int
    output: int
    cached: int | None
    cache_write: int | None
    reasoning: int | None
    estimated: bool
    raw: Raw


class Chosen(Struct, array_like=True):
    """A Choice."""

    index: int
    text: str
    finish: Finish
    usage: Used | None
    raw: Fields | None


class Piece(Struct, array_like=True, gc=False):
    """A Delta; ``more``, which most pieces of a stream have in common, by its place."""

    index: int
    text: str
    finish: Finish | None
    raw: Raw
    more: int


class Packed(Struct, array_like=True):
    target: str
    at: float
    choices: tuple[Chosen, ...]
    usage: Used | None
    raw: Fields | None
    path: Path | None
    mores: tuple[Fields, ...]
    batches: tuple[tuple[int, tuple[Piece, ...]], ...]


NULL = Raw(b"null")

to_json = msgspec.json.Encoder().encode
decode_packed = msgspec.json.Decoder(Packed).decode
decode_message = msgspec.json.Decoder(Fields | None).decode


def pack(kept: Kept) -> bytes:
    mores: list[Fields] = []
    batches: tuple[tuple[int, tuple[Piece, ...]], ...] = ()
    if kept.batches:
        batches = tuple([(shift, tuple([piece(mores, delta) for delta in deltas])) for shift, deltas in kept.batches])
    choices = tuple([Chosen(c.index, c.text, c.finish, used(c.usage), c.raw) for c in kept.choices])
    packed = Packed(kept.target, kept.at, choices, used(kept.usage), kept.raw, kept.path, tuple(mores), batches)
    data, how = to_json(packed), PLAIN
    if len(data) >= ZIPPED_FROM:
        data, how = zlib.compress(data, 1), ZIPPED
    return b"".join((FORM, how, zlib.crc32(data).to_bytes(4), data))


def used(usage: Usage | None) -> Used | None:
    if usage is None:
        return None
    raw = NULL if usage.raw is None else usage.raw
    return Used(usage.input, usage.output, usage.cached, usage.cache_write, usage.reasoning, usage.estimated, raw)


def piece(mores: list[Fields], delta: Delta) -> Piece:
    """The pieces' further fields are added to the list, unless the piece before had the same."""
    more, place = delta.more, -1
    if more is not None:
        if not mores or (mores[-1] is not more and mores[-1] != more):
            mores.append(more)
        place = len(mores) - 1
    return Piece(delta.index, delta.text, delta.finish, NULL if delta.raw is None else delta.raw, place)


def unpack(data: bytes) -> Kept | None:
    """None for whatever ``pack`` of this version has not made."""
    body = data[HEAD:]
    if data[:1] != FORM or zlib.crc32(body).to_bytes(4) != data[2:HEAD]:
        return None
    try:
        if data[1:2] == ZIPPED:
            body = inflated(body)
        packed = decode_packed(body)
        mores = packed.mores
        batches = tuple([(shift, tuple([delta(mores, one) for one in told])) for shift, told in packed.batches])
    except (msgspec.MsgspecError, zlib.error, ValueError, IndexError, RecursionError):
        return None
    choices = tuple([Choice(c.index, c.text, c.finish, usage(c.usage), c.raw) for c in packed.choices])
    return Kept(packed.target, packed.at, choices, usage(packed.usage), packed.raw, packed.path, batches)


def usage(found: Used | None) -> Usage | None:
    if found is None:
        return None
    raw = None if found.raw == NULL else found.raw
    return Usage(found.input, found.output, found.cached, found.cache_write, found.reasoning, found.estimated, raw)


def delta(mores: tuple[Fields, ...], found: Piece) -> Delta:
    more = None if found.more < 0 else mores[found.more]
    return Delta(found.index, found.text, found.finish, None if found.raw == NULL else found.raw, more)


def inflated(body: bytes) -> bytes:
    """Raises zlib.error, or ValueError for what is too much or not whole."""
    unzip = zlib.decompressobj()
    data = unzip.decompress(body, MOST + 1)
    if len(data) > MOST or not unzip.eof:
        raise ValueError
    return data


def storable(reply: Reply, broken: object = None, batches: Batches = ()) -> bool:
    """Whether an answer is worth keeping: whole, by the model's own end, and not a refusal. ``broken`` are choices that
    break their type, if any; ``batches`` what was told of a streamed answer."""
    if broken or not reply.choices:
        return False
    for choice in reply.choices:
        if choice.finish not in ("stop", "tool_calls") or (choice.raw is not None and refuses(choice.raw)):
            return False
    return not any(declined(delta.raw) for _, deltas in batches for delta in deltas) if batches else True


def refuses(raw: Fields) -> bool:
    message = raw.get("message")
    return message is not None and b"refusal" in bytes(message) and said(decode_message(message) or {})


def declined(raw: Raw | None) -> bool:
    """Whether a piece of a stream is a part of a refusal."""
    return raw is not None and b'"refusal"' in bytes(raw) and said(delta_of(raw))


def said(message: Fields) -> bool:
    return bytes(message.get("refusal", b"null")) not in EMPTY
