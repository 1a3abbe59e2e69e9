"""What the lean client promises beyond the contract: how it pushes, writes, reuses, and what it refuses."""

import asyncio
import contextlib
import gc
import gzip
import os
import socket
import ssl
import time
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.errors import Garbled, ProviderError, TimedOut, Unavailable
from adapters.types import Endpoint, HttpRequest, HttpResponse
from gateway.upstream import LeanClient, Limits, Timeouts
from gateway.upstream.connection import Connection
from gateway.upstream.framing import Answers
from gateway.upstream.inflate import inflate
from gateway.upstream.peer import stirring
from tests.gateway.upstream.provider import Link, Provider, answer, chunked, count, eventually, once, saying, silent

SOON = Timeouts(connect=2, first_byte=2, idle=2, total=5)


def post(url: str, body: bytes = b"{}") -> HttpRequest:
    return HttpRequest(Endpoint(url), body)


# ---------------------------------------------------------------------- pushing


async def test_pieces_are_pushed_from_inside_the_read_callback(lean: LeanClient) -> None:
    """No task is woken for a piece: whoever is current when ``feed`` runs, it is not the one that asked."""
    tasks: list[asyncio.Task[Any] | None] = []
    raw = chunked(b"a", b"b", b"c")
    async with Provider(once(raw[:-5], raw[-5:])) as provider:
        pieces: list[bytes] = []

        def feed(piece: bytes) -> None:
            tasks.append(asyncio.current_task())
            pieces.append(piece)

        await lean.stream(post(provider.url), SOON, feed)
    assert tasks == [None] and pieces == [b"abc"]  # one read, one call


async def test_a_request_is_one_write(lean: LeanClient, monkeypatch: pytest.MonkeyPatch) -> None:
    writes: list[int] = []
    made = Connection.connection_made

    class Counted:
        def __init__(self, transport: asyncio.Transport) -> None:
            self._transport = transport

        def write(self, data: bytes) -> None:
            writes.append(1)
            self._transport.write(data)

        def writelines(self, data: tuple[bytes, ...]) -> None:
            writes.append(len(data))
            self._transport.writelines(data)

        def __getattr__(self, name: str) -> Any:
            return getattr(self._transport, name)

    monkeypatch.setattr(Connection, "connection_made", lambda self, transport: made(self, Counted(transport)))  # type: ignore[arg-type]
    async with Provider(saying(answer(b"a"))) as provider:
        await lean.fetch(post(provider.url), SOON)
        await lean.fetch(post(provider.url, b"x" * 100_000), SOON)
    assert writes == [1, 2]


