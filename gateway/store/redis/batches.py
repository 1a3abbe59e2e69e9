"""Operations of one turn of the event loop travel together."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cached_property, partial
from typing import Any

import msgspec
from redis.exceptions import NoScriptError, RedisError
from redis.exceptions import TimeoutError as NoAnswer

from gateway.limits.types import StoreDown
from gateway.store.redis.client import Client
from gateway.store.redis.script import Script
from gateway.store.redis.words import KEYS, PREFIX, Operation
from gateway.upstream.alarm import Alarm

MOST = 64
"""Rows in one batch, so that Redis is not kept from others for long. A reservation is a row, and so is each hold that
is settled or renewed, and each subject that is counted."""
PATIENCE = 2.0
"""Seconds for what no request waits for."""
LANES = 2
"""Batches under way at once. One is on the wire while the next is worked on; more would only make them smaller."""
FULL = 6
"""Operations that are worth a second lane: fewer wait for the batch that is under way, one round trip at most, and
travel with what comes meanwhile."""

encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(tuple[int, str | bool | None, list[Any], int]).decode
"""The server's time, its epoch (false: there is none), the answers, and when anybody had asked before."""

TURNS = 6
"""Turns of the event loop from bytes that lie in the socket to an answer that is understood."""
LATE = 0.02
"""Seconds by which a loop that has nothing else to do is never late."""
MOST_SECONDS = 2.0

Answer = tuple[int, Any]
"""The server's time in milliseconds, and what it says to the operation: False where the counters are missing."""


class Unanswered(StoreDown):
    """It was sent, and may have been done, or may be done yet."""


class Pending:
    __slots__ = ("answered", "operation", "rows", "since")

    def __init__(self, operation: Operation, rows: int, answered: asyncio.Future[Answer], since: float) -> None:
        self.operation = operation
        self.rows = rows
        self.answered = answered
        self.since = since


class Flight:
    """A batch that has been sent, and is looked at next at ``look``. ``turns`` are left for bytes that have arrived to
    be understood."""

    __slots__ = ("answer", "batch", "began", "look", "turns")

    def __init__(self, batch: list[Pending], answer: "asyncio.Future[Any]", began: float, look: float) -> None:
        self.batch = batch
        self.answer = answer
        self.began = began
        self.look = look
        self.turns = TURNS


