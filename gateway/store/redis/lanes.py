"""Rows for one script, of whoever has some, travel together."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

from redis.exceptions import NoScriptError

from gateway.store.redis.batches import TURNS
from gateway.store.redis.client import Client, Word
from gateway.store.redis.script import Script
from gateway.upstream.alarm import Alarm

MOST = 64
"""Rows in one command, ..."""
MOST_BYTES = 1 << 20
"""... and about how many bytes they have, so that Redis is not kept from others for long."""
FULL = 6
"""Rows that are worth a second command while one is under way: fewer wait for its answer, one round trip at most, and
travel with what comes meanwhile."""

Row = tuple[tuple[Word, ...], int, Any]
"""The script's further arguments, how many bytes they have, where that may be many, and whose it is."""


class Flight:
    """A command that is under way until ``until`` at the latest. ``late``: that is over."""

    __slots__ = ("late", "prefix", "rows", "until")

    def __init__(self, prefix: str, rows: list[Row], until: float) -> None:
        self.prefix = prefix
        self.rows = rows
        self.until = until
        self.late = False


class Lane:
    """What is added in one turn of the event loop goes out in the next: one command for each prefix, which is the
    script's only key, with ``head`` before the rows. ``spread`` is given the rows and the answer to them, None if there
    is none: after ``seconds`` at the latest, also for those who had to wait. ``heard`` is told how each command ended:
    None, or why there is no answer. Of one that is ``first`` nothing waits,
    and it goes before what others have to say in the same turn."""

    def __init__(
        self,
        client: Client,
        script: Script,
        head: Callable[[], tuple[Word, ...]],
        seconds: float,
        spread: Callable[[list[Row], Any], None],
        heard: Callable[[BaseException | None], None],
        first: bool = False,
    ) -> None:
        self._client = client
        self._script = script
        self._head = head
        self._seconds = seconds
        self._spread = spread
        self._heard = heard
        self._first = first
        self._waiting: dict[str, list[Row]] = {}
        self._rows = 0
        self._bytes = 0
        self._since = 0.0  # when the first of them came
        self._scheduled = False
        self._flights: dict[asyncio.Future[Any], Flight] = {}
        self.count = 0
        """Rows of which nothing has been heard yet."""

    def add(self, prefix: str, words: tuple[Word, ...], whose: Any, size: int = 0) -> None:
        rows = self._waiting.get(prefix)
        if rows is None:
            rows = self._waiting[prefix] = []
        rows.append((words, size, whose))
        if not self._rows:
            self._since = self._loop.time()
        self._rows += 1
        self._bytes += size
        self.count += 1
        if not self._scheduled and (self._first or not self._flights or self._rows >= FULL):
            self._scheduled = True
            self._client.soon(self._start, self._first)

    async def close(self) -> None:
        """What is on its way may be lost."""
        flights = list(self._flights)
        self._fail_waiting()
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)
        self._alarm.off()

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()  # to ask each time is a call of the kernel

    @cached_property
    def _alarm(self) -> Alarm:
        return Alarm(self._loop, self._rung)

    def _start(self) -> None:
        self._scheduled = False
        waiting, self._waiting, self._rows = self._waiting, {}, 0
        until = self._since + self._seconds
        small, self._bytes = self._bytes <= MOST_BYTES, 0
        for prefix, rows in waiting.items():
            if small and len(rows) <= MOST:  # as nearly always
                self._send(prefix, rows, until)
            else:
                for some in portions(rows):
                    self._send(prefix, some, until)

    def _send(self, prefix: str, rows: list[Row], until: float, whole: bool = False) -> None:
        """``whole``: with the script's text, since the server may not know it."""
        loop, alarm = self._loop, self._alarm
        words = [*self._head()]
        for row in rows:
            words += row[0]
        start = self._script.start_whole if whole else self._script.start
        answer = start(self._client, [prefix], *words)
        if answer is None:
            answer = loop.create_task(self._script.run(self._client, [prefix], *words))
        self._flights[answer] = Flight(prefix, rows, until)
        if until < alarm.at:
            alarm.by(until)
        answer.add_done_callback(self._landed)

    def _rung(self) -> None:
        """The time of one may be up: as a rule it has landed since."""
        now = self._loop.time()
        for answer, flight in self._flights.items():
            if flight.until > now:
                self._alarm.by(flight.until)
            elif not flight.late:
                flight.late = True
                late(answer, TURNS)

    def _landed(self, answer: "asyncio.Future[Any]") -> None:
        flight = self._flights.pop(answer)
        rows = flight.rows
        error = TimeoutError() if answer.cancelled() else answer.exception()
        if isinstance(error, NoScriptError):  # a server that has started since; nothing was done
            self._send(flight.prefix, rows, flight.until, whole=True)
            return
        self.count -= len(rows)
        if error is None:
            self._spread(rows, answer.result())
        else:  # RedisError, OSError, whatever a Cluster's client has
            self._spread(rows, None)
            self._fail_waiting()  # they would only wait as long again
        self._heard(error)
        if self._rows and not self._scheduled:  # in its turn: what goes first may have been added meanwhile
            self._scheduled = True
            self._client.soon(self._start, self._first)

    def _fail_waiting(self) -> None:
        waiting, self._waiting, self._rows, self._bytes = self._waiting, {}, 0, 0
        for rows in waiting.values():
            self.count -= len(rows)
            self._spread(rows, None)


def portions(rows: list[Row]) -> Iterator[list[Row]]:
    """What may go in one command each."""
    some: list[Row] = []
    room = MOST_BYTES
    for row in rows:
        if some and (len(some) == MOST or row[1] > room):
            yield some
            some, room = [], MOST_BYTES
        some.append(row)
        room -= row[1]
    yield some


def late(answer: "asyncio.Future[Any]", turns: int) -> None:
    """The time is up. What has arrived by now is read before."""
    if turns and not answer.done():
        asyncio.get_running_loop().call_soon(late, answer, turns - 1)
    else:
        answer.cancel()
