"""Real servers for the proofs, and the stopwatch, which runs beside them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.processes import ROOT, die_with_parent
from tests.servers.redis import RedisServer


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@pytest.fixture(scope="session", autouse=True)
def stopwatch(tmp_path_factory: pytest.TempPathFactory) -> Iterator["subprocess.Popen[str]"]:
    """Starts with the first proof; its minute passes while the others run."""
    folder = tmp_path_factory.mktemp("stopwatch")
    with RedisServer(folder / "redis") as server:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.proofs.stopwatch", str(folder), server.url],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=ROOT,
            env=dict(os.environ),
            preexec_fn=die_with_parent,
        )
        with process:
            yield process
            process.kill()