class Batches:
    """Of every batch ``answered`` is told the server's epoch, its time, and when anybody had asked it before; or
    ``unanswered`` is called. ``time`` replaces the server's clock, in milliseconds. Nobody waits more than ``seconds``,
    and within so many Redis must say something: one that answers others is alive, if busy. A loop that was late itself,
    with other work or without a processor, first reads what has arrived meanwhile, and allows for its own delay."""

    def __init__(
        self,
        client: Client,
        seconds: float,
        answered: Callable[[str | None, int, int], None],
        unanswered: Callable[[], None],
        time: Callable[[], int] | None = None,
    ) -> None:
        self._client = client
        self._answered = answered
        self._unanswered = unanswered
        self._time = time
        self._seconds = seconds
        self._script = Script("limits.lua")
        self._waiting: deque[Pending] = deque()
        self._flights: set[Flight] = set()
        self._ending: set[asyncio.Future[Any]] = set()
        self._scheduled = False
        self._heard = 0.0
        self.reason = ""
        """Why Redis could not be asked the last time, for a log."""

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()  # to ask each time is a call of the kernel

    @cached_property
    def _alarm(self) -> Alarm:
        return Alarm(self._loop, self._look_at_all)

    def submit(self, operation: Operation, rows: int = 1) -> "asyncio.Future[Answer]":
        """The future raises StoreDown, or Unanswered if it was sent."""
        loop = self._loop
        answered: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append(Pending(operation, rows, answered, loop.time()))
        if not self._scheduled and (not self._flights or self._may_start()):
            self._scheduled = True
            self._client.soon(self._start)
        return answered

    async def close(self) -> None:
        for pending in self._waiting:
            fail(pending, StoreDown("the gateway is stopping"))
        self._waiting.clear()
        flights = list(self._flights)
        for flight in flights:
            for pending in flight.batch:
                fail(pending, Unanswered("the gateway is stopping"))
            flight.answer.cancel()
        await asyncio.gather(*[flight.answer for flight in flights], *self._ending, return_exceptions=True)
        self._alarm.off()

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and self._may_start():
            batch = self._next()
            if not batch:
                return
            self._send(batch)

    def _may_start(self) -> bool:
        flights = len(self._flights)
        return not flights or (flights < LANES and len(self._waiting) >= FULL)

    def _next(self) -> list[Pending]:
        """Without those who have left meanwhile."""
        batch: list[Pending] = []
        waiting, room = self._waiting, MOST
        while waiting:
            pending = waiting[0]
            if pending.rows > room and batch:
                break
            waiting.popleft()
            if not pending.answered.done():
                batch.append(pending)
                room -= pending.rows
        return batch

    def _send(self, batch: list[Pending], whole: bool = False) -> None:
        """``whole``: with the script's text, since the server may not know it."""
        loop, alarm = self._loop, self._alarm
        operations = [pending.operation for pending in batch]
        packed = encode((PREFIX, self._time() if self._time is not None else 0, operations))
        answer = (self._script.start_whole if whole else self._script.start)(self._client, KEYS, packed)
        if answer is None:
            answer = loop.create_task(self._script.run(self._client, KEYS, packed))
        flight = Flight(batch, answer, loop.time(), batch[0].since + self._seconds)
        self._flights.add(flight)
        if flight.look < alarm.at:
            alarm.by(flight.look)
        answer.add_done_callback(partial(self._landed, flight))

    def _landed(self, flight: Flight, answer: "asyncio.Future[Any]") -> None:
        if answer in self._ending:
            self._ending.discard(answer)
            if not answer.cancelled():
                answer.exception()  # which nobody waits for any more
            return
        self._flights.discard(flight)
        batch = flight.batch
        try:
            at, epoch, answers, before = decode(answer.result())
            if len(answers) != len(batch):
                raise ValueError(f"{len(answers)} answers to {len(batch)} operations")
        except NoScriptError:
            self._send(batch, whole=True)  # a server that has started since, or a new master; nothing was done
            return
        except (asyncio.CancelledError, Exception) as error:  # RedisError, OSError, whatever a Cluster's client has;
            # and what is no answer of our script's: somebody else's, or to something else
            self._failed(batch, error)
        else:
            self._heard = self._loop.time()
            self._answered(epoch if isinstance(epoch, str) and epoch else None, at, before)
            for pending, one in zip(batch, answers, strict=True):
                if not pending.answered.done():
                    pending.answered.set_result((at, one))
        if self._waiting and not self._scheduled:
            self._start()

    def _look_at_all(self) -> None:
        """The alarm has rung: as a rule for a flight that has landed since."""
        now = self._loop.time()
        for flight in list(self._flights):
            if flight.look > now:
                self._alarm.by(flight.look)
            elif flight.turns == TURNS:  # else it is being looked at
                self._look(flight)

    def _look(self, flight: Flight) -> None:
        """Somebody has waited long enough, or its own time is up."""
        if flight.answer.done():
            return
        loop = asyncio.get_running_loop()
        if flight.turns:
            flight.turns -= 1
            loop.call_soon(self._look, flight)
            return
        now, seconds = loop.time(), self._seconds
        late = now - flight.look
        due = max(self._heard, flight.began) + seconds
        if late > LATE:
            due = flight.look = max(due, now + min(late, seconds))
        else:
            flight.look = min(due, self._expire(flight, now) + seconds)
        if due <= now or now > flight.began + max(MOST_SECONDS, seconds):
            self._give_up(flight)
        else:
            flight.turns = TURNS
            self._alarm.by(flight.look)

    def _expire(self, flight: Flight, now: float) -> float:
        """Those who have waited long enough do so no more; since when the one of the others does who came first."""
        first = now
        for pending in (*flight.batch, *self._waiting):
            if not pending.answered.done():
                if pending.since + self._seconds > now:
                    first = min(first, pending.since)
                else:
                    why = "Redis did not answer in time"
                    fail(pending, Unanswered(why) if pending in flight.batch else StoreDown(why))
        return first

    def _give_up(self, flight: Flight) -> None:
        """Whoever waits does so no longer, whatever a client does yet before it ends: redis-py may close connections,
        miss that it is cancelled in the midst of a timeout of its own, and ask a Cluster's other nodes."""
        self._client.hang_up()
        flight.answer.cancel()
        if not flight.answer.done():
            self._flights.discard(flight)
            self._ending.add(flight.answer)
            self._failed(flight.batch, TimeoutError())

    def _failed(self, batch: list[Pending], error: BaseException) -> None:
        """Those who wait fail with those who were sent: they would only wait as long again."""
        reason = reason_of(error)
        self.reason = f"{type(error).__name__}: {error}".partition("\n")[0][:200] if str(error) else reason
        waiting, self._waiting = self._waiting, deque()
        for pending in batch:
            fail(pending, Unanswered(reason))
        for pending in waiting:
            fail(pending, StoreDown(reason))
        self._unanswered()


def fail(pending: Pending, error: StoreDown) -> None:
    if not pending.answered.done():
        pending.answered.set_exception(error)


def reason_of(error: BaseException) -> str:
    """What may be told to anybody: neither addresses nor what Redis says of users."""
    if isinstance(error, (TimeoutError, NoAnswer, asyncio.CancelledError)):
        return "Redis did not answer in time"
    return f"Redis cannot be asked ({type(error).__name__})"


@asynccontextmanager
async def patiently() -> AsyncIterator[None]:
    """What no request waits for. Raises StoreDown."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except (RedisError, OSError) as error:
        raise StoreDown(reason_of(error)) from None
