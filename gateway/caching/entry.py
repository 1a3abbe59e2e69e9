"""One kept answer, and its bytes. What cannot be read any more is as if it had never been kept."""

import zlib
from typing import Any

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


class Piece(Struct, array_like=True, gc=False):
    """A Delta; ``more``, which most pieces of a stream have in common, by its place."""

    index: int
    text: str
    finish: Finish | None
    raw: Raw | None
    more: int


class Packed(Struct, array_like=True):
    target: str
    at: float
    choices: tuple[Choice, ...]
    usage: Usage | None
    raw: Fields | None
    path: Path | None
    mores: tuple[Fields, ...]
    batches: tuple[tuple[int, tuple[Piece, ...]], ...]


to_json = msgspec.json.Encoder().encode
decode_packed = msgspec.json.Decoder(Packed).decode
decode_message = msgspec.json.Decoder(Fields | None).decode


def pack(kept: Kept) -> bytes:
    mores: list[Fields] = []
    batches = tuple(
        [
            (shift, tuple([Piece(d.index, d.text, d.finish, d.raw, place(mores, d.more)) for d in deltas]))
            for shift, deltas in kept.batches
        ]
    )
    packed = Packed(kept.target, kept.at, kept.choices, kept.usage, kept.raw, kept.path, tuple(mores), batches)
    data, how = to_json(packed), PLAIN
    if len(data) >= ZIPPED_FROM:
        data, how = zlib.compress(data, 1), ZIPPED
    return b"".join((FORM, how, zlib.crc32(data).to_bytes(4), data))


def place(mores: list[Fields], more: Fields | None) -> int:
    """Where these fields are in the list; they are added unless the piece before had the same. -1 for none."""
    if more is None:
        return -1
    if not mores or (mores[-1] is not more and mores[-1] != more):
        mores.append(more)
    return len(mores) - 1


def unpack(data: bytes) -> Kept | None:
    """None for whatever ``pack`` of this version has not made."""
    body = data[HEAD:]
    if data[:1] != FORM or zlib.crc32(body).to_bytes(4) != data[2:HEAD]:
        return None
    try:
        if data[1:2] == ZIPPED:
            body = inflated(body)
        packed = decode_packed(body)
        batches = tuple([(shift, tuple([delta(packed.mores, p) for p in pieces])) for shift, pieces in packed.batches])
    except (msgspec.MsgspecError, zlib.error, ValueError, IndexError, RecursionError):
        return None
    return Kept(packed.target, packed.at, packed.choices, packed.usage, packed.raw, packed.path, batches)


def delta(mores: tuple[Fields, ...], piece: Piece) -> Delta:
    return Delta(piece.index, piece.text, piece.finish, piece.raw, None if piece.more < 0 else mores[piece.more])


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
        if choice.finish not in ("stop", "tool_calls") or refuses(choice.raw):
            return False
    return not any(declined(delta.raw) for _, deltas in batches for delta in deltas)


def refuses(raw: Fields | None) -> bool:
    message: Any = (raw or {}).get("message")
    return message is not None and said(decode_message(message) or {})


def declined(raw: Raw | None) -> bool:
    """Whether a piece of a stream is a part of a refusal."""
    return raw is not None and b'"refusal"' in bytes(raw) and said(delta_of(raw))


def said(message: Fields) -> bool:
    return bytes(message.get("refusal", b"null")) not in EMPTY
