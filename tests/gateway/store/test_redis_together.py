"""What a call asks of Redis at once goes there in one piece."""

import asyncio

import pytest

from gateway.caching.store import Found
from gateway.limits.types import Granted
from gateway.sharing.look import Look
from gateway.store.redis import lean
from gateway.store.redis.leases import Leases
from gateway.store.redis.store import RedisStore
from tests.gateway.store.redising import ask, until
from tests.servers.redis import RedisServer


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


def taken(leases: Leases, name: str) -> Look:
    look = Look(("team", "m", name), lambda *_: None)
    leases.take(look.wanted, look)
    return look


async def test_no_look_comes_before_what_was_kept(store: RedisStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that has waited for the answer to another, and that answer came in the same turn."""
    cache, leases = store.cache(1 << 20, "me"), store.leases("me", 5.0)
    cache.keep("team", "m", "0", b"value", 60.0)  # the script is known from now on
    await until(lambda: not cache.under_way)
    await (first := taken(leases, "a"))
    received, late = lean.Line.data_received, list[Look]()

    def and_then(line: lean.Line, data: bytes) -> None:
        received(line, data)
        monkeypatch.undo()
        cache.keep("team", "m", "a", b"value", 60.0)
        late.append(taken(leases, "a"))

    monkeypatch.setattr(lean.Line, "data_received", and_then)
    await taken(leases, "b")
    await late[0]
    assert (first.found, late[0].found) == ("", b"value")


async def test_what_was_left_ends_no_later_claim(server: RedisServer, store: RedisStore) -> None:
    """Not even where it had to wait for something else that was left."""
    leases = store.leases("me", 5.0)
    for name in ("a", "b"):
        await taken(leases, name)
    leases.release(("team", "m", "b"))
    await asyncio.sleep(0)
    leases.release(("team", "m", "a"))
    await (again := taken(leases, "a"))
    await taken(leases, "c")
    await asyncio.sleep(0.05)
    with server.client() as client:
        assert again.found == "" and client.get("{gw:team}:cache:l:a:m") == b"me"
