"""A gateway that is told to stop, as a process of its own: what is under way, and what comes then."""

import asyncio
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.faults.gateway import KEY, Gateway, routing, running
from tests.faults.judge import Line, ledger
from tests.faults.load import Client, Dead, Stream, answered
from tests.faults.processes import Provider, provider, until
from tests.servers.redis import RedisServer

MODELS: dict[str, str | tuple[str, ...]] = {
    "quick": "q0",
    "slow": "s+d1000",
    "stuck": "k+d60000",
    "stream": "t+o30+g30",
    "long": "l+o2000+g30",
}
COMPLETION = "/v1/completion"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


@asynccontextmanager
async def gateway(tmp_path: Path, **settings: Any) -> AsyncIterator[tuple[Gateway, Provider]]:
    async with provider(tmp_path / "served") as playing:
        one = Gateway(tmp_path, routing(playing.url, MODELS), **settings)
        async with running(one):
            yield one, playing


def asked(model: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "prompt": "hi", **more}


async def began(stream: Stream) -> AsyncIterator[bytes]:
    """The rest of its events, once the first has come."""
    events = stream.events()
    await anext(events)
    return events


async def ended(one: Gateway, seconds: float = 15) -> int:
    assert one.process is not None
    async with asyncio.timeout(seconds):
        await one.process.wait()
    return one.process.returncode or 0


async def lines(one: Gateway) -> list[Line]:
    return await ledger(one.state)


def told(one: Gateway, number: int = signal.SIGTERM) -> None:
    assert one.process is not None
    one.process.send_signal(number)


async def unready(one: Gateway, seconds: float = 5) -> None:
    async def is_so() -> bool:
        return await one.get("/ready") == 503

    await until(is_so, seconds, "the gateway is ready although it stops", 0.005)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_with_nothing_under_way_it_ends_at_once(tmp_path: Path, number: int) -> None:
    async with gateway(tmp_path, drain_seconds="30") as (one, _):
        client = Client(one.port, KEY)
        assert (await client.call(asked("quick"), COMPLETION)).status == 200  # its connection stays open, and idle
        start = time.monotonic()
        told(one, number)
        assert await ended(one) == 0
        assert time.monotonic() - start < 10
        await client.close()
        assert [line.outcome for line in await lines(one)] == ["ok"]


async def test_what_is_under_way_ends_and_what_comes_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (one, _):
        client, idle = Client(one.port, KEY), Client(one.port, KEY)
        assert (await idle.call(asked("quick"), COMPLETION)).status == 200
        async with client.stream(asked("stream", stream=True), COMPLETION) as stream:
            events = await began(stream)
            waiting = asyncio.create_task(client.call(asked("slow"), COMPLETION))
            await asyncio.sleep(0.1)
            told(one)
            await unready(one)
            assert await one.get("/health") == 200
            for asking in (idle, client):  # on a connection that was there, and on a new one
                refused = await asking.call(asked("quick"), COMPLETION)
                assert (refused.status, refused.headers["connection"]) == (503, "close")
                assert int(refused.headers["retry-after"]) >= 1
                assert b"shutting_down" in refused.body or b"stopping" in refused.body
            large = await client.call(asked("quick", user="u" * 300_000), COMPLETION)
            assert (large.status, large.headers["connection"]) == (503, "close")
            rest = [event async for event in events]
        assert rest[-1] == b"[DONE]"
        answer = await waiting
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        assert await ended(one) == 0
        assert sorted(line.outcome for line in await lines(one)) == ["ok"] * 3


@pytest.mark.parametrize("drain", [0, 1])
async def test_what_takes_too_long_is_cut_and_settled(tmp_path: Path, drain: int) -> None:
    async with gateway(tmp_path, drain_seconds=str(drain)) as (one, playing):
        client = Client(one.port, KEY)
        async with client.stream(asked("long", stream=True, user="s"), COMPLETION) as stream:
            events = await began(stream)
            waiting = asyncio.create_task(client.call(asked("stuck", user="w"), COMPLETION))
            await asyncio.sleep(0.2)
            told(one)
            start = time.monotonic()
            with pytest.raises((Dead, OSError, ValueError, asyncio.IncompleteReadError)):
                async for event in events:
                    assert event != b"[DONE]"
        answer = await waiting
        assert (answer.status, answer.headers.get("connection")) == (503, "close")
        assert await ended(one) == 0
        assert drain - 0.1 < time.monotonic() - start < drain + 10  # of a minute that it would take
        await playing.quiet(5)
        found = {line.user: line for line in await lines(one)}
        assert found.keys() == {"s", "w"}
        assert found["s"].output > 0 and found["s"].estimated
        [served] = [served for served in playing.served() if served.stream]
        assert not served.whole and abs(served.output - found["s"].output) <= 2
        assert not list((one.state / "spool").glob("*/*.spool"))


