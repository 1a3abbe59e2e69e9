"""Processes: started on one core, accounted with all their descendants, stopped for sure."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.machine import TICKS_PER_SECOND, pinned


@dataclass(frozen=True)
class Usage:
    """CPU that a process tree has used so far: nanoseconds by thread, and the tree's coarse clock ticks."""

    threads: Mapping[int, int]
    ticks: int

    def since(self, earlier: "Usage") -> float:
        """CPU seconds used after `earlier`.

        Exact by threads. When a thread has ended its nanoseconds are gone, so the ticks (10 ms, they
        count ended children too) must do.
        """
        if not self.threads or earlier.threads.keys() - self.threads.keys():
            return (self.ticks - earlier.ticks) / TICKS_PER_SECOND
        return sum(ns - earlier.threads.get(thread, 0) for thread, ns in self.threads.items()) / 1e9


class Process:
    """A command in a session of its own, pinned to one core, its output in a log file."""

    def __init__(
        self,
        command: Sequence[str],
        core: int,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.log = log
        with pinned(core), log.open("wb") as output:
            self.started = time.monotonic()
            self._popen = subprocess.Popen(
                command,
                env=env,
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def exit_status(self) -> int | None:
        """None while it runs."""
        return self._popen.poll()

    def usage(self) -> Usage:
        """CPU used so far by the process and its descendants."""
        threads: dict[int, int] = {}
        ticks = 0
        for pid in tree(self.pid):
            try:
                ticks += sum(int(field) for field in _stat(pid)[11:15])  # own and reaped children's
                threads.update(_thread_nanoseconds(pid))
            except (OSError, IndexError):
                continue  # it ended meanwhile
        return Usage(threads, ticks)

    def rss_mb(self) -> float:
        """Megabytes (10^6 bytes) resident in the tree; pages that two processes share count twice."""
        page = os.sysconf("SC_PAGE_SIZE")
        pages = 0
        for pid in tree(self.pid):
            try:
                pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
            except OSError:
                continue
        return pages * page / 1e6

    def last_words(self, lines: int = 8) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """Ask it to end; after 5 seconds end whatever is left of its tree."""
        pids = tree(self.pid)
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(5)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for pid in pids:
            _kill_if_in_session(pid, self.pid)


def tree(root: int) -> list[int]:
    """The pids of a process and of its descendants."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                children.setdefault(int(_stat(int(entry))[1]), []).append(int(entry))
            except OSError:
                continue
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: the name before it may hold spaces and brackets."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _thread_nanoseconds(pid: int) -> dict[int, int]:
    """On-CPU nanoseconds by thread; empty where the kernel keeps no schedstat."""
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        try:
            found[int(thread)] = int(Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0])
        except OSError:
            continue
    return found


def _kill_if_in_session(pid: int, session: int) -> None:
    try:
        if int(_stat(pid)[3]) == session:
            os.kill(pid, signal.SIGKILL)
    except OSError:
        pass
