"""The gateway on a real socket, inside the test's own event loop, over a provider that plays."""

import asyncio
import atexit
import shutil
import socket
import sqlite3
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import uvicorn

from gateway import config as configuration
from gateway.app import build
from gateway.protocol import Protocol
from gateway.serve import prepare
from gateway.settings import Settings
from gateway.store.sql.engine import FILE

KEY = "sk-test-0123456789-0123456789-0123456789"
ADMIN_KEY = "ak-test-0123456789-0123456789-0123456789"
AUTH = {"Authorization": f"Bearer {KEY}"}

ROUTING = """
defaults: {{model: a}}
retry: {{rounds: 0}} # what fails, fails: what is asked again has tests of its own
breaker: {{failures: 1000, least: 1000}}
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY}}
  dead: {{adapter: gpt, base_url: "http://127.0.0.1:9/v1", key_env: P_KEY}}
  keyless: {{adapter: gpt, key_env: NOT_SET}}
  narrow: {{adapter: llama, base_url: "{url}", key_env: P_KEY, concurrency: 1, queue: 1}}
  vllm: {{adapter: local, engine: vllm, base_url: "{url}"}}
  chatty: {{adapter: cohere, base_url: "{url}", key_env: P_KEY}}
models:
  a: {{targets: [{{provider: p, model: a}}]}}
  b: {{targets: [{{provider: p, model: b}}]}}
  c: {{targets: [{{provider: p, model: c}}]}}
  raw: {{targets: [{{provider: p, model: raw, mode: completion}}]}}
  down: {{targets: [{{provider: dead, model: x}}]}}
  rescued: {{targets: [{{provider: dead, model: x}}, {{provider: p, model: a, fallback: true}}]}}
  shaky: {{targets: [{{provider: p, model: x}}, {{provider: p, model: a, fallback: true}}]}}
  unset: {{targets: [{{provider: keyless, model: x}}]}}
  narrow: {{targets: [{{provider: narrow, model: slow}}]}}
  command: {{targets: [{{provider: chatty, model: command}}]}}
  guided: {{targets: [{{provider: vllm, model: guided}}]}}
aliases: {{also-a: a}}
"""


@cache
def fresh_record() -> Path:
    """A record after its first start, made once for all tests: migrations take their time."""
    state = Path(mkdtemp(prefix="gateway-record-"))
    atexit.register(shutil.rmtree, state)
    with ThreadPoolExecutor(1) as thread:  # there may be a loop already in this one
        thread.submit(prepare, Settings(state_dir=str(state), bootstrap_key=KEY, admin_key=ADMIN_KEY)).result()
    with closing(sqlite3.connect(state / FILE)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return state / FILE


def application(state: Path, provider_url: str, routing: str = ROUTING, **environ: str) -> Any:
    settings = Settings(
        state_dir=str(state), bootstrap_key=KEY, admin_key=ADMIN_KEY, environ={"P_KEY": "sk-provider", **environ}
    )
    if not (state / FILE).exists():
        state.mkdir(parents=True, exist_ok=True)
        shutil.copy(fresh_record(), state / FILE)
    return build(configuration.load(routing.format(url=provider_url), "routing.yaml"), settings)


class Served(uvicorn.Server):
    """Ends as soon as all has been answered. uvicorn's own looks ten times a second whether it shall, and then rests a
    tenth of a second, which many tests add up."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ended = asyncio.Event()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.ended.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110 - they are sets
            await asyncio.sleep(0.002)
        for server in self.servers:
            await server.wait_closed()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(app: Any, http: Any = Protocol) -> AsyncIterator[str]:
    """Serves with uvicorn; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = Served(
            uvicorn.Config(
                app,
                http=http,
                ws="none",
                lifespan="on",
                access_log=False,
                server_header=False,
                date_header=False,
                proxy_headers=False,  # its wrapper would hide the application from our protocol
                log_level="warning",
            )
        )
        task = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.005)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.ended.set()
            await task
