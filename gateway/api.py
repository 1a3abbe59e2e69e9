"""The ASGI edge: which dialect a path speaks, what is refused before anything is read, how an error is answered.

The generating routes are found by one look into a table, ahead of Starlette's router, and use no Request or Response
object; everything else is the Starlette application of ``admin``.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

from msgspec import Struct

from gateway.asgi import AsgiApp, AsgiExchange, Receive, Scope, Send
from gateway.doorkeeper import Doorkeeper, stopped
from gateway.errors import GatewayError, Internal, MethodNotAllowed, Overloaded, Stopping, UnsupportedMedia
from gateway.exchange import Exchange
from gateway.headers import Head, HeaderLines, joined
from gateway.metrics import Recording
from gateway.outbox import Outbox
from gateway.turns import current_task
from gateway.wire.dialect import Door

log = logging.getLogger("gateway.api")

Answer = tuple[int, Head, bytes]

JSON_TYPES = (b"application/json", b"text/json")


class Route(Struct, frozen=True, eq=False):
    """A path: how its callers' dialect is found, and what answers them."""

    path: str
    door: Door
    serve: Callable[[Exchange, Door], Awaitable[None]]


class Api:
    """The application. ``routes`` are those that ask models; ``rest`` serves all others. ``outbox`` is for whole
    answers that need no ASGI."""

    def __init__(
        self, routes: Iterable[Route], rest: AsgiApp, rng: random.Random, metrics: Recording, doorkeeper: Doorkeeper
    ) -> None:
        self._routes = {path: route for route in routes for path in (route.path, f"{route.path}/")}
        self._targets = {path.encode(): route for path, route in self._routes.items()}
        self._rest = rest
        self._rng = rng
        self._metrics = metrics
        self.doorkeeper = doorkeeper
        self.reload: Callable[[], None] = lambda: None
        """Has the configuration read again."""
        self.shared: Callable[[], int] = lambda: 0
        """How many calls are under way that may be heard by callers of other processes as well."""
        self._refusals: dict[tuple[Route, bool, str], Answer] = {}
        self.outbox = Outbox()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._rest(scope, receive, self._counted(send) if scope["type"] == "http" else send)
            return
        exchange, refusal = AsgiExchange(scope, receive, send), self.doorkeeper.refusal()
        if refusal is not None:
            await self.turn_away(exchange, route, refusal)
        else:
            await self.answer(exchange, route, scope["method"])

    def route(self, target: bytes) -> Route | None:
        """The route of a request's target as it was sent; None if it asks no model."""
        return self._targets.get(target)

    async def answer(self, exchange: Exchange, route: Route, method: str = "POST") -> None:
        """Answers one exchange, whatever happens."""
        metrics, code = self._metrics, ""
        doorkeeper, entered = self.doorkeeper, False
        id = exchange.id = new_id(self._rng.getrandbits(128))
        metrics.begun(id, route.path)
        try:
            entered = doorkeeper.enter(exchange.arrived) or await doorkeeper.turn(exchange)
            if method != "POST" or exchange.content_type != JSON_TYPES[0]:
                check_head(method, exchange.content_type)
            await route.serve(exchange, route.door)
        except GatewayError as error:
            code = error.code
            if isinstance(error, Overloaded):
                metrics.shed(code)
            await self._refuse(exchange, route, error)
        except asyncio.CancelledError:
            if not exchange.left and not doorkeeper.cutting:
                raise
            current_task().uncancel()
            code = "caller_left" if exchange.left else Stopping.code
            if exchange.started:
                metrics.broken(route.path, code)
            if not exchange.left:
                await refuse(exchange, route, stopped())
        except Exception:
            log.exception("request %s failed by a bug", id)
            code = Internal.code
            await self._refuse(exchange, route, Internal(f"an internal error; the log has it under {id}"))
        finally:
            if entered:
                doorkeeper.leave()
            exchange.stop_watching()
            metrics.answered(id, exchange.status, exchange.team, code, exchange.first)

    async def _refuse(self, exchange: Exchange, route: Route, error: GatewayError) -> None:
        if exchange.started:
            self._metrics.broken(route.path, "failed")
        await refuse(exchange, route, error)

    def _counted(self, send: Send) -> Send:
        async def counted(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                self._metrics.answered_otherwise(message["status"])
            await send(message)

        return counted

    async def turn_away(self, exchange: Exchange, route: Route, refusal: GatewayError) -> None:
        """Says to a caller who has just come that the doorkeeper does not let them in: at no cost worth mentioning, and
        without waiting for anything on the short way."""
        exchange.id = new_id(self._rng.getrandbits(128))
        at = (route, exchange.lamini, refusal.message)  # what a doorkeeper says are few words
        answer = self._refusals.get(at)
        if answer is None:
            dialect = route.door.early(exchange.lamini)
            answer = dialect.status(refusal), joined(error_headers(refusal)), dialect.encode_error(refusal)
            self._refusals[at] = answer
        self._metrics.turned_away(route.path, answer[0], refusal.code)
        sent = exchange.answer(*answer)
        if sent is not None:
            await sent


def check_head(method: str, content_type: bytes | None) -> None:
    """Refuses what is not a POST of JSON. A missing content type is taken for JSON."""
    if method != "POST":
        raise MethodNotAllowed(f"{method} is not allowed here; use POST")
    if content_type is None or content_type == JSON_TYPES[0]:
        return
    media = content_type.split(b";")[0].strip().lower()
    if media not in JSON_TYPES and not media.endswith(b"+json"):
        raise UnsupportedMedia("the body must be JSON; send the header 'Content-Type: application/json'")


async def refuse(exchange: Exchange, route: Route, error: GatewayError) -> None:
    """Answers with an error, or breaks off a stream that has begun, so that it cannot be taken for complete."""
    if exchange.started:
        exchange.abort()
        return
    dialect = exchange.dialect or route.door.early(exchange.lamini)
    sent = exchange.answer(dialect.status(error), joined(error_headers(error)), dialect.encode_error(error))
    if sent is not None:
        await sent


def error_headers(error: GatewayError) -> HeaderLines:
    headers: HeaderLines = []
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % max(1, min(60, math.ceil(error.retry_after)))))
    if error.status == 405:
        headers.append((b"allow", b"POST"))
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    if error.final:  # repeated at once, it would only multiply an outage
        headers.append((b"x-should-retry", b"false"))
    return headers + error.headers


def new_id(bits: int) -> str:
    """A version 4 UUID of 128 random bits, of which it has 120; a fifth of the price of ``uuid.uuid4``."""
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"
