"""A child process that is kept alive: started, watched, restarted with growing pauses, and stopped."""

import logging
import subprocess
import threading
import time
from collections.abc import Callable, Mapping

log = logging.getLogger("gateway.children")

FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
STEADY = 30.0
"""Seconds after which a child that ran so long is restarted without the pauses that earlier deaths have earned."""


class Child:
    """A child prints one line on standard output when it is ready, and ends when its standard input does: we hold the
    other end, so it goes when we do, however we die. One that ends before it was ever ready is not started again.

    ``environ`` is its environment, if not ours. ``changed`` is told whenever it starts or ends: its process, None when
    there is none, and how often it has been started again."""

    def __init__(
        self,
        name: str,
        command: list[str],
        environ: Mapping[str, str] | None = None,
        changed: Callable[[int | None, int], None] | None = None,
    ) -> None:
        self._name = name
        self._command = command
        self._environ = environ
        self._changed = changed or (lambda pid, restarts: None)
        self._restarts = 0
        self._stopping = threading.Event()
        self._settled = threading.Event()  # ready, or never to be
        self._was_ready = False
        self._process: subprocess.Popen[bytes] | None = None
        self._watcher = threading.Thread(target=self._watch, name=f"watch-{name}", daemon=True)

    def start(self) -> None:
        self._process = self._spawn()
        self._watcher.start()

    def wait_ready(self, seconds: float) -> bool:
        """Whether the child has said, within this time, that it is ready."""
        self._settled.wait(seconds)
        return self._was_ready

    def stop(self, patience: float = 5.0) -> None:
        """Asks the child to end, and ends it if it has not after ``patience`` seconds."""
        self._stopping.set()
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        self._watcher.join(patience)

    def _spawn(self) -> subprocess.Popen[bytes]:
        # A session of its own: Ctrl-C at the terminal is for the gateway, which then ends the child in its turn.
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=self._environ,
        )
        self._changed(process.pid, self._restarts)
        return process

    def _watch(self) -> None:
        pause = FIRST_PAUSE
        while self._process is not None:
            began = time.monotonic()
            status = self._run(self._process)
            self._changed(None, self._restarts)
            if self._stopping.is_set():
                return
            if not self._was_ready:
                log.error("%s did not start; its models are not available", self._name)
                return
            pause = FIRST_PAUSE if time.monotonic() - began > STEADY else min(pause * 2, LONGEST_PAUSE)
            log.error("%s ended with status %s; starting it again in %.1f s", self._name, status, pause)
            if self._stopping.wait(pause):
                return
            self._restarts += 1
            self._process = self._spawn()

    def _run(self, process: subprocess.Popen[bytes]) -> int:
        """Sees one life of the child through; returns its exit status."""
        with process:  # closes our ends of its pipes, too
            assert process.stdout is not None
            if process.stdout.readline():
                self._was_ready = True
            self._settled.set()
            while process.stdout.read(4096):
                pass
            return process.wait()
