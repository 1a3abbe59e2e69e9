"""The short way's task, and callers who leave at awkward moments: without sockets, so that the moment is known."""

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

import gateway.upstream
from gateway.protocol import Protocol
from tests.perf.test_hotpath import AtOnce
from tests.serving import KEY, application

BODY = b'{"model":"a","prompt":"hi","max_tokens":5}'


def request(*more: str) -> bytes:
    lines = [f"authorization: Bearer {KEY}", "content-type: application/json", f"content-length: {len(BODY)}", *more]
    return "\r\n".join(["POST /v1/completion HTTP/1.1", *lines, "", ""]).encode() + BODY


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: Any) -> None:
        assert not self.closed
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self.closed

    def close(self) -> None:
        self.closed = True

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setattr(gateway.upstream, "CLIENTS", {"http1": AtOnce, "httpx": AtOnce})
    app = application(tmp_path, "http://127.0.0.1:9/v1")
    async with app._rest.router.lifespan_context(app._rest):
        yield app


def connected(app: Any) -> tuple[Protocol, Wire]:
    config = uvicorn.Config(app, http=Protocol, proxy_headers=False, log_level="warning")
    config.load()
    protocol, wire = Protocol(config, ServerState(), {}), Wire()
    protocol.connection_made(wire)
    return protocol, wire


async def turns(count: int = 20) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def answered(protocol: Protocol) -> None:
    """Until an answer is complete, and not a turn of the loop longer: it may not have been sent yet."""
    while protocol.cycle is None or not protocol.cycle.response_complete:  # noqa: ASYNC110
        await asyncio.sleep(0)


async def test_one_task_answers_all_requests_of_a_connection_and_is_busy_only_meanwhile(app: Any) -> None:
    protocol, wire = connected(app)
    tasks = set()
    for _ in range(3):
        protocol.data_received(request())
        tasks |= protocol.tasks
        await turns()
        assert not protocol.tasks
    assert len(tasks) == 1
    assert [data[:15] for data in wire.written] == [b"HTTP/1.1 200 OK"] * 3
    protocol.connection_lost(None)
    await turns()
    assert tasks.pop().done()


@pytest.mark.parametrize("before", [0, 1])
async def test_nobody_is_waited_for_who_leaves_before_being_taken_up(app: Any, before: int) -> None:
    protocol, wire = connected(app)
    for _ in range(before):
        protocol.data_received(request())
        await turns()
    protocol.data_received(request())
    wire.closed = True
    protocol.connection_lost(None)
    await turns()
    assert len(wire.written) == before
    assert (app.doorkeeper.waiting, app.doorkeeper.under_way, len(protocol.tasks)) == (0, 0, 0)


async def test_what_has_been_answered_is_sent_before_a_shutdown_closes(app: Any) -> None:
    protocol, wire = connected(app)
    protocol.data_received(request())
    await answered(protocol)
    protocol.shutdown()
    assert [data[:15] for data in wire.written] == [b"HTTP/1.1 200 OK"] and wire.closed
    protocol.connection_lost(None)
    await turns()


async def test_rubbish_behind_a_request_is_refused_after_its_answer(app: Any) -> None:
    protocol, wire = connected(app)
    protocol.data_received(request())
    await answered(protocol)
    protocol.data_received(b"rubbish\r\n\r\n")
    assert [data[9:12] for data in wire.written] == [b"200", b"400"] and wire.closed
    protocol.connection_lost(None)
    await turns()


async def test_a_connection_that_is_to_be_closed_has_its_answer_before(app: Any) -> None:
    protocol, wire = connected(app)
    protocol.data_received(request("connection: close"))
    await turns()
    assert b"\r\nconnection: close\r\n" in b"".join(wire.written) and wire.closed
    protocol.connection_lost(None)
    await turns()


HEADS = (
    "POST /v1/completion HTTP/1.1\r\nhost: here\r\nauthorization: Bearer one\r\ncontent-length: {}\r\nx: y\r\n\r\n",
    "POST /v1/completion HTTP/1.1\r\nhost: here\r\nauthorization: Bearer two\r\ncontent-length: {}\r\nx: y\r\n\r\n",
    "POST /v1/completion HTTP/1.1\r\nhost: here\r\nauthorization: Bearer one\r\ncontent-length: 00{}\r\nx: y\r\n\r\n",
    "POST /v1/chat/completions HTTP/1.1\r\nContent-Length: {}\r\nLamini-Version: 2\r\nCache-Control: no-cache\r\n\r\n",
    "POST /v1/completion HTTP/1.1\r\ncontent-length:{}\r\nx-gateway-timeout-ms: 7\r\n\r\n",
    "POST /v1/embeddings HTTP/1.1\r\nContent-Length: {}\r\nContent-Type: text/json\r\n\r\n",
)
CHUNKED = "POST /v1/completion HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n"
GET = "GET /live HTTP/1.1\r\nhost: here\r\n\r\n"
EVIL = "POST /v1/completion HTTP/1.1\r\nhost: here\r\nauthorization: Bearer one\r\ncontent-length: {}\r\nx: y\r\n\n"


