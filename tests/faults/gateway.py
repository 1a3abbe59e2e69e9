"""A gateway as a process of its own: started, killed, and started again on the same state."""

import asyncio
import contextlib
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec

from tests.faults.load import Client, Dead
from tests.faults.proc import Held, descendants, held, seen
from tests.faults.processes import ROOT, die_with_parent, drained, environment, free_port, until
from tests.faults.watched import FOLDER, Seen

KEY = "sk-bootstrap-0123456789-0123456789-0123456789"
ADMIN = "ak-bootstrap-0123456789-0123456789-0123456789"

SERVER = "server: {lag_ms: null}"
"""Hundreds of calls come at once, on machines that have other work: all are to be let in, however long it takes."""

ROUTING = """
{server}
limits: {limits}
ledger: {ledger}
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY{provider}}}
  open: {{adapter: llama, base_url: "{url}", key_env: P_KEY, typed_path: prompted{provider}}}
models:
{models}
{more}"""

PRICE = "{input: 1, output: 2}"
"""Dollars per million tokens: 1,000 and 2,000 nano-dollars for one."""
PRICE_IN, PRICE_OUT = 1000, 2000


class Broken(Exception):
    """The gateway did not do what it must to be proved anything about."""


def target(model: str, provider: str = "p", price: str = PRICE, more: str = "") -> str:
    return f"{{provider: {provider}, model: {model}, price: {price}{more}}}"


def routing(
    url: str,
    models: dict[str, str | tuple[str, ...]],
    limits: str = "{}",
    ledger: str = "{}",
    provider: str = "",
    more: str = "",
) -> str:
    """``models``: the provider's model that answers for each of ours (see ``provider.Behaviour``), or targets in turn,
    as ``target`` writes them. ``provider`` is what is said of providers besides, with a comma before it; ``more`` are
    further lines of the file."""
    lines = []
    for name, asked in models.items():
        targets = [target(asked)] if isinstance(asked, str) else asked
        lines.append(f"  {name}: {{targets: [{', '.join(targets)}]}}")
    return ROUTING.format(
        server=SERVER, url=url, models="\n".join(lines), limits=limits, ledger=ledger, provider=provider, more=more
    )


class Gateway:
    """One ``gateway serve``. It stays on its port and its state through all its lives. ``watched``: its processes tell
    what they are doing (see ``watched``)."""

    def __init__(self, folder: Path, config: str, *, workers: int = 1, watched: bool = False, **settings: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._module = "tests.faults.watched" if watched else "gateway"
        self.state = Path(settings.pop("state_dir", str(folder / "state")))
        self.port = free_port()
        self.workers = workers
        self.config = folder / "routing.yaml"
        self.config.write_text(config)
        self.log = folder / "log"
        self._settings = {f"GATEWAY_{name.upper()}": value for name, value in settings.items()}
        self.process: asyncio.subprocess.Process | None = None
        self.starts = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        return environment(
            **{FOLDER: str(self.folder)},
            GATEWAY_STATE_DIR=str(self.state),
            GATEWAY_CONFIG=str(self.config),
            GATEWAY_BOOTSTRAP_KEY=KEY,
            GATEWAY_ADMIN_KEY=ADMIN,
            P_KEY="sk-provider",
            **self._settings,
        )

    async def start(self, ready: bool = True) -> None:
        self.starts += 1
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, "serve", "--port", str(self.port), "--workers", str(self.workers),
                stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT, env=self.environment(),
                preexec_fn=die_with_parent, start_new_session=True,
            )  # fmt: skip
        if ready:
            await self.ready()

    async def ready(self, seconds: float = 30.0) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process is None or self.process.returncode is not None:
                raise Broken(f"the gateway does not start:\n{self.tail()}")
            with contextlib.suppress(Dead, TimeoutError):
                async with asyncio.timeout(2):
                    if await self.get("/ready") == 200:
                        return
            await asyncio.sleep(0.02)
        raise Broken(f"the gateway is not ready after {seconds:g} s:\n{self.tail()}")

    async def complete(self, seconds: float = 30.0) -> None:
        """All workers serve, and not only the first."""

        async def all_serve() -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            writer.write(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
            told = await reader.read()
            writer.close()
            found = re.search(rb"^gateway_workers (\S+)$", told, re.MULTILINE)
            return found is not None and float(found[1]) == self.workers

        await until(all_serve, seconds, "not all workers have started")

    async def get(self, path: str) -> int:
        """The status."""
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                writer.write(f"GET {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n".encode())
                return int((await reader.readline()).split(b" ")[1])
            finally:
                writer.transport.abort()
        except (OSError, IndexError, ValueError) as error:
            raise Dead(str(error)) from error

    async def kill(self) -> None:
        """``kill -9``, of its workers as well."""
        assert self.process is not None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        await self._gone()

    async def stop(self, seconds: float = 30.0) -> None:
        """As an operator stops it: what is under way may end."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await self.process.wait()
        except TimeoutError:
            await self.kill()
            raise Broken(f"the gateway does not stop within {seconds:g} s:\n{self.tail()}") from None
        await self._gone()

    async def _gone(self) -> None:
        assert self.process is not None
        await self.process.wait()
        await drained(self.process)

    # ------------------------------------------------------------------ what it has of the machine

    @property
    def serving(self) -> list[int]:
        """The processes that serve: this one, or its workers."""
        assert self.process is not None
        pid = self.process.pid
        return [pid] if self.workers == 1 else [child for child in descendants(pid) if is_worker(child)]

    def held(self) -> dict[int, Held]:
        """By process; those that are gone meanwhile are left out."""
        found = {}
        for pid in self.serving:
            with contextlib.suppress(OSError):
                found[pid] = held(pid)
        return found

    async def seen(self) -> dict[int, Seen]:
        """By process, of a watched gateway."""
        return {pid: await seen(pid, self.folder) for pid in self.serving}

    # ------------------------------------------------------------------ what operators do

    async def command(self, *arguments: str, fails: bool = False) -> Any:
        """What ``gateway ... --json`` answers; ``fails``: also where it ends with an error status."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "gateway", *arguments, "--json",
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            cwd=ROOT, env=self.environment(), preexec_fn=die_with_parent,
        )  # fmt: skip
        out, err = await process.communicate()
        await drained(process)
        if process.returncode and not (fails and out):
            raise Broken(f"gateway {' '.join(arguments)}: {err.decode()}")
        return msgspec.json.decode(out)

    async def admin(self, path: str, body: Any) -> Any:
        """POST; raises Broken unless it succeeds."""
        client = Client(self.port, ADMIN)
        answer = await client.call(body, f"/admin/{path}")
        await client.close()
        if answer.status >= 300:
            raise Broken(f"/admin/{path}: {answer.status} {answer.body.decode()}")
        return answer.json

    async def new_key(self, team: str = "default", **more: Any) -> str:
        """A key of a team, with limits as ``/admin/keys`` takes them."""
        return str((await self.admin("keys", {"team": team, **more}))["key"])

    async def audit(self) -> Any:
        """The report of the running gateway, with its counters in process."""
        return await self.admin("audit", {})

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def is_worker(pid: int) -> bool:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return b"spawn_main" in file.read()
    return False


@asynccontextmanager
async def running(*gateways: Gateway) -> AsyncIterator[None]:
    """All of them, until the end; those that are still there then are killed."""
    try:
        await asyncio.gather(*[one.start() for one in gateways])
        yield
    finally:
        for one in gateways:
            if one.process is not None and one.process.returncode is None:
                await one.kill()
