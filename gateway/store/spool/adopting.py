"""Spools of processes that have died: each is taken over by one living process, and by no other."""

import contextlib
import fcntl
import logging
import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import MsgspecError, msgpack

from gateway.ledger.entry import Begun, Ended
from gateway.store.alive import Alive
from gateway.store.spool.frames import BEGUN, DAMAGED, ENDED, MAGIC, START, done, records
from gateway.store.spool.segments import SUFFIX, process_of

LOCK = ".adopted"
UNREADABLE = ".unreadable"

log = logging.getLogger("gateway.ledger")


class Adopted:
    """The files of one dead process, for as long as it is not released."""

    def __init__(self, folder: Path, process: str, lock: int) -> None:
        self.process = process
        self._folder = folder
        self._lock = lock
        self._begun = msgpack.Decoder(Begun).decode
        self._ended = msgpack.Decoder(Ended).decode
        self._unreadable: set[Path] = set()

    def paths(self) -> list[Path]:
        """The oldest first."""
        return sorted(self._folder.glob(f"{self.process}.*{SUFFIX}"))

    def records(self) -> Iterator[tuple[Begun | Ended, bool]]:
        """What it has begun and ended, in order, and whether it is in SQL for certain. May be read again."""
        for path in self.paths():
            try:
                yield from self._of(path, path.read_bytes())
            except (MsgspecError, ValueError):
                log.error("%s cannot be read; it is kept as %s", path, path.name + UNREADABLE)
                self._unreadable.add(path)

    def delete(self) -> None:
        """All of it is in SQL. The oldest goes first: what an older segment has begun, a younger may have ended."""
        for path in self.paths():
            if path in self._unreadable:
                path.rename(path.with_name(path.name + UNREADABLE))
            else:
                path.unlink(missing_ok=True)
        self._path().unlink(missing_ok=True)

    def release(self) -> None:
        """Lets others take it over, if it is still there. May be repeated."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)

    def _path(self) -> Path:
        return self._folder / f"{self.process}{LOCK}"

    def _of(self, path: Path, data: bytes) -> Iterator[tuple[Begun | Ended, bool]]:
        if len(data) < START or not data.startswith(MAGIC):
            if any(data):
                raise ValueError
            return  # its process died while it was making it
        written = done(data)
        view = memoryview(data)
        for kind, begin, end in records(data, START):
            if kind == ENDED:
                yield self._ended(view[begin:end]), end <= written
            elif kind == BEGUN:
                yield self._begun(view[begin:end]), False
            elif kind == DAMAGED:
                if path not in self._unreadable:
                    log.error("%s is damaged at byte %d; it is kept as %s", path, begin, path.name + UNREADABLE)
                self._unreadable.add(path)
            else:
                raise ValueError


def adopt(folder: Path, alive: Alive) -> Iterator[Adopted]:
    """Takes over one after another. Each is released when the next is asked for, at the latest."""
    for process in sorted({process_of(path) for path in folder.glob(f"*{SUFFIX}")}):
        if alive.is_alive(process):
            continue
        lock = os.open(folder / f"{process}{LOCK}", os.O_RDWR | os.O_CREAT, 0o600)
        adopted = Adopted(folder, process, lock)
        try:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if adopted.paths():  # else another was faster, and is through with it
                    yield adopted
                else:
                    adopted.delete()
        finally:
            adopted.release()
