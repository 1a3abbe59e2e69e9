"""A provider that plays what it is told: the OpenAI wire over a real socket, with the failures of real ones.

What a model does is its ``Script``. Every call is kept, with what was asked and whether the caller went away early.
"""

import asyncio
import base64
import contextlib
from array import array
from collections.abc import AsyncIterator

import msgspec
from msgspec import Struct, field


class Script(Struct):
    """How a model answers. ``chunks`` are its words, or ``events`` its stream as it is sent; ``pause`` is in seconds,
    before the answer or each chunk."""

    chunks: tuple[str, ...] = ("Hello", ", ", "world", ".")
    status: int = 200
    headers: tuple[str, ...] = ()
    body: bytes | None = None
    pause: float = 0.0
    finish: str = "stop"
    usage: dict[str, int] | None = field(default_factory=lambda: {"prompt_tokens": 7, "completion_tokens": 4})
    choices: int | None = None
    events: tuple[object, ...] | None = None
    cut_after: int | None = None
    error_after: int | None = None


class Seen(Struct):
    """One call as the provider saw it."""

    path: str
    headers: dict[str, str]
    body: dict[str, object]
    done: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)


class Provider:
    """Serves on a loopback port of its own until ``close``. ``turns`` are how a model answers its first calls, and
    ``scripts`` all others."""

    def __init__(self) -> None:
        self.scripts: dict[str, Script] = {}
        self.turns: dict[str, list[Script]] = {}
        self.seen: list[Seen] = []
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._connection, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/v1"

    async def close(self) -> None:
        self._server.close()
        for writer in list(self._writers):
            writer.close()
        await asyncio.sleep(0)

    def calls(self, model: str) -> list[Seen]:
        return [seen for seen in self.seen if seen.body["model"] == model]

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in head[1:] if line)}
                body = msgspec.json.decode(await reader.readexactly(int(headers["content-length"])))
                seen = Seen(head[0].split(" ")[1], headers, body)
                self.seen.append(seen)
                if not await self._answer(seen, reader, writer):
                    break
        self._writers.discard(writer)
        writer.close()

    async def _answer(self, seen: Seen, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        turns = self.turns.get(str(seen.body["model"]))
        script = turns.pop(0) if turns else self.scripts.get(str(seen.body["model"]), Script())
        answering = asyncio.ensure_future(self._play(script, seen, writer))
        leaving = asyncio.ensure_future(reader.read(1))  # callers do not pipeline, so a byte or an end is a departure
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            answering.cancel()
            seen.gone.set()
            return False
        seen.done = True
        leaving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await leaving
        return answering.result()

    async def _play(self, script: Script, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        if seen.body.get("stream") and script.status == 200 and script.body is None:
            return await self._stream(script, seen, writer)
        await asyncio.sleep(script.pause)
        body = script.body if script.body is not None else msgspec.json.encode(whole(script, seen))
        head = [f"HTTP/1.1 {script.status} X", f"Content-Length: {len(body)}", "Content-Type: application/json"]
        writer.write("\r\n".join([*head, *script.headers, "", ""]).encode() + body)
        await writer.drain()
        return True

    async def _stream(self, script: Script, seen: Seen, writer: asyncio.StreamWriter) -> bool:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        async for event in events(script, seen):
            if event is None:
                writer.transport.abort()
                return False
            frame = b"data: " + (event if isinstance(event, bytes) else msgspec.json.encode(event)) + b"\n\n"
            writer.write(b"%x\r\n%b\r\n" % (len(frame), frame))
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True


def whole(script: Script, seen: Seen) -> dict[str, object]:
    if script.status != 200:
        return {"error": {"message": "secret words of the provider", "type": "x", "param": None, "code": None}}
    if seen.path.endswith("/embeddings"):
        return vectors(seen)
    text, n = "".join(script.chunks), script.choices or wanted(seen)
    chat, probable = seen.path.endswith("/chat/completions"), seen.body.get("logprobs")
    asked = probable is not None and probable is not False  # 0 asks for them
    choices = [
        {"index": i, "finish_reason": script.finish, "logprobs": logprobs(script, chat) if asked else None}
        | ({"message": {"role": "assistant", "content": text}} if chat else {"text": text})
        for i in range(n)
    ]
    return {"id": "x", "object": "x", "created": 1, "model": "x", "choices": choices, "usage": script.usage}


def logprobs(script: Script, chat: bool) -> dict[str, object]:
    """Of each of its words, in the form of the route."""
    if chat:
        return {"content": [{"token": word, "logprob": -0.5, "top_logprobs": []} for word in script.chunks]}
    likely = [-0.5] * len(script.chunks)
    return {"tokens": script.chunks, "token_logprobs": likely, "top_logprobs": None, "text_offset": [0] * len(likely)}


def wanted(seen: Seen) -> int:
    """Choices that are asked for: of each prompt as many."""
    prompt = seen.body.get("prompt")
    prompts = len(prompt) if isinstance(prompt, list) and not isinstance(prompt[0], int) else 1
    return prompts * int(str(seen.body.get("n") or 1))


def vectors(seen: Seen) -> dict[str, object]:
    """A vector for each item, of 4 numbers unless as many as 4096 are asked; its first number tells the items apart."""
    given = seen.body["input"]
    items = given if isinstance(given, list) and not isinstance(given[0], int) else [given]
    size = min(int(str(seen.body.get("dimensions") or 4)), 4096)
    rows: list[dict[str, object]] = []
    for i in range(len(items)):
        vector = array("f", [float(i), *[0.5] * (size - 1)])
        packed = base64.b64encode(vector.tobytes()).decode()
        as_base64 = seen.body.get("encoding_format") == "base64"
        rows.append({"object": "embedding", "index": i, "embedding": packed if as_base64 else vector.tolist()})
    return {"object": "list", "data": rows, "model": "x", "usage": {"prompt_tokens": 7, "total_tokens": 7}}


async def events(script: Script, seen: Seen) -> AsyncIterator[object]:
    """A stream's events; None where the connection breaks."""
    chat, n = seen.path.endswith("/chat/completions"), wanted(seen)
    for event in script.events or ():
        yield event
    if script.events is not None:
        return

    def chunk(index: int, text: str, finish: str | None = None) -> dict[str, object]:
        piece: dict[str, object] = {"delta": {"content": text}} if chat else {"text": text}
        return {"choices": [{"index": index, "finish_reason": finish} | piece]}

    for i, text in enumerate(script.chunks):
        if script.cut_after == i:
            yield None
            return
        if script.error_after == i:
            yield {"error": {"message": "secret words of the provider", "code": 500}}
            return
        await asyncio.sleep(script.pause)
        for index in range(n):
            yield chunk(index, text)
    for index in range(n):
        yield chunk(index, "", script.finish)
    if script.usage is not None and seen.body.get("stream_options"):
        yield {"choices": [], "usage": script.usage}
    yield b"[DONE]"
