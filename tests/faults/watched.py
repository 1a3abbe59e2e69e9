"""A gateway that tells, on SIGUSR1, what it is doing: for tests alone, since a product needs no such door.

    python -m tests.faults.watched serve ...

is ``python -m gateway serve ...``. Each process that serves answers the signal with a file, ``WATCHED/<pid>``, which
holds how many tasks there are by what they run, how many objects the collector of cycles knows of, and of which kinds,
and how many pieces of memory are in use at all: what is not collected grows in the first two, what is only kept in the
last.
"""

import asyncio
import gc
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct

FOLDER = "TEST_WATCHED"
"""The variable that names the folder. Not one of the gateway's."""


MOST = 50
"""Kinds of objects that are told, those of which there are the most."""


class Seen(Struct):
    """What one process has. ``tasks`` are counted by the names of their coroutines. ``blocks`` are pieces of memory of
    up to half a kilobyte: what the resident memory would be without what was once needed and is kept for later."""

    tasks: dict[str, int]
    objects: int
    blocks: int
    kinds: dict[str, int]


def tell() -> None:
    tasks = Counter([task.get_coro().__qualname__ for task in asyncio.all_tasks()])  # type: ignore[union-attr]
    gc.collect()
    file = Path(os.environ[FOLDER]) / str(os.getpid())
    part = file.with_suffix(".part")
    blocks, found = sys.getallocatedblocks(), gc.get_objects()
    kinds = Counter([f"{type(one).__module__}.{type(one).__qualname__}" for one in found])
    part.write_bytes(msgspec.json.encode(Seen(tasks, len(found), blocks, dict(kinds.most_common(MOST)))))
    part.rename(file)


def watch() -> None:
    """Makes every application that is created from now on, in this process, listen."""
    from gateway import app

    create = app.create

    def watched() -> Any:
        asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell)
        return create()

    app.create = watched


if __name__ in ("__main__", "__mp_main__"):  # the latter is how a worker begins
    watch()
if __name__ == "__main__":
    from gateway.cli import main

    main(prog_name="gateway")
