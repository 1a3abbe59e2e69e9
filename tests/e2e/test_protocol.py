"""The HTTP of the door, byte by byte: what other clients, proxies and attackers send."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest

import gateway.protocol
from tests.provider import Provider, Script
from tests.serving import AUTH, application, serving

KEY_LINE = f"Authorization: {AUTH['Authorization']}\r\n".encode()
BODY = b'{"model": "a", "prompt": "hi"}'


@pytest.fixture
async def address(provider: Provider, tmp_path: Path) -> AsyncIterator[tuple[str, int]]:
    async with serving(application(tmp_path, provider.url)) as url:
        parts = urlsplit(url)
        assert parts.hostname and parts.port
        yield parts.hostname, parts.port


def post(body: bytes = BODY, headers: bytes = KEY_LINE, version: bytes = b"1.1") -> bytes:
    return b"POST /v1/completion HTTP/%b\r\nHost: x\r\n%bContent-Length: %d\r\n\r\n%b" % (
        version, headers, len(body), body,
    )  # fmt: skip


GET = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def talk(address: tuple[str, int], *pieces: bytes, pause: float = 0.02) -> bytes:
    """Everything that comes back until the gateway hangs up."""
    reader, writer = await asyncio.open_connection(*address)
    for piece in pieces:
        writer.write(piece)
        await asyncio.sleep(pause)
    answer = await asyncio.wait_for(reader.read(), 10)
    writer.close()
    return answer


def statuses(answer: bytes) -> list[int]:
    return [int(part[:3]) for part in answer.split(b"HTTP/1.1 ")[1:]]


async def test_requests_in_one_write_are_answered_in_order(address: tuple[str, int], provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=0.05)
    answer = await talk(address, post() + GET + post(b"{}") + post() + LAST)
    assert statuses(answer) == [200, 200, 400, 200, 200]
    assert answer.index(b"Hello, world.") < answer.index(b'"ok"') < answer.index(b"prompt is missing")


async def test_a_body_in_pieces(address: tuple[str, int]) -> None:
    whole = post() + LAST
    assert statuses(await talk(address, *(whole[i : i + 40] for i in range(0, len(whole), 40)), pause=0.005)) == [
        200,
        200,
    ]


async def test_an_offer_to_upgrade_is_passed_over(address: tuple[str, int]) -> None:
    offer = KEY_LINE + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n"
    for pieces in ([post(headers=offer) + LAST], [post(headers=offer)[:-10], post(headers=offer)[-10:], LAST]):
        answer = await talk(address, *pieces)
        assert statuses(answer) == [200, 200] and b"Hello, world." in answer


async def test_trailers_are_no_headers(address: tuple[str, int]) -> None:
    chunked = b"POST /v1/completion HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = b"%x\r\n%b\r\n0\r\n%b\r\n" % (len(BODY), BODY, KEY_LINE)
    assert statuses(await talk(address, chunked + body)) == [401]


async def test_two_keys_are_none(address: tuple[str, int]) -> None:
    for lines in (KEY_LINE + b"Authorization: Bearer x\r\n", b"Authorization: Bearer x\r\n" + KEY_LINE):
        assert statuses(await talk(address, post(headers=lines) + LAST)) == [401, 200]
        models = b"GET /v1/models HTTP/1.1\r\nHost: x\r\n" + lines + b"\r\n"
        assert statuses(await talk(address, models + LAST)) == [401, 200]


@pytest.mark.parametrize("stream", [False, True])
async def test_http_1_0(address: tuple[str, int], stream: bool) -> None:
    body = msgspec.json.encode({"model": "a", "prompt": "hi", "stream": stream})
    head, _, answer = (await talk(address, post(body, version=b"1.0"))).partition(b"\r\n\r\n")
    assert b"chunked" not in head and b"connection: close" in head
    assert answer.endswith(b"data: [DONE]\n\n" if stream else b"}")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 500_000,
        b"GET / HTTP/1.1\r\nX: " + b"a" * 500_000,
        b"GET / HTTP/1.1\r\n" + b"a" * 500_000,
        b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 100_000,
    ],
)
async def test_a_head_without_end_is_cut_off(address: tuple[str, int], head: bytes) -> None:
    answer = await talk(address, head[:70_000], pause=0.2)
    assert statuses(answer) == [431]
    assert msgspec.json.decode(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "request_head_too_large"


async def test_what_is_not_http_is_answered_as_json(address: tuple[str, int]) -> None:
    answer = await talk(address, b"\x16\x03\x01 hello\r\n\r\n")
    assert statuses(answer) == [400] and b'"detail"' in answer


async def test_nonsense_behind_a_request_does_not_take_its_answer(address: tuple[str, int], provider: Provider) -> None:
    provider.scripts["a"] = Script(pause=0.1)
    answer = await talk(address, post() + b"\x00\x01 nonsense\r\n\r\n")
    assert statuses(answer) == [200] and b"Hello, world." in answer


async def test_nonsense_behind_several_requests_ends_the_connection(
    address: tuple[str, int], provider: Provider
) -> None:
    provider.scripts["a"] = Script(pause=0.1)
    assert statuses(await talk(address, post() + post() + b"\x00\x01 nonsense\r\n\r\n")) == [200]


async def test_connect_is_refused(address: tuple[str, int]) -> None:
    assert statuses(await talk(address, b"CONNECT x:80 HTTP/1.1\r\nHost: x\r\n\r\n")) == [405]


@pytest.mark.parametrize("start", [b"", b"POST /v1/comp", post()[:-5]])
async def test_a_request_that_does_not_end_is_given_up(
    address: tuple[str, int], start: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.protocol, "PATIENCE", 0.2)
    began = time.monotonic()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(start)
    if start:
        assert await asyncio.wait_for(reader.read(), 5) == b""
        assert 0.1 < time.monotonic() - began < 3
    writer.close()


async def test_a_slow_answer_is_not_mistaken_for_a_slow_request(
    address: tuple[str, int], provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gateway.protocol, "PATIENCE", 0.1)
    provider.scripts["a"] = Script(pause=0.6)
    assert statuses(await talk(address, post() + LAST)) == [200, 200]
