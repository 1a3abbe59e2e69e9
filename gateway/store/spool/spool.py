"""What this process has begun and ended: written where it happens, in a microsecond or two.

Room for the end is set aside when something begins, so that no end is ever turned away. Who has begun and not ended is
kept in memory, too: when an old segment holds nothing else, its records are copied to the newest, and it is deleted.
"""

import logging
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from zlib import crc32

from msgspec import msgpack

from gateway.ledger.entry import Begun, Ended
from gateway.store.alive import Alive
from gateway.store.spool.frames import BEGUN, ENDED, HEAD, LENGTH, START
from gateway.store.spool.segments import SIZE, Segment

FOLDER = "ledger"

MOST_BYTES = 1 << 30

MOST_LEG = 64
MOST_BEGUN = 4096
MOST_RECORD = 64 * 1024
"""Bytes of a leg's id, of a record of having begun, and of any record."""

ENTRY_MORE = 256
"""How many bytes an entry takes beyond the record of its beginning, at most: its outcome, numbers of up to 9 bytes, and
the leg's id once more."""

USABLE = SIZE - START - MOST_RECORD
"""What a segment holds in any case: a record that does not fit into its rest goes to the next."""

KEPT = 4
"""Segments beyond which records of what is still open are copied, in order to let go of the oldest."""

COPIED = 500
"""Legs that are copied in one go."""

RETRY = 1.0
"""Seconds from a failed allocation to the next."""

put_head = HEAD.pack_into

log = logging.getLogger("gateway.ledger")


class SpoolFull(Exception):
    """There is no room to record this: it must not be done."""


