"""Several workers and their parent, which hears the signals for all of them: to stop, each in order; to read the
configuration again, each by itself, without anybody being started anew."""

import logging
import math
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing import resource_tracker
from types import FrameType

import uvicorn
from uvicorn.config import STARTUP_FAILURE
from uvicorn.supervisors.multiprocess import SIGNALS, Multiprocess, Process

from gateway.draining import CLOSING, SETTLING, Server

log = logging.getLogger("gateway.serve")

LOOK = 0.5
"""Seconds between two looks at whether all workers live."""

STARTING = 60.0
"""Seconds that a worker gets until it answers for the first time: on a busy machine its imports alone take some."""

LEFT_TO_US = frozenset({signal.SIGINT, signal.SIGHUP})
"""A terminal sends Ctrl-C to all processes at once: it is the parent that passes it on. And before a worker knows what
to do at SIGHUP, it would end by it."""


class Worker(Process):
    """One worker's process."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], seconds: float) -> None:
        super().__init__(config, sockets)
        self._seconds = seconds
        self._began = math.inf
        self._answered = False

    def start(self) -> None:
        self._began = time.monotonic()
        with blocked():
            super().start()

    def is_alive(self, timeout: float = 5) -> bool:
        """Whether it answers; of one that is just starting, whether it is there."""
        if self._answered or time.monotonic() - self._began > STARTING:
            return super().is_alive(timeout)
        self._answered = self.process.is_alive() and self.ping(0)
        return self.process.is_alive()

    @property
    def server(self) -> Server:
        if not isinstance(self._server, Server):
            self._server = Server(self.config, self._seconds)
        return self._server

    def signal(self, number: int) -> None:
        pid = self.process.pid
        if pid is not None and self.process.is_alive():
            os.kill(pid, number)


class Workers(Multiprocess):
    """The parent. ``seconds`` is how long calls that are under way may go on when it is told to stop."""

    processes: list[Worker]  # type: ignore[assignment]

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], seconds: float) -> None:
        super().__init__(config, sockets)
        self._seconds = seconds
        self._news, self._bell = os.pipe()
        os.set_blocking(self._news, False)
        os.set_blocking(self._bell, False)
        for number in SIGNALS:
            signal.signal(number, self._hear)

    def run(self) -> None:
        """Until told to stop. Exits with uvicorn's status for it when a worker cannot start."""
        self.init_processes()
        while not self.should_exit.is_set():
            self._wait(LOOK)
            self.handle_signals()
            self.keep_subprocess_alive()
        failed = any(process.exitcode == STARTUP_FAILURE for process in self.processes)
        self._stop_all()
        if failed:
            sys.exit(STARTUP_FAILURE)

    def init_processes(self) -> None:
        self.processes = [self._started() for _ in range(self.processes_num)]

    def keep_subprocess_alive(self) -> None:
        for place, process in enumerate(self.processes):
            if self.should_exit.is_set() or process.is_alive(timeout=self.config.timeout_worker_healthcheck):
                continue
            process.kill()  # if it only hangs
            process.join()
            if process.exitcode == STARTUP_FAILURE:  # it would fail in the same way again
                log.error("a worker could not start; the gateway stops")
                self.should_exit.set()
            else:
                log.error("a worker has died; another takes its place")
                self.processes[place] = self._started()

    def handle_hup(self) -> None:
        for process in self.processes:
            process.signal(signal.SIGHUP)

    def handle_ttin(self) -> None:
        self.processes_num += 1
        self.processes.append(self._started())

    def _started(self) -> Worker:
        worker = Worker(self.config, self.sockets, self._seconds)
        worker.start()
        return worker

    def _stop_all(self) -> None:
        """Tells all to stop, and tells them again each time that we are told again."""
        end = time.monotonic() + self._seconds + SETTLING + CLOSING
        for process in self.processes:
            process.signal(signal.SIGTERM)
        while any(process.process.is_alive() for process in self.processes):
            self._wait(0.05)
            again = {signal.SIGINT, signal.SIGTERM}.intersection(self.signal_queue)
            self.signal_queue.clear()
            for process in self.processes:
                if again:
                    process.signal(signal.SIGTERM)
                if time.monotonic() > end:
                    process.signal(signal.SIGKILL)
        for process in self.processes:
            process.join()

    def _hear(self, number: int, frame: FrameType | None) -> None:
        self.signal_queue.append(number)
        with suppress(BlockingIOError):  # it rings already
            os.write(self._bell, b"!")

    def _wait(self, seconds: float) -> None:
        if select.select([self._news], [], [], seconds)[0]:
            os.read(self._news, 4096)


@contextmanager
def blocked() -> Iterator[None]:
    """What is started here does not get these signals until it asks for them."""
    resource_tracker.ensure_running()  # which would unblock one of them when it is first needed
    before = signal.pthread_sigmask(signal.SIG_BLOCK, LEFT_TO_US)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
