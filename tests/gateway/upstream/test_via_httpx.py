"""What only the client on httpx can do, and what httpx would do that it must not."""

import pytest

from adapters.types import Endpoint, HttpRequest
from gateway.upstream import Limits, Timeouts
from gateway.upstream.via_httpx import HttpxClient
from tests.gateway.upstream.provider import Provider, answer, saying

SOON = Timeouts(connect=2, first_byte=2, idle=2, total=5)
ELSEWHERE = HttpRequest(Endpoint("http://provider.invalid/v1"), b"{}")


async def test_calls_go_through_a_configured_proxy(ca_file: str) -> None:
    async with Provider(saying(answer(b"a"))) as proxy:
        client = HttpxClient(Limits(), proxy=proxy.url, ca_file=ca_file)
        assert (await client.fetch(ELSEWHERE, SOON)).body == b"a"
        assert proxy.links[0].heads[0].startswith(b"POST http://provider.invalid/v1 HTTP/1.1\r\n")
        await client.close()


@pytest.mark.parametrize("trusted", [True, False])
async def test_calls_go_through_the_environments_proxy(
    ca_file: str, monkeypatch: pytest.MonkeyPatch, trusted: bool
) -> None:
    async with Provider(saying(answer(b"proxied"))) as proxy, Provider(saying(answer(b"direct"))) as provider:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        client = HttpxClient(Limits(), trust_env=trusted, ca_file=ca_file)
        response = await client.fetch(HttpRequest(Endpoint(provider.url), b"{}"), SOON)
        assert response.body == (b"proxied" if trusted else b"direct")
        await client.close()


async def test_cookies_are_not_carried_from_call_to_call(ca_file: str) -> None:
    async with Provider(saying(answer(b"a", b"Set-Cookie: who=me; Path=/"))) as provider:
        client = HttpxClient(Limits(), ca_file=ca_file)
        for _ in range(2):
            await client.fetch(HttpRequest(Endpoint(provider.url), b"{}"), SOON)
        assert b"cookie" not in provider.links[0].heads[1].lower()
        await client.close()
