"""Writes of one turn of the event loop leave together, in their order, and only to who is still there."""

import asyncio
from typing import Any, cast

from gateway.outbox import MOST, Outbox


class Transport:
    def __init__(self, log: list[tuple[str, bytes]], name: str) -> None:
        self._log = log
        self._name = name
        self.closing = False

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        assert not self.closing
        self._log.append((self._name, data))


def transports(*names: str) -> tuple[list[tuple[str, bytes]], list[Any]]:
    log: list[tuple[str, bytes]] = []
    return log, [cast(asyncio.WriteTransport, Transport(log, name)) for name in names]


async def test_what_is_said_in_one_turn_is_said_in_the_next_in_its_order() -> None:
    log, [one, other] = transports("one", "other")
    outbox = Outbox()
    outbox.send(one, b"1")
    outbox.send(other, b"2")
    outbox.send(one, b"3")
    assert log == []
    await asyncio.sleep(0)
    assert log == [("one", b"1"), ("other", b"2"), ("one", b"3")]
    outbox.send(other, b"4")
    await asyncio.sleep(0)
    assert log[3:] == [("other", b"4")]


async def test_much_does_not_wait() -> None:
    log, [one] = transports("one")
    outbox = Outbox()
    for i in range(MOST + 1):
        outbox.send(one, b"%d" % i)
    assert len(log) == MOST
    await asyncio.sleep(0)
    assert log == [("one", b"%d" % i) for i in range(MOST + 1)]


async def test_who_cannot_wait_says_so_and_nothing_is_said_twice() -> None:
    log, [one] = transports("one")
    outbox = Outbox()
    outbox.send(one, b"1")
    outbox.flush()
    assert log == [("one", b"1")]
    await asyncio.sleep(0)
    assert len(log) == 1


async def test_nothing_is_said_to_who_has_gone_and_the_others_hear_theirs() -> None:
    log, [one, other] = transports("one", "other")
    outbox = Outbox()
    outbox.send(one, b"1")
    outbox.send(other, b"2")
    one.closing = True
    await asyncio.sleep(0)
    assert log == [("other", b"2")]
