"""Compressed bodies, in pieces of bounded size: what a provider sends may grow a thousandfold."""

import zlib

from adapters.errors import Garbled
from gateway.upstream.failures import CUT, NOT_INFLATED, TOO_LARGE, meaning

GZIP = 16 + zlib.MAX_WBITS
PIECE = 64 * 1024
"""The most bytes of one piece: what a slow reader is made to hold."""


class Inflater:
    """One body: ``push`` what arrives, ``pull`` until nothing comes, ``close`` at the end."""

    __slots__ = ("_engine", "_gzip", "_input")

    def __init__(self, encoding: bytes) -> None:
        if encoding not in (b"gzip", b"x-gzip", b"deflate"):
            raise Garbled("the provider's answer has a content coding that nobody asked for")
        self._gzip = encoding != b"deflate"
        self._engine: zlib._Decompress | None = None  # made anew for each member of a gzip body
        self._input = b""

    def push(self, data: bytes) -> None:
        self._input = self._input + data if self._input else data

    def pull(self, most: int = PIECE) -> bytes:
        """The next piece, or nothing when more input is needed. Raises Garbled."""
        while self._input or self._engine is not None:
            if self._engine is None:
                if not self._gzip and len(self._input) < 2:
                    break
                self._engine = zlib.decompressobj(GZIP if self._gzip else _window(self._input))
            piece = self._step(self._engine, most)
            if piece:
                return piece
            if self._engine is not None:  # all input is swallowed, and nothing has come of it
                break
        return b""

    def _step(self, engine: "zlib._Decompress", most: int) -> bytes:
        """May be called without input: the engine stops at ``most`` with more to say and all input swallowed."""
        try:
            piece = engine.decompress(self._input, most)
        except zlib.error as error:
            raise meaning(error) from None
        self._input = engine.unconsumed_tail
        if engine.eof:
            self._turn(engine.unused_data)
        return piece

    def _turn(self, rest: bytes) -> None:
        """A gzip body may have several members; after a deflate body nothing may follow."""
        if rest and not self._gzip:
            raise Garbled(NOT_INFLATED)
        self._engine = None
        self._input = rest

    def close(self) -> None:
        """Raises Garbled if the body stops in the middle."""
        if self._engine is not None or self._input:
            raise Garbled(CUT)


def _window(start: bytes) -> int:
    """``deflate`` means the zlib format, but some servers send it bare; its first two bytes tell."""
    first, second = start[0], start[1]
    zlib_format = first & 15 == 8 and (first << 8 | second) % 31 == 0
    return zlib.MAX_WBITS if zlib_format else -zlib.MAX_WBITS


def inflate(encoding: bytes, body: bytes, most: int) -> bytes:
    """A whole body of at most ``most`` bytes."""
    if not body:
        return b""
    inflater = Inflater(encoding)
    inflater.push(body)
    pieces = []
    room = most
    while piece := inflater.pull(room + 1):
        room -= len(piece)
        if room < 0:
            raise Garbled(TOO_LARGE)
        pieces.append(piece)
    inflater.close()
    return b"".join(pieces)
