"""How records lie in a segment.

A segment begins with ``MAGIC`` and the place up to which its ends are in SQL. Each record is a word with its kind and
length, a CRC-32 of the payload, and the payload. The two words are written last: where they are zero, or the sum is
wrong and nothing follows, the writing stopped. Where something follows, the disk has changed a record.
"""

import struct
from collections.abc import Iterator
from zlib import crc32

MAGIC = b"ledger\0\1"
START = 64
"""Where the first record lies."""

DONE = struct.Struct("@I")
DONE_AT = 8

HEAD = struct.Struct("<II")

BEGUN = 1 << 24
ENDED = 2 << 24
DAMAGED = 0
LENGTH = BEGUN - 1
KIND = ~LENGTH & 0xFFFFFFFF


def done(data: bytes) -> int:
    """Up to where the ends of this segment are in SQL; ends that lie before it need not be written again."""
    return max(START, int(DONE.unpack_from(data, DONE_AT)[0]))


def records(data: bytes, at: int) -> Iterator[tuple[int, int, int]]:
    """The kind of each record (DAMAGED of one whose sum is wrong) and where its payload begins and ends, up to where
    the writing stopped."""
    view = memoryview(data)
    size = len(data)
    while at + HEAD.size <= size:
        word, check = HEAD.unpack_from(data, at)
        begin = at + HEAD.size
        at = begin + (word & LENGTH)
        if not word or at > size:
            return
        if crc32(view[begin:at]) == check:
            yield word & KIND, begin, at
        elif any(view[at : at + HEAD.size]):
            yield DAMAGED, begin, at
        else:
            return
