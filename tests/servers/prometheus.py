"""A real Prometheus, and promtool: Debian's package ``prometheus`` has both."""

import contextlib
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote
from urllib.request import urlopen

import msgspec
import pytest

from tests.servers.redis import free_port

needs_prometheus = pytest.mark.skipif(
    shutil.which("prometheus") is None or shutil.which("promtool") is None,
    reason="prometheus and promtool are not installed (apt-get install prometheus)",
)


def promtool(*arguments: str, given: bytes = b"") -> str:
    """What it says. Raises AssertionError, with that, when it is not content."""
    found = subprocess.run(
        ["promtool", *arguments],
        input=given,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
        timeout=120,
    )
    said = found.stdout.decode()
    assert found.returncode == 0, said
    return said


class Prometheus:
    """One server, on a port of its own."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"

    def get(self, path: str) -> Any:
        with urlopen(f"{self.url}/{path}", timeout=5) as answer:
            return msgspec.json.decode(answer.read())

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an instant vector. Raises HTTPError where the expression is wrong."""
        found: list[dict[str, Any]] = self.get(f"api/v1/query?query={quote(expression)}")["data"]["result"]
        return found

    def scrapes(self) -> float:
        """How often something was scraped."""
        found = self.query("sum(count_over_time(up[1h]))")
        return float(found[0]["value"][1]) if found else 0.0


@contextmanager
def prometheus(folder: Path, config: str) -> Iterator[Prometheus]:
    folder.mkdir(exist_ok=True)
    (folder / "prometheus.yml").write_text(config)
    port = free_port()
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            [
                "prometheus", f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                f"--web.listen-address=127.0.0.1:{port}", "--log.level=warn",
            ],
            stdout=log, stderr=log, stdin=subprocess.DEVNULL,
        )  # fmt: skip
    server = Prometheus(port)
    try:
        deadline = time.monotonic() + 20
        while True:
            with contextlib.suppress(OSError), urlopen(f"{server.url}/-/ready", timeout=1):
                break
            assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.02)
        yield server
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)
