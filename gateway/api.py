"""The ASGI edge: which dialect a path speaks, what is refused before anything is read, how an error is answered.

The generating routes are found by one look into a table, ahead of Starlette's router, and use no Request or Response
object; everything else is the Starlette application of ``admin``.
"""

import asyncio
import logging
import math
import random
from collections.abc import Awaitable, Callable

from msgspec import Struct

from gateway.asgi import AsgiApp, AsgiExchange, Receive, Scope, Send
from gateway.errors import GatewayError, Internal, MethodNotAllowed, UnsupportedMedia
from gateway.exchange import Exchange, HeaderLines
from gateway.outbox import Outbox
from gateway.turns import current_task
from gateway.wire.dialect import Door

log = logging.getLogger("gateway.api")

JSON_TYPES = (b"application/json", b"text/json")


class Route(Struct, frozen=True, eq=False):
    """A path: how its callers' dialect is found, and what answers them."""

    door: Door
    serve: Callable[[Exchange, Door], Awaitable[None]]


class Api:
    """The application. ``routes`` are the paths that ask models; ``rest`` serves all others. ``outbox`` is for whole
    answers that need no ASGI."""

    def __init__(self, routes: dict[str, Route], rest: AsgiApp, rng: random.Random) -> None:
        self._routes = {**routes, **{f"{path}/": route for path, route in routes.items()}}
        self._targets = {path.encode(): route for path, route in self._routes.items()}
        self._rest = rest
        self._rng = rng
        self.outbox = Outbox()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self._routes.get(scope["path"]) if scope["type"] == "http" else None
        if route is None:
            await self._rest(scope, receive, send)
        else:
            await self.answer(AsgiExchange(scope, receive, send), route, scope["method"])

    def route(self, target: bytes) -> Route | None:
        """The route of a request's target as it was sent; None if it asks no model."""
        return self._targets.get(target)

    async def answer(self, exchange: Exchange, route: Route, method: str = "POST") -> None:
        """Answers one exchange, whatever happens."""
        exchange.id = new_id(self._rng.getrandbits(128))
        try:
            check_head(method, exchange.content_type)
            await route.serve(exchange, route.door)
        except GatewayError as error:
            await refuse(exchange, route, error)
        except asyncio.CancelledError:
            if not exchange.left:
                raise
            current_task().uncancel()  # nobody is there to be answered
        except Exception:
            log.exception("request %s failed by a bug", exchange.id)
            await refuse(exchange, route, Internal(f"an internal error; the log has it under {exchange.id}"))
        finally:
            exchange.stop_watching()


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
    exchange.stop_watching()
    dialect = exchange.dialect or route.door.early(exchange.lamini)
    await exchange.answer(dialect.status(error), error_headers(error), dialect.encode_error(error))


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
    """A version 4 UUID of 128 random bits; a quarter of the price of ``uuid.uuid4``."""
    digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
