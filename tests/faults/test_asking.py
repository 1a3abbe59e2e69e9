"""A client that never finds anything wrong proves nothing: each wrong answer is shown to be found."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from tests.faults.asking import Asker, Call, Came
from tests.faults.load import Client
from tests.faults.provider import said

MODEL = "m+o3+p2+f"
PROMPT = "who is there?"
TEXT = "".join([said(MODEL, PROMPT, place) for place in range(3)])
WHOLE = Call("chat", ("m",), PROMPT, "u")
STREAM = Call("chat", ("m",), PROMPT, "u", stream=True)


@asynccontextmanager
async def answering(data: bytes) -> AsyncIterator[int]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(data)
        await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    yield server.sockets[0].getsockname()[1]
    server.close()
    await asyncio.sleep(0.01)


async def came_of(data: bytes, call: Call = WHOLE) -> Came:
    async with answering(data) as port:
        client = Client(port, "k")
        came = await Asker({"m": (MODEL,), "n": (MODEL,)}, 0.3).ask(client, call)
        await client.close()
    return came


def answer(told: Any, status: int = 200) -> bytes:
    body = msgspec.json.encode(told)
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status, len(body), body,
    )  # fmt: skip


def reply(text: str = TEXT, finish: str = "stop", tokens: int = 3, **more: Any) -> Any:
    choice = {"index": 0, "message": {"content": text}, "finish_reason": finish}
    return {"choices": [choice], "usage": {"prompt_tokens": 2, "completion_tokens": tokens}, **more}


def failure(code: str = "unavailable", message: str = "it is away") -> Any:
    return {"error": {"message": message, "type": "server_error", "code": code}}


def events(*told: Any, done: bool = True) -> bytes:
    lines = [msgspec.json.encode(one) for one in told] + ([b"[DONE]"] if done else [])
    chunks = [b"data: %b\n\n" % line for line in lines]
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    return head + b"".join([b"%x\r\n%b\r\n" % (len(one), one) for one in chunks]) + b"0\r\n\r\n"


def piece(text: str = "", finish: str | None = None, **more: Any) -> Any:
    return {"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": finish, **more}]}


async def test_what_is_right() -> None:
    for data, call, end in (
        (answer(reply()), WHOLE, "answered"),
        (answer(failure(), 502), WHOLE, "failed"),
        (events(piece(TEXT), piece(finish="stop")), STREAM, "answered"),
        (events(piece(TEXT[:9]), failure()), STREAM, "failed"),
    ):
        came = await came_of(data, call)
        assert (came.end, came.wrong) == (end, "")


WRONG: dict[str, Callable[[], bytes]] = {
    "another's answer": lambda: answer(reply("".join([said(MODEL, "me", place) for place in range(3)]))),
    "half an answer": lambda: answer(reply(TEXT[:9])),
    "an end that nobody asked for": lambda: answer(reply(finish="length")),
    "other usage": lambda: answer(reply(tokens=4)),
    "a bug": lambda: answer(failure("internal_error"), 500),
    "an unknown code": lambda: answer(failure("oops"), 502),
    "no code": lambda: answer({"error": "it is away"}, 502),
    "no JSON": lambda: b"HTTP/1.1 502 X\r\ncontent-type: text/html\r\ncontent-length: 2\r\n\r\nno",
    "a provider's words": lambda: answer(failure(message="words of the provider"), 502),
    "nothing": lambda: b"",
    "an answer that is cut": lambda: answer(reply())[:-5],
}


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_answer(name: str) -> None:
    assert (await came_of(WRONG[name]())).wrong


STREAMED: dict[str, Callable[[], bytes]] = {
    "half an answer": lambda: events(piece(TEXT[:9]), piece(finish="stop")),
    "another's answer": lambda: events(piece("deadbeef "), piece(finish="stop")),
    "another's beginning, then a failure": lambda: events(piece("dead "), failure()),
    "no [DONE]": lambda: events(piece(TEXT), piece(finish="stop"), done=False),
    "no end": lambda: events(piece(TEXT)),
    "more behind the end": lambda: events(piece(TEXT), piece(finish="stop"), piece("more")),
    "a stream that is cut": lambda: events(piece(TEXT), piece(finish="stop"))[:-20],
    "all have failed": lambda: events(piece(finish="error", error={"code": "unavailable"})),
}


@pytest.mark.parametrize("name", STREAMED)
async def test_a_wrong_stream(name: str) -> None:
    assert (await came_of(STREAMED[name](), STREAM)).wrong


async def test_leaving() -> None:
    assert (await came_of(b"", Call("chat", ("m",), PROMPT, "u", leaves=0.05))).end == "left"
    assert (await came_of(b"", Call("chat", ("m",), PROMPT, "u", True, leaves=0.05))).end == "left"
    data = events(piece(TEXT), piece(finish="stop"))
    assert (await came_of(data, Call("chat", ("m",), PROMPT, "u", True, leaves_at=1))).end == "left"
