"""The child with the real litellm, on the Python that has it, and the providers that it asks."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import pytest

from gateway.beside import environment
from tests.gateway.longtail.playing import Provider

ROOT = Path(__file__).parents[3]
KEY = "sk-provider-0123456789"
PATIENCE = 60.0  # seconds to start; it takes three


def litellm_python() -> str | None:
    """The Python that has litellm: `make litellm` makes one, or it is this one."""
    own = ROOT / ".venv-litellm" / "bin" / "python"
    return str(own) if own.exists() else sys.executable if find_spec("litellm") else None


@pytest.fixture(scope="session")
def python() -> str:
    found = litellm_python()
    if found is None:
        assert not os.environ.get("CI"), "litellm is missing: make litellm"
        pytest.skip("litellm is not installed: make litellm")
    return found


@contextmanager
def running(python: str, socket: Path, *before: str, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """The child as the gateway starts it, killed at the end if it is still there."""
    command = [*before, python, "-m", "gateway.longtail", "--socket", str(socket)]
    variables = environment({**os.environ, "PYTHONPATH": str(ROOT)}) | environ
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, env=variables, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short path: a socket's address has room for 107 bytes."""
    with TemporaryDirectory(prefix="tail-") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def child(python: str, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    with running(python, folder / "tail.sock", ANTHROPIC_API_KEY="sk-not-this-one") as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(b'{"url":"unix://')
        yield process


@pytest.fixture(scope="session")
def tail(child: subprocess.Popen[bytes], folder: Path) -> Iterator[httpx.Client]:
    transport = httpx.HTTPTransport(uds=str(folder / "tail.sock"))
    with httpx.Client(transport=transport, base_url="http://tail", timeout=PATIENCE) as client:
        yield client


@pytest.fixture(scope="session")
def one_provider() -> Iterator[Provider]:
    made = Provider()
    yield made
    made.close()


@pytest.fixture
def provider(one_provider: Provider) -> Provider:
    one_provider.gone.clear()
    one_provider.seen.clear()
    return one_provider


Ask = Callable[..., httpx.Response]


def ask_of(tail: httpx.Client, url: str, name: str, model: str) -> Ask:
    """Asks one provider's model through the child; ``route`` and ``headers`` may be given."""

    def ask(route: str = "/chat/completions", headers: dict[str, str] | None = None, **body: Any) -> httpx.Response:
        private = {"x-litellm-provider": name, "x-litellm-key": KEY, "x-litellm-base": url}
        if route == "/chat/completions":
            body = {"messages": [{"role": "user", "content": "What is 2 + 3?"}], **body}
        return tail.post(route, json={"model": model, **body}, headers=private | (headers or {}))

    return ask


@pytest.fixture
def ask_claude(tail: httpx.Client, provider: Provider) -> Ask:
    return ask_of(tail, provider.url, "anthropic", "claude-sonnet-4-5")


@pytest.fixture
def ask_gemini(tail: httpx.Client, provider: Provider) -> Ask:
    return ask_of(tail, provider.url, "gemini", "gemini-2.5-flash")
