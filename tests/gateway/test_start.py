"""What a start brings with it: what its configuration needs, at once, and nothing else."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROUTING = """
providers: {p: {adapter: gpt, base_url: "http://127.0.0.1:9/v1", key_env: P_KEY}}
models: {m: {targets: [{provider: p, model: m}]}}
"""

PROGRAM = """
import asyncio, json, sys
import gateway.cli
from gateway.app import create
from gateway.serve import prepare
from gateway.settings import Settings

prepare(Settings.load())
app = create()

async def serve():
    heard, said = asyncio.Queue(), asyncio.Queue()
    task = asyncio.create_task(app({"type": "lifespan", "asgi": {}, "state": {}}, heard.get, said.put))
    await heard.put({"type": "lifespan.startup"})
    assert await said.get() == {"type": "lifespan.startup.complete"}
    print(json.dumps(sorted(sys.modules)))
    await heard.put({"type": "lifespan.shutdown"})
    await task

asyncio.run(serve())
"""

LARGE = {
    "alembic",
    "asyncpg",
    "cryptography",
    "httpx",
    "jwt",
    "redis",
    "rich",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.orm",
    "tiktoken",
    "tokenizers",
}

OTHERS = re.compile(r"^GATEWAY_|_proxy$", re.I)
"""Settings that are none of this test."""


def started(tmp_path: Path, **environ: str) -> set[str]:
    """Which of the large ones are there when the gateway is ready."""
    config = tmp_path / "routing.yaml"
    config.write_text(ROUTING)
    kept = {name: value for name, value in os.environ.items() if not OTHERS.search(name)}
    own = {"GATEWAY_CONFIG": str(config), "GATEWAY_STATE_DIR": str(tmp_path / "state"), "P_KEY": "sk-p"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=Path(__file__).parents[2],
        env=kept | own | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return LARGE & set(json.loads(done.stdout.splitlines()[-1]))


def test_a_start_brings_nothing_large_that_it_does_not_need(tmp_path: Path) -> None:
    assert started(tmp_path) == set()
    assert started(tmp_path) == set(), "the second start finds a record"


@pytest.mark.parametrize(
    ("name", "value", "brought"),
    [("GATEWAY_REDIS_URL", "redis://127.0.0.1:9", "redis"), ("http_proxy", "http://127.0.0.1:9", "httpx")],
)
def test_what_it_needs_is_there_before_it_is_ready(tmp_path: Path, name: str, value: str, brought: str) -> None:
    assert brought in started(tmp_path, **{name: value})


FILES = """
import resource
from gateway.serve import ask_for_files

resource.setrlimit(resource.RLIMIT_NOFILE, (SOFT, HARD))
ask_for_files()
print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


@pytest.mark.parametrize(("soft", "hard", "found"), [(64, 128, "128 128"), (128, 128, "128 128"), (64, 900, "900 900")])
def test_it_takes_as_many_files_as_it_may_have(soft: int, hard: int, found: str) -> None:
    program = FILES.replace("SOFT", str(soft)).replace("HARD", str(hard))
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True)
    assert told.stdout.split() == found.split()
