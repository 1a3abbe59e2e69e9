"""The command with a provider that is asked through litellm: ready when it says so, and nobody's ruin when it dies."""

import os
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_serve import ROOT, Gateway, alive, children_of, redis, serving
from tests.gateway.longtail import playing
from tests.gateway.longtail.conftest import litellm_python
from tests.gateway.longtail.playing import Provider
from tests.servers.redis import RedisServer

__all__ = ["redis"]

KEY = "k" * 32
PYTHON = litellm_python()
ROUTING = """
providers:
  demo: {{adapter: local, engine: llama.cpp, embedded: true}}
  claude: {{adapter: litellm, provider: anthropic, base_url: "{url}", key_env: CLAUDE_KEY}}
  gemini: {{adapter: litellm, provider: gemini, base_url: "{url}", key_env: GEMINI_KEY}}
models:
  demo: {{targets: [{{provider: demo, model: demo}}], defaults: {{temperature: 0, max_tokens: 20}}}}
  sonnet: {{targets: [{{provider: claude, model: claude-sonnet-4-5}}]}}
  flash: {{targets: [{{provider: gemini, model: gemini-2.5-flash}}]}}
"""

litellm = pytest.mark.skipif(PYTHON is None and not os.environ.get("CI"), reason="litellm is not installed")


@pytest.fixture
def provider() -> Iterator[Provider]:
    made = Provider()
    made.plays(playing.claude({"type": "text", "text": "2 + 3 = 5."}))
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path, provider: Provider) -> Callable[..., Gateway]:
    (tmp_path / "routing.yaml").write_text(ROUTING.format(url=provider.url))

    def started(*arguments: str, **environ: str) -> Gateway:
        variables = {
            "GATEWAY_CONFIG": str(tmp_path / "routing.yaml"),
            "GATEWAY_BOOTSTRAP_KEY": KEY,
            "GATEWAY_LITELLM_PYTHON": PYTHON or sys.executable,
            "CLAUDE_KEY": "sk-claude",
            "TMPDIR": str(tmp_path),
        }
        return Gateway(tmp_path, *arguments, **variables | environ)

    return started


def ask(gateway: Gateway, model: str, **body: object) -> httpx.Response:
    asked = {"model": model, "prompt": "What is 2 + 3?", **body}
    return httpx.post(
        f"{gateway.url}/v1/completion", json=asked, headers={"Authorization": f"Bearer {KEY}"}, timeout=20
    )


def metric(gateway: Gateway, name: str) -> float:
    text = httpx.get(f"{gateway.url}/metrics").text
    [value] = re.findall(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(value)


def child_named(gateway: Gateway, module: str) -> int:
    """The process that runs this module for the gateway."""
    [found] = [
        pid
        for pid in children_of(gateway.process.pid)
        if module in Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    ]
    return found


@litellm
@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_answers_as_soon_as_the_gateway_is_ready(
    start: Callable[..., Gateway], provider: Provider, redis: RedisServer, tmp_path: Path, workers: str
) -> None:
    gateway = start("--workers", workers, GATEWAY_REDIS_URL=redis.url)
    try:
        gateway.await_banner(40)
        answer = ask(gateway, "sonnet", max_tokens=50)
        assert answer.status_code == 200, answer.text
        assert [choice["text"] for choice in answer.json()["choices"]] == ["2 + 3 = 5."]
        assert answer.json()["usage"]["prompt_tokens"] == 16
        assert provider.seen[-1].headers["x-api-key"] == "sk-claude"
        assert ask(gateway, "flash").json()["error"] == (
            "model 'flash' is not offered: GEMINI_KEY must be set at the gateway"
        )
        for _ in range(4):  # whichever worker answers
            assert metric(gateway, 'gateway_child_up{child="litellm"}') == 1
            assert metric(gateway, 'gateway_child_up{child="demo"}') == 1
        assert metric(gateway, 'gateway_child_resident_memory_bytes{child="litellm"}') > 80e6
        assert metric(gateway, 'gateway_child_cpu_seconds_total{child="litellm"}') > 0.5
        left = children_of(gateway.process.pid)
    finally:
        assert gateway.stop() == 0
    end = time.monotonic() + 3
    while any(alive(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.02)
    assert left and not any(alive(pid) for pid in left)
    assert list(tmp_path.glob("gateway-*")) == []
    assert "sk-claude" not in gateway.log.read_text()


@litellm
def test_when_it_dies_the_others_go_on_and_it_comes_back(start: Callable[..., Gateway]) -> None:
    gateway = start()
    try:
        gateway.await_banner(40)
        os.kill(child_named(gateway, "gateway.longtail"), signal.SIGKILL)
        began = time.monotonic()
        answer = ask(gateway, "sonnet", max_tokens=50)
        assert answer.status_code == 502 and time.monotonic() - began < 10
        assert "unavailable" in answer.text
        assert ask(gateway, "demo").json()["choices"][0]["text"] == " 2 + 3 = 5."
        while ask(gateway, "sonnet", max_tokens=50).status_code != 200:
            assert time.monotonic() - began < 30
            time.sleep(0.1)
        assert metric(gateway, 'gateway_child_restarts_total{child="litellm"}') == 1
        assert metric(gateway, 'gateway_child_restarts_total{child="demo"}') == 0
    finally:
        gateway.stop()


@pytest.mark.parametrize(
    ("python", "said"),
    [
        ("without", "pip install 'llm-gateway[litellm]'"),
        ("/nowhere/python", "GATEWAY_LITELLM_PYTHON: /nowhere/python cannot be run: No such file or directory"),
    ],
)
def test_without_litellm_the_gateway_goes_on(
    start: Callable[..., Gateway], tmp_path: Path, python: str, said: str
) -> None:
    (tmp_path / "litellm.py").write_text("raise ImportError('not here')")
    chosen = sys.executable if python == "without" else python
    gateway = start(GATEWAY_LITELLM_PYTHON=chosen, PYTHONPATH=os.pathsep.join([str(tmp_path), str(ROOT)]))
    try:
        assert said in gateway.await_banner()
        assert ask(gateway, "demo").status_code == 200
        answer = ask(gateway, "sonnet")
        assert answer.status_code == 503
        assert answer.json()["error"] == (
            "model 'sonnet' is not offered: litellm must be running (the gateway's log says why it is not)"
        )
        assert metric(gateway, 'gateway_child_up{child="demo"}') == 1
    finally:
        gateway.stop()


def test_it_is_not_started_for_nobody(tmp_path: Path) -> None:
    with serving(tmp_path, CLAUDE_KEY="x", GATEWAY_LITELLM_PYTHON="/nowhere/python") as gateway:
        assert "litellm" not in gateway.await_banner()
        assert "litellm" not in httpx.get(f"{gateway.url}/metrics").text
