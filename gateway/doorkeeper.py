"""How many calls a worker has under way, how many wait for their turn, and when it has more to do than it can.

A refusal must cost a small part of an answer, or those who are refused take what the others need: so all that is looked
at when a call has come are a few numbers.

Two things can be short. Places: so many calls are under way at once, and so many wait, for a bounded time. And the
processor: a call that has been read is taken up by the event loop in its turn, behind all others that were read with
it. Where for a tenth of a second none was taken up soon, there is a standing queue (CoDel, RFC 8289), and from then on
so many calls are let in per turn of the loop as can be taken up in time, until nobody has been refused for a tenth of a
second. Much more than can be done is seen sooner: what a call costs is known by then, and how many come. A single long
pause makes no standing queue, and a worker with nothing to do refuses nobody.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable

from gateway.errors import GatewayError, Overloaded, Stopping
from gateway.exchange import Exchange, patience

INTERVAL = 0.1
"""Seconds in which one call that is taken up soon proves that there is no standing queue."""

ENOUGH = 40
"""Calls that must have been late one after the other: two that met two pauses say nothing."""

BURST = 0.02
"""Seconds for which calls may be late although their turns grow: so much comes together now and then."""

FEW = 8
"""Calls that are no queue, unless turns are very long: so many callers who wait for each other's answers are let in,
also where something else has slowed the worker down."""

GROWING, TURNS = 1.25, 2
"""So many turns, each so much longer than the one before, are a standing queue as well: after a pause they get shorter
and shorter."""

MORE = 1.5
"""Capacities that come, turn by turn for as long as a BURST, are one too, and are seen sooner."""

STRETCH, STRETCHES = 64, 9
"""What a call costs is measured over so many calls; the median of the last so many measurements counts."""

SHORTER = 0.75
"""A turn by so much shorter than the one before ends a row of late ones: the queue does not stand."""

WIDER = 1.1
"""By how much more calls are let in after a turn that was soon over, although some were refused."""

PATIENCE = 5.0
"""Seconds that a call waits for a place at most."""

SOON = 1.0
"""Seconds after which a refused call may be tried again: by then others have ended, or another worker takes it."""


HELD = 0.002
"""Seconds within which calls are taken up while others are refused, if the target is not less: what had gathered until
then is to go away."""


class Congestion:
    """Whether calls are taken up in time. ``target`` is in seconds; None: it does not matter. Told the time. ``used``
    tells the processor's seconds that we have used, in which pauses do not count."""

    def __init__(self, target: float | None, used: Callable[[], float] = lambda: 0.0) -> None:
        self.target = target
        self.shedding = False
        self.room = 1.0
        """Calls that one turn of the loop may take up, while ``shedding``."""
        self.refused = False
        """Whether somebody was refused in this turn."""
        self._late = 0
        self._late_since = 0.0
        self._late_from = 0.0
        self._last = 0.0
        self._turn = 0
        self._turn_before = 0.0
        self._growing = 0
        self._refused_at = 0.0
        self._began = 0.0
        self._more_since = math.inf  # since when more comes than can be done
        self._used = used
        self._used_at = used()
        self._stretch = 0
        self._costs: deque[float] = deque(maxlen=STRETCHES)
        self._cost = 0.0

    def refuses(self, waiting: int) -> bool:
        """Whether one more is too many, where so many that have come wait to be taken up."""
        if self.shedding and waiting >= self.room:
            self.refused = True
            return True
        return False

    def begins(self, now: float) -> None:
        """The first call of a turn has come, while ``shedding``: which is over when none had for a while."""
        if now - self._last > INTERVAL:
            self.shedding = False

    def taken_up(self, now: float, lag: float, waiting: int) -> bool:
        """A call is taken up, so many seconds after it had come, and so many still wait. False: it is too late for it,
        and it should be refused."""
        target = self.target
        if target is None:
            return True
        if self.shedding:
            target = min(target, HELD)
        if not self._turn:
            self._weigh(now, lag, waiting + 1)
        self._turn = place = self._turn + 1
        if lag <= target:
            self._late, self._late_from = 0, now
        elif not self._late or now - lag - self._last > INTERVAL:  # nobody came in between
            self._late, self._late_since = 1, now
        else:
            self._late += 1
            if self._late >= ENOUGH and now - self._late_since >= INTERVAL:
                self._shed(now)
        self._last = now
        longer = lag > target and lag > GROWING * self._turn_before
        if longer and self._growing >= TURNS - 1 and place > FEW and now - self._late_from >= BURST:
            self._shed(now)
        if not waiting:
            self._growing = self._growing + 1 if longer else 0
            self._turn_over(now, lag, target)
        if self.shedding and lag > 2 * target and place > few(lag, target):
            self.refused = True
            return False
        return True

    def _weigh(self, now: float, lag: float, calls: int) -> None:
        """So many have come in the time since the last were weighed. What could be done in it is known from what a call
        costs; a pause, or a crowd of new connections, makes calls late as well, and is soon over."""
        assert self.target is not None
        if calls <= FEW or calls * self._cost < MORE * (now - self._began):
            self._more_since = math.inf
        elif self._more_since == math.inf:
            self._more_since = now  # a crowd, until others come behind it
        elif now - self._more_since >= BURST and lag > self.target / 4:
            self._shed(now)
        self._began = now

    def _turn_over(self, now: float, lag: float, target: float) -> None:
        """The last of a turn's calls has waited longest."""
        if lag < SHORTER * self._turn_before:
            self._late = 0  # what had gathered, during a pause perhaps, goes away
        taken, self._turn, self._turn_before = self._turn, 0, lag
        if not self.shedding:
            self._measure(taken)
            return
        if lag > target:
            self.room = max(few(lag, target), taken * target / lag)
        elif self.refused:
            self.room = self.room * WIDER + 0.1
        if self.refused:
            self.refused, self._refused_at = False, now
        elif now - self._refused_at > INTERVAL:
            self.shedding = False

    def _measure(self, taken: int) -> None:
        self._stretch += taken
        if self._stretch >= STRETCH:
            used = self._used()
            self._costs.append((used - self._used_at) / self._stretch)
            self._cost = sorted(self._costs)[len(self._costs) // 2]
            self._used_at, self._stretch = used, 0

    def _shed(self, now: float) -> None:
        if not self.shedding:
            self.shedding, self._refused_at, self.room = True, now, float(FEW)


def few(lag: float, target: float) -> float:
    """How many calls are let in at each turn however long it takes: the fewer the longer."""
    return max(1.0, FEW * min(1.0, 10 * target / lag))


class Doorkeeper:
    """One worker's. A call that has come is asked for with ``refusal``, before anything of it is looked at; then it may
    ``enter``, at once or in its ``turn``, and must ``leave``. ``now`` is a steady clock, in seconds."""

    def __init__(
        self,
        concurrency: int,
        queue: int,
        lag: float | None,
        now: Callable[[], float],
        used: Callable[[], float] = lambda: 0.0,
        patience: float = PATIENCE,
    ) -> None:
        self.now = now
        self.waiting = 0
        """Calls that have been read and were not taken up yet."""
        self.under_way = 0
        self.stopping = False
        """No call is let in any more."""
        self.cutting = False
        """... and those that are under way are broken off."""
        self.refusing: Callable[[], None] = lambda: None
        """What is done before the first of a turn is refused."""
        self._concurrency = concurrency
        self._most = concurrency + queue
        self._queue: deque[asyncio.Future[None]] = deque()
        self._used = used
        self._congestion = Congestion(lag, used)
        self._patience = patience

    @property
    def queued(self) -> int:
        return len(self._queue)

    @property
    def shedding(self) -> bool:
        """Whether calls are refused since the processor is short."""
        return self._congestion.shedding

    def configure(self, concurrency: int, queue: int, lag: float | None) -> None:
        """Other bounds hold from now on; who is under way, or waits, stays."""
        self._concurrency, self._most = concurrency, concurrency + queue
        if lag != self._congestion.target:
            self._congestion = Congestion(lag, self._used)
        while self._queue and self.under_way < self._concurrency:
            self.under_way += 1
            self._pass_on()

    def refusal(self) -> GatewayError | None:
        """Why a call that has just come is not let in; None if it is."""
        if self.stopping:
            return stopped()
        if self.waiting + self.under_way + len(self._queue) >= self._most:
            return Overloaded("the gateway has as many calls under way as it may", retry_after=SOON)
        congestion = self._congestion
        if congestion.shedding:
            if not self.waiting:
                congestion.begins(self.now())
            first = not congestion.refused
            if congestion.refuses(self.waiting):
                if first:
                    self.refusing()
                return overloaded()
        return None

    def enter(self, arrived: float) -> bool:
        """The call is taken up. ``arrived`` is when it was counted as waiting; 0: it was not. False: it must wait for
        its ``turn``. Raises Overloaded."""
        if arrived:
            self.waiting -= 1
            now = self.now()
            if not self._congestion.taken_up(now, now - arrived, self.waiting):
                raise overloaded()
        if self.under_way < self._concurrency:
            self.under_way += 1
            return True
        return False

    async def turn(self, exchange: Exchange) -> bool:
        """Waits for a place. Raises Overloaded when it takes too long, for us or for the caller, whose time goes on:
        ``timeout`` is then what is left of it."""
        loop = asyncio.get_running_loop()
        began, most = self.now(), self._patience
        bound = None if exchange.timeout is None else patience(exchange.timeout)
        if bound is not None:
            most = min(most, bound)
        turn: asyncio.Future[None] = loop.create_future()
        self._queue.append(turn)
        timer = loop.call_later(most, self._give_up, turn, most)
        if exchange.whole:  # else nobody tells that the caller has left before the body is read
            exchange.cancel_when_left()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.leave()  # the turn came while the caller left
            elif turn in self._queue:
                self._queue.remove(turn)
            raise
        finally:
            timer.cancel()
        if exchange.whole:
            exchange.stop_watching()
        if bound is not None:
            exchange.timeout = b"%d" % max(1, round((bound - (self.now() - began)) * 1000))
        return True

    def leave(self) -> None:
        """A call that had entered is over."""
        if self.under_way > self._concurrency or not (self._queue and self._pass_on()):
            self.under_way -= 1

    def _pass_on(self) -> bool:
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                turn.set_result(None)
                return True
        return False

    def _give_up(self, turn: asyncio.Future[None], most: float) -> None:
        if not turn.done():
            self._queue.remove(turn)
            turn.set_exception(Overloaded(f"no place became free within {most:g} s", retry_after=SOON))


def overloaded() -> Overloaded:
    return Overloaded("the gateway has more to do than it can", retry_after=SOON)


def stopped() -> Stopping:
    return Stopping("the gateway is stopping; another one, or the next, will answer", retry_after=SOON)
