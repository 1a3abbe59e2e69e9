"""The admin plane over a Control in memory, on a real socket: what the command line asks."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn
from click import Group
from click.testing import CliRunner, Result

from gateway.commands import COMMANDS
from tests.gateway.adminapi.plane import ADMIN, Plane

MAIN = Group("gateway", commands={command.name: command for command in COMMANDS if command.name})

Run = Callable[..., Result]


@pytest.fixture(scope="session")
def served() -> Iterator[tuple[str, Plane]]:
    plane = Plane()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(plane.app, ws="none", lifespan="off", log_level="warning", http="httptools")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=lambda: asyncio.run(server.serve([listener])))
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}", plane
        server.should_exit = True
        thread.join(20)


@pytest.fixture
def plane(served: tuple[str, Plane]) -> Plane:
    served[1].memory.clear()
    return served[1]


@pytest.fixture
def url(served: tuple[str, Plane], plane: Plane) -> str:
    return served[0]


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> Run:
    """Runs a command on the plane, as its owner; further settings of the environment by name."""
    monkeypatch.chdir(tmp_path)

    def runs(*words: str, **environ: str) -> Result:
        given = {"GATEWAY_ADMIN_KEY": ADMIN["owner"], "NO_COLOR": "", **environ}
        return CliRunner().invoke(MAIN, [*words, "--url", url], env=given, prog_name="gateway")

    return runs
