"""Engines are asked how busy they are, over real sockets."""

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from adapters.local.load import Load
from adapters.types import Host
from gateway.resilience.standing import Standing
from gateway.resilience.strategies import least_busy
from gateway.upstream import Way
from gateway.watching import Watcher
from tests.adapters.test_load import LLAMACPP, SGLANG, TGI, VLLM
from tests.gateway.playing import Playing, target
from tests.gateway.resilience.settings import Patience, Retrying

WAY = Way("http1")
PERIOD = 0.05


class Engine:
    """Answers GET with its ``text``, or not at all while ``silent``."""

    def __init__(self) -> None:
        self.text = VLLM
        self.status = 200
        self.silent = False
        self.asked: list[list[str]] = []
        self.connections = 0
        self.writers: set[asyncio.StreamWriter] = set()

    async def start(self, path: str | None = None) -> None:
        if path is not None:
            self._server = await asyncio.start_unix_server(self._connection, path)
            self.root = f"http+unix://{quote(path, safe='')}"
        else:
            self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
            self.root = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def close(self) -> None:
        self._server.close()
        for writer in list(self.writers):
            writer.close()
        await self._server.wait_closed()

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.writers.add(writer)
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                self.asked.append(head)
                if self.silent:
                    await reader.read()
                body = self.text.encode()
                writer.write(
                    b"HTTP/1.1 %d X\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: %d\r\n\r\n%b"
                    % (self.status, len(body), body)
                )
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            writer.close()


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    await engine.start()
    yield engine
    await engine.close()


@pytest.fixture
async def watcher() -> AsyncIterator[Watcher]:
    watcher = Watcher(time.monotonic, random.Random(1).random, PERIOD)
    yield watcher
    await watcher.close()


def standing() -> Standing:
    return Standing(Patience(), Retrying())


def load(standing: Standing) -> Load | None:
    return standing.load(time.monotonic())


