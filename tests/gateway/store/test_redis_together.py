"""What a call asks of Redis at once goes there in one piece."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.caching.store import Found
from gateway.limits.types import Granted
from gateway.sharing.look import Look
from gateway.store.redis import lean
from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import ask, started
from tests.servers.redis import RedisServer


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[RedisStore]:
    with RedisServer(tmp_path) as server:
        found = await started(server.url)
        yield found
        await found.close()


async def test_look_and_reservation_are_one_write(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = store.leases("me", 5.0)
    written: list[list[bytes]] = []
    flush = lean.Line.flush

    def flushed(line: lean.Line) -> None:
        written.append(list(line._unsent))
        flush(line)

    monkeypatch.setattr(lean.Line, "flush", flushed)

    async def call(name: str) -> tuple[Found, bool]:
        look = Look(("team", "m", name), lambda *_: None)
        leases.take(look.wanted, look)
        verdict = await store.limiter.reserve(ask(name), 60.0)
        await look
        return look.found, isinstance(verdict, Granted)

    await call("0")  # both scripts are known from now on
    written.clear()
    assert await asyncio.gather(*[call(f"{n}") for n in range(1, 9)]) == [("", True)] * 8
    assert [len(commands) for commands in written] == [2]
