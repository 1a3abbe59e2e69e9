"""What this process has ended, in the order in which it did, read back from its own segments."""

import asyncio
import contextlib

from msgspec import Struct, msgpack

from gateway.ledger.entry import Ended, Entry
from gateway.store.spool.frames import ENDED, HEAD, KIND, LENGTH, START
from gateway.store.spool.segments import Segment
from gateway.store.spool.spool import Spool

PIECE = 256 * 1024
"""Bytes read at once."""

AT_ONCE = 256
"""Records decoded without letting others have their turn."""


class Batch(Struct, frozen=True):
    """``segment`` and ``at`` are where the reading goes on after it."""

    entries: list[Entry]
    segment: Segment
    at: int


class Reader:
    """Stands where everything before is in SQL."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._segment = spool.segments[0]
        self._at = START
        self._decode = msgpack.Decoder(Ended).decode

    async def batch(self, most: int) -> Batch:
        """The next entries: those of whole legs, about as many as ``most``; none if there are none yet."""
        entries: list[Entry] = []
        segment, at = self._segment, self._at
        while len(entries) < most:
            end = self._spool.upto(segment)
            if at < end:
                at = await self._piece(entries, most, segment, at, min(end, at + PIECE))
            elif following := self._spool.after(segment):
                segment, at = following, START
            else:
                break
        return Batch(entries, segment, at)

    async def advance(self, batch: Batch) -> None:
        """The batch is in SQL. What is needed no more is let go of."""
        before, self._segment, self._at = self._segment, batch.segment, batch.at
        self._spool.written += len(batch.entries)
        with contextlib.suppress(OSError):  # unmarked, they are only written once more if this process dies
            if before is not batch.segment:
                before.mark(before.used)
            batch.segment.mark(batch.at)
        while self._spool.tidy(self._segment):  # noqa: ASYNC110 - lets others have their turn
            await asyncio.sleep(0)

    async def _piece(self, entries: list[Entry], most: int, segment: Segment, at: int, end: int) -> int:
        if segment.map is not None:
            data = segment.map[at:end]
        else:
            data = await asyncio.to_thread(segment.read, at, end)  # it may no longer be in memory
        view, place = memoryview(data), 0
        last = len(data) - 8
        decode, head = self._decode, HEAD.unpack_from
        while True:
            for _ in range(AT_ONCE):
                if place > last or len(entries) >= most:
                    return at + place
                word = head(data, place)[0]
                begin = place + 8
                after = begin + (word & LENGTH)
                if after > len(data):
                    return at + place  # the piece ends within it
                if word & KIND == ENDED:
                    entries += decode(view[begin:after]).entries
                place = after
            await asyncio.sleep(0)
