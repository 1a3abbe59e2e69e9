"""The command itself, as an operator runs it: a process of its own, the embedded model for real, real signals."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from thiggle.thiggle import API  # type: ignore[import-untyped]

from gateway import __version__
from tests.servers.redis import RedisServer

ROOT = Path(__file__).parents[2]


@pytest.fixture
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


class Gateway:
    """A running ``gateway serve``."""

    def __init__(self, state: Path, *arguments: str, **environ: str) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = state / "log"
        self._file = self.log.open("ab")
        command = [sys.executable, "-m", "gateway", "serve", "--port", str(self.port), *arguments]
        variables = {"PATH": os.environ["PATH"], "GATEWAY_STATE_DIR": str(state / "var"), "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=variables | environ, stdout=self._file, stderr=subprocess.STDOUT
        )

    def await_banner(self, seconds: float = 20) -> str:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            text = self.log.read_text()
            if "curl" in text:
                return text
            assert self.process.poll() is None, text
            time.sleep(0.02)
        raise AssertionError(self.log.read_text())

    def stop(self, number: int = signal.SIGTERM) -> int:
        if self.process.poll() is None:
            self.process.send_signal(number)
        status = self.process.wait(20)
        self._file.close()
        return status


@contextmanager
def serving(state: Path, *arguments: str, **environ: str) -> Iterator[Gateway]:
    gateway = Gateway(state, *arguments, **environ)
    try:
        yield gateway
    finally:
        gateway.stop()


def children_of(process: int) -> list[int]:
    found = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process)], capture_output=True, text=True, check=False)
    return [int(pid) for pid in found.stdout.split()]


def alive(process: int) -> bool:
    """A process that has ended and was not yet taken leave of does not live."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    with serving(tmp_path_factory.mktemp("gateway")) as running:
        running.await_banner()
        yield running


@pytest.fixture(scope="module")
def key(gateway: Gateway) -> str:
    [found] = re.findall(r"shown this once: (sk-gw-[A-Za-z0-9]{12}-[A-Za-z0-9_-]{43})\n", gateway.log.read_text())
    return str(found)


def ask(gateway: Gateway, key: str, **body: Any) -> httpx.Response:
    return httpx.post(f"{gateway.url}/v1/completion", json=body, headers={"Authorization": f"Bearer {key}"}, timeout=20)


def test_the_banners_line_works_when_pasted(gateway: Gateway, key: str) -> None:
    [line] = [line for line in gateway.log.read_text().splitlines() if line.startswith("curl ")]
    answer = subprocess.run(["bash", "-c", line], capture_output=True, check=True, timeout=20)
    choices = msgspec.json.decode(answer.stdout)["choices"]
    assert [(c["model"], c["text"]) for c in choices] == [("demo", " 2 + 3 = 5."), ("demo-creative", " 2 + 3 = 5.")]


def test_both_demo_models_stream_on_one_connection(gateway: Gateway, key: str) -> None:
    body = {"model": ["demo", "demo-creative"], "prompt": "Once upon a time", "stream": True, "max_tokens": 60, "n": 2}
    frames = ask(gateway, key, **body).content.split(b"\n\n")
    assert frames[-2:] == [b"data: [DONE]", b""]
    events = [msgspec.json.decode(frame[6:]) for frame in frames[:-2]]
    order = [c["index"] for event in events for c in event["choices"] if c["text"]]
    assert set(order) == {0, 1, 2, 3} and order != sorted(order)
    ends = [c for event in events for c in event["choices"] if c["finish_reason"]]
    used = events[-1]["usage"]["completion_tokens"]
    assert used == sum(c["usage"]["completion_tokens"] for c in ends)
    long = [c["finish_reason"] for c in ends].count("length")  # some tell a shorter story
    assert len(ends) == 4 and (used == 240 if long == 4 else 60 * long < used < 240)


