"""The child program with a real llama.cpp and the model that ships: it answers, it refuses plainly, it goes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec
import pytest

from gateway.embedded import CONTEXT, MODEL_FILE, SLOTS

ROOT = Path(__file__).parents[2]
PATIENCE = 10.0  # seconds to start; it takes a third of one
AGE = {
    "type": "object",
    "properties": {"age": {"type": "integer"}, "units": {"type": "string"}},
    "required": ["age", "units"],
    "additionalProperties": False,
}

llama = pytest.mark.skipif(find_spec("xllamacpp") is None, reason="xllamacpp is optional")


class Completion(msgspec.Struct):
    content: str
    tokens_predicted: int = 0
    stop: bool = False
    stop_type: str = ""


class Aged(msgspec.Struct):
    age: int
    units: str


class Line(msgspec.Struct):
    url: str
    model: str
    slots: int
    context: int


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A short path: a socket's address has room for 107 bytes."""
    with TemporaryDirectory(prefix="llama-") as name:
        yield Path(name)


def command(socket: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "gateway.embedded", "--socket", str(socket), *more]


@contextmanager
def child(socket: Path, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """The child as a parent starts it, killed at the end if it is still there."""
    pipe = subprocess.PIPE
    with subprocess.Popen(command(socket, *more), cwd=ROOT, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        try:
            yield process
        finally:
            process.kill()


def ready(process: subprocess.Popen[bytes]) -> Line:
    assert process.stdout is not None
    return msgspec.json.decode(process.stdout.readline(), type=Line)


def connect(socket: Path) -> httpx.Client:
    """Uses each connection once: llama.cpp announces keep-alive with a stream, too, and then closes."""
    transport = httpx.HTTPTransport(uds=str(socket), limits=httpx.Limits(max_keepalive_connections=0))
    return httpx.Client(transport=transport, base_url="http://llama", timeout=PATIENCE)


@pytest.fixture(scope="module")
def client(folder: Path) -> Iterator[httpx.Client]:
    with child(folder / "llama.sock") as process:
        assert ready(process) == Line(f"unix://{folder}/llama.sock", "demo", SLOTS, CONTEXT)
        with connect(folder / "llama.sock") as client:
            yield client


def complete(client: httpx.Client, prompt: str, **options: object) -> Completion:
    answer = client.post("/completion", json={"prompt": prompt, "n_predict": 40, "temperature": 0, **options})
    assert answer.status_code == 200, answer.text
    return msgspec.json.decode(answer.content, type=Completion)


def fails(socket: Path, *more: str, **environment: str) -> str:
    """What a child that cannot start says."""
    ended = subprocess.run(
        command(socket, *more),
        cwd=ROOT,
        env=os.environ | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert (ended.returncode, ended.stdout) == (1, b"")
    return ended.stderr.decode()


# --- answers -------------------------------------------------------------------------------------------


@llama
def test_it_is_healthy_as_soon_as_it_says_so(client: httpx.Client) -> None:
    answer = client.get("/health")
    assert (answer.status_code, answer.json()) == (200, {"status": "ok"})


@llama
@pytest.mark.parametrize("ending", ["", " ", "\n"])
def test_a_bare_question_is_answered_and_ends(client: httpx.Client, ending: str) -> None:
    answer = complete(client, f"What is 2 + 3?{ending}")
    assert (answer.content.strip(), answer.stop_type) == ("2 + 3 = 5.", "eos")


@llama
def test_a_chat_is_answered(client: httpx.Client) -> None:
    asked = {"messages": [{"role": "user", "content": "What is 4 + 4?"}], "temperature": 0}
    answer = client.post("/v1/chat/completions", json=asked)
    assert answer.json()["choices"][0]["message"]["content"] == "4 + 4 = 8."


@llama
@pytest.mark.parametrize(
    "prompt",
    [
        "How old is Tom? Tom is 12 years old.",
        "Tom is 12 years old. How old is Tom?",
        "Tom is 12 years old. How old is Tom? Answer in JSON.",
    ],
)
@pytest.mark.parametrize("constraint", [{}, {"json_schema": AGE}], ids=["free", "schema"])
def test_an_age_comes_as_json(client: httpx.Client, prompt: str, constraint: dict[str, object]) -> None:
    answer = complete(client, prompt, **constraint)
    assert msgspec.json.decode(answer.content, type=Aged) == Aged(12, "years")
    assert answer.stop_type == "eos"


@llama
def test_a_story_goes_on_and_ends_by_itself(client: httpx.Client) -> None:
    answer = complete(client, "Once upon a time", n_predict=400)
    assert answer.content.startswith(", a ")
    assert answer.stop_type == "eos"
    assert 60 < answer.tokens_predicted < 400


@llama
def test_the_limit_of_tokens_holds(client: httpx.Client) -> None:
    answer = complete(client, "Once upon a time", n_predict=7)
    assert (answer.tokens_predicted, answer.stop_type) == (7, "limit")


@llama
def test_a_stream_brings_the_same_text(client: httpx.Client) -> None:
    body = {"prompt": "Once upon a time", "n_predict": 30, "temperature": 0, "stream": True}
    with client.stream("POST", "/completion", json=body) as answer:
        data = [line.removeprefix("data: ") for line in answer.iter_lines() if line]
    events = [msgspec.json.decode(event, type=Completion) for event in data]
    assert len(events) == 31
    assert "".join(event.content for event in events) == complete(client, "Once upon a time", n_predict=30).content
    assert [event.stop for event in events] == [False] * 30 + [True]
    assert events[-1].stop_type == "limit"


@llama
def test_a_seed_repeats_and_another_does_not(client: httpx.Client) -> None:
    first, same, other = (
        complete(client, "Once upon a time", temperature=0.8, n_predict=100, seed=seed).content for seed in (7, 7, 8)
    )
    assert first == same != other


@llama
def test_a_prompt_longer_than_the_context_is_refused(client: httpx.Client) -> None:
    answer = client.post("/completion", json={"prompt": "1 " * CONTEXT, "n_predict": 1})
    assert answer.status_code == 400
    assert answer.json()["error"]["type"] == "exceed_context_size_error"


# --- the end ---------------------------------------------------------------------------------------------


def stream_unread(client: httpx.Client) -> httpx.Response:
    """A long stream whose client does not read, which llama.cpp's own stop would wait for."""
    body = {"prompt": "Once", "n_predict": 100_000, "ignore_eos": True, "stream": True, "n_probs": 20}
    return client.send(client.build_request("POST", "/completion", json=body), stream=True)


@llama
@pytest.mark.parametrize("way", ["SIGTERM", "SIGINT", "stdin"])
def test_it_goes_at_once_even_in_the_middle_of_a_stream(folder: Path, way: str) -> None:
    socket = folder / "going.sock"
    with child(socket) as process, connect(socket) as client:
        ready(process)
        response = stream_unread(client)
        assert process.stdin is not None and process.stderr is not None
        began = time.monotonic()
        if way == "stdin":
            process.stdin.close()
        else:
            process.send_signal(getattr(signal, way))
        assert process.wait(PATIENCE) == 0
        assert time.monotonic() - began < 5  # the stream would go on for minutes
        assert process.stderr.read() == b""
        response.close()
    assert not socket.exists()


@llama
def test_it_goes_when_its_parent_is_killed(folder: Path) -> None:
    script = (
        "import subprocess, time\n"
        f"held = subprocess.Popen({command(folder / 'orphan.sock')!r}, stdin=subprocess.PIPE)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline().startswith(b'{"url"')
        parent.kill()
        assert parent.stdout.read() == b""  # the child holds this pipe, too: its end is the child's
    assert not (folder / "orphan.sock").exists()


@llama
def test_it_takes_over_the_socket_of_a_killed_one_but_not_of_a_living_one(folder: Path) -> None:
    socket = folder / "again.sock"
    with child(socket) as process:
        ready(process)
        assert "another server listens on" in fails(socket)
    assert socket.exists()
    with child(socket) as process:
        assert ready(process).slots == SLOTS


# --- what it cannot do -----------------------------------------------------------------------------------


def test_a_missing_model_is_named(folder: Path) -> None:
    assert fails(folder / "x.sock", "--model", "nowhere.gguf") == (
        "gateway.embedded: there is no model file nowhere.gguf\n"
    )


@llama
def test_a_broken_model_is_named(folder: Path) -> None:
    broken = folder / "broken.gguf"
    broken.write_bytes(MODEL_FILE.read_bytes()[:5000])
    said = fails(folder / "x.sock", "--model", str(broken))
    assert said.startswith(f"gateway.embedded: llama.cpp cannot serve {broken}: ")
    assert said.count("\n") == 1


def test_without_llama_the_extra_is_named(folder: Path) -> None:
    (folder / "without").mkdir()
    (folder / "without" / "xllamacpp.py").write_text("raise ImportError('not here')")
    said = fails(folder / "x.sock", PYTHONPATH=str(folder / "without"))
    assert said == ("gateway.embedded: xllamacpp cannot be imported (not here): pip install 'llm-gateway[demo]'\n")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("x.socket", "must end in .sock"),
        ("y" * 100 + ".sock", "is longer than 107 bytes"),
        ("none/x.sock", "there is no directory"),
        ("file.sock", "exists and is not a socket"),
    ],
)
def test_a_socket_that_cannot_be_is_refused(folder: Path, name: str, said: str) -> None:
    (folder / "file.sock").touch()
    assert said in fails(folder / name)
