"""What a generating route does, from the caller's bytes to the answer's. Read this first.

    bytes -> caller -> the dialect's request -> plan -> admission -> every model asked, what it uses noted and settled
    -> merged -> the dialect's answer -> bytes

Plain calls in the order in which they happen; whatever says no raises a GatewayError, which ``api`` answers.
"""

from collections.abc import Awaitable

from gateway.admission import Admission, Admitted
from gateway.attempts import Emit
from gateway.errors import GatewayError
from gateway.exchange import Exchange, patience
from gateway.explain import explained
from gateway.fanout import ask_all, begun, within
from gateway.headers import lines_of
from gateway.keys import Keys
from gateway.merge import merge, merge_compared
from gateway.routing import Router
from gateway.sharing.sharing import Shares, Sharing, leave
from gateway.streaming import Stream
from gateway.types import Caller, Clock, CompletionRequest, CompletionResponse, Fanout, LegResult, Plan
from gateway.wire.dialect import Chunks, Dialect, Door


class Completion:
    """``router`` may be replaced at any time: a request keeps the one that it began with."""

    def __init__(
        self,
        router: Router,
        keys: Keys,
        admission: Admission,
        sharing: Sharing,
        clock: Clock,
        *,
        max_body: int,
        max_depth: int,
        keepalive: float,
    ) -> None:
        self.router = router
        self._keys = keys
        self._admission = admission
        self._sharing = sharing
        self._clock = clock
        self.max_body = max_body
        self.max_depth = max_depth
        self.keepalive = keepalive

    async def complete(self, exchange: Exchange, door: Door) -> None:
        """Answers the exchange. Raises GatewayError only while nothing has been sent."""
        began = self._clock.steady()
        key = exchange.authorization
        caller = self._keys.caller(key, exchange.last) or await self._keys.verified(key)
        exchange.team = caller.team
        body = exchange.at_hand(self.max_body) if exchange.whole else await exchange.read(self.max_body)
        dialect, fields = door.enter(body, self.max_depth, exchange.lamini)
        exchange.dialect = dialect
        request = dialect.decode(fields)
        router = self.router  # it is held until the call has ended, and with it what the plan leads to
        plan, fanout = router.plan(request, caller)
        if exchange.timeout is not None:
            fanout = within(fanout, patience(exchange.timeout))
        exchange.cancel_when_left()
        shares = self._sharing.shares(caller.team, plan, exchange.cache_control, router)
        try:
            admitted = self._admission.admit(caller, request.user, plan, exchange.id)
            if not isinstance(admitted, Admitted):
                admitted = await admitted
        except BaseException:
            leave(shares)
            raise
        if request.stream:
            await self._stream(exchange, dialect, request, plan, fanout, began, admitted, shares)
            return
        results = begun(plan, self._clock, False, admitted.meters, shares)
        await ask_all(results, fanout, self._clock)
        try:
            answer = self._merged(results, fanout, exchange.id, began)
            if not isinstance(answer, CompletionResponse):
                answer = await answer
            body = dialect.encode(request, answer)
        except GatewayError as error:
            error.headers = lines_of(explained(results) + admitted.told())
            raise
        sent = exchange.answer(200, explained(results) + admitted.told(), body)
        if sent is not None:
            await sent

    async def answer(
        self, request: CompletionRequest, caller: Caller, id: str, emit: Emit | None = None
    ) -> CompletionResponse:
        """The answer to a request that is nobody's connection. ``emit`` hears the pieces of a streamed one as they
        come; its choices then have no texts. Raises GatewayError."""
        began = self._clock.steady()
        router = self.router  # it is held until the call has ended, and with it what the plan leads to
        plan, fanout = router.plan(request, caller)
        admitted = self._admission.admit(caller, request.user, plan, id)
        if not isinstance(admitted, Admitted):
            admitted = await admitted
        results = begun(plan, self._clock, emit is not None, admitted.meters)
        await ask_all(results, fanout, self._clock, emit)
        merged = self._merged(results, fanout, id, began)
        return merged if isinstance(merged, CompletionResponse) else await merged

    def _merged(
        self, results: list[LegResult], fanout: Fanout, id: str, began: float
    ) -> CompletionResponse | Awaitable[CompletionResponse]:
        """To be waited for where answers are compared."""
        merging = merge if fanout.alike is None else merge_compared
        elapsed, created = self._clock.steady() - began, int(self._clock.wall())
        return merging(results, fanout, id=id, created=created, elapsed=elapsed)

    async def _stream(
        self,
        exchange: Exchange,
        dialect: Dialect,
        request: CompletionRequest,
        plan: Plan,
        fanout: Fanout,
        began: float,
        admitted: Admitted,
        shares: Shares,
    ) -> None:
        created = int(self._clock.wall())

        def chunks(shown: Plan) -> Chunks:
            return dialect.chunks(request, exchange.id, created, shown)

        await Stream(exchange, chunks, plan, fanout, self._clock, self.keepalive, admitted, shares).run(began)