async def test_a_second_signal_cuts_at_once(tmp_path: Path) -> None:
    async with gateway(tmp_path, drain_seconds="600") as (one, _):
        client = Client(one.port, KEY)
        waiting = asyncio.create_task(client.call(asked("stuck"), COMPLETION))
        await asyncio.sleep(0.2)
        told(one)
        await unready(one)
        assert not waiting.done()
        told(one)
        assert (await waiting).status == 503
        assert await ended(one) == 0


async def test_a_request_in_pieces_that_ends_after_the_signal_is_refused(tmp_path: Path) -> None:
    async with gateway(tmp_path) as (one, _):
        client = Client(one.port, KEY)
        waiting = asyncio.create_task(client.call(asked("slow"), COMPLETION))
        reader, writer = await asyncio.open_connection("127.0.0.1", one.port)
        writer.write(b"POST /v1/completion HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{")
        await asyncio.sleep(0.2)
        told(one)
        await unready(one)
        writer.write(b"}")
        assert (await answered(reader))[0] == 503
        writer.transport.abort()
        assert (await waiting).status == 200
        assert await ended(one) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_several_workers(tmp_path: Path, redis: RedisServer, number: int) -> None:
    async with gateway(tmp_path, workers=2, drain_seconds="2", redis_url=redis.url) as (one, playing):
        assert one.process is not None
        client = Client(one.port, KEY)
        slow = [asyncio.create_task(client.call(asked("slow", user=f"u{i}"), COMPLETION)) for i in range(12)]
        async with client.stream(asked("long", stream=True, user="s"), COMPLETION) as stream:
            events = await began(stream)
            await asyncio.sleep(0.3)
            start = time.monotonic()
            if number == signal.SIGINT:  # as a terminal sends it: to the whole group
                os.killpg(one.process.pid, number)
            else:
                told(one, number)
            assert [(await call).status for call in slow] == [200] * 12
            with pytest.raises((Dead, OSError, ValueError, asyncio.IncompleteReadError)):
                async for event in events:
                    assert event != b"[DONE]"
        assert await ended(one) == 0
        assert 1.9 < time.monotonic() - start < 15
        found = {line.user: line for line in await lines(one)}
        assert len(found) == 13 and found["s"].output > 0
        assert "Traceback" not in one.tail(1000)


async def test_idle_workers_end_at_once_and_again_means_now(tmp_path: Path, redis: RedisServer) -> None:
    async with gateway(tmp_path, workers=2, drain_seconds="600", redis_url=redis.url) as (one, _):
        start = time.monotonic()
        told(one)
        assert await ended(one) == 0
        assert time.monotonic() - start < 10
        await one.start()
        client = Client(one.port, KEY)
        waiting = asyncio.create_task(client.call(asked("stuck"), COMPLETION))
        await asyncio.sleep(0.3)
        told(one)
        await asyncio.sleep(0.3)
        assert not waiting.done()
        told(one)
        assert (await waiting).status == 503
        assert await ended(one) == 0


def listens(process: int, number: int) -> bool:
    """Whether a process does something of its own at this signal."""
    [caught] = re.findall(r"^SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text(), re.MULTILINE)
    return bool(int(caught, 16) >> (number - 1) & 1)


@pytest.mark.parametrize("after", [0, 0.2, 0.4, 0.7, 1.1])
async def test_stopped_while_it_starts(tmp_path: Path, redis: RedisServer, after: float) -> None:
    async with provider(tmp_path / "served") as playing:

        async def started_and_stopped(workers: int) -> None:
            one = Gateway(tmp_path / str(workers), routing(playing.url, MODELS), workers=workers, redis_url=redis.url)
            try:
                await one.start(ready=False)
                assert one.process is not None
                pid = one.process.pid

                async def hears() -> bool:
                    return listens(pid, signal.SIGTERM)

                await until(hears, 10, "it does not listen", 0.001)
                await asyncio.sleep(after)
                told(one)
                assert await ended(one) == 0
            finally:
                if one.process is not None and one.process.returncode is None:
                    await one.kill()
            assert "Traceback" not in one.tail(1000)

        await asyncio.gather(started_and_stopped(1), started_and_stopped(2))
