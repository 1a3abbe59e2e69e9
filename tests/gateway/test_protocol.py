"""The short way's task, and callers who leave at awkward moments: without sockets, so that the moment is known."""

import asyncio
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
