"""The guard of the hot path: how many Python calls one request makes, from its bytes to its answer's.

Counted, not timed, so it is the same on every machine, and points at the commit that added a layer. Sockets are left
out: the upstream answers at once, the caller's transport takes everything.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from types import FrameType
from typing import Any

import msgspec
import pytest

import gateway.upstream
from adapters.types import HttpRequest, HttpResponse
from gateway.keys import Last
from gateway.protocol import DirectExchange
from gateway.upstream.types import Feed, Reach, Timeouts
from tests.gateway.playing import event, reply
from tests.serving import KEY, application

WHOLE = HttpResponse(200, [], msgspec.json.encode(reply("An answer.", (5, 3), 1)))
PIECE = event({"choices": [{"index": 0, "delta": {"content": "word"}}]})
END = event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}) + b"data: [DONE]\n\n"
PIECES = 100


class AtOnce:
    """An upstream without a network."""

    def __init__(self, *_: Any, **__: Any) -> None:
        pass

    async def fetch(self, request: HttpRequest, timeouts: Timeouts, reach: Reach | None = None) -> HttpResponse:
        if reach is not None:
            reach()
        return WHOLE

    async def stream(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed, reach: Reach | None = None
    ) -> HttpResponse:
        if reach is not None:
            reach()
        for _ in range(PIECES):
            feed(PIECE)
        feed(END)
        return HttpResponse(200, [])

    async def close(self) -> None:
        pass


class Caller:
    """A caller's connection that takes all that is sent."""

    write_paused = False

    def __init__(self) -> None:
        self.last = Last()
        self.sent = 0
        self.status = b""

    @property
    def transport(self) -> "Caller":
        return self

    @property
    def flow(self) -> "Caller":
        return self

    @property
    def outbox(self) -> "Caller":
        return self

    def send(self, transport: "Caller", data: bytes) -> None:
        transport.write(data)

    def write(self, data: bytes) -> None:
        self.status = self.status or data.partition(b" ")[2][:3]
        self.sent += 1

    def on_response_complete(self) -> None:
        pass


PROMPT = {"prompt": "hi"}
COMMON = {"max_tokens": 5, "temperature": 0.5}
MESSAGES = [{"role": "user", "content": "hi"}]


async def calls_of(request: dict[str, Any], app: Any) -> tuple[int, int]:
    """Python calls and writes of one request."""
    route = app.route(b"/v1/chat/completions" if "messages" in request else b"/v1/completion")
    caller = Caller()
    exchange = DirectExchange(caller, caller, caller.last, True)  # type: ignore[arg-type]
    exchange.authorization = f"Bearer {KEY}".encode()
    exchange.content_type = b"application/json"
    exchange.parts = [msgspec.json.encode(({} if "messages" in request else PROMPT) | COMMON | request)]
    counted = 0

    def count(frame: FrameType, happening: str, argument: object) -> None:
        nonlocal counted
        counted += happening == "call"

    sys.setprofile(count)
    try:
        await app.answer(exchange, route)
    finally:
        sys.setprofile(None)
    assert exchange.response_complete and caller.status == b"200"
    return counted, caller.sent


@pytest.fixture
async def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """Started, so that the key is known and calls are noted as they are in service."""
    makers: dict[str, Callable[..., Any]] = {"http1": AtOnce, "httpx": AtOnce}
    monkeypatch.setattr(gateway.upstream, "CLIENTS", makers)
    app = application(tmp_path, "http://127.0.0.1:9/v1")
    rest = app._rest
    async with rest.router.lifespan_context(rest):
        yield app


@pytest.mark.parametrize(
    ("request_", "ceiling", "writes"),
    [
        ({"model": "a"}, 98, 1),
        ({"model": ["a", "b", "c"]}, 319, 1),
        ({"model": "a", "stream": True}, 70 + 10 * PIECES, PIECES + 3),
        ({"model": "a", "messages": MESSAGES}, 110, 1),
        ({"model": "a", "messages": MESSAGES, "stream": True}, 107 + 13 * PIECES, PIECES + 3),
    ],
    ids=["one", "three", "stream", "chat", "streamed chat"],
)
async def test_calls_stay_under_their_ceiling(request_: dict[str, Any], ceiling: int, writes: int, app: Any) -> None:
    await calls_of(request_, app)  # what is prepared once
    counted, sent = await calls_of(request_, app)
    assert counted <= ceiling
    assert sent <= writes


async def test_a_kept_answer_is_told_in_fewer(app: Any) -> None:
    asked = {"model": "a", "temperature": 0}
    await calls_of(asked, app)
    await asyncio.sleep(0)  # what was shared until its end is kept from now on
    counted, sent = await calls_of(asked, app)
    assert counted <= 81 and sent == 1


async def test_the_count_is_the_same_each_time(app: Any) -> None:
    await calls_of({"model": "a"}, app)
    assert len({await calls_of({"model": "a"}, app) for _ in range(3)}) == 1
