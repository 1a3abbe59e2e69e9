"""Who runs beside the gateway: told by the process that starts them, in a small file, to the workers that are asked."""

import contextlib
import os
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

import msgspec
from msgspec import Struct

VARIABLE = "GATEWAY_CENSUS"
"""Names the file; set by ``serve`` for its workers."""


class Member(Struct, frozen=True):
    """A child process. ``pid`` is None while it is down."""

    name: str
    pid: int | None = None
    restarts: int = 0


class Tally(Struct, frozen=True):
    """All of them, and the process that has started them."""

    parent: int
    members: tuple[Member, ...] = ()


class Census:
    """Writes the file, whole, at every change; a reader sees one state or the next. Lives for as long as its block."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._lock = threading.Lock()  # children are watched by threads

    def __enter__(self) -> "Census":
        self._folder = tempfile.TemporaryDirectory(prefix="gateway-")
        self._path = Path(self._folder.name, "census.json")
        self._write()
        os.environ[VARIABLE] = str(self._path)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        os.environ.pop(VARIABLE, None)
        self._folder.cleanup()

    def member(self, name: str) -> Callable[[int | None, int], None]:
        """What is to be told of one child, whenever it starts or ends: its process, and its restarts so far."""

        def changed(pid: int | None, restarts: int) -> None:
            with self._lock:
                self._members[name] = Member(name, pid, restarts)
                self._write()

        return changed

    def _write(self) -> None:
        new = self._path.with_suffix(".new")
        with contextlib.suppress(FileNotFoundError):  # a child's end may be noticed after ours
            new.write_bytes(msgspec.json.encode(Tally(os.getpid(), tuple(self._members.values()))))
            new.replace(self._path)


def read(path: str | None) -> Tally:
    """The state now; without a file, or when it has gone with those who wrote it, this process alone."""
    try:
        return msgspec.json.decode(Path(path).read_bytes(), type=Tally) if path else Tally(os.getpid())
    except (OSError, msgspec.DecodeError):
        return Tally(os.getpid())
