"""What a generating route does, from the caller's bytes to the answer's. Read this first.

    bytes -> team -> the dialect's request -> plan -> every model asked -> merged -> the dialect's answer -> bytes

Plain calls in the order in which they happen; whatever says no raises a GatewayError, which ``api`` answers.
"""

from adapters.types import Reply
from gateway.exchange import Exchange, HeaderLines
from gateway.fanout import Emit, ask_all, current_task
from gateway.keys import Keys
from gateway.merge import merge
from gateway.routing import Router
from gateway.streaming import Stream
from gateway.types import Clock, CompletionRequest, CompletionResponse, Fanout, LegResult, Plan, Team
from gateway.wire.dialect import Dialect, Door


class Completion:
    """``router`` may be replaced at any time: a request keeps the one that it began with."""

    def __init__(self, router: Router, keys: Keys, clock: Clock, *, max_body: int, max_depth: int) -> None:
        self.router = router
        self._keys = keys
        self._clock = clock
        self._max_body = max_body
        self._max_depth = max_depth

    async def complete(self, exchange: Exchange, door: Door) -> None:
        """Answers the exchange. Raises GatewayError only while nothing has been sent."""
        began = self._clock.steady()
        team = self._keys.team(exchange.authorization)
        body = await exchange.read(self._max_body)
        dialect, fields = door.enter(body, self._max_depth, exchange.lamini)
        exchange.dialect = dialect
        request = dialect.decode(fields)
        plan, fanout = self.router.plan(request, team)
        exchange.cancel_when_left(current_task())
        if request.stream:
            await self._stream(exchange, dialect, request, plan, fanout, began)
        else:
            await self._whole(exchange, dialect, request, plan, fanout, began)

    async def answer(
        self, request: CompletionRequest, team: Team, id: str, emit: Emit | None = None
    ) -> CompletionResponse:
        """The answer to a request that is nobody's connection. ``emit`` hears the pieces of a streamed one as they
        come; its choices then have no texts. Raises GatewayError."""
        began = self._clock.steady()
        plan, fanout = self.router.plan(request, team)
        return self._merged(await ask_all(plan, fanout, self._clock, emit), fanout, id, began)

    def _merged(self, results: list[LegResult], fanout: Fanout, id: str, began: float) -> CompletionResponse:
        elapsed, created = self._clock.steady() - began, int(self._clock.wall())
        return merge(results, fanout, id=id, created=created, elapsed=elapsed)

    async def _whole(
        self,
        exchange: Exchange,
        dialect: Dialect,
        request: CompletionRequest,
        plan: Plan,
        fanout: Fanout,
        began: float,
    ) -> None:
        results = await ask_all(plan, fanout, self._clock)
        answer = self._merged(results, fanout, exchange.id, began)
        exchange.stop_watching()
        await exchange.answer(200, explained(results), dialect.encode(request, answer))

    async def _stream(
        self,
        exchange: Exchange,
        dialect: Dialect,
        request: CompletionRequest,
        plan: Plan,
        fanout: Fanout,
        began: float,
    ) -> None:
        chunks = dialect.chunks(request, exchange.id, int(self._clock.wall()), plan)
        exchange.open([])
        await Stream(exchange, chunks, fanout, self._clock).run(plan, began)


def explained(results: list[LegResult]) -> HeaderLines:
    """Which targets answered, in the order of the models, and how many were asked in all."""
    if len(results) == 1 and results[0].target is not None:
        target, tries = results[0].target, results[0].attempts
        return [(b"x-gateway-target", target.name.encode()), (b"x-gateway-attempts", b"%d" % tries)]
    targets = ",".join([r.target.name for r in results if r.target is not None and isinstance(r.outcome, Reply)])
    attempts = sum([result.attempts for result in results])
    return [(b"x-gateway-target", targets.encode()), (b"x-gateway-attempts", b"%d" % attempts)]
