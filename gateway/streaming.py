"""One streamed answer: the pieces of all models on one connection, each in its choice, as they come.

Nothing is sent before the first piece, so that a call which fails until then has an HTTP status of its own. A choice's
end is told when its model has answered to the last byte: then its usage is known, and it can no longer fail.

An answer that is checked before it is told comes in one piece; comments keep the connection open until then
(https://html.spec.whatwg.org/multipage/server-sent-events.html#authoring-notes), and the first of them sends the head.
"""

import asyncio
from collections.abc import Callable, Sequence

from adapters.errors import ProviderError, Unavailable
from adapters.types import Delta, Reply
from gateway.admission import Admitted
from gateway.agreeing import merged_plan
from gateway.attempts import close
from gateway.choices import pieces
from gateway.errors import Unanswered
from gateway.exchange import Exchange
from gateway.explain import explained
from gateway.fanout import ask_all, begun
from gateway.headers import lines_of
from gateway.merge import merge, merge_compared, parts_of
from gateway.paths import HELD
from gateway.types import Clock, CompletionResponse, Fanout, LegResult, Plan, Shared
from gateway.wire.dialect import Chunks

ALIVE = b": the answer is being checked\n\n"


class Cancelled(Unavailable):
    code = "cancelled"


class Stream:
    """Lives as long as the answer."""

    def __init__(
        self,
        exchange: Exchange,
        chunks: Callable[[Plan], Chunks],
        plan: Plan,
        fanout: Fanout,
        clock: Clock,
        keepalive: float,
        admitted: Admitted,
        shares: Sequence[Shared | None] | None = None,
    ) -> None:
        self._exchange = exchange
        self._plan = plan
        self._chunks_of = chunks
        self._chunks = chunks(plan)
        self._fanout = fanout
        self._clock = clock
        self._results = begun(plan, clock, fanout.alike is None, admitted.meters, shares)
        self._admitted = admitted
        self._keepalive = keepalive
        self._head_known = self._busy = False
        self._held: list[bytes] = []
        self._tries: dict[int, int] = {}

    async def run(self, began: float) -> None:
        """Asks and streams. Raises Unanswered while nothing has been sent."""
        results, compared = self._results, self._fanout.alike is not None
        alive = self._stay_alive() if any(result.leg.keeping for result in results) else None
        try:
            merged = await self._ask(compared, began)
            last = self._chunks.usage(merged.usage, merged.elapsed_ms)
            if compared:
                self._tell(merged)
        except Unanswered as error:
            if not self._exchange.started:
                error.headers = lines_of(explained(results) + self._admitted.told())
                raise
            last = self._chunks.failed(error)
        finally:
            if alive:
                alive.cancel()
        if not compared:
            self._end_unfinished(results)
        if not self._head_known:
            self._know_head()
        await self._exchange.finish(last)

    async def _ask(self, compared: bool, began: float) -> CompletionResponse:
        """Of answers that are compared none is told before all are known."""
        results, fanout, clock = self._results, self._fanout, self._clock
        if not compared:
            await ask_all(results, fanout, clock, self.emit, self.ended)
            return merge(results, fanout, id="", created=0, elapsed=self._elapsed(began))
        await ask_all(results, fanout, clock)
        created = int(clock.wall())
        return await merge_compared(results, fanout, id="", created=created, elapsed=self._elapsed(began))

    def _elapsed(self, began: float) -> float:
        return self._clock.steady() - began

    def _stay_alive(self) -> asyncio.Task[None]:
        return asyncio.create_task(self._comment())

    async def _comment(self) -> None:
        """Says something where nothing else is said, as long as an answer is being checked."""
        while True:
            self._busy = False
            await asyncio.sleep(self._keepalive)
            if not self._busy and any(checking(result, self._fanout) for result in self._results):
                self._write(ALIVE)

    def _tell(self, merged: CompletionResponse) -> None:
        """A whole answer, choice by choice."""
        if self._fanout.agree:
            self._chunks = self._chunks_of(merged_plan(self._plan, merged.parts))
        for part in merged.parts:
            said = b"" if part.error else self._chunks.texts(0, pieces(part.index, part.text, part.raw, None))
            self._write(said + self._chunks.end(part))

    def emit(self, result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
        """What one read from a provider has brought, in one write."""
        if result.attempts > 1 and self._tries.get(result.leg.offset, 1) != result.attempts:
            self._tries[result.leg.offset] = result.attempts
            self._chunks.restart(result.leg)
        data = self._chunks.texts(result.leg.offset + shift, deltas)
        if not data:
            return None
        if self._held or not self._head_known:
            return self._write(data)
        self._busy = True
        return self._exchange.write(data)

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
        if not data:
            return None
        self._busy = True
        if not self._head_known:
            self._know_head()
        return self._exchange.write(data)

    def _know_head(self) -> None:
        """Which targets speak, in the head of the stream: those that are asked when it begins."""
        self._head_known = True
        self._exchange.first = self._clock.steady()
        self._exchange.open(explained(self._results) + self._admitted.headers)

    def _end_unfinished(self, results: list[LegResult]) -> None:
        """Choices that were heard of and then given up, because enough others had answered, end too."""
        for result in results:
            if result.outcome is None and any(result.sent):
                close(result, given_up(), self._clock)
                self._write(self._end(result))


def checking(result: LegResult, fanout: Fanout) -> bool:
    """Whether a model's answer is told only when it is known to be good."""
    waits = fanout.alike is not None or fanout.mode == "first" or result.path not in HELD
    return result.outcome is None and result.path is not None and waits


def given_up() -> ProviderError:
    return Cancelled("given up, since enough other models had answered")