def test_demo_is_greedy_and_demo_creative_follows_its_seed(gateway: Gateway, key: str) -> None:
    def texts(**more: Any) -> list[str]:
        choices = ask(gateway, key, prompt="Once upon a time", max_tokens=40, **more).json()["choices"]
        return [choice["text"] for choice in choices]

    assert texts(model=["demo", "demo"]) == texts(n=2)
    assert texts(model="demo-creative", seed=5, n=3) == texts(model="demo-creative", seed=5, n=3)
    assert len(set(texts(model="demo-creative", seed=5, n=3))) == 3
    assert texts(model="demo-creative", seed=5) != texts(model="demo-creative", seed=6)


def test_stop_and_limit(gateway: Gateway, key: str) -> None:
    [choice] = ask(gateway, key, model="demo", prompt="Once upon a time", max_tokens=3).json()["choices"]
    assert (choice["finish_reason"], choice["usage"]["completion_tokens"]) == ("length", 3)
    [choice] = ask(gateway, key, model="demo", prompt="What is 2 + 3?", stop=["="]).json()["choices"]
    assert (choice["text"], choice["finish_reason"]) == (" 2 + 3 ", "stop")


def test_the_published_client(gateway: Gateway, key: str) -> None:
    client = API(key)
    client.base_url = gateway.url
    one = client.completion("What is 2 + 3?")
    assert [choice["text"] for choice in one["choices"]] == [" 2 + 3 = 5."]
    many = client.completion(
        "What is 2 + 3?", model=["demo", "demo-creative"], max_tokens=20, temperature=0, stop=["."]
    )
    assert [choice["text"] for choice in many["choices"]] == [" 2 + 3 = 5"] * 2
    with pytest.raises(Exception, match="404"):
        client.completion("hi", model="nothing")


def test_a_full_engine_refuses_soon(gateway: Gateway, key: str) -> None:
    """Four at once and 64 in the queue: of more, each is either answered or told when to come back."""

    async def burst() -> list[httpx.Response]:
        import asyncio

        limits = httpx.Limits(max_connections=200)
        async with httpx.AsyncClient(timeout=30, limits=limits, headers={"Authorization": f"Bearer {key}"}) as client:
            body = {"model": "demo", "prompt": "Once upon a time", "max_tokens": 100}
            calls = [client.post(f"{gateway.url}/v1/completion", json=body) for _ in range(150)]
            return await asyncio.gather(*calls)

    import asyncio

    answers = asyncio.run(burst())
    statuses = {answer.status_code for answer in answers}
    assert statuses <= {200, 503} and 200 in statuses
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_a_killed_model_comes_back(tmp_path: Path) -> None:
    with serving(tmp_path, GATEWAY_BOOTSTRAP_KEY="k" * 32) as gateway:
        gateway.await_banner()
        [child] = children_of(gateway.process.pid)
        os.kill(child, signal.SIGKILL)
        end = time.monotonic() + 10
        while time.monotonic() < end:
            response = ask(gateway, "k" * 32, model="demo", prompt="What is 2 + 3?")
            if response.status_code == 200 and children_of(gateway.process.pid) != [child]:
                break
            assert response.status_code in (200, 502, 503)  # who fails again and again is left alone for a while
            time.sleep(0.05)
        assert response.json()["choices"][0]["text"] == " 2 + 3 = 5."


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_at_once_and_leaves_nothing(tmp_path: Path, redis: RedisServer, workers: str, number: int) -> None:
    gateway = Gateway(tmp_path, "--workers", workers, TMPDIR=str(tmp_path), GATEWAY_REDIS_URL=redis.url)
    gateway.await_banner()
    left = children_of(gateway.process.pid)
    began = time.monotonic()
    status = gateway.stop(number)
    assert time.monotonic() - began < 15  # the workers' drain would be longer
    assert status == 0
    assert "Traceback" not in gateway.log.read_text()
    end = time.monotonic() + 5
    while any(alive(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.02)
    assert not any(alive(pid) for pid in left)
    assert list(tmp_path.glob("gateway-*")) == []


def test_what_operators_change_is_changed_and_said_to_be_while_redis_is_away(tmp_path: Path) -> None:
    admin = f"ak-gw-{'a' * 12}-{'b' * 43}"
    with (
        RedisServer(tmp_path / "redis") as redis,
        serving(tmp_path, GATEWAY_REDIS_URL=redis.url, GATEWAY_ADMIN_KEY=admin) as gateway,
        httpx.Client(base_url=gateway.url, headers={"Authorization": f"Bearer {admin}"}, timeout=20) as http,
    ):
        gateway.await_banner()
        redis.stop()
        assert http.post("/admin/teams", json={"name": "t", "rpm": 7}).status_code == 200
        made = http.post("/admin/keys", json={"team": "t", "budget_usd": 3})
        assert made.status_code == 200
        assert ask(gateway, made.json()["key"], prompt="hi", max_tokens=2).status_code == 200
        rotated = http.post(f"/admin/keys/{made.json()['id']}/rotate", json={"grace": "0s"})
        assert rotated.status_code == 200
        assert ask(gateway, made.json()["key"], prompt="hi").status_code == 401
        assert http.put("/admin/limits/team/t", json={"rpm": 9}).status_code == 200
        refused = http.post("/admin/audit", json={})
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "counters_unavailable")


