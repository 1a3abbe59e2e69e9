"""The lean client: HTTP/1.1 straight on the event loop, for the hot path.

It does what calls to providers need and nothing else: POST, no redirects, no cookies, no proxies, no HTTP/2, and it
never sends a request twice. What it does not do, ``via_httpx`` does.
"""

import asyncio
from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from typing import Any
from weakref import WeakValueDictionary

from msgspec import Struct

from adapters.errors import ProviderError, Unavailable
from adapters.types import Endpoint, HttpRequest, HttpResponse
from gateway.outbox import Outbox
from gateway.upstream.connection import Connection
from gateway.upstream.failures import CLOSED, meaning
from gateway.upstream.origin import Origin, head, place
from gateway.upstream.pool import Pool
from gateway.upstream.tls import Tls, tls
from gateway.upstream.types import Feed, Limits, Reach, Timeouts

LIMITS = Limits()

PREPARED = 4096
"""Endpoints whose heads are kept; beyond, the oldest are made again when they are next used."""


class Prepared(Struct, frozen=True, eq=False):
    """An endpoint, ready to be used: the heads of its requests up to the content length."""

    pool: Pool
    time: Callable[[], float]
    whole: bytes
    stream: bytes


class LeanClient:
    """An Upstream. Belongs to the event loop in which it is first used."""

    def __init__(self, limits: Limits = LIMITS, *, ca_file: str | None = None) -> None:
        self._limits = limits
        self._ca_file = ca_file
        self._closed = False
        self._outbox = Outbox()
        self._prepared: dict[Endpoint, Prepared] = {}
        self._pools: WeakValueDictionary[Origin, Pool] = WeakValueDictionary()  # held by endpoints and connections

    async def fetch(
        self, request: HttpRequest, timeouts: Timeouts, reach: Reach | None = None, feed: Feed | None = None
    ) -> HttpResponse:
        """The whole answer, whatever its status; with ``feed`` see ``stream``. Raises ValueError for an endpoint that
        cannot be asked."""
        endpoint = request.endpoint
        prepared = self._prepared.get(endpoint) or self._prepare(endpoint)
        began = now = prepared.time()
        connection = prepared.pool.take(now)
        if connection is None:
            connection = await self._connection(prepared.pool, began, timeouts)
            now = prepared.time()
        if reach is not None:
            try:
                reach()
            except BaseException:
                connection.abort()
                raise
        answer = connection.ask(
            prepared.whole if feed is None else prepared.stream,
            request.body,
            feed,
            timeouts,
            began,
            now,
            endpoint.keep_alive,
        )
        try:
            return await answer
        except BaseException:
            connection.drop(answer)
            raise

    def stream(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed, reach: Reach | None = None
    ) -> Coroutine[Any, Any, HttpResponse]:
        """Pushes a 200's body into ``feed``, from inside the event loop's read callback."""
        return self.fetch(request, timeouts, reach, feed)

    async def forget(self, url: str) -> None:
        """Closes the connections to an address, and drops what was prepared for it."""
        pool = self._pools.pop(place(url).origin, None)
        if pool is not None:
            self._prepared = {endpoint: known for endpoint, known in self._prepared.items() if known.pool is not pool}
            await pool.close()

    async def close(self) -> None:
        """Closes every connection; what is under way, or asked from now on, fails."""
        self._closed = True
        for pool in list(self._pools.values()):
            await pool.close()
        self._prepared.clear()

    async def _connection(self, pool: Pool, began: float, timeouts: Timeouts) -> Connection:
        """Waits for a free one, or opens one: both within the time allowed for connecting."""
        try:
            async with asyncio.timeout_at(began + min(timeouts.connect, timeouts.total)):
                return await pool.get()
        except ProviderError:
            raise
        except Exception as error:
            raise meaning(error) from None

    # ------------------------------------------------------------------ preparation, once for each endpoint

    @cached_property
    def _loop(self) -> asyncio.AbstractEventLoop:
        return asyncio.get_running_loop()

    @cached_property
    def _tls(self) -> Tls:
        return tls(self._ca_file)

    def _prepare(self, endpoint: Endpoint) -> Prepared:
        if self._closed:
            raise Unavailable(CLOSED)
        at = place(endpoint.url)
        pool = self._pools.get(at.origin)
        if pool is None:
            pool = self._pools[at.origin] = Pool(self._loop, self._limits, partial(self._dial, at.origin))
        prepared = Prepared(pool, self._loop.time, head(endpoint, at, "gzip"), head(endpoint, at, "identity"))
        if len(self._prepared) >= PREPARED:
            del self._prepared[next(iter(self._prepared))]
        self._prepared[endpoint] = prepared
        return prepared

    async def _dial(self, origin: Origin) -> Connection:
        connection = Connection(self._loop, self._limits, self._outbox)
        if origin.scheme == "unix":
            await self._loop.create_unix_connection(lambda: connection, origin.host)
        elif origin.scheme == "http":
            await self._loop.create_connection(lambda: connection, origin.host, origin.port)
        else:
            await self._loop.create_connection(
                lambda: connection, origin.host, origin.port, ssl=self._tls, server_hostname=origin.host
            )
            connection.answered = self._remember
        return connection

    def _remember(self, transport: asyncio.Transport) -> None:
        self._tls.remember(transport.get_extra_info("ssl_object"))
