"""Kept answers that were read not long ago: most hits are of few, and reading one takes longer than finding it."""

from gateway.caching.entry import Kept, unpack

MOST = 256
"""Answers that are held, ..."""
LARGEST = 16 << 10
"""... each of so many bytes at most."""


class Reader:
    """``read`` gives what ``unpack`` gives. What was read first is let go first. Nobody may change what is given."""

    def __init__(self) -> None:
        self._known: dict[bytes, Kept] = {}  # a store in this process has the same bytes each time: found at once

    def read(self, value: bytes) -> Kept | None:
        kept = self._known.get(value)
        if kept is None:
            kept = unpack(value)
            if kept is not None and len(value) <= LARGEST:
                if len(self._known) >= MOST:
                    del self._known[next(iter(self._known))]
                self._known[value] = kept
        return kept