class Spool:
    """Not for several threads. ``clock`` is in seconds, and only goes forward. ``wake`` is called when something has
    ended and nothing was waiting."""

    def __init__(self, state: Path, clock: Callable[[], float], most_bytes: int = MOST_BYTES) -> None:
        """Raises SpoolFull if not even the first segment can be made, and ValueError if it may not."""
        if most_bytes < 2 * SIZE:
            raise ValueError(f"a spool of {most_bytes} bytes is too small: {2 * SIZE} are the least")
        self.folder = state / FOLDER
        self.most_bytes = most_bytes
        self._clock = clock
        self.wake: Callable[[], None] = lambda: None
        self._encode = msgpack.Encoder().encode
        self._open: dict[str, tuple[tuple[bytes, ...], int, Segment]] = {}  # in the order of their segments
        self._reserved = 0
        self.ended = 0  # entries, since the start
        self.written = 0  # of these, those in SQL
        self.alive, first = started(self.folder)
        assert first.map is not None
        self.segments = deque((first,))
        self._current, self._map, self.at = first, first.map, START
        self._spares: deque[Segment] = deque()
        self._numbers = 0
        self._thread = ThreadPoolExecutor(1, "spool")
        self._making: Future[None] | None = None
        self._failed: OSError | None = None
        self._retry = 0.0
        self._warned = False
        self.free = 0
        """Bytes that may be written for sure, apart from what is set aside for ends, as last reckoned."""
        self._reckon()
        self._make_ahead()

    # ------------------------------------------------------------------ what is recorded

    def begin(self, begun: Begun) -> None:
        """Before a target is asked. A leg that goes on to another target begins there once more.

        Raises SpoolFull if this and the end of all that is open would not find room, and ValueError if its names are
        longer than any can be.
        """
        payload = self._encode(begun)
        length = len(payload)
        size = length + 8
        more = size + ENTRY_MORE
        leg = begun.leg
        if size > MOST_BEGUN or len(leg) > MOST_LEG:
            raise ValueError(f"a leg's names take {size} bytes, its id {len(leg)}: {MOST_BEGUN} and {MOST_LEG} may")
        if self.free < size + more:
            self._find_room(size + more)
        self._append(BEGUN | length, payload)
        self.free -= size + more
        self._reserved += more
        before = self._open.get(leg)
        if before is None:
            segment = self._current
            segment.open += 1
            self._open[leg] = ((payload,), more, segment)
        else:
            self._open[leg] = ((*before[0], payload), before[1] + more, before[2])

    def end(self, ended: Ended) -> None:
        """Always finds room, if the leg has begun once for each of its entries, with the same names. What has not begun
        may end, too: then, and with more or other entries, SpoolFull is raised if there is no room."""
        payload = self._encode(ended)
        length = len(payload)
        size = length + 8
        held = self._open.get(ended.leg)
        reserved = 0 if held is None else held[1]
        if size > reserved:
            if size > MOST_RECORD:
                raise ValueError(f"the end of a leg takes {size} bytes: {MOST_RECORD} may")
            if self.free < size - reserved:
                self._find_room(size - reserved)
        self._append(ENDED | length, payload)
        self.free += reserved - size
        self._reserved -= reserved
        if held is not None:
            del self._open[ended.leg]
            held[2].open -= 1
        waiting = self.ended > self.written
        self.ended += len(ended.entries)
        if not waiting:
            self.wake()

    # ------------------------------------------------------------------ how it stands

    @property
    def pending(self) -> int:
        """Entries that are not in SQL yet."""
        return self.ended - self.written

    @property
    def open(self) -> int:
        """Legs that have begun and not ended."""
        return len(self._open)

    @property
    def size(self) -> int:
        """Bytes on the disk."""
        return (len(self.segments) + len(self._spares)) * SIZE

    @property
    def room(self) -> int:
        """Bytes that may yet be written, apart from what is set aside for ends: where the disk is full, those that it
        has given already."""
        self._reckon()
        if self._failed is not None and self._clock() >= self._retry:
            self._make_ahead()
        ahead = 0 if self._failed is not None else max(0, self.most_bytes - self.size) // SIZE * USABLE
        return max(0, self.free + ahead)

    # ------------------------------------------------------------------ for the reader

    def after(self, segment: Segment) -> Segment | None:
        return next((other for other in self.segments if other.number > segment.number), None)

    def upto(self, segment: Segment) -> int:
        """Where the records of a segment end by now."""
        return self.at if segment is self._current else segment.used

    def tidy(self, read: Segment) -> bool:
        """Lets go of segments before ``read`` that are needed no more; whether there is more to do at once."""
        while (oldest := self.segments[0]) is not self._current and oldest.number < read.number:
            if oldest.open and not self._copy(oldest):
                return False
            if oldest.open:
                return True
            self.segments.popleft()
            self._thread.submit(oldest.delete)  # one thread, first come first served: the oldest is deleted first
        return False

    def close(self) -> None:
        """What is open or not in SQL is left for the next start."""
        self._thread.shutdown()
        for spare in self._spares:
            spare.delete()
        self._current.finish(self.at)
        if not self._open and not self.pending:
            for segment in self.segments:
                segment.delete()
        self.alive.close()

    # ------------------------------------------------------------------ inside

    def _append(self, word: int, payload: bytes) -> None:
        at = self.at
        begin = at + 8
        end = begin + (word & LENGTH)
        if end > SIZE:
            self._rotate()
            at, begin = START, START + 8
            end = begin + (word & LENGTH)
        mapped = self._map
        mapped[begin:end] = payload
        put_head(mapped, at, word, crc32(payload))  # from here on it is there
        self.at = end

    def _rotate(self) -> None:
        segment = self._spares.popleft()
        assert segment.map is not None
        self._current.finish(self.at)
        self.segments.append(segment)
        self._current, self._map, self.at = segment, segment.map, START
        self._reckon()
        self._make_ahead()

    def _reckon(self) -> None:
        """What is free for sure, beyond what is set aside. Between two reckonings the figure may be too low, never too
        high."""
        rest = max(0, SIZE - self.at - MOST_RECORD)
        self.free = rest + len(self._spares) * USABLE - self._reserved

    def _find_room(self, need: int) -> None:
        """Waits for what is being allocated, a fraction of a millisecond, if there was more to do than expected."""
        self._reckon()
        while self.free < need:
            self._make_ahead()
            making, self._making = self._making, None
            if making is None:
                raise SpoolFull(self._why())
            making.result()
            self._reckon()
        self._make_ahead()

    def _why(self) -> str:
        if self._failed is not None:
            return f"{self.folder}: no room for the ledger's spool: {self._failed.strerror or self._failed}"
        return f"{self.folder}: the ledger's spool has reached its {self.most_bytes} bytes; {self.pending} entries wait"

    def _make_ahead(self) -> None:
        """Has another segment made, so that there is always one more than is needed."""
        if self._making is not None and not self._making.done():
            return
        self._making = None
        self._watch()
        if self.free >= USABLE or self.size + SIZE > self.most_bytes or self._clock() < self._retry:
            return
        self._numbers += 1
        self._making = self._thread.submit(self._make, self._numbers)

    def _watch(self) -> None:
        if not self._warned and self.size > self.most_bytes // 2:
            log.warning("%s: the ledger's spool has grown to %d bytes of %d", self.folder, self.size, self.most_bytes)
            self._warned = True
        elif self._warned and self.size < self.most_bytes // 4:
            self._warned = False

    def _make(self, number: int) -> None:  # in the thread
        try:
            self._spares.append(Segment(self.folder, self.alive.name, number))
        except OSError as error:
            if self._failed is None:
                log.error("%s: no room for the ledger's spool: %s", self.folder, error.strerror)
            self._retry = self._clock() + RETRY
            self._failed = error
        else:
            self._failed, self._retry = None, 0.0

    def _copy(self, oldest: Segment) -> bool:
        """Copies some of what is open in the oldest segment to the newest, if it is in the way and there is room."""
        enough = min(KEPT * SIZE + 4 * self._reserved, self.most_bytes // 2)
        if self._failed is None and len(self.segments) * SIZE <= enough:
            return False
        for leg in self._first_of(oldest):
            payloads, reserved, _ = self._open[leg]
            size = sum(map(len, payloads)) + 8 * len(payloads)
            if self.free < size:
                self._reckon()
                if self.free < size:
                    return False
            del self._open[leg]
            self._append(BEGUN | len(payloads[0]), payloads[0])
            newest = self._current
            for payload in payloads[1:]:
                self._append(BEGUN | len(payload), payload)
            self.free -= size
            oldest.open -= 1
            newest.open += 1
            self._open[leg] = (payloads, reserved, newest)
        return True

    def _first_of(self, oldest: Segment) -> list[str]:
        found: list[str] = []
        for leg, (_, _, segment) in self._open.items():
            if segment is not oldest or len(found) == COPIED:
                break
            found.append(leg)
        return found


def started(folder: Path) -> tuple[Alive, Segment]:
    """This process's mark, and its first segment. Raises SpoolFull if there is no room or no right."""
    alive = None
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        alive = Alive(folder)
        return alive, Segment(folder, alive.name, 0)
    except OSError as error:
        if alive is not None:
            alive.close()
        raise SpoolFull(f"{folder}: the ledger's spool cannot be made: {error.strerror or error}") from error
