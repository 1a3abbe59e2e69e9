"""Small documents from elsewhere, by GET: an issuer's public keys, an engine's metrics. They are asked for
seldom, so that need not be cheap."""

import asyncio
from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx

from adapters.types import Endpoint
from gateway.upstream.origin import headers, place
from gateway.upstream.tls import tls

MOST_BYTES = 1 << 20
TIMEOUT = 10.0
"""Seconds for the whole of it."""

HERE = ("localhost", "127.0.0.1", "::1")


class NotFetched(Exception):
    """The message says why, for whoever operates the gateway; it holds no part of the address."""


async def document(url: str) -> bytes:
    """What stands at the address, of ``MOST_BYTES`` at most, asked for without any key of ours. Redirects are not
    followed: whoever is trusted to name the address is not whoever answers there. Raises NotFetched."""
    client = httpx.AsyncClient(
        verify=tls(None), timeout=TIMEOUT, follow_redirects=False, trust_env=urlsplit(url).hostname not in HERE
    )
    async with client:
        return await _read(client, url, {"accept": "application/json"}, MOST_BYTES)


class Reader:
    """Reads the same places of one provider again and again, on connections that stay open."""

    def __init__(self, ca_file: str | None = None, proxy: str | None = None) -> None:
        self._ca_file = ca_file
        self._proxy = proxy
        self._clients: dict[Endpoint, httpx.AsyncClient] = {}

    async def read(self, endpoint: Endpoint, seconds: float, most: int = MOST_BYTES) -> bytes:
        """What stands at the endpoint, of ``most`` bytes at most, within so many seconds all in all. Raises
        NotFetched, and ValueError for an endpoint that cannot be asked."""
        at = place(endpoint.url)
        unix = at.origin.scheme == "unix"
        client = self._clients.get(endpoint)
        if client is None:
            client = self._clients[endpoint] = httpx.AsyncClient(
                verify=tls(self._ca_file)
                if at.origin.scheme == "https"
                else False,  # reading all authorities takes long
                timeout=None,
                follow_redirects=False,
                trust_env=False,
                transport=httpx.AsyncHTTPTransport(uds=at.origin.host) if unix else None,
                proxy=None if unix else self._proxy,
            )
        lines = headers(endpoint) | {"accept": "text/plain"}
        del lines["content-type"]
        try:
            async with asyncio.timeout(seconds):
                return await _read(client, f"http://localhost{at.target}" if unix else endpoint.url, lines, most)
        except TimeoutError:
            raise NotFetched("no answer in time") from None

    async def close(self) -> None:
        for client in self._clients.values():
            await client.aclose()
        self._clients.clear()


async def _read(client: httpx.AsyncClient, url: str, lines: Mapping[str, str], most: int) -> bytes:
    found = bytearray()
    try:
        async with client.stream("GET", url, headers=lines) as answer:
            if answer.status_code != 200:
                raise NotFetched(f"the answer is {answer.status_code}, not 200")
            async for piece in answer.aiter_bytes(1 << 16):
                found += piece
                if len(found) > most:
                    raise NotFetched(f"the answer is larger than {most >> 20} MB")
    except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
        raise NotFetched(f"no answer ({type(error).__name__})") from error
    return bytes(found)
