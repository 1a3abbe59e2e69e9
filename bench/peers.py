"""What is measured: the gateway, and other programs that stand between a client and a provider.

Another peer is one more entry in PEERS. In `command`, `files` and `env`, `${port}` is where the peer
must listen, `${mock}` is the mock provider's port and `${work}` an empty folder that is the peer's own.
"""

import json
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from string import Template

from bench import Problem
from bench.scenarios import (
    AS_CHAT,
    AT_ZERO,
    GAP_US,
    GATEWAY_ONLY,
    LONG_PROMPT,
    NUMBERED,
    NUMBERED_PROMPT,
    PROMPT,
    TYPE_NAME,
    TYPE_TEXT,
    TYPED_ASKS,
    Ask,
)

BODY_OPTIONS = {"max_tokens": 256, "temperature": 0.7, "top_p": 1}
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin"  # where servers live, often not in a user's PATH


def chat_body(ask: Ask) -> bytes | None:
    """The request in OpenAI's chat wire, about 440 bytes; None for what only the gateway is asked."""
    if ask in GATEWAY_ONLY:
        return None
    model = f"m1--d{GAP_US}" if ask == "paced" else "m1"
    messages = [{"role": "user", "content": LONG_PROMPT if ask == "long" else PROMPT}]
    body = {"model": model, "messages": messages, **BODY_OPTIONS, "user": "team-a/bench"}
    if ask in ("stream", "paced"):
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return json.dumps(body).encode()


def gateway_body(ask: Ask) -> bytes:
    """The same request in the gateway's own wire, or in OpenAI's, of which it speaks both."""
    if ask in AS_CHAT:
        return chat_body(AS_CHAT[ask]) or b""
    model = {"three": ["m1", "m2", "m3"], "paced": "paced", "same": "slow", "fallback": "fallback"}.get(
        ask, "typed" if ask in TYPED_ASKS else "m1"
    )
    prompt = LONG_PROMPT if ask == "long" else NUMBERED_PROMPT if ask in NUMBERED else PROMPT
    body = {"model": model, "prompt": prompt, **BODY_OPTIONS}
    if ask in AT_ZERO:
        body["temperature"] = 0
    if ask in ("stream", "paced"):
        body["stream"] = True
    if ask == "typed":
        body |= {"schema": TYPE_TEXT, "type_name": TYPE_NAME}
    return json.dumps(body).encode()


@dataclass(frozen=True)
class Peer:
    """How to start one and how to talk to it."""

    name: str
    command: tuple[str, ...]
    path: str
    body: Callable[[Ask], bytes | None]
    headers: tuple[str, ...] = ()
    stream_path: str = ""  # where it differs
    chat_path: str = ""
    typed_path: str = ""
    files: Mapping[str, str] = field(default_factory=dict)  # written into ${work} before the start
    env: Mapping[str, str] = field(default_factory=dict)
    ready: str = ""  # a path that answers 200 once it serves; empty: its first good answer will tell
    cwd: Path | None = None
    get: str = ""  # how to get it, for whom it is missing

    def path_of(self, ask: Ask) -> str:
        if self.chat_path and ask in AS_CHAT:
            return self.chat_path
        if self.typed_path and ask == "typed":
            return self.typed_path
        return self.stream_path if self.stream_path and ask in ("stream", "paced") else self.path


NGINX_CONF = """
worker_processes 1;
daemon off;
pid ${work}/nginx.pid;
error_log stderr error;
events { worker_connections 4096; }
http {
  access_log off;
  client_body_temp_path ${work}/body;
  proxy_temp_path ${work}/proxy;
  fastcgi_temp_path ${work}/fastcgi;
  uwsgi_temp_path ${work}/uwsgi;
  scgi_temp_path ${work}/scgi;
  client_body_buffer_size 1m;  # the 100 kB prompt stays in memory
  keepalive_requests 1000000000;
  upstream provider {
    server 127.0.0.1:${mock};
    keepalive 256;
    keepalive_requests 1000000000;
  }
  server {
    listen 127.0.0.1:${port};
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    location /v1/ { proxy_pass http://provider; }
    # Each event must reach the client when it comes, as a gateway's caller expects.
    location /stream/ { proxy_pass http://provider/; proxy_buffering off; }
  }
}
"""

