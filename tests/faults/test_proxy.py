"""Each fault does on the wire what it says, seen from a bare socket; and without one nothing is changed."""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.faults.http_kinds import SECRET, Refusal, Unfinished, WrongLength
from tests.faults.kinds import (
    Drip,
    Fault,
    Flipped,
    Garbage,
    HalfClosed,
    Jitter,
    Latency,
    Refused,
    Reset,
    Silence,
    Truncated,
)
from tests.faults.proxy import Proxy, proxied
from tests.faults.schedule import HTTP, WIRE, Schedule, Share, always, mixed, on_the_wire

BODY = bytes(range(32, 127)) * 5
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(BODY) + BODY
CHUNKS = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
REQUEST = b"POST / HTTP/1.1\r\ncontent-length: 4\r\n\r\nbody"

End = str
"""How a connection ended: ``end``, ``reset``, or ``open`` where it had not."""


class Server:
    """Answers each request with the same bytes, and notes what it has heard and whether its client has gone."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.heard = b""
        self.gone = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.heard += data
                if self.heard.endswith(b"body"):
                    writer.write(self.answer)
        except ConnectionError:
            pass
        finally:
            self.gone += 1
            writer.close()


class Caller:
    def __init__(self, port: int) -> None:
        self._port = port

    async def __aenter__(self) -> "Caller":
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.transport.abort()
        await asyncio.sleep(0)

    async def ask(self, wait: float = 0.3) -> tuple[bytes, End]:
        """All that comes back within so many seconds, and how it ended."""
        self.writer.write(REQUEST)
        got = b""
        try:
            async with asyncio.timeout(wait):
                while data := await self.reader.read(65536):
                    got += data
        except TimeoutError:
            return got, "open"
        except ConnectionError:
            return got, "reset"
        return got, "end"


@asynccontextmanager
async def between(schedule: Schedule | None, answer: bytes = WHOLE) -> AsyncIterator[tuple[Proxy, Server]]:
    server = Server(answer)
    tasks: set[Any] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        tasks.add(asyncio.current_task())
        await server.serve(reader, writer)

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with proxied(listening.sockets[0].getsockname()[1], schedule) as proxy:
        yield proxy, server
    listening.close()
    if tasks:
        await asyncio.wait(tasks, timeout=5)
    await asyncio.sleep(0)


async def met(make: Callable[[], Fault], answer: bytes = WHOLE, wait: float = 0.3) -> tuple[bytes, End, Proxy, Server]:
    async with between(always(make), answer) as (proxy, server), Caller(proxy.port) as caller:
        got, end = await caller.ask(wait)
    return got, end, proxy, server


async def test_what_passes_is_not_changed() -> None:
    for schedule in (None, Schedule(1, [])):
        async with between(schedule) as (proxy, server), Caller(proxy.port) as caller:
            for _ in range(3):
                assert await caller.ask(0.05) == (WHOLE, "open")
            assert server.heard == REQUEST * 3 and proxy.exchanges == 3 and not proxy.injected
            caller.writer.write_eof()  # the end is passed on, and so is the server's
            assert await caller.reader.read() == b"" and server.gone == 1


async def test_what_a_server_ends_ends_for_its_client() -> None:
    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(10)
        writer.write(b"that is all")
        writer.close()

    listening = await asyncio.start_server(once, "127.0.0.1", 0)
    async with proxied(listening.sockets[0].getsockname()[1]) as proxy, Caller(proxy.port) as caller:
        assert await caller.ask() == (b"that is all", "end")
    listening.close()


async def test_a_client_that_leaves_is_gone_for_the_server() -> None:
    for make in (Fault, lambda: Silence(heard=True), lambda: Silence(heard=False), lambda: HalfClosed(10)):
        async with between(always(make)) as (proxy, server):
            async with Caller(proxy.port) as caller:
                await caller.ask(0.05)
            await gone(lambda: server.gone == 1)


async def gone(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(2):
        while not true():  # noqa: ASYNC110 - the other side tells nobody
            await asyncio.sleep(0.005)


async def test_latency() -> None:
    async with between(always(lambda: Latency(0.15))) as (proxy, _), Caller(proxy.port) as caller:
        began = time.monotonic()
        caller.writer.write(REQUEST)
        assert await caller.reader.readexactly(len(WHOLE)) == WHOLE
        assert time.monotonic() - began >= 0.15 and proxy.injected == {"latency": 1}


async def test_jitter() -> None:
    got, end, proxy, _ = await met(lambda: Jitter(random.Random(1), 0.02))
    assert (got, end, proxy.injected) == (WHOLE, "open", {"jitter": 1})


async def test_a_reset_where_a_connection_is_made() -> None:
    got, end, proxy, server = await met(Refused)
    assert (got, end, server.heard) == (b"", "reset", b"") and proxy.injected == {"refused": 1}


async def test_a_reset_of_a_connection_that_was_used() -> None:
    async with between(None) as (proxy, _), Caller(proxy.port) as caller:
        assert (await caller.ask(0.05))[1] == "open"
        proxy.schedule = always(Refused)
        assert await caller.ask() == (b"", "reset") and proxy.injected == {"refused": 1}


@pytest.mark.parametrize("after", [0, 1, 100])
async def test_a_reset_behind_so_many_bytes(after: int) -> None:
    got, end, proxy, server = await met(lambda: Reset(after))
    assert (got, end) == (WHOLE[:after], "reset") and server.heard == REQUEST and proxy.injected == {"reset": 1}


async def test_a_fault_that_an_answer_is_too_short_for_is_none() -> None:
    got, end, proxy, _ = await met(lambda: Reset(100_000))
    assert (got, end) == (WHOLE, "open") and not proxy.injected


@pytest.mark.parametrize("after", [0, 100])
async def test_an_end_behind_so_many_bytes(after: int) -> None:
    got, end, proxy, _ = await met(lambda: Truncated(after))
    assert (got, end, proxy.injected) == (WHOLE[:after], "end", {"truncated": 1})


async def test_half_a_connection_is_closed() -> None:
    async with between(always(lambda: HalfClosed(50))) as (proxy, server), Caller(proxy.port) as caller:
        assert await caller.ask() == (WHOLE[:50], "end")
        assert proxy.injected == {"half-closed": 1}
        caller.writer.write(b"still heard, body")
        await gone(lambda: server.heard.endswith(b"still heard, body"))
        assert not server.gone


@pytest.mark.parametrize("heard", [False, True])
async def test_a_black_hole(heard: bool) -> None:
    got, end, proxy, server = await met(lambda: Silence(heard))
    assert (got, end, proxy.injected) == (b"", "open", {"silence": 1})
    assert server.heard == (REQUEST if heard else b"")


async def test_a_drip() -> None:
    async with between(always(lambda: Drip(30, 0.01))) as (proxy, _), Caller(proxy.port) as caller:
        began = time.monotonic()
        sizes: list[int] = []
        caller.writer.write(REQUEST)
        while sum(sizes) < len(WHOLE):
            sizes.append(len(await caller.reader.read(65536)))
        assert len(sizes) > 5 and time.monotonic() - began >= 0.01 * (len(WHOLE) // 30)
        assert proxy.injected == {"drip": 1}


async def test_garbage() -> None:
    got, _, proxy, _ = await met(lambda: Garbage(random.Random(5), 64))
    assert len(got) == 64 and got[0] == 0xFF and got not in WHOLE and proxy.injected == {"garbage": 1}
    assert (await met(lambda: Garbage(random.Random(5), 64)))[0] == got


async def test_flipped_bytes() -> None:
    got, _, proxy, _ = await met(lambda: Flipped(random.Random(5)))
    wrong = [(one, other) for one, other in zip(got, WHOLE, strict=True) if one != other]
    assert 1 <= len(wrong) < len(WHOLE) / 10 and all(one ^ other == 0x80 for one, other in wrong)
    assert proxy.injected == {"flipped": 1}


async def test_an_end_just_before_the_end() -> None:
    assert (await met(Unfinished))[:2] == (WHOLE[:-1], "end")
    got, end, proxy, _ = await met(Unfinished, CHUNKS)
    assert (got, end, proxy.injected) == (CHUNKS.removesuffix(b"0\r\n\r\n"), "end", {"unfinished": 1})


@pytest.mark.parametrize(
    ("wrong", "told"), [("small", b"237"), ("large", b"575"), ("negative", b"-475"), ("twice", b"475, 476")]
)
async def test_a_wrong_length(wrong: Any, told: bytes) -> None:
    got, _, proxy, _ = await met(lambda: WrongLength(wrong))
    head, _, body = got.partition(b"\r\n\r\n")
    lengths = [line.partition(b": ")[2] for line in head.split(b"\r\n") if line.startswith(b"content-length")]
    assert b", ".join(lengths) == told and body == BODY and proxy.injected == {f"length {wrong}": 1}
    assert b"transfer-encoding" in (await met(lambda: WrongLength(wrong), CHUNKS))[0]


@pytest.mark.parametrize(("status", "kind"), [(429, "throttled"), (500, "5xx"), (529, "5xx")])
async def test_a_refusal(status: int, kind: str) -> None:
    got, end, proxy, server = await met(lambda: Refusal(status, "7", "html"))
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status) and b"retry-after: 7" in head and b"text/html" in head
    assert SECRET.encode() in body and b"content-length: %d" % len(body) in head
    assert end == "open" and server.heard == b"" and proxy.injected == {kind: 1}
    got, _, _, _ = await met(lambda: Refusal(status, None, "empty"))
    assert b"retry-after" not in got and got.endswith(b"content-length: 0\r\n\r\n")


async def test_a_refusal_waits_for_the_whole_request() -> None:
    async with between(always(lambda: Refusal(503))) as (proxy, _), Caller(proxy.port) as caller:
        for part in (REQUEST[:10], REQUEST[10:-1]):
            caller.writer.write(part)
            await asyncio.sleep(0.03)
        assert not proxy.injected
        caller.writer.write(REQUEST[-1:])
        assert (await caller.reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503")


async def test_on_command_all_at_once() -> None:
    async def reset(proxy: Proxy) -> End:
        async with Caller(proxy.port) as caller:
            await caller.ask(0.05)
            proxy.reset()
            return (await caller.ask())[1]

    async def half_close(proxy: Proxy) -> End:
        async with Caller(proxy.port) as caller:
            await caller.ask(0.05)
            proxy.half_close()
            return "half" if await caller.reader.read() == b"" else "open"

    async def refuse(proxy: Proxy) -> End:
        proxy.set("refuse")
        async with Caller(proxy.port) as caller:
            return (await caller.ask())[1]

    ways: tuple[tuple[Callable[[Proxy], Awaitable[End]], End], ...] = (
        (reset, "reset"), (half_close, "half"), (refuse, "reset"),
    )  # fmt: skip
    for way, wanted in ways:
        async with between(None) as (proxy, _):
            assert await way(proxy) == wanted
            assert sum(proxy.injected.values()) == 1


async def test_each_request_of_a_connection_draws_anew() -> None:
    for make in (Fault, lambda: Refusal(429), lambda: Latency(0.001), lambda: WrongLength("large")):
        async with between(always(make)) as (proxy, _), Caller(proxy.port) as caller:
            for _ in range(3):
                assert (await caller.ask(0.03))[0]
            assert proxy.exchanges == 3 and sum(proxy.injected.values()) in (0, 3)


async def test_what_is_lost_on_a_connection_is_not_followed_by_more() -> None:
    for make in (lambda: Silence(True), lambda: Silence(False), lambda: HalfClosed(0)):
        async with between(always(make)) as (proxy, server), Caller(proxy.port) as caller:
            assert (await caller.ask(0.05))[0] == b""
            proxy.schedule = None
            assert (await caller.ask(0.05))[0] == b"" and proxy.exchanges == 1


def test_a_seed_says_it_all() -> None:
    def drawn(schedule: Schedule) -> list[str]:
        return [schedule.next().kind for _ in range(3000)]

    first = drawn(mixed(7, 0.3))
    assert first == drawn(mixed(7, 0.3)) and first != drawn(mixed(8, 0.3))
    wanted = {make(random.Random(1)).kind for _, make in (*WIRE, *HTTP)} | {"pass", "throttled", "5xx"}
    assert {kind.partition(" ")[0] for kind in first} == {kind.partition(" ")[0] for kind in wanted}
    assert 0.25 < 1 - first.count("pass") / 3000 < 0.6
    assert set(drawn(on_the_wire(7, 0.3))) == {make(random.Random(1)).kind for _, make in WIRE} | {"pass"}


def test_a_burst_is_one_after_the_other() -> None:
    schedule = Schedule(1, [Share(0.02, lambda _: Refusal(429), times=5)])
    kinds = "".join(["x" if schedule.next().kind == "throttled" else "." for _ in range(500)])
    assert all(len(run) % 5 == 0 for run in kinds.split(".")) and "xxxxx" in kinds
