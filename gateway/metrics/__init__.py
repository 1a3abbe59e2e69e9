"""What the gateway tells of itself, right with any number of workers: counted while it works, told at ``/metrics``.

``table`` declares it all, ``shared`` keeps the figures of each worker where the others see them, ``recording`` is what
the service calls, ``processes`` asks the kernel, and ``rendering`` makes the text.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from prometheus_client.exposition import choose_encoder

from gateway import __version__
from gateway.metrics.processes import Processes
from gateway.metrics.recording import Recording
from gateway.metrics.rendering import Encode, chunks
from gateway.metrics.shared import Figures

log = logging.getLogger("gateway.metrics")

__all__ = ["Figures", "Metrics", "Recording"]

LOOK = 1.0
"""Seconds between two looks at what is watched."""


class Metrics(Recording):
    """One worker's. ``census_file`` is where the children are told, and beside it lie all workers' figures; None when
    the gateway was started without any: then this worker's are all. ``steady`` is in seconds."""

    def __init__(self, census_file: str | None, steady: Callable[[], float]) -> None:
        folder = Path(census_file).parent if census_file else None
        if folder is not None and not folder.is_dir():
            folder = None  # it has gone with those who made it
        self._own = figures_in(folder)
        super().__init__(self._own, steady)
        self.watch("gateway_workers", lambda: 1)
        self.watch("gateway_build_info", lambda: 1, __version__)
        self._folder = folder
        self._processes = Processes(census_file)
        self._task: asyncio.Task[None] | None = None

    def render(self, accept: str | None) -> tuple[bytes, str]:
        """The exposition and its content type, in the format that the scraper prefers."""
        encode, kind = choose_encoder(accept or "")
        return b"".join(self._chunks(encode)), kind

    async def scraped(self, accept: str | None) -> tuple[bytes, str]:
        """The same, without keeping others waiting: ten thousand series take tenths of a second."""
        self.look()
        encode, kind = choose_encoder(accept or "")
        parts = []
        for part in self._chunks(encode):
            parts.append(part)
            await asyncio.sleep(0)
        return b"".join(parts), kind

    def _chunks(self, encode: Encode) -> Iterator[bytes]:
        yield from chunks(self._own, self._folder, encode)
        yield encode(self._processes)

    def start(self) -> None:
        """From now on other workers see what is watched here."""
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        with contextlib.suppress(Exception):
            self.look()  # what was counted until now stays
        self._own.close()

    async def _run(self) -> None:
        while True:
            try:
                self.look()
            except Exception:
                log.exception("what is watched cannot be looked at")
            await asyncio.sleep(LOOK)


def figures_in(folder: Path | None) -> Figures:
    """Where this worker counts. Without room on the disk it counts for itself: it must not fail for that."""
    try:
        return Figures(folder, os.getpid())
    except OSError as error:
        log.error("there is no room for figures (%s); what this worker counts is told by itself alone", error.strerror)
        return Figures()