NGINX = Peer(
    name="nginx",
    command=("nginx", "-e", "stderr", "-p", "${work}", "-c", "${work}/nginx.conf"),
    path="/v1/chat/completions",
    stream_path="/stream/v1/chat/completions",
    body=chat_body,
    files={"nginx.conf": NGINX_CONF},
    get="apt install nginx-light",
)

PEERS = {peer.name: peer for peer in (NGINX,)}

ROUTING = """
breaker: {failures: 10000, ratio: 1, least: 100000}  # it never opens: the row fallback
limits:
  team: {usd_per_month: 100000000}
  key: {rpm: 100000000, tpm: 1000000000000, concurrent: 10000, usd_per_month: 1000000}
providers:
  mock: {adapter: gpt, base_url: "http://127.0.0.1:${mock}/v1", key_env: MOCK_KEY}
models:
  m1: {targets: [{provider: mock, model: m1, price: {input: 2.5, output: 10}}]}
  m2: {targets: [{provider: mock, model: m2, price: {input: 2.5, output: 10}}]}
  m3: {targets: [{provider: mock, model: m3, price: {input: 2.5, output: 10}}]}
  paced: {targets: [{provider: mock, model: m1--d%d, price: {input: 2.5, output: 10}}]}
  typed: {targets: [{provider: mock, model: m1--t, price: {input: 2.5, output: 10}}]}
  slow: {targets: [{provider: mock, model: m1--l20000, price: {input: 2.5, output: 10}}]}
  fallback:
    targets:
      - {provider: mock, model: m1--s503, price: {input: 2.5, output: 10}}
      - {provider: mock, model: m1, fallback: true, price: {input: 2.5, output: 10}}
"""
"""Every call is counted under four limits and two budgets, and entered in the ledger with its cost."""


def gateway(key: str, root: Path) -> Peer:
    """The gateway of the checkout at `root`, with one worker and all its state in its own folder."""
    python = (sys.executable, "-m", "gateway", "serve", "--config", "${work}/routing.yaml")
    return Peer(
        name="gateway",
        command=(*python, "--host", "127.0.0.1", "--port", "${port}", "--workers", "1"),
        path="/v1/completion",
        chat_path="/v1/chat/completions",
        typed_path="/v1/completion/typed",
        body=gateway_body,
        headers=(f"Authorization: Bearer {key}",),
        files={"routing.yaml": ROUTING % GAP_US},
        env={"GATEWAY_STATE_DIR": "${work}/state", "GATEWAY_BOOTSTRAP_KEY": key, "MOCK_KEY": "sk-mock"},
        ready="/ready",
        cwd=root,
    )


def as_shipped(peer: Peer) -> Peer:
    """The same gateway with the routing and the demo model of its checkout, as `make run` starts it."""
    command = (sys.executable, "-m", "gateway", "serve", "--port", "${port}")
    question = json.dumps({"model": "demo", "prompt": "What is 2 + 3?"}).encode()
    return replace(peer, command=command, body=lambda ask: question, files={})


def find_binary(peer: Peer) -> str:
    """Where the peer's program is; a Problem that says how to get it when it is nowhere."""
    found = shutil.which(peer.command[0], path=f"{os.environ.get('PATH', '')}:{SYSTEM_FOLDERS}")
    if found is None:
        raise Problem(f"{peer.name} is not installed: {peer.get}")
    return found


def fill(text: str, values: Mapping[str, object]) -> str:
    """Put `${port}` and its like in place."""
    return Template(text).substitute(values)


UNKEPT = ("PYTHONDONTWRITEBYTECODE",)
"""Each start would compile all that it imports: seconds, and memory that stays."""


def environment(peer: Peer, values: Mapping[str, object]) -> dict[str, str]:
    """Ours, without what would change the measurement: proxies, and settings meant for another gateway."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith("GATEWAY_") and name not in UNKEPT
    }
    return kept | {name: fill(value, values) for name, value in peer.env.items()}