async def test_an_early_answer_is_not_lost(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await link.reader.readuntil(b"\r\n\r\n")
        await link.say(answer(b"no", b"Connection: close", status=b"413 Too Large"))
        await asyncio.sleep(0.02)

    async with Provider(play) as provider:
        response = await lean.fetch(post(provider.url, b"x" * 20_000_000), SOON)
        assert (response.status, response.body) == (413, b"no")


async def test_a_connection_that_still_owes_a_request_is_not_used_again(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await link.reader.readuntil(b"\r\n\r\n")
        await link.say(answer(b"early"))
        await link.left()

    async with Provider(play) as provider:
        for _ in range(2):
            assert (await lean.fetch(post(provider.url, b"x" * 20_000_000), SOON)).body == b"early"
        assert len(provider.links) == 2


async def test_the_wait_for_the_head_begins_with_the_requests_last_byte(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await asyncio.sleep(0.15)
        await link.hear()
        await link.say(answer(b"a"))

    async with Provider(play) as provider:
        request = post(provider.url, b"x" * 20_000_000)
        assert (await lean.fetch(request, Timeouts(first_byte=0.1))).body == b"a"


async def test_a_head_that_drips_in_is_late_all_the_same(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await link.hear()
        await link.say(*[bytes([byte]) for byte in answer(b"a")])

    async with Provider(play) as provider:
        with pytest.raises(TimedOut, match="begin to answer"):
            await lean.fetch(post(provider.url), Timeouts(first_byte=0.05))


# ---------------------------------------------------------------------- stale connections


async def test_a_request_that_may_have_been_heard_is_never_repeated(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await link.hear()
        await link.say(answer(b"a"))
        await link.hear()

    async with Provider(play) as provider:
        await lean.fetch(post(provider.url), SOON)
        with pytest.raises(Unavailable, match="lost before an answer"):
            await lean.fetch(post(provider.url, b"twice?"), SOON)
        assert len(provider.links) == 1
        assert (await lean.fetch(post(provider.url), SOON)).body == b"a"


async def test_a_farewell_that_the_loop_has_not_read_yet_is_seen(lean: LeanClient) -> None:
    async with Provider(saying(answer(b"a"))) as provider:
        await lean.fetch(post(provider.url), SOON)
        [pool] = lean._pools.values()
        pool._idle[0].since -= 1.5
        with socket.socket(fileno=os.dup(provider.links[0].writer.get_extra_info("socket").fileno())) as same:
            same.shutdown(socket.SHUT_WR)  # at once, and the loop has no turn to see it
        assert not pool._idle[0].closed
        assert (await lean.fetch(post(provider.url), SOON)).body == b"a"
        assert len(provider.links) == 2


async def test_silence_is_checked_only_after_a_while(lean: LeanClient, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bool] = []

    def counted(transport: asyncio.Transport) -> bool:
        looked.append(stirring(transport))
        return looked[-1]

    monkeypatch.setattr("gateway.upstream.connection.stirring", counted)
    async with Provider(saying(answer(b"a"))) as provider:
        await lean.fetch(post(provider.url), SOON)
        await lean.fetch(post(provider.url), SOON)
        assert looked == [False]  # before its second request: it may be one of those that serve but one
        await lean.fetch(post(provider.url), SOON)
        assert looked == [False]
        [pool] = lean._pools.values()
        pool._idle[0].since -= 1.5
        await lean.fetch(post(provider.url), SOON)
        assert looked == [False, False] and len(provider.links) == 1


async def test_a_provider_that_hangs_up_after_each_answer_unannounced(lean: LeanClient) -> None:
    async def play(link: Link) -> None:
        await link.hear()
        await link.say(answer(b"a"))

    async with Provider(play) as provider:
        for _ in range(20):
            assert (await lean.fetch(post(provider.url), SOON)).body == b"a"
            await asyncio.sleep(0.002)
        assert len(provider.links) == 20


async def test_the_connection_used_last_is_used_first(lean: LeanClient) -> None:
    async with Provider(saying(answer(b"a"))) as provider:
        request = post(provider.url)
        await asyncio.gather(*(lean.fetch(request, SOON) for _ in range(3)))
        for _ in range(5):
            await lean.fetch(request, SOON)
        assert sorted(len(link.heads) for link in provider.links) == [1, 1, 6]


async def test_expired_connections_really_close_while_others_are_busy() -> None:
    client = LeanClient(Limits(keep_alive=0.06))
    async with Provider(saying(answer(b"a"))) as provider:
        request = post(provider.url)
        await asyncio.gather(*(client.fetch(request, SOON) for _ in range(4)))
        for _ in range(10):
            await client.fetch(request, SOON)
            await asyncio.sleep(0.015)
        assert len(provider.ended) == 3
    await client.close()


# ---------------------------------------------------------------------- TLS


async def test_tls_sessions_are_resumed(lean: LeanClient, server_tls: ssl.SSLContext) -> None:
    async with Provider(saying(answer(b"a", b"Connection: close")), tls=server_tls) as provider:
        for _ in range(3):
            await lean.fetch(post(provider.url), SOON)
        resumed = [link.writer.get_extra_info("ssl_object").session_reused for link in provider.links]
    assert resumed == [False, True, True]


async def test_cancelling_through_tls_hangs_up(lean: LeanClient, server_tls: ssl.SSLContext) -> None:
    async with Provider(silent(), tls=server_tls) as provider:
        task = asyncio.create_task(lean.fetch(post(provider.url), SOON))
        await eventually(lambda: provider.links and provider.links[0].heads)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await count(provider.ended, 1)


@pytest.mark.parametrize("raw", [answer(b"hello")[:-1], b"HTTP/1.1 200 OK\r\n\r\nhello"])
async def test_tls_cut_off_is_never_a_complete_body(lean: LeanClient, server_tls: ssl.SSLContext, raw: bytes) -> None:
    """Without its closing message, anyone on the way may have ended the connection."""

    async def play(link: Link) -> None:
        await link.hear()
        await link.say(raw)
        await asyncio.sleep(0.01)
        link.writer.transport.abort()

    async with Provider(play, tls=server_tls) as provider:
        with pytest.raises(Garbled, match="cut short"):
            await lean.fetch(post(provider.url), SOON)


async def test_a_body_may_end_with_tls(lean: LeanClient, server_tls: ssl.SSLContext) -> None:
    async with Provider(once(b"HTTP/1.1 200 OK\r\n\r\nhello"), tls=server_tls) as provider:
        began = time.monotonic()
        assert (await lean.fetch(post(provider.url), SOON)).body == b"hello"
        assert time.monotonic() - began < 1.5  # no bound of SOON was waited for


# ---------------------------------------------------------------------- nothing is left behind


async def test_a_replaced_configuration_leaves_nothing(lean: LeanClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.upstream.http1.PREPARED", 3)
    async with Provider(saying(answer(b"a", b"Connection: close"))) as provider:
        for _ in range(10):
            await lean.fetch(post(provider.url), SOON)
        assert len(lean._prepared) == 3 and len(lean._pools) == 1 and len(provider.links) == 10


async def test_closed_connections_need_no_garbage_collector(lean: LeanClient) -> None:
    def alive() -> int:
        return sum(isinstance(thing, Connection) for thing in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        before = alive()
        async with Provider(saying(answer(b"a", b"Connection: close"))) as provider:
            for _ in range(5):
                await lean.fetch(post(provider.url), SOON)
            await asyncio.sleep(0.01)
        assert alive() == before
    finally:
        gc.enable()


async def test_an_exchange_that_goes_well_sets_no_timer(lean: LeanClient) -> None:
    async with Provider(saying(answer(b"a"))) as provider:
        request = post(provider.url)
        await lean.fetch(request, SOON)
        [pool] = lean._pools.values()
        timer = pool._idle[0]._alarm._handle
        for _ in range(3):
            await lean.fetch(request, SOON)
        assert pool._idle[0]._alarm._handle is timer


# ---------------------------------------------------------------------- framing, without a network


def read(data: bytes, splits: list[int], head: int = 4096) -> tuple[int, list[tuple[bytes, bytes]], bytes, bool] | None:
    """One answer from bytes split at the given places, ended by the peer; None if it is not complete."""
    answers = Answers(head)
    answers.expect()
    body = []
    try:
        for start, end in zip([0, *splits], [*splits, len(data)], strict=True):
            if data[start:end] and not answers.complete:
                body.append(answers.feed(data[start:end]))
        if not answers.end():
            return None
    finally:
        answers.release()
    return answers.status, answers.headers, b"".join(body), answers.keep


RAW = [
    answer(b"hello", b"X-A: b"),
    answer(b""),
    answer(b"x" * 300, status=b"500 Oops"),
    chunked(b"hel", b"lo", b"x" * 40),
    chunked(b"hello", trailers=b"X-Sum: 1\r\n"),
    b"HTTP/1.1 100 Continue\r\nX: y\r\n\r\n" + answer(b"hello"),
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello",
]


@given(st.sampled_from(RAW), st.data())
def test_however_the_bytes_are_split(raw: bytes, data: st.DataObject) -> None:
    splits = sorted(data.draw(st.lists(st.integers(0, len(raw)), max_size=12)))
    whole = read(raw, [])
    assert whole is not None and read(raw, splits) == whole
    assert read(raw, list(range(1, len(raw)))) == whole


REFUSED = [
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: gzip\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: \r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: +5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 0x5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nhello",
    b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nX: a\rContent-Length: 5\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\n0\n\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000005\r\nhello\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + answer(b"a"),
    b"HTTP/1.1 000 What\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/0.9 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"RTSP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
    b"\r\n\r\n" + answer(b"a"),
    b"HTTP/1.1 100 \r\n\r\n" * 300 + answer(b"a"),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;" + b"x" * 5000 + b"\r\nhello\r\n0\r\n\r\n",
    chunked(b"hello", trailers=b"X: y\r\n" * 1000),
]


@pytest.mark.parametrize("raw", REFUSED)
@pytest.mark.parametrize("step", [1, 7, 100_000])
def test_what_would_leave_an_answers_end_to_guesswork_is_refused(raw: bytes, step: int) -> None:
    if step == 100_000 and (b"100 \r\n" in raw or len(raw) > 5000):
        return  # in one read it costs nothing: the bound is on what keeps coming
    with pytest.raises(Garbled):
        read(raw, list(range(step, len(raw), step)))


@pytest.mark.parametrize("step", [1, 100, 100_000])
def test_heads_are_bounded_however_they_come(step: int) -> None:
    raw = answer(b"a", *[b"X: y"] * 800)
    with pytest.raises(Garbled, match="too large"):
        read(raw, list(range(step, len(raw), step)))
    assert read(raw, [], head=8192) is not None


@given(st.sampled_from(RAW), st.data())
def test_a_prefix_is_never_a_whole_answer(raw: bytes, data: st.DataObject) -> None:
    cut = raw[: data.draw(st.integers(0, len(raw) - 1))]
    if b"Content-Length" not in raw and b"chunked" not in raw and b"\r\n\r\n" in cut:
        return  # ends when the connection does
    assert read(cut, []) is None


def test_an_http_1_0_answer_in_chunks_ends_its_connection() -> None:
    raw = chunked(b"a", lines=(b"Connection: keep-alive",)).replace(b"HTTP/1.1", b"HTTP/1.0")
    assert read(raw, []) == (200, [(b"transfer-encoding", b"chunked"), (b"connection", b"keep-alive")], b"a", False)


@given(st.binary(max_size=3000), st.integers(1, 3), st.sampled_from([b"gzip", b"deflate"]), st.data())
def test_inflating(body: bytes, members: int, coding: bytes, data: st.DataObject) -> None:
    packed = gzip.compress(body) * members if coding == b"gzip" else zlib.compress(body)
    whole = body * members if coding == b"gzip" else body
    assert inflate(coding, packed, len(whole)) == whole
    if whole:
        with pytest.raises(Garbled, match="too large"):
            inflate(coding, packed, len(whole) - 1)
    with pytest.raises(Garbled):
        inflate(
            coding, packed[: data.draw(st.integers(len(packed) - len(packed) // members + 1, len(packed) - 1))], 9999
        )


# ---------------------------------------------------------------------- anything at all, over a socket


async def survive(raw: bytes, splits: list[int]) -> None:
    """Whatever a provider says to the first request, the second is answered with what belongs to it."""
    good = b"belongs to the second"

    async def play(link: Link) -> None:
        first = not provider.told
        provider.told = True
        while await link.hear():
            if first:
                first = False
                for start, end in zip([0, *splits], [*splits, len(raw)], strict=True):
                    link.writer.write(raw[start:end])
                    await asyncio.sleep(0)
                if b"!" in raw:
                    return
            else:
                await link.say(answer(good))

    class Told(Provider):
        told = False

    client = LeanClient(Limits(head=500, body=1000))
    async with Told(play) as provider:
        quick = Timeouts(first_byte=0.02, idle=0.02, total=0.05)
        for ask in (
            client.fetch(post(provider.url), quick),
            client.stream(post(provider.url), quick, lambda piece: None),
        ):
            with contextlib.suppress(ProviderError):
                response = await ask
                assert isinstance(response, HttpResponse) and 200 <= response.status < 1000
        for _ in range(2):
            assert (await client.fetch(post(provider.url), SOON)).body == good
    await client.close()


@settings(max_examples=40)
@given(st.sampled_from(RAW), st.data())
def test_mutations_never_hang_nor_poison_the_pool(raw: bytes, data: st.DataObject) -> None:
    mutated = bytearray(raw)
    for _ in range(data.draw(st.integers(0, 4))):
        at = data.draw(st.integers(0, len(mutated)))
        match data.draw(st.sampled_from("rid+")):
            case "r" if at < len(mutated):
                mutated[at] = data.draw(st.integers(0, 255))
            case "i":
                mutated[at:at] = data.draw(st.sampled_from([b"\r\n", b"0", b":", b"!", b"\0", b" ", b"x" * 600]))
            case "d":
                del mutated[at : at + data.draw(st.integers(1, 9))]
            case _:
                mutated += data.draw(st.sampled_from(RAW))
    splits = sorted(data.draw(st.lists(st.integers(0, len(mutated)), max_size=4)))
    with asyncio.Runner() as runner:
        runner.run(survive(bytes(mutated), splits))
