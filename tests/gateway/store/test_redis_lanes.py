"""What travels together to Redis, and what becomes of it."""

import asyncio
from collections.abc import Callable
from typing import Any

from redis.exceptions import NoScriptError, ResponseError

from gateway.store.redis.client import Word
from gateway.store.redis.lanes import FULL, MOST, MOST_BYTES, Lane, Row
from gateway.store.redis.script import Script

Commands = list[tuple[Word, ...]]


class Line:
    """A client whose server answers when it is told to."""

    def __init__(self) -> None:
        self.sent: Commands = []
        self.answers: list[asyncio.Future[Any]] = []

    def start(self, *command: Word) -> "asyncio.Future[Any]":
        self.sent.append(command)
        self.answers.append(asyncio.get_running_loop().create_future())
        return self.answers[-1]

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        asyncio.get_running_loop().call_soon(start)


class Lanes:
    def __init__(self, seconds: float = 5.0) -> None:
        self.line = Line()
        self.told: list[tuple[list[Any], Any]] = []
        self.heard: list[BaseException | None] = []
        client: Any = self.line
        self.lane = Lane(client, Script("leases.lua"), lambda: ("head",), seconds, self._spread, self.heard.append)

    def _spread(self, rows: list[Row], answer: Any) -> None:
        self.told.append(([whose for _, _, whose in rows], answer))

    def add(self, *whose: Any, prefix: str = "p", size: int = 0) -> None:
        for one in whose:
            self.lane.add(prefix, (one,), one, size)

    @property
    def rows(self) -> list[list[Word]]:
        return [list(command[5:]) for command in self.line.sent]

    async def turn(self) -> None:
        for _ in range(3):
            await asyncio.sleep(0)


async def test_a_turn_is_one_command_for_each_key() -> None:
    lanes = Lanes()
    lanes.add(1, 2)
    lanes.add(3, prefix="q")
    assert lanes.line.sent == []
    await lanes.turn()
    assert [command[2:] for command in lanes.line.sent] == [(1, "p", "head", 1, 2), (1, "q", "head", 3)]
    assert lanes.lane.count == 3
    for answer in lanes.line.answers:
        answer.set_result("yes")
    await lanes.turn()
    assert lanes.told == [([1, 2], "yes"), ([3], "yes")]
    assert lanes.heard == [None, None] and lanes.lane.count == 0


async def test_a_few_wait_for_the_answer_that_is_under_way_and_many_do_not() -> None:
    lanes = Lanes()
    lanes.add(0)
    await lanes.turn()
    lanes.add(*range(1, FULL))
    await lanes.turn()
    assert lanes.rows == [[0]]
    lanes.line.answers[0].set_result("yes")
    await lanes.turn()
    assert lanes.rows[1:] == [list(range(1, FULL))]
    lanes.add(*range(FULL))
    await lanes.turn()
    assert len(lanes.rows) == 3
    await lanes.lane.close()


async def test_no_command_is_too_large() -> None:
    lanes = Lanes()
    lanes.add(*range(MOST + 1))
    lanes.add("large", "too", prefix="q", size=MOST_BYTES)
    await lanes.turn()
    assert [len(rows) for rows in lanes.rows] == [MOST, 1, 1, 1]
    await lanes.lane.close()


async def test_who_waits_fails_with_who_was_sent() -> None:
    lanes = Lanes()
    lanes.add(1)
    await lanes.turn()
    lanes.add(2)
    lanes.line.answers[0].set_exception(ResponseError("no"))
    await lanes.turn()
    assert lanes.told == [([1], None), ([2], None)] and lanes.lane.count == 0
    lanes.add(3)
    await lanes.turn()
    assert lanes.rows == [[1], [3]]
    await lanes.lane.close()
    assert lanes.told[-1] == ([3], None)


async def test_nobody_waits_longer() -> None:
    """Not even who came while another was under way."""
    lanes = Lanes(0.05)
    began = asyncio.get_running_loop().time()
    lanes.add(1)
    await lanes.turn()
    await asyncio.sleep(0.03)
    lanes.add(2)
    lanes.line.answers[0].set_result("yes")
    await lanes.turn()
    while len(lanes.told) < 2:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.001)
    assert lanes.told == [([1], "yes"), ([2], None)]
    assert asyncio.get_running_loop().time() - began >= 0.08
    assert isinstance(lanes.heard[1], TimeoutError)


async def test_a_server_that_does_not_know_the_script() -> None:
    lanes = Lanes()
    lanes.add(1, 2)
    await lanes.turn()
    lanes.line.answers[0].set_exception(NoScriptError())
    await lanes.turn()
    assert [(command[0], command[2:]) for command in lanes.line.sent] == [
        ("EVALSHA", (1, "p", "head", 1, 2)), ("EVAL", (1, "p", "head", 1, 2)),
    ]  # fmt: skip
    lanes.line.answers[1].set_result("yes")
    await lanes.turn()
    assert lanes.told == [([1, 2], "yes")]
