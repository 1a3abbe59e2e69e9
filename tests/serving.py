"""The gateway on a real socket, inside the test's own event loop, over a provider that plays."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvicorn

from gateway import config as configuration
from gateway import keys
from gateway.app import build
from gateway.protocol import Protocol
from gateway.settings import Settings

KEY = "sk-test-0123456789-0123456789-0123456789"
AUTH = {"Authorization": f"Bearer {KEY}"}

ROUTING = """
defaults: {{model: a}}
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


def application(state: Path, provider_url: str, routing: str = ROUTING, **environ: str) -> Any:
    keys.bootstrap(state, KEY)
    settings = Settings(state_dir=str(state), environ={"P_KEY": "sk-provider", **environ})
    return build(configuration.load(routing.format(url=provider_url), "routing.yaml"), settings)


@asynccontextmanager
async def serving(app: Any, http: Any = Protocol) -> AsyncIterator[str]:
    """Serves with uvicorn; yields the address."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(
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
            server.should_exit = True
            await task
