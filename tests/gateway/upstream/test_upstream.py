"""What both clients promise: the same tests, over real sockets, against both."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from adapters.errors import Garbled, NotConnected, ProviderError, TimedOut, Unavailable
from adapters.types import Endpoint, HttpRequest, HttpResponse
from gateway.upstream import CLIENTS, LeanClient, Limits, Timeouts, Upstream, Way, choose, way
from gateway.upstream.via_httpx import HttpxClient
from tests.gateway.upstream.provider import (
    Link,
    Play,
    Provider,
    answer,
    chunked,
    count,
    eventually,
    once,
    saying,
    silent,
)

LIMITS = Limits(head=4096, body=100_000, connections=2, keep_alive=2.0)
SOON = Timeouts(connect=2, first_byte=2, idle=2, total=5)

Make = Callable[..., Upstream]


@pytest.fixture(params=[LeanClient, HttpxClient])
async def make(request: pytest.FixtureRequest, ca_file: str) -> AsyncIterator[Make]:
    made: list[Upstream] = []

    def make(limits: Limits = LIMITS) -> Upstream:
        made.append(request.param(limits, ca_file=ca_file))
        return made[-1]

    yield make
    for client in made:
        await client.close()


@pytest.fixture
def client(make: Make) -> Upstream:
    return make()


def post(url: str, body: bytes = b"{}", *headers: tuple[str, str]) -> HttpRequest:
    return HttpRequest(Endpoint(url, headers), body)


async def fetch(client: Upstream, play: Play, timeouts: Timeouts = SOON) -> HttpResponse:
    async with Provider(play) as provider:
        return await client.fetch(post(provider.url), timeouts)


async def stream(client: Upstream, play: Play, timeouts: Timeouts = SOON) -> tuple[HttpResponse, bytes]:
    pieces: list[bytes] = []
    async with Provider(play) as provider:
        response = await client.stream(post(provider.url), timeouts, pieces.append)
    assert all(pieces)
    return response, b"".join(pieces)


# ---------------------------------------------------------------------- requests


async def test_a_request_is_a_post_with_the_endpoints_headers(client: Upstream) -> None:
    async with Provider(saying(answer(b"yes", b"X-Id: 7"))) as provider:
        response = await client.fetch(post(provider.url + "/chat?a=b", b"hello", ("X-Key", "k")), SOON)
    assert (response.status, response.body, response.header(b"x-id")) == (200, b"yes", b"7")
    [link] = provider.links
    head = link.heads[0].lower()
    assert head.startswith(b"post /v1/chat?a=b http/1.1\r\n")
    for line in (b"host: 127.0.0.1:", b"x-key: k\r\n", b"content-type: application/json", b"accept-encoding: gzip\r\n"):
        assert b"\r\n" + line in head
    assert link.bodies == [b"hello"]


async def test_a_stream_is_asked_for_uncompressed(client: Upstream) -> None:
    async with Provider(saying(answer(b"yes"))) as provider:
        await client.stream(post(provider.url), SOON, lambda piece: None)
    assert b"\r\naccept-encoding: identity\r\n" in provider.links[0].heads[0].lower()


@pytest.mark.parametrize("size", [0, 1, 40_000, 3_000_000])
async def test_bodies_of_any_size_arrive(client: Upstream, size: int) -> None:
    async with Provider(saying(answer(b"yes"))) as provider:
        assert (await client.fetch(post(provider.url, b"x" * size), SOON)).body == b"yes"
    assert provider.links[0].bodies == [b"x" * size]


@pytest.mark.parametrize(
    ("url", "headers"),
    [
        ("http://127.0.0.1/v1\r\nX: y", ()),
        ("http://127.0.0.1/a b", ()),
        ("http://127.0.0.1/\0", ()),
        ("http://me:secret@127.0.0.1/", ()),
        ("http://127.0.0.1/#there", ()),
        ("ftp://127.0.0.1/", ()),
        ("http:///v1", ()),
        ("/v1", ()),
        ("http+unix://%2Ftmp%00/v1", ()),
        ("http://127.0.0.1/", (("X-Key", "a\r\nX: y"),)),
        ("http://127.0.0.1/", (("X-Key", "a\0"),)),
        ("http://127.0.0.1/", (("X-Key", "secret\u20ac"),)),
        ("http://127.0.0.1/", (("X Key", "a"),)),
        ("http://127.0.0.1/", (("", "a"),)),
        ("http://127.0.0.1/", (("X\r\n", "a"),)),
        ("http://127.0.0.1/", (("Content-Length", "1"),)),
        ("http://127.0.0.1/", (("Transfer-Encoding", "chunked"),)),
    ],
)
async def test_nothing_can_be_smuggled_into_a_request(
    client: Upstream, url: str, headers: tuple[tuple[str, str], ...]
) -> None:
    with pytest.raises(ValueError) as error:
        await client.fetch(HttpRequest(Endpoint(url, headers), b""), SOON)
    assert "secret" not in str(error.value)


async def test_unix_sockets(client: Upstream, tmp_path: Path) -> None:
    async with Provider(saying(answer(b"yes")), socket=tmp_path / "a socket") as provider:
        assert (await client.fetch(post(provider.url + "/x"), SOON)).body == b"yes"
    assert provider.links[0].heads[0].startswith(b"POST /v1/x HTTP/1.1\r\n")
    assert b"host: localhost\r\n" in provider.links[0].heads[0].lower()


# ---------------------------------------------------------------------- answers

WHOLE = [
    (answer(b"hello"), b"hello"),
    (answer(b""), b""),
    (chunked(b"hel", b"lo"), b"hello"),
    (chunked(), b""),
    (chunked(b"hello", trailers=b"X-Sum: 1\r\n"), b"hello"),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;why=not\r\nhello\r\n0\r\n\r\n", b"hello"),
    (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello", b"hello"),
    (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
    (b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
    (b"HTTP/1.1 100 Continue\r\n\r\n" + answer(b"hello"), b"hello"),
    (b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 102 \r\n\r\n" + answer(b"hello"), b"hello"),
]


@pytest.mark.parametrize(("raw", "body"), WHOLE)
async def test_every_framing_is_read(client: Upstream, raw: bytes, body: bytes) -> None:
    response = await fetch(client, once(raw))
    assert (response.status, response.body) == (200, body)
    assert response.header(b"x-sum") is None and response.header(b"link") is None
    assert (await stream(client, once(raw)))[1] == body


async def test_headers_keep_order_and_repeats_in_lower_case(client: Upstream) -> None:
    response = await fetch(client, once(answer(b"", b"X-B: 1", b"x-a:  two ", b"X-B: 3")))
    assert response.headers == [(b"content-length", b"0"), (b"x-b", b"1"), (b"x-a", b"two"), (b"x-b", b"3")]


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_some_statuses_have_no_body(client: Upstream, status: bytes) -> None:
    raw = b"HTTP/1.1 %b\r\nX: y\r\n\r\n" % status
    async with Provider(saying(raw)) as provider:
        for _ in range(2):
            assert (await client.fetch(post(provider.url), SOON)).body == b""
    assert len(provider.links) == 1


async def test_other_statuses_come_whole_also_to_who_wants_a_stream(client: Upstream) -> None:
    raw = answer(b'{"error": 1}', b"Retry-After: 3", status=b"429 Slow Down")
    response, pushed = await stream(client, once(raw))
    assert (response.status, response.body, pushed) == (429, b'{"error": 1}', b"")


@pytest.mark.parametrize(
    ("coding", "packed"),
    [
        (b"gzip", gzip.compress(b"hello" * 100)),
        (b"GZIP", gzip.compress(b"hello" * 50) + gzip.compress(b"hello" * 50)),
        (b"x-gzip", gzip.compress(b"hello" * 100)),
        (b"deflate", zlib.compress(b"hello" * 100)),
        (b"deflate", zlib.compress(b"hello" * 100)[2:-4]),
        (b"identity", b"hello" * 100),
    ],
)
async def test_compressed_bodies_are_decompressed(client: Upstream, coding: bytes, packed: bytes) -> None:
    pieces = (packed[:1], packed[1:2], packed[2:15], packed[15:])
    line = b"Content-Encoding: " + coding
    for raw in (answer(packed, line), chunked(*pieces, lines=(line,))):
        assert (await fetch(client, once(raw))).body == b"hello" * 100
        assert (await stream(client, once(raw)))[1] == b"hello" * 100
    slow = [chunked(*pieces, lines=(line,))[i : i + 40] for i in range(0, 900, 40)]
    assert (await stream(client, once(*filter(None, slow))))[1] == b"hello" * 100


@pytest.mark.parametrize(
    "raw",
    [
        answer(b"hello", b"Content-Encoding: br"),
        answer(b"hello", b"Content-Encoding: gzip, gzip"),
        answer(gzip.compress(gzip.compress(b"x")), b"Content-Encoding: gzip", b"Content-Encoding: gzip"),
        answer(b"hello", b"Content-Encoding: gzip"),
        answer(gzip.compress(b"hello" * 9)[:-9], b"Content-Encoding: gzip"),
        answer(gzip.compress(b"hello") + b"more", b"Content-Encoding: gzip"),
        answer(zlib.compress(b"hello") + b"more", b"Content-Encoding: deflate"),
    ],
)
async def test_what_cannot_be_decompressed_is_garbled(client: Upstream, raw: bytes) -> None:
    with pytest.raises(Garbled):
        await fetch(client, once(raw))
    with pytest.raises(Garbled):
        await stream(client, once(raw))


async def test_decompressed_bodies_are_bounded(client: Upstream) -> None:
    bomb = gzip.compress(b"x" * 30_000_000)
    raw = answer(bomb, b"Content-Encoding: gzip")
    with pytest.raises(Garbled, match="too large"):
        await fetch(client, once(raw))
    pieces: list[int] = []
    async with Provider(once(raw)) as provider:
        await client.stream(post(provider.url), SOON, lambda piece: pieces.append(len(piece)))
    assert sum(pieces) == 30_000_000 and max(pieces) <= 64 * 1024


# ---------------------------------------------------------------------- what is not an answer


@pytest.mark.parametrize(
    "raw",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: yyyyyyyyy\r\n" * 500 + b"Content-Length: 0\r\n\r\n",
        answer(b"x" * 100_001),
        chunked(b"x" * 60_000, b"x" * 60_000),
        b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n" + b"x" * 100_001,
        answer(b"hello")[:-1],
        chunked(b"hello")[:-5],
        chunked(b"hello")[:-2],
        chunked(b"hello")[:-9],
    ],
)
async def test_what_cannot_be_read_is_garbled(client: Upstream, raw: bytes) -> None:
    async with Provider(once(raw)) as provider:
        with pytest.raises(Garbled) as error:
            await client.fetch(post(provider.url), SOON)
        assert len(str(error.value)) < 80 and "127" not in str(error.value)
        await eventually(lambda: provider.ended)


async def test_a_stream_that_is_cut_is_garbled_after_its_beginning_was_pushed(client: Upstream) -> None:
    pieces: list[bytes] = []
    async with Provider(once(chunked(b"hello", b"world")[:-9])) as provider:
        with pytest.raises(Garbled, match="cut short"):
            await client.stream(post(provider.url), SOON, pieces.append)
    assert b"".join(pieces).startswith(b"hello")


async def test_streams_have_no_total_bound(client: Upstream) -> None:
    response, body = await stream(client, once(answer(b"x" * 300_000)))
    assert response.status == 200 and len(body) == 300_000


async def test_a_provider_that_hangs_up_is_unavailable(client: Upstream) -> None:
    with pytest.raises(Unavailable, match="lost before an answer"):
        await fetch(client, once())


async def test_a_provider_that_resets_is_unavailable(client: Upstream) -> None:
    async def play(link: Link) -> None:
        await link.reader.read(1)
        link.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        link.writer.transport.abort()

    with pytest.raises(Unavailable):
        await fetch(client, play)


async def test_refused(client: Upstream) -> None:
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        with pytest.raises(Unavailable, match="connect") as error:
            await client.fetch(post(f"http://127.0.0.1:{unheard.getsockname()[1]}/"), SOON)
    assert "127" not in str(error.value)


async def test_no_such_socket(client: Upstream, tmp_path: Path) -> None:
    with pytest.raises(Unavailable):
        await client.fetch(post(f"http+unix://{str(tmp_path).replace('/', '%2F')}%2Fnone/"), SOON)


async def test_an_unknown_name(client: Upstream) -> None:
    with pytest.raises(Unavailable, match="name") as error:
        await client.fetch(post("http://provider.invalid/"), SOON)
    assert "invalid" not in str(error.value)


# ---------------------------------------------------------------------- time


async def test_no_head_in_time(client: Upstream) -> None:
    with pytest.raises(TimedOut, match="begin to answer"):
        await fetch(client, silent(), Timeouts(first_byte=0.05))


async def test_a_body_that_stops(client: Upstream) -> None:
    with pytest.raises(TimedOut, match="stopped in the middle"):
        await fetch(client, silent(answer(b"hello")[:-1]), Timeouts(idle=0.05))
    with pytest.raises(TimedOut, match="stopped in the middle"):
        await stream(client, silent(chunked(b"hello")[:-5]), Timeouts(idle=0.05))


async def test_a_body_that_goes_on_for_ever(client: Upstream) -> None:
    async def play(link: Link) -> None:
        await link.hear()
        await link.say(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", *[b"1\r\nx\r\n"] * 1000)

    with pytest.raises(TimedOut, match="finish"):
        await fetch(client, play, Timeouts(total=0.1))


async def test_slow_is_not_idle(client: Upstream) -> None:
    pieces = [chunked(*[b"x"] * 30)[i : i + 8] for i in range(0, 250, 8)]
    response, body = await stream(client, once(*filter(None, pieces)), Timeouts(first_byte=0.1, idle=0.1))
    assert body == b"x" * 30


async def test_waiting_for_a_free_connection_counts_as_connecting(client: Upstream) -> None:
    async with Provider(silent()) as provider:
        busy = [asyncio.create_task(client.fetch(post(provider.url), SOON)) for _ in range(2)]
        await count(provider.links, 2)
        with pytest.raises(NotConnected, match="connect"):
            await client.fetch(post(provider.url), Timeouts(connect=0.05))
        for task in busy:
            task.cancel()
        await asyncio.wait(busy)
        await count(provider.ended, 2)


# ---------------------------------------------------------------------- connections


async def test_connections_are_used_again(client: Upstream) -> None:
    async with Provider(saying(answer(b"a"), chunked(b"b"), answer(b"c"))) as provider:
        request = post(provider.url)
        assert [(await client.fetch(request, SOON)).body for _ in range(3)] == [b"a", b"b", b"c"]
        pieces: list[bytes] = []
        await client.stream(request, SOON, pieces.append)
    assert pieces == [b"c"] and len(provider.links) == 1


@pytest.mark.parametrize("raw", [answer(b"a", b"Connection: close"), b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na"])
async def test_unless_the_provider_closes_them(client: Upstream, raw: bytes) -> None:
    async with Provider(saying(raw)) as provider:
        for _ in range(2):
            assert (await client.fetch(post(provider.url), SOON)).body == b"a"
        await count(provider.ended, 2)


async def test_idle_connections_are_closed(make: Make) -> None:
    client = make(Limits(keep_alive=0.05))
    async with Provider(saying(answer(b"a"))) as provider:
        await client.fetch(post(provider.url), SOON)
        await asyncio.sleep(0.1)
        await client.fetch(post(provider.url), SOON)
        assert len(provider.links) == 2
        await eventually(lambda: provider.ended)


async def test_a_connection_that_the_provider_closed_while_idle_is_not_used(client: Upstream) -> None:
    async with Provider(once(answer(b"a"))) as provider:
        for n in range(3):
            assert (await client.fetch(post(provider.url), SOON)).body == b"a"
            await count(provider.ended, n + 1)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("extra", [answer(b"evil"), b"HTTP/1.1 200 OK\r\n", b"x", b"\0"])
async def test_what_nobody_asked_for_never_answers_another(client: Upstream, extra: bytes) -> None:
    for raws in ((answer(b"good") + extra,), (answer(b"good"), extra)):

        async def play(link: Link, raws: tuple[bytes, ...] = raws) -> None:
            if await link.hear():
                await link.say(*raws)
                await link.left()

        async with Provider(play) as provider:
            for _ in range(3):
                assert (await client.fetch(post(provider.url), SOON)).body == b"good"
                await asyncio.sleep(0.02)
            assert len(provider.links) == 3


@pytest.mark.parametrize("bound", [1, 3])
async def test_connections_to_one_origin_are_bounded_and_handed_on_in_order(make: Make, bound: int) -> None:
    order: list[int] = []
    client = make(Limits(connections=bound))

    async def play(link: Link) -> None:
        while await link.hear():
            order.append(int(link.bodies[-1]))
            await asyncio.sleep(0.005)
            await link.say(answer(b"a"))

    async with Provider(play) as provider:
        endpoint = Endpoint(provider.url)
        await asyncio.gather(*(client.fetch(HttpRequest(endpoint, b"%d" % n), SOON) for n in range(10)))
    assert len(provider.links) == bound
    assert sorted(order) == list(range(10)) and (order == sorted(order) or bound > 1)


async def test_a_cancelled_waiter_leaves_nothing_behind(client: Upstream) -> None:
    free = asyncio.Event()

    async def play(link: Link) -> None:
        while await link.hear():
            await free.wait()
            await link.say(answer(b"a"))

    async with Provider(play) as provider:
        tasks = [asyncio.create_task(client.fetch(post(provider.url), SOON)) for _ in range(6)]
        await count(provider.links, 2)
        for task in tasks[2:5]:
            task.cancel()
        free.set()
        done = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(x, asyncio.CancelledError) for x in done] == [False, False, True, True, True, False]
        await asyncio.gather(*(client.fetch(post(provider.url), SOON) for _ in range(4)))
        assert len(provider.links) == 2


# ---------------------------------------------------------------------- cancelling


@pytest.mark.parametrize("said", [(), (b"HTTP/1.1 200",), (answer(b"hello")[:-1],)])
@pytest.mark.parametrize("streamed", [False, True])
async def test_cancelling_hangs_up(client: Upstream, said: tuple[bytes, ...], streamed: bool) -> None:
    async with Provider(silent(*said)) as provider:
        for n in range(3):  # more often than there are slots
            call = (
                client.stream(post(provider.url), SOON, lambda piece: None)
                if streamed
                else client.fetch(post(provider.url), SOON)
            )
            task = asyncio.create_task(call)
            await count(provider.links, n + 1)
            await asyncio.sleep(0.005)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await count(provider.ended, n + 1)


async def test_cancelling_while_held_hangs_up(client: Upstream) -> None:
    never = asyncio.get_running_loop().create_future()
    async with Provider(silent(chunked(b"hello")[:-5])) as provider:
        task = asyncio.create_task(client.stream(post(provider.url), SOON, lambda piece: never))
        await eventually(lambda: provider.links and provider.links[0].heads)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await eventually(lambda: provider.ended)
    assert not never.done()


async def test_cancelling_before_anything_has_happened(client: Upstream) -> None:
    async with Provider(saying(answer(b"a"))) as provider:
        for turns in range(12):
            task = asyncio.create_task(client.fetch(post(provider.url), SOON))
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        await asyncio.gather(*(client.fetch(post(provider.url), SOON) for _ in range(2)))


# ---------------------------------------------------------------------- feeding


async def test_a_slow_reader_holds_the_provider_back(client: Upstream) -> None:
    loop = asyncio.get_running_loop()
    gates: list[asyncio.Future[None]] = []
    pieces: list[bytes] = []

    def feed(piece: bytes) -> asyncio.Future[None]:
        pieces.append(piece)
        gates.append(loop.create_future())
        return gates[-1]

    body = b"x" * 20_000_000
    async with Provider(once(answer(body))) as provider:
        task = asyncio.create_task(client.stream(post(provider.url), Timeouts(idle=0.05), feed))
        await asyncio.sleep(0.15)  # longer than idle: being held is not being idle
        assert len(pieces) == 1 and not provider.ended
        while not task.done():
            for gate in gates:
                if not gate.done():
                    gate.set_result(None)
            await asyncio.sleep(0)
        await task
    assert b"".join(pieces) == body


@pytest.mark.parametrize("packed", [False, True])
async def test_holding_also_at_the_end_and_when_compressed(client: Upstream, packed: bool) -> None:
    loop = asyncio.get_running_loop()
    body = bytes(range(256)) * 4000
    raw = answer(gzip.compress(body), b"Content-Encoding: gzip") if packed else answer(body)
    pieces: list[bytes] = []
    open_gates = 0

    def feed(piece: bytes) -> asyncio.Future[None]:
        nonlocal open_gates
        open_gates += 1
        assert open_gates == 1, "pushed while held"
        pieces.append(piece)
        gate = loop.create_future()

        def release() -> None:
            nonlocal open_gates
            open_gates -= 1
            gate.set_result(None)

        loop.call_later(0.001, release)
        return gate

    async with Provider(saying(raw)) as provider:
        for _ in range(2):
            pieces.clear()
            assert (await client.stream(post(provider.url), SOON, feed)).status == 200
            assert b"".join(pieces) == body
        assert len(provider.links) == 1


@pytest.mark.parametrize("raw", [chunked(b"hello"), answer(b"hello"), b"HTTP/1.1 200 OK\r\n\r\nhello"])
async def test_a_provider_may_leave_while_its_last_bytes_are_held(client: Upstream, raw: bytes) -> None:
    loop = asyncio.get_running_loop()
    pieces: list[bytes] = []

    def feed(piece: bytes) -> asyncio.Future[None]:
        pieces.append(piece)
        gate = loop.create_future()
        loop.call_later(0.03, gate.set_result, None)
        return gate

    async with Provider(once(raw)) as provider:
        assert (await client.stream(post(provider.url), SOON, feed)).status == 200
    assert pieces == [b"hello"]


class Mine(ProviderError):
    pass


@pytest.mark.parametrize("error", [Mine("no"), Garbled("no"), RuntimeError("no")])
@pytest.mark.parametrize("later", [False, True])
async def test_what_feed_raises_comes_out_and_hangs_up(client: Upstream, error: Exception, later: bool) -> None:
    loop = asyncio.get_running_loop()

    def feed(piece: bytes) -> asyncio.Future[None]:
        if not later:
            raise error
        failing = loop.create_future()
        loop.call_later(0.005, failing.set_exception, error)
        return failing

    async with Provider(silent(chunked(b"hello")[:-5])) as provider:
        with pytest.raises(type(error), match="no") as raised:
            await client.stream(post(provider.url), SOON, feed)
        assert raised.value is error
        await eventually(lambda: provider.ended)


# ---------------------------------------------------------------------- TLS


async def test_tls(client: Upstream, server_tls: ssl.SSLContext) -> None:
    async with Provider(saying(answer(b"yes")), tls=server_tls) as provider:
        for _ in range(2):
            assert (await client.fetch(post(provider.url), SOON)).body == b"yes"
        pieces: list[bytes] = []
        await client.stream(post(provider.url), SOON, pieces.append)
    assert len(provider.links) == 1 and pieces == [b"yes"]
    assert provider.links[0].writer.get_extra_info("ssl_object").selected_alpn_protocol() == "http/1.1"


async def test_large_bodies_through_tls(client: Upstream, server_tls: ssl.SSLContext) -> None:
    body = b"x" * 3_000_000
    async with Provider(saying(answer(b"yes")), tls=server_tls) as provider:
        assert (await client.fetch(post(provider.url, body), SOON)).body == b"yes"
    assert provider.links[0].bodies == [body]


async def test_holding_through_tls(client: Upstream, server_tls: ssl.SSLContext) -> None:
    loop = asyncio.get_running_loop()
    size = 0

    def feed(piece: bytes) -> asyncio.Future[None]:
        nonlocal size
        size += len(piece)
        gate = loop.create_future()
        loop.call_later(0.001, gate.set_result, None)
        return gate

    async with Provider(saying(answer(b"x" * 1_000_000)), tls=server_tls) as provider:
        await client.stream(post(provider.url), SOON, feed)
    assert size == 1_000_000


async def test_a_certificate_for_another_name(client: Upstream, authority: trustme.CA) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("elsewhere.example").configure_cert(context)
    async with Provider(saying(answer(b"yes")), tls=context) as provider:
        with pytest.raises(Unavailable, match="certificate"):
            await client.fetch(post(provider.url), SOON)


async def test_a_certificate_from_a_stranger(client: Upstream) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(context)
    async with Provider(saying(answer(b"yes")), tls=context) as provider:
        with pytest.raises(Unavailable, match="certificate"):
            await client.fetch(post(provider.url), SOON)


async def test_no_tls_where_it_should_be(client: Upstream) -> None:
    async with Provider(saying(answer(b"yes"))) as provider:
        with pytest.raises((Unavailable, TimedOut)):
            await client.fetch(post(provider.url.replace("http:", "https:")), Timeouts(connect=0.3))


async def test_a_connection_that_serves_once_is_not_kept(client: Upstream) -> None:
    async with Provider(saying(answer(b"a", b"Connection: keep-alive"))) as provider:
        once_only = HttpRequest(Endpoint(provider.url, keep_alive=False), b"{}")
        for _ in range(2):
            assert (await client.fetch(once_only, SOON)).body == b"a"
        assert len(provider.links) == 2
        assert all(b"connection: close" in link.heads[0].lower() for link in provider.links)


async def test_closing(client: Upstream) -> None:
    async with Provider(saying(answer(b"a"))) as provider:
        await client.fetch(post(provider.url), SOON)
        await client.close()
        await eventually(lambda: provider.ended)
        with pytest.raises(Unavailable):
            await client.fetch(post(provider.url), SOON)


# ---------------------------------------------------------------------- the choice


@pytest.mark.parametrize(
    ("name", "environ", "url", "chosen"),
    [
        (None, {}, "https://api.example/v1", "http1"),
        ("httpx", {}, "https://api.example/v1", "httpx"),
        ("http1", {"HTTPS_PROXY": "http://proxy"}, "https://api.example/v1", "http1"),
        (None, {"HTTPS_PROXY": "http://proxy"}, "https://api.example/v1", "httpx"),
        (None, {"https_proxy": "http://proxy"}, "https://api.example/v1", "httpx"),
        (None, {"HTTPS_PROXY": "http://proxy"}, "http://api.example/v1", "http1"),
        (None, {"HTTP_PROXY": "http://proxy"}, "http://api.example/v1", "httpx"),
        (None, {"ALL_PROXY": "http://proxy"}, "http://api.example/v1", "httpx"),
        (None, {"ALL_PROXY": "http://proxy"}, "http+unix://%2Fa/v1", "http1"),
        (None, {"ALL_PROXY": "http://proxy", "NO_PROXY": "*"}, "https://api.example/v1", "http1"),
        (None, {"ALL_PROXY": "http://proxy", "NO_PROXY": "a, .EXAMPLE"}, "https://api.example/v1", "http1"),
        (None, {"ALL_PROXY": "http://proxy", "no_proxy": "gpu:8000"}, "http://gpu:8000/v1", "http1"),
        (None, {"ALL_PROXY": "http://proxy", "no_proxy": "gpu:8000"}, "http://gpu:8001/v1", "httpx"),
        (None, {"ALL_PROXY": "http://proxy", "no_proxy": "xample"}, "http://api.example/v1", "httpx"),
        (None, {"ALL_PROXY": "http://proxy", "no_proxy": ""}, "http://api.example/v1", "httpx"),
    ],
)
def test_a_proxy_chooses_httpx(name: str | None, environ: dict[str, str], url: str, chosen: str) -> None:
    assert choose(name, environ, url) == chosen


def test_only_httpx_goes_through_a_proxy() -> None:
    environ = {"https_proxy": "proxy.example:3128"}
    assert way(None, environ, "https://api.example/v1") == Way("httpx", None, "http://proxy.example:3128")
    assert way("http1", environ, "https://api.example/v1", "ca.pem") == Way("http1", "ca.pem")
    assert way("httpx", {}, "https://api.example/v1") == Way("httpx")


def test_an_unknown_client_is_named() -> None:
    with pytest.raises(ValueError, match="no client 'curl'"):
        choose("curl", {}, "https://api.example")


async def test_the_table_makes_what_it_names() -> None:
    made: dict[str, Any] = {name: make(Way(name), LIMITS) for name, make in CLIENTS.items()}
    assert {name: type(client) for name, client in made.items()} == {"http1": LeanClient, "httpx": HttpxClient}
    for client in made.values():
        await client.close()
