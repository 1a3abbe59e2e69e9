"""What a process has of the machine, read from the kernel; and what it is doing, where it is ``watched``."""

import asyncio
import contextlib
import os
import re
import signal
from collections import Counter
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.faults.watched import Seen

PAGE = os.sysconf("SC_PAGE_SIZE")
CAUGHT = "SigCgt:"


class Held(Struct, frozen=True):
    """``memory`` is in bytes; ``sockets`` are among ``files``."""

    memory: int
    files: int
    sockets: int


def held(pid: int) -> Held:
    """Raises OSError where there is no such process."""
    proc = Path("/proc") / str(pid)
    memory = int((proc / "statm").read_text().split()[1]) * PAGE
    names = []
    for entry in (proc / "fd").iterdir():
        with contextlib.suppress(OSError):  # closed meanwhile
            names.append(os.readlink(entry))
    return Held(memory, len(names), sum(name.startswith("socket:") for name in names))


def other_files(pid: int) -> Counter[str]:
    """What is open beside connections over IPv4, by its name without numbers."""
    proc, tcp = Path("/proc") / str(pid), set()
    for line in (proc / "net" / "tcp").read_text().splitlines()[1:]:
        tcp.add(f"socket:[{line.split()[9]}]")
    names: Counter[str] = Counter()
    for entry in (proc / "fd").iterdir():
        with contextlib.suppress(OSError):
            name = os.readlink(entry)
            names.update([re.sub(r"[0-9a-f]*[0-9][0-9a-f]*", "N", name)] if name not in tcp else [])
    return names


class Ends(Struct, frozen=True):
    """A TCP connection, by its ports."""

    here: int
    there: int


def connections(pid: int) -> list[Ends]:
    """Those over IPv4 that the process holds, whatever their state; not what it listens on."""
    proc = Path("/proc") / str(pid)
    owned = set()
    for entry in (proc / "fd").iterdir():
        with contextlib.suppress(OSError):
            owned.add(os.readlink(entry).removeprefix("socket:[").removesuffix("]"))
    found = []
    for line in (proc / "net" / "tcp").read_text().splitlines()[1:]:
        words = line.split()
        ends = Ends(*[int(words[place].partition(":")[2], 16) for place in (1, 2)])
        if words[9] in owned and ends.there:
            found.append(ends)
    return found


def descendants(pid: int) -> list[int]:
    """The processes that this one has started, and theirs."""
    found: list[int] = []
    with contextlib.suppress(OSError):
        for path in (Path("/proc") / str(pid) / "task").glob("*/children"):
            for child in map(int, path.read_text().split()):
                found += [child, *descendants(child)]
    return found


def catches(pid: int, number: signal.Signals) -> bool:
    """Whether the process does something of its own at this signal."""
    for line in (Path("/proc") / str(pid) / "status").read_text().splitlines():
        if line.startswith(CAUGHT):
            return bool(int(line.removeprefix(CAUGHT), 16) >> (number - 1) & 1)
    return False


async def seen(pid: int, folder: Path, seconds: float = 5.0) -> Seen:
    """What a watched process says of itself. Raises TimeoutError, or OSError where it is gone."""
    file = folder / str(pid)
    with contextlib.suppress(FileNotFoundError):
        file.unlink()
    os.kill(pid, signal.SIGUSR1)
    async with asyncio.timeout(seconds):
        while not file.exists():  # noqa: ASYNC110 - nothing tells us but looking
            await asyncio.sleep(0.01)
    return msgspec.json.decode(file.read_bytes(), type=Seen)