def said(dice: random.Random) -> list[bytes]:
    """Requests as one caller might write them."""
    found, heads = [], dice.choices(HEADS, k=2)
    for _ in range(dice.randint(2, 8)):
        body = "b" * dice.choice((1, 2, 9, 10, 99, 300))
        kind = dice.random()
        if kind < 0.8:
            found.append((dice.choice(heads)).format(len(body)) + body)
        elif kind < 0.9:
            found.append(CHUNKED.format(len(body), body))
        else:
            found.append(GET)
    if dice.random() < 0.2:
        found.append(dice.choice((EVIL.format(1), heads[0].format("1a"), heads[0].format("-1"), heads[0].format(""))))
    return [request.encode() for request in found]


async def heard(app: Any, pieces: list[bytes], tries: int) -> tuple[list[Any], list[bytes]]:
    """What was asked by these bytes, and the status of each answer."""
    asked: list[Any] = []

    async def answer(exchange: Any, route: Any, method: str = "POST") -> None:
        body = await exchange.read(1000)
        asked.append((route.path, exchange.authorization, exchange.content_type, exchange.cache_control, body))
        asked.append((exchange.timeout, exchange.lamini))
        sent = exchange.answer(200, b"" if exchange.whole else [], b"{}")
        if sent is not None:
            await sent

    app.answer = answer
    protocol, wire = connected(app)
    protocol._tries = tries
    for piece in pieces:
        if not wire.closed:
            protocol.data_received(piece)
            await turns(5)
    await turns()
    protocol.connection_lost(None)
    return asked, [part[:12] for data in wire.written for part in data.split(b"\n") if part.startswith(b"HTTP/1.1 ")]


@pytest.mark.parametrize("seed", range(60))
async def test_a_head_that_was_heard_before_says_what_it_says_to_a_parser(app: Any, seed: int) -> None:
    """However the bytes are cut, and whatever comes between."""
    dice = random.Random(seed)
    pieces = said(dice)
    if dice.random() < 0.5:  # several in one read, and some in several
        data, pieces = b"".join(pieces), []
        while data:
            size = dice.choice((1, 7, 60, 150, 200, 400))
            pieces.append(data[:size])
            data = data[size:]
    remembered, parsed = await heard(app, pieces, 4), await heard(app, pieces, 0)
    assert remembered == parsed


async def test_a_head_is_recalled_also_where_the_body_comes_later(app: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    protocol, wire = connected(app)
    head, body = request()[: -len(BODY)], BODY
    protocol.data_received(head + body)
    await turns()
    monkeypatch.setattr(protocol, "parser", None)  # nobody needs it
    for parts in ([head + body], [head, body], [head + body[:9], body[9:20], body[20:]]):
        for part in parts:
            protocol.data_received(part)
        await turns()
    assert [data[:15] for data in wire.written] == [b"HTTP/1.1 200 OK"] * 4
    protocol.connection_lost(None)


BEGIN = "POST /v1/completion HTTP/1.1\r\nhost: here\r\nauthorization: Bearer {}\r\n"
END = b"x: y\r\ncontent-length: 1\r\n\r\nb"


def begin(key: str) -> bytes:
    return BEGIN.format(key).encode()


INNER = begin("two") + END
WITHIN = [begin("one") + b"content-length: %d\r\n\r\n" % len(INNER), INNER, INNER, INNER]
BEHIND = [begin("one") + END + begin("one"), *[END + begin("one")] * 2, END, begin("two") + END + begin("two"), END]
AFTER = [begin("one"), END, GET.encode() + begin("two"), END]


@pytest.mark.parametrize("pieces", [WITHIN, BEHIND, AFTER], ids=["within a body", "behind others", "in pieces"])
async def test_nothing_but_a_whole_head_is_taken_for_one_that_was_heard(app: Any, pieces: list[bytes]) -> None:
    """Else one caller's request would pass for another's, where both come on one connection of a proxy's."""
    remembered, parsed = await heard(app, pieces, 4), await heard(app, pieces, 0)
    assert parsed[0][-2][1] == b"Bearer two"
    assert remembered == parsed


async def test_a_head_is_remembered_also_where_bodies_are_written_for_themselves(app: Any) -> None:
    protocol, wire = connected(app)
    for piece in (request()[: -len(BODY)], BODY):
        protocol.data_received(piece)
    await turns()
    protocol.parser = None  # type: ignore[assignment]  # nobody needs it
    for piece in (request()[: -len(BODY)], BODY):
        protocol.data_received(piece)
    await turns()
    assert [data[:15] for data in wire.written] == [b"HTTP/1.1 200 OK"] * 2
    protocol.connection_lost(None)


async def test_a_key_is_not_in_what_is_shown(app: Any) -> None:
    protocol, _ = connected(app)
    protocol.data_received(request())
    shown = repr(protocol._exchange) + repr(protocol._heard)
    assert protocol._heard is not None and KEY not in shown and "bytes" in shown
    await turns()
    protocol.connection_lost(None)
