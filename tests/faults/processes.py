"""Programs beside the test: each ends with it."""

import asyncio
import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from tests.faults.load import Client
from tests.faults.provider import Served

ROOT = Path(__file__).parents[2]


async def until(true: Callable[[], Awaitable[bool]], seconds: float, what: str, pause: float = 0.02) -> None:
    """Waits; raises AssertionError, which says what is the matter, if it takes longer."""
    deadline = time.monotonic() + seconds
    while not await true():
        assert time.monotonic() < deadline, f"{what}, after {seconds:g} s"
        await asyncio.sleep(pause)


def die_with_parent() -> None:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Provider:
    """The provider's process, and its books."""

    def __init__(self, port: int, log: Path) -> None:
        self.port = port
        self.url = f"http://127.0.0.1:{port}/v1"
        self._log = log

    def served(self) -> list[Served]:
        """All requests that have ended by now."""
        return [msgspec.json.decode(line, type=Served) for line in self._log.read_bytes().splitlines()]

    async def quiet(self, seconds: float = 30.0) -> None:
        """Waits until nothing is being answered."""
        client = Client(self.port, "")
        try:
            await until(lambda: self._none_open(client), seconds, "the provider goes on answering")
        finally:
            await client.close()

    async def _none_open(self, client: Client) -> bool:
        return not (await client.call({}, "/stats")).json["open"]


@asynccontextmanager
async def provider(log: Path) -> AsyncIterator[Provider]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.provider", str(log),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, cwd=ROOT,
        preexec_fn=die_with_parent,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        yield Provider(int(await process.stdout.readline()), log)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        await drained(process)


async def drained(process: asyncio.subprocess.Process) -> None:
    """Lets the pipes be closed: an open one is a warning later."""
    transport = getattr(process, "_transport", None)
    if transport is not None:
        transport.close()
    await asyncio.sleep(0)


def environment(**changes: str) -> dict[str, str]:
    """This process's own, without what it says to a gateway."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")}
    return kept | changes
