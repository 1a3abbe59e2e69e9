"""litellm's process: it starts without a network, goes when its parent does, and says plainly why it cannot start."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.gateway.longtail import playing
from tests.gateway.longtail.conftest import KEY, PATIENCE, ROOT, running
from tests.gateway.longtail.playing import Provider

# Python runs this module of that name at its start; it notes whom the process reaches for.
WITNESS = """
import os, sys
def note(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo", "socket.gethostbyname"):
        where = args[1] if event in ("socket.connect", "socket.sendto") else args[0]
        with open(os.environ["TZ"], "a") as file:
            file.write(f"{event} {where}\\n")
sys.addaudithook(note)
"""


def alone() -> list[str]:
    """What runs a program without any network, not even this machine's own."""
    command = ["unshare", "--net", "--map-root-user"]
    try:
        tried = subprocess.run([*command, "true"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return command if tried.returncode == 0 else []


def test_it_reaches_for_nobody_but_the_provider(python: str, folder: Path, provider: Provider, tmp_path: Path) -> None:
    """Neither at its import, which loads prices, nor at its first calls, which load lists of headers."""
    (tmp_path / "sitecustomize.py").write_text(WITNESS)
    noted, socket = tmp_path / "noted", folder / "watched.sock"
    path = os.pathsep.join([str(tmp_path), str(ROOT)])
    with running(python, socket, PYTHONPATH=path, TZ=str(noted)) as process:
        assert process.stdout is not None and process.stdout.readline()
        before = noted.read_text() if noted.exists() else ""
        provider.plays(playing.claude({"type": "text", "text": "hi"}))
        private = {"x-litellm-provider": "anthropic", "x-litellm-key": KEY, "x-litellm-base": provider.url}
        body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=PATIENCE) as client:
            assert client.post("http://tail/chat/completions", json=body, headers=private).status_code == 200
    assert before == ""
    reached = set(noted.read_text().splitlines())
    assert any("connect" in line for line in reached), "the witness saw nothing"
    assert [line for line in reached if "127.0.0.1" not in line] == []


def test_it_starts_without_any_network(python: str, folder: Path) -> None:
    command = alone()
    if not command:
        pytest.skip("network namespaces cannot be made here")
    with running(python, folder / "alone.sock", *command) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
    assert ready["url"] == f"unix://{folder}/alone.sock"


def test_its_socket_is_for_this_user_alone(child: subprocess.Popen[bytes], folder: Path) -> None:
    mode = (folder / "tail.sock").stat().st_mode
    assert stat.S_ISSOCK(mode) and stat.S_IMODE(mode) == 0o600


def test_it_goes_at_once_even_in_the_middle_of_a_stream(python: str, folder: Path, provider: Provider) -> None:
    """All three are started at a time: it takes each some seconds."""
    with ExitStack() as stack:
        sockets = {way: folder / f"{way}.sock" for way in ("SIGTERM", "SIGINT", "stdin")}
        processes = {way: stack.enter_context(running(python, socket)) for way, socket in sockets.items()}
        for way, process in processes.items():
            goes_at_once(process, sockets[way], provider, way)


def goes_at_once(process: subprocess.Popen[bytes], socket: Path, provider: Provider, way: str) -> None:
    provider.gone.clear()
    provider.plays(playing.Script(playing.claude_said("2 + 3"), kind="text/event-stream", slow=True))
    private = {"x-litellm-provider": "anthropic", "x-litellm-key": KEY, "x-litellm-base": provider.url}
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}], "stream": True}
    assert process.stdin and process.stdout and process.stderr
    assert process.stdout.readline()
    with (
        httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=PATIENCE) as client,
        client.stream("POST", "http://tail/chat/completions", json=body, headers=private) as answer,
    ):
        next(answer.iter_raw())
        began = time.monotonic()
        if way == "stdin":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, way))
        assert process.wait(PATIENCE) == 0, way
        assert time.monotonic() - began < 5, way
    assert process.stderr.read() == b"", way
    assert provider.gone.wait(3), way
    assert not socket.exists(), way


def test_it_says_nothing_of_what_it_is_told(python: str, folder: Path, provider: Provider) -> None:
    """litellm's own logs would quote the key and the prompt of a failed call."""
    socket = folder / "quiet.sock"
    provider.plays(playing.claude_error(400, "invalid_request_error", f"no {KEY}"))
    private = {"x-litellm-provider": "anthropic", "x-litellm-key": KEY, "x-litellm-base": provider.url}
    body = {"model": "claude-sonnet-4-5", "messages": [{"role": "user", "content": "hi"}]}
    with (
        running(python, socket, LITELLM_LOG="DEBUG") as process,
        httpx.Client(transport=httpx.HTTPTransport(uds=str(socket)), timeout=PATIENCE) as client,
    ):
        assert process.stdin and process.stdout and process.stderr
        assert process.stdout.readline()
        client.post("http://tail/chat/completions", json=body, headers=private)
        process.stdin.close()
        assert process.stdout.read() + process.stderr.read() == b""


def without_litellm(folder: Path) -> str:
    (folder / "without").mkdir(exist_ok=True)
    (folder / "without" / "litellm.py").write_text("raise ImportError('not here')")
    return os.pathsep.join([str(folder / "without"), str(ROOT)])


def test_without_litellm_the_extra_is_named(folder: Path) -> None:
    with running(sys.executable, folder / "x.sock", PYTHONPATH=without_litellm(folder)) as process:
        assert process.stdout is not None and process.stderr is not None
        assert process.wait(PATIENCE) == 1  # by itself: standard input is still open
        assert process.stdout.read() == b""
        said = process.stderr.read().decode()
        assert said.startswith("gateway.longtail: litellm cannot be imported (not here): run `make litellm`")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("y" * 100 + ".sock", "is longer than 107 bytes"),
        ("none/x.sock", "there is no directory"),
        ("file.sock", "exists and is not a socket"),
    ],
)
def test_a_socket_that_cannot_be_is_refused(folder: Path, name: str, said: str) -> None:
    (folder / "file.sock").touch()
    with running(sys.executable, folder / name) as process:
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None and said in process.stderr.read().decode()
    assert (folder / "file.sock").exists()
