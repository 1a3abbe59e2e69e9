"""One streamed answer: the pieces of all models on one connection, each in its choice, as they come.

Nothing is sent before the first piece, so that a call which fails until then has an HTTP status of its own. A choice's
end is told when its model has answered to the last byte: then its usage is known, and it can no longer fail.
"""

import asyncio

from adapters.errors import ProviderError, Unavailable
from adapters.types import Delta, Reply
from gateway.errors import Unanswered
from gateway.exchange import Exchange
from gateway.fanout import ask_all, close
from gateway.merge import merge, parts_of
from gateway.types import Clock, Fanout, LegResult, Plan
from gateway.wire.dialect import Chunks


class Cancelled(Unavailable):
    code = "cancelled"


class Stream:
    """Lives as long as the answer."""

    def __init__(self, exchange: Exchange, chunks: Chunks, fanout: Fanout, clock: Clock) -> None:
        self._exchange = exchange
        self._chunks = chunks
        self._fanout = fanout
        self._clock = clock
        self._held: list[bytes] = []
        self._tries: dict[int, int] = {}

    async def run(self, plan: Plan, began: float) -> None:
        """Asks and streams. Raises Unanswered while nothing has been sent."""
        results = await ask_all(plan, self._fanout, self._clock, self.emit, self.ended)
        elapsed = self._clock.steady() - began
        try:
            merged = merge(results, self._fanout, id="", created=0, elapsed=elapsed)
            last = self._chunks.usage(merged.usage, merged.elapsed_ms)
        except Unanswered as error:
            if not self._exchange.started:
                raise
            last = self._chunks.failed(error)
        self._end_unfinished(results)
        await self._exchange.finish(last)

    def emit(self, result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        """What one read from a provider has brought, in one write."""
        if result.attempts > 1 and self._tries.get(result.leg.offset, 1) != result.attempts:
            self._tries[result.leg.offset] = result.attempts
            self._chunks.restart(result.leg)
        data = self._chunks.texts(result.leg.offset + shift, deltas)
        if not data:
            return None
        return self._write(data) if self._held else self._exchange.write(data)

    def ended(self, result: LegResult) -> None:
        """A model has answered or failed: its choices end. Failures wait for another model's first piece."""
        data = self._end(result)
        if isinstance(result.outcome, Reply) or self._exchange.started:
            self._write(data)
        elif self._fanout.mode != "first":
            self._held.append(data)

    def _end(self, result: LegResult) -> bytes:
        return b"".join([self._chunks.end(part) for part in parts_of(result)])

    def _write(self, data: bytes) -> asyncio.Future[None] | None:
        if self._held:
            data = b"".join([*self._held, data])
            self._held.clear()
        return self._exchange.write(data) if data else None

    def _end_unfinished(self, results: list[LegResult]) -> None:
        """Choices that were heard of and then given up, because enough others had answered, end too."""
        for result in results:
            if result.outcome is None and any(result.sent):
                close(result, given_up(), self._clock)
                self._write(self._end(result))


def given_up() -> ProviderError:
    return Cancelled("given up, since enough other models had answered")