def test_why_redis_is_away_is_in_the_log(tmp_path: Path) -> None:
    with (
        RedisServer(tmp_path / "redis", "--requirepass", "hunter2") as redis,
        serving(tmp_path, GATEWAY_REDIS_URL=f"redis://:wrong-one@127.0.0.1:{redis.port}") as gateway,
    ):
        gateway.await_banner()
        text = gateway.log.read_text()
        assert "redis: is away (AuthenticationError: invalid username-password pair" in text and "wrong-one" not in text


def test_two_gateways_that_do_not_share_their_counters_are_told(tmp_path: Path) -> None:
    with serving(tmp_path) as one:
        one.await_banner()
        assert "another gateway" not in one.log.read_text()
        with serving(tmp_path) as other:
            other.await_banner()
            end = time.monotonic() + 10
            while (text := other.log.read_text()).count("gateway ready") < 2 and time.monotonic() < end:
                time.sleep(0.02)
            assert "another gateway runs on" in text and "set GATEWAY_REDIS_URL for both" in text


def test_the_embedded_model_does_not_outlive_a_killed_gateway(tmp_path: Path) -> None:
    gateway = Gateway(tmp_path)
    gateway.await_banner()
    left = children_of(gateway.process.pid)
    gateway.stop(signal.SIGKILL)
    end = time.monotonic() + 3
    while any(alive(pid) for pid in left) and time.monotonic() < end:
        time.sleep(0.02)
    assert left and not any(alive(pid) for pid in left)


def test_the_second_start_is_quick_and_shows_no_key(tmp_path: Path) -> None:
    with serving(tmp_path) as gateway:
        admin_key, key = re.findall(r"shown this once: (\S+)", gateway.await_banner())
    kept = b"".join(path.read_bytes() for path in (tmp_path / "var").rglob("*") if path.is_file())
    for secret in (admin_key, key):
        assert secret.encode() not in kept and secret[19:].encode() not in kept
    modes = {oct(path.stat().st_mode & 0o777) for path in (tmp_path / "var").rglob("*") if path.is_file()}
    assert modes == {"0o600"}
    (tmp_path / "log").unlink()
    began = time.monotonic()
    with serving(tmp_path) as gateway:
        banner = gateway.await_banner()
        assert time.monotonic() - began < 6
        assert "sk-gw-" not in banner and "ak-gw-" not in banner and "$GATEWAY_KEY" in banner
        assert ask(gateway, key, prompt="What is 2 + 3?").status_code == 200


def run(*arguments: str, cwd: Path = ROOT, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environ
    command = [sys.executable, "-m", "gateway", *arguments]
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=20, check=False)


def test_an_address_in_use_is_said_before_anything_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ended = run("serve", "--port", port, GATEWAY_STATE_DIR=str(tmp_path / "var"))
    assert ended.returncode == 1
    assert f"127.0.0.1:{port}" in ended.stderr and "in use" in ended.stderr and "Traceback" not in ended.stderr
    assert not (tmp_path / "var").exists()


