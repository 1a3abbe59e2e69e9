"""The other client: httpx, for egress proxies and HTTP/2. Far dearer for each call, so never the first choice.

It keeps the contract less finely than ``http1``: waiting for a free connection and opening one are timed each by
itself, a head that drips in is bounded by the total alone, and an answer that comes before the request has been
written is lost if the provider hangs up at once.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any

import httpx
from msgspec import Struct

from adapters.errors import Garbled, NotConnected, ProviderError, TimedOut, Unavailable
from adapters.types import Endpoint, HttpRequest, HttpResponse
from gateway.upstream.failures import (
    CLOSED,
    CUT,
    LATE,
    LOST,
    NOT_CONNECTED,
    SILENT,
    STALLED,
    TOO_LARGE,
    TOO_LONG,
    meaning,
)
from gateway.upstream.framing import content_coding
from gateway.upstream.inflate import Inflater, inflate
from gateway.upstream.origin import Origin, headers, place
from gateway.upstream.tls import tls
from gateway.upstream.types import Feed, Limits, Reach, Timeouts

LIMITS = Limits()
GONE = "Server disconnected without sending a response"
"""How httpcore, in a class of error that otherwise means nonsense, says that nothing came."""

MEANING: tuple[tuple[type[httpx.HTTPError], type[ProviderError], str], ...] = (
    (httpx.ConnectTimeout, NotConnected, NOT_CONNECTED),
    (httpx.PoolTimeout, NotConnected, NOT_CONNECTED),
    (httpx.TimeoutException, TimedOut, SILENT),
    (httpx.ConnectError, Unavailable, "could not connect to the provider"),
    (httpx.ProxyError, Unavailable, "the proxy on the way to the provider refused"),
    (httpx.NetworkError, Unavailable, LOST),
    (httpx.ProtocolError, Garbled, "the provider's answer is not HTTP"),
    (httpx.HTTPError, Unavailable, "could not talk to the provider"),
)
"""While the head is awaited; the first row that fits counts. In a body, whatever is not about time means a cut."""


class Prepared(Struct, frozen=True, eq=False):
    """An endpoint, ready to be used."""

    client: httpx.AsyncClient
    url: httpx.URL
    headers: list[tuple[str, str]]


class HttpxClient:
    """An Upstream. One httpx client for each origin, so that the bound on connections is one origin's own."""

    def __init__(
        self,
        limits: Limits = LIMITS,
        *,
        proxy: str | None = None,
        http2: bool = False,
        trust_env: bool = True,
        ca_file: str | None = None,
    ) -> None:
        self._limits = limits
        self._proxy = proxy
        self._http2 = http2
        self._trust_env = trust_env
        self._tls = tls(ca_file)
        self._clients: dict[Origin, httpx.AsyncClient] = {}
        self._prepared: dict[Endpoint, Prepared] = {}
        self._closed = False

    async def fetch(self, request: HttpRequest, timeouts: Timeouts, reach: Reach | None = None) -> HttpResponse:
        """The whole answer, whatever its status. Raises ValueError for an endpoint that cannot be asked."""
        return await self._exchange(request, timeouts, None, reach)

    async def stream(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed, reach: Reach | None = None
    ) -> HttpResponse:
        """Pushes a 200's body into ``feed``; any other answer is returned whole."""
        return await self._exchange(request, timeouts, feed, reach)

    async def forget(self, url: str) -> None:
        """Nothing: its connections are closed when they have been idle for a while."""

    async def close(self) -> None:
        """Closes every connection; what is under way fails."""
        self._closed = True
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()
        self._prepared.clear()

    async def _exchange(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed | None, reach: Reach | None
    ) -> HttpResponse:
        if self._closed:
            raise Unavailable(CLOSED)
        prepared = self._prepared.get(request.endpoint) or self._prepare(request.endpoint)
        # httpcore looks into this very dict at the beginning of each phase.
        waits: dict[str, float | None] = {
            "connect": timeouts.connect,
            "pool": timeouts.connect,
            "read": timeouts.first_byte,
            "write": None,
        }
        coding = ("accept-encoding", "gzip" if feed is None else "identity")
        asked = httpx.Request(
            "POST",
            prepared.url,
            headers=[*prepared.headers, coding],
            content=request.body,
            extensions={"timeout": waits} if reach is None else {"timeout": waits, "trace": tracing(reach)},
        )
        deadline = asyncio.timeout(timeouts.total)
        try:
            async with deadline:
                response = await self._head(prepared.client, asked)
                try:
                    waits["read"] = timeouts.idle
                    return await self._answer(response, feed)
                finally:
                    await response.aclose()
        except TimeoutError:
            if deadline.expired():
                raise TimedOut(LATE) from None
            raise

    async def _head(self, client: httpx.AsyncClient, asked: httpx.Request) -> httpx.Response:
        try:
            response = await client.send(asked, stream=True)
        except httpx.HTTPError as error:
            raise _meaning(error) from None
        except (RuntimeError, OSError) as error:  # the client was closed; an error that httpx lets through
            raise meaning(error) from None
        if sum(len(name) + len(value) + 4 for name, value in response.headers.raw) > self._limits.head:
            await response.aclose()
            raise Garbled(TOO_LONG)
        return response

    async def _answer(self, response: httpx.Response, feed: Feed | None) -> HttpResponse:
        lines = [(name.lower(), value) for name, value in response.headers.raw]
        coding = content_coding(lines)
        pushed = feed is not None and response.status_code == 200
        body = b""
        try:
            if feed is not None and pushed:
                await _push(response, feed, coding)
            else:
                body = await self._read(response)
        except httpx.TimeoutException:
            raise TimedOut(STALLED) from None
        except httpx.HTTPError:
            raise Garbled(CUT) from None
        return HttpResponse(response.status_code, lines, inflate(coding, body, self._limits.body) if coding else body)

    async def _read(self, response: httpx.Response) -> bytes:
        pieces = []
        room = self._limits.body
        async for piece in _pieces(response):
            room -= len(piece)
            if room < 0:
                raise Garbled(TOO_LARGE)
            pieces.append(piece)
        return b"".join(pieces)

    # ------------------------------------------------------------------ preparation, once for each endpoint

    def _prepare(self, endpoint: Endpoint) -> Prepared:
        at = place(endpoint.url)
        unix = at.origin.scheme == "unix"
        url = f"http://localhost{at.target}" if unix else endpoint.url
        client = self._clients.get(at.origin)
        if client is None:
            client = self._clients[at.origin] = self._client(at.origin)
        prepared = self._prepared[endpoint] = Prepared(client, httpx.URL(url), list(headers(endpoint).items()))
        return prepared

    def _client(self, origin: Origin) -> httpx.AsyncClient:
        limits = httpx.Limits(
            max_connections=self._limits.connections,
            max_keepalive_connections=self._limits.connections,
            keepalive_expiry=self._limits.keep_alive,
        )
        cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # one caller's would go out with another's call
        if origin.scheme == "unix":
            transport = httpx.AsyncHTTPTransport(uds=origin.host, limits=limits, verify=self._tls)
            return httpx.AsyncClient(transport=transport, cookies=cookies, trust_env=False)
        return httpx.AsyncClient(
            verify=self._tls,
            limits=limits,
            proxy=self._proxy,
            http2=self._http2,
            trust_env=self._trust_env,
            cookies=cookies,
        )


