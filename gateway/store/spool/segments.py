"""One file of a spool: made whole before it is written to, mapped while it is."""

import contextlib
import mmap
import os
from pathlib import Path

from gateway.store.spool.frames import DONE, DONE_AT, MAGIC, START

SIZE = 1 << 20
"""Bytes of every segment."""

SUFFIX = ".spool"


def path_of(folder: Path, process: str, number: int) -> Path:
    return folder / f"{process}.{number:08d}{SUFFIX}"


def process_of(path: Path) -> str:
    return path.name.partition(".")[0]


class Segment:
    """``used`` is where its records end, known when it is full. ``open`` counts the legs whose oldest record of having
    begun lies here, and which have not ended."""

    __slots__ = ("map", "number", "open", "path", "used")

    def __init__(self, folder: Path, process: str, number: int) -> None:
        """Raises OSError where there is no room for it; nothing is left of it then."""
        self.number = number
        self.path = path_of(folder, process, number)
        self.used = START
        self.open = 0
        self.map: mmap.mmap | None = allocated(self.path)

    def finish(self, used: int) -> None:
        """It is full: from now on it is read from the file, and takes no memory."""
        self.used = used
        if self.map is not None:
            self.map.close()
            self.map = None

    def read(self, at: int, end: int) -> bytes:
        with open(self.path, "rb", buffering=0) as file:
            file.seek(at)
            return file.read(end - at)

    def mark(self, done: int) -> None:
        """Says that its ends up to there are in SQL."""
        if self.map is not None:
            DONE.pack_into(self.map, DONE_AT, done)
            return
        with open(self.path, "r+b", buffering=0) as file:
            file.seek(DONE_AT)
            file.write(DONE.pack(done))

    def delete(self) -> None:
        self.finish(self.used)
        self.path.unlink(missing_ok=True)


def allocated(path: Path) -> mmap.mmap:
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.posix_fallocate(file, 0, SIZE)  # a hole that finds no block when it is written to would be a SIGBUS
        made = mmap.mmap(file, SIZE)
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(file)
    made[: len(MAGIC)] = MAGIC
    return made