def test_several_workers_need_a_redis(tmp_path: Path) -> None:
    ended = run("serve", "--workers", "2", GATEWAY_STATE_DIR=str(tmp_path / "var"))
    assert ended.returncode == 1 and "GATEWAY_REDIS_URL" in ended.stderr and "2 workers" in ended.stderr
    assert not (tmp_path / "var").exists()


@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("GATEWAY_REDIS_URL", "redis://:hunter2@host:port", "Redis"),
        ("GATEWAY_DATABASE_URL", "postgresql://u:hunter2@127.0.0.1:9/db", "127.0.0.1:9"),
        ("GATEWAY_STATE_DIR", "/proc/nowhere", "/proc/nowhere"),
    ],
)
def test_what_cannot_be_used_is_said_without_secrets(tmp_path: Path, variable: str, value: str, said: str) -> None:
    environ: Any = {"GATEWAY_STATE_DIR": str(tmp_path), variable: value}
    ended = run("serve", "--port", str(free_port()), **environ)
    assert ended.returncode == 1
    assert said in ended.stderr and "hunter2" not in ended.stderr and "Traceback" not in ended.stderr


def test_version_and_check(tmp_path: Path) -> None:
    assert run("--version").stdout == f"gateway {__version__}\n"
    correct = run("check")
    assert correct.returncode == 0 and "correct" in correct.stdout
    assert "models.gpt-4.1: not offered: OPENAI_API_KEY is not set" in correct.stdout
    (tmp_path / "mine.yaml").write_text("modles: {}\nproviders: {x: {adapter: gtp}}\n")
    broken = run("check", "mine.yaml", cwd=tmp_path)
    assert broken.returncode == 1
    assert "mine.yaml:1: modles" in broken.stderr and "did you mean 'gpt'?" in broken.stderr
    assert run("check", "nowhere.yaml", cwd=tmp_path).returncode == 1


@pytest.mark.parametrize("workers", [None, 2])
def test_a_tokenizer_that_is_not_there_is_told_with_its_line(tmp_path: Path, workers: int | None) -> None:
    (tmp_path / "routing.yaml").write_text(
        "providers: {p: {adapter: gpt}}\n"
        "models:\n"
        "  m: {targets: [{provider: p, model: a, tokenizer: nowhere.gguf}]}\n"
        "  n: {targets: [{provider: p, model: b, tokenizer: nowhere.gguf}]}\n"
    )
    serve = ["serve", "--port", str(free_port()), *(["--workers", str(workers)] if workers else [])]
    for words in (["check"], serve):
        ended = run(*words, cwd=tmp_path, GATEWAY_REDIS_URL="redis://127.0.0.1:1")
        assert ended.returncode == 1
        assert [line.split(": ", 1) for line in ended.stderr.splitlines()] == [
            ["routing.yaml:3", "models.m.targets[0].tokenizer: there is no file nowhere.gguf"],
            ["routing.yaml:4", "models.n.targets[0].tokenizer: there is no file nowhere.gguf"],
        ]


def test_an_issuers_keys_that_are_not_there_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "routing.yaml").write_text(
        "providers: {p: {adapter: gpt}}\nmodels: {m: {targets: [{provider: p, model: a}]}}\n"
        "jwt:\n  issuer: i\n  audience: a\n  jwks: nofile.json\n"
    )
    ended = run("check", cwd=tmp_path)
    assert ended.returncode == 1
    assert ended.stderr == "routing.yaml:6: jwt.jwks: nofile.json cannot be read: no such file or directory\n"
    (tmp_path / "nofile.json").write_text('{"keys": []}')
    there = run("check", cwd=tmp_path)
    assert there.returncode == 0 and "correct; 1 provider, 1 model, 0 aliases" in there.stdout


def test_dotenv_and_settings(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GATEWAY_PORT=nonsense\nGATEWAY_BOOTSTRAP_KEY=short\n")
    ended = run("serve", cwd=tmp_path)
    assert ended.returncode == 1
    assert "GATEWAY_PORT" in ended.stderr and "GATEWAY_BOOTSTRAP_KEY" in ended.stderr