def tracing(reach: Reach) -> Callable[[str, Mapping[str, Any]], Awaitable[None]]:
    """Tells when the request itself goes out: not when a proxy is asked for a tunnel
    (https://www.encode.io/httpcore/extensions/#trace)."""

    async def trace(event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(".send_request_headers.started") and info["request"].method == b"POST":
            reach()

    return trace


async def _push(response: httpx.Response, feed: Feed, coding: bytes) -> None:
    inflater = Inflater(coding) if coding else None
    async for piece in _pieces(response):
        if inflater is None:
            await _hand_on(piece, feed)
            continue
        inflater.push(piece)
        while inflated := inflater.pull():
            await _hand_on(inflated, feed)
    if inflater is not None:
        inflater.close()


async def _pieces(response: httpx.Response) -> AsyncIterator[bytes]:
    """The body. What came after it in the same read must not become the next request's answer: h11 keeps it, httpcore
    would use it, and neither has a public way to ask. So we look inside, and a test says whether that still works."""
    stream = response.stream
    assert isinstance(stream, httpx.AsyncByteStream)
    async for piece in stream:
        yield piece
    state: object = stream
    for name in ("_stream", "_httpcore_stream", "_stream", "_connection", "_h11_state"):
        state = getattr(state, name, None)
    surplus, _ = getattr(state, "trailing_data", (b"", False))
    if surplus:
        await response.extensions["network_stream"].aclose()


async def _hand_on(piece: bytes, feed: Feed) -> None:
    waiting = feed(piece)
    if waiting is None:
        return
    await asyncio.wait((waiting,))  # unlike awaiting it, this does not cancel what belongs to another
    if not waiting.cancelled():
        waiting.result()


def _meaning(error: httpx.HTTPError) -> ProviderError:
    if isinstance(error, httpx.RemoteProtocolError) and str(error).startswith(GONE):
        return Unavailable(LOST)
    if isinstance(error, httpx.ConnectError) and (cause := _cause(error)) is not None:
        return meaning(cause)
    for kind, ours, message in MEANING:
        if isinstance(error, kind):
            return ours(message)
    raise error


def _cause(error: BaseException) -> OSError | None:
    """What the operating system or TLS said, below two layers of wrapping."""
    below = error.__cause__ or error.__context__
    while below is not None and not isinstance(below, OSError):
        below = below.__cause__ or below.__context__
    return below
