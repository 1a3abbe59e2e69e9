"""One small document from elsewhere, such as an issuer's public keys: seldom fetched, and never with a key of ours."""

from urllib.parse import urlsplit

import httpx

from gateway.upstream.tls import tls

MOST_BYTES = 1 << 20
TIMEOUT = 10.0
"""Seconds for the whole of it."""

HERE = ("localhost", "127.0.0.1", "::1")


class NotFetched(Exception):
    """The message says why, for whoever operates the gateway; it holds no part of the address."""


async def document(url: str) -> bytes:
    """What stands at the address, of ``MOST_BYTES`` at most. Redirects are not followed: whoever is trusted to name
    the address is not whoever answers there. Raises NotFetched."""
    client = httpx.AsyncClient(
        verify=tls(None), timeout=TIMEOUT, follow_redirects=False, trust_env=urlsplit(url).hostname not in HERE
    )
    found = bytearray()
    try:
        async with client, client.stream("GET", url, headers={"accept": "application/json"}) as answer:
            if answer.status_code != 200:
                raise NotFetched(f"the answer is {answer.status_code}, not 200")
            async for piece in answer.aiter_bytes(1 << 16):
                found += piece
                if len(found) > MOST_BYTES:
                    raise NotFetched(f"the answer is larger than {MOST_BYTES >> 20} MB")
    except (httpx.HTTPError, OSError) as error:
        raise NotFetched(f"no answer ({type(error).__name__})") from error
    return bytes(found)
