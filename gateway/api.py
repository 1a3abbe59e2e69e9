"""The ASGI edge: which dialect a path speaks, what is refused before anything is read, how an error is answered.

The generating routes are found by one look into a table, ahead of Starlette's router, and use no Request or Response
object; everything else is the Starlette application of ``admin``.
"""

import asyncio
import logging
import math
import random

from gateway.asgi import AsgiApp, AsgiExchange, Receive, Scope, Send
from gateway.completion import Completion
from gateway.errors import GatewayError, Internal, MethodNotAllowed, UnsupportedMedia
from gateway.exchange import Exchange, HeaderLines
from gateway.fanout import current_task
from gateway.wire.dialect import Dialect

log = logging.getLogger("gateway.api")

JSON_TYPES = (b"application/json", b"text/json")


class Api:
    """The application. ``generating`` maps each path to its dialect; ``rest`` serves all others."""

    def __init__(
        self, completion: Completion, generating: dict[str, Dialect], rest: AsgiApp, rng: random.Random
    ) -> None:
        self._completion = completion
        self._dialects = {**generating, **{f"{path}/": dialect for path, dialect in generating.items()}}
        self._targets = {path.encode(): dialect for path, dialect in self._dialects.items()}
        self._rest = rest
        self._rng = rng

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        dialect = self._dialects.get(scope["path"]) if scope["type"] == "http" else None
        if dialect is None:
            await self._rest(scope, receive, send)
        else:
            await self.answer(AsgiExchange(scope, receive, send), dialect, scope["method"])

    def dialect(self, target: bytes) -> Dialect | None:
        """What a path speaks, by the request's target as it was sent; None if it is no generating route."""
        return self._targets.get(target)

    async def answer(self, exchange: Exchange, dialect: Dialect, method: str = "POST") -> None:
        """Answers one exchange, whatever happens."""
        exchange.id = new_id(self._rng.getrandbits(128))
        try:
            check_head(method, exchange.content_type)
            await self._completion.complete(exchange, dialect)
        except GatewayError as error:
            await refuse(exchange, dialect, error)
        except asyncio.CancelledError:
            if not exchange.left:
                raise
            current_task().uncancel()  # nobody is there to be answered
        except Exception:
            log.exception("request %s failed by a bug", exchange.id)
            await refuse(exchange, dialect, Internal(f"an internal error; the log has it under {exchange.id}"))
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


async def refuse(exchange: Exchange, dialect: Dialect, error: GatewayError) -> None:
    """Answers with an error, or breaks off a stream that has begun, so that it cannot be taken for complete."""
    if exchange.started:
        exchange.abort()
        return
    exchange.stop_watching()
    await exchange.answer(error.status, error_headers(error), dialect.encode_error(error))


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
    return headers


def new_id(bits: int) -> str:
    """A version 4 UUID of 128 random bits; a quarter of the price of ``uuid.uuid4``."""
    digits = f"{bits & ~(0xF << 76) & ~(0x3 << 62) | 0x4 << 76 | 0x2 << 62:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
