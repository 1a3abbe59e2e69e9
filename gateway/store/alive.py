"""Which of the processes that share a state directory still run: each holds the lock of a file that is named after it.

The kernel lets go of a lock when its process dies, however it dies: nobody has to say goodbye, and no clock is asked.
"""

import contextlib
import fcntl
import os
import secrets
from pathlib import Path

SUFFIX = ".alive"


class Alive:
    """This process's own mark. ``name`` is new with each start."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.name = secrets.token_hex(8)
        bury_marks(folder)
        made = folder / f"{self.name}.new"
        self._lock = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        made.rename(self._path(self.name))  # under its name it is never seen unlocked

    def is_alive(self, name: str) -> bool:
        return name == self.name or held(self._path(name))

    def others(self) -> int:
        """How many other processes run on this folder."""
        return sum([held(path) for path in self._folder.glob(f"*{SUFFIX}") if path != self._path(self.name)])

    def close(self) -> None:
        self._path(self.name).unlink(missing_ok=True)
        os.close(self._lock)

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}{SUFFIX}"


def held(path: Path) -> bool:
    """Whether a living process holds the mark."""
    try:
        lock = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def bury_marks(folder: Path) -> None:
    """Takes away the marks of the dead."""
    for path in folder.glob(f"*{SUFFIX}"):
        if not held(path):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