async def until(true: Callable[[], Any], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():  # noqa: ASYNC110 - a report is not an event
            await asyncio.sleep(0.005)


@pytest.mark.parametrize(
    ("name", "base", "text", "found"),
    [
        ("vllm", "/v1", VLLM, Load(3.0, 12.0, 0.4375)),
        ("sglang", "/v1", SGLANG, Load(161.0, 2826.0, 0.28)),
        ("llama.cpp", "", LLAMACPP, Load(1.0, 4.0)),
        ("tgi", "/", TGI, Load(6.0, 2.0)),
    ],
)
async def test_each_engine_is_asked_at_its_root_with_its_key(
    engine: Engine, watcher: Watcher, name: str, base: str, text: str, found: Load
) -> None:
    engine.text = text
    one, other = standing(), standing()
    host = Host(base_url=engine.root + base, engine=name, key="secret", headers={"x-mine": "1"})
    watcher.add("gpu", host, WAY, one)
    watcher.add("gpu", host, WAY, other)
    watcher.start()
    await until(lambda: load(one) and load(other))
    assert load(one) == load(other) == found
    lines = engine.asked[0]
    assert lines[0] == "GET /metrics HTTP/1.1"
    assert "authorization: Bearer secret" in [line.replace("Authorization", "authorization") for line in lines]
    assert "x-mine: 1" in lines
    await until(lambda: len(engine.asked) >= 4)
    assert engine.connections == 1


async def test_it_is_asked_again_and_again(engine: Engine, watcher: Watcher) -> None:
    one = standing()
    watcher.add("gpu", Host(base_url=engine.root, engine="tgi"), WAY, one)
    engine.text = "tgi_queue_size 1\n"
    watcher.start()
    await until(lambda: load(one) == Load(None, 1.0))
    engine.text = "tgi_queue_size 8\n"
    await until(lambda: load(one) == Load(None, 8.0))


async def test_a_failure_makes_it_unknown_until_it_is_over(
    engine: Engine, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "gateway.watching")
    one = standing()
    watcher.add("gpu", Host(base_url=engine.root + "/v1", engine="vllm", key="sk-secret"), WAY, one)
    watcher.start()
    await until(lambda: load(one))
    engine.status = 503
    await until(lambda: load(one) is None)
    asked = len(engine.asked)
    await until(lambda: len(engine.asked) > asked + 3)
    engine.status = 200
    await until(lambda: load(one))
    engine.text = "<html>not metrics</html>"
    await until(lambda: load(one) is None)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO", "WARNING"]
    assert "gpu does not say how busy it is: the answer is 503, not 200" in caplog.text
    assert "none of its figures" in caplog.text and "secret" not in caplog.text and engine.root not in caplog.text


async def test_who_does_not_answer_is_given_up_after_a_second(engine: Engine, watcher: Watcher) -> None:
    one = standing()
    watcher.add("gpu", Host(base_url=engine.root, engine="tgi"), WAY, one)
    engine.text = TGI
    watcher.start()
    await until(lambda: load(one))
    engine.silent = True
    began = time.monotonic()
    await until(lambda: load(one) is None)
    assert time.monotonic() - began < 3 * PERIOD + 0.7  # too old, before that second is over
    engine.silent = False
    await until(lambda: load(one))


async def test_who_is_not_there_is_unknown(watcher: Watcher, caplog: pytest.LogCaptureFixture) -> None:
    one = standing()
    watcher.add("gpu", Host(base_url="http://127.0.0.1:9", engine="tgi"), WAY, one)
    watcher.start()
    await until(lambda: "no answer (ConnectError)" in caplog.text)
    assert load(one) is None


async def test_more_than_so_many_bytes_are_not_read(
    engine: Engine, watcher: Watcher, caplog: pytest.LogCaptureFixture
) -> None:
    engine.text = TGI + "# " + "x" * (5 << 20)
    one = standing()
    watcher.add("gpu", Host(base_url=engine.root, engine="tgi"), WAY, one)
    watcher.start()
    await until(lambda: "larger than 4 MB" in caplog.text)
    assert load(one) is None


async def test_an_engine_behind_a_unix_socket(watcher: Watcher, tmp_path: Path) -> None:
    engine = Engine()
    engine.text = LLAMACPP
    await engine.start(str(tmp_path / "e.sock"))
    one = standing()
    watcher.add("gpu", Host(base_url=engine.root, engine="llama.cpp"), WAY, one)
    watcher.start()
    await until(lambda: load(one) == Load(1.0, 4.0))
    await watcher.close()
    await engine.close()


async def test_who_never_says_is_never_asked(engine: Engine, watcher: Watcher) -> None:
    before = asyncio.all_tasks()
    watcher.add("own", Host(base_url=engine.root, engine="ollama"), WAY, standing())
    watcher.add("demo", Host(base_url=engine.root, engine="llama.cpp", demo=True), WAY, standing())
    watcher.add("far", Host(base_url=engine.root), WAY, standing())
    watcher.start()
    assert asyncio.all_tasks() == before


async def test_closing_leaves_nothing_behind(engine: Engine) -> None:
    before = asyncio.all_tasks()
    watcher = Watcher(time.monotonic, random.Random(1).random, PERIOD)
    one = standing()
    for i in range(3):
        watcher.add(f"gpu{i}", Host(base_url=engine.root, engine="vllm"), WAY, one)
    watcher.start()
    await until(lambda: load(one) and len(engine.asked) >= 3)
    engine.silent = True
    asked = len(engine.asked)
    await until(lambda: len(engine.asked) > asked)
    await watcher.close()
    await until(lambda: not engine.writers)
    await until(lambda: asyncio.all_tasks() == before)
    await watcher.close()


async def test_the_idler_of_two_engines_is_asked_first(engine: Engine, watcher: Watcher) -> None:
    other = Engine()
    await other.start()
    one, two = standing(), standing()
    busy, idle = target(Playing(), "busy", standing=one), target(Playing(), "idle", standing=two)
    engine.text, other.text = VLLM, VLLM.replace("12.0", "0.0")
    watcher.add("one", Host(base_url=engine.root, engine="vllm"), WAY, one)
    watcher.add("two", Host(base_url=other.root, engine="vllm"), WAY, two)
    watcher.start()
    order = least_busy(random.Random(1))
    await until(lambda: load(one) and load(two))
    assert order([busy, idle], time.monotonic()) == (idle, busy)
    await watcher.close()
    await other.close()
