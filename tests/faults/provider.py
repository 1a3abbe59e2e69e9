"""A provider in a process of its own, which keeps exact books: what it served is the judge of what a ledger says.

    python -m tests.faults.provider LOG

speaks OpenAI's wire (completions, chats, embeddings), on a port that it prints. What it does is said by the name of the
model that it is asked: ``x+p10+o5+d20`` reads 10 tokens, answers with 5, and takes 20 milliseconds before it begins.
The words are those of ``Behaviour``. For every request that reached it one line of JSON, a ``Served``, is appended to
LOG when the request has ended, however it did. ``GET /stats`` tells how many are open and how many have ended.
"""

import asyncio
import os
import re
import sys
import time
from functools import lru_cache
from pathlib import Path
from typing import Any
from zlib import crc32

import httptools
import msgspec
import uvloop
from msgspec import Struct

NUMBER = re.compile(r"#(\d+)")
"""What a prompt has in it for a model that answers with JSON: see ``j``."""

NAMED = re.compile(r"@([\w-]+)")
"""Who asks, said in a prompt: not every dialect brings its ``user`` to the provider."""

PIECE = "tok "
"""What each piece of a stream holds; an answer is as many of them as it has tokens."""

VALID = '{"age": 12}'
WRONG = '{"age": "twelve"}'
"""Answers of a model that is asked for JSON: see ``bad``."""


class Behaviour(Struct, frozen=True):
    """Each field is a word of the model's name, with a number: ``p10``, or without: ``q``."""

    p: int = 10
    """Tokens of the prompt."""
    o: int = 5
    """Tokens of the answer."""
    n: int = -1
    """Pieces of a stream; as many as tokens."""
    d: int = 0
    """Milliseconds until it begins to answer."""
    g: int = 0
    """Milliseconds between two pieces."""
    s: int = 200
    """The status."""
    q: int = 0
    """Quiet: it does not report usage."""
    w: int = 0
    """Tokens vary with the caller's ``user``: up to twice as many."""
    drop: int = 0
    """It closes the connection where the answer would begin."""
    cut: int = 0
    """It closes the connection in the middle of the answer."""
    f: int = 0
    """What it says is a function of its name and the prompt: see ``said``."""
    j: int = 0
    """It says ``{"age": N}``, where N is the number behind the first # of the prompt."""
    bad: int = 0
    """So many answers to each ``user`` do not keep their type; those that follow do."""

    @property
    def pieces(self) -> int:
        return self.o if self.n < 0 else self.n


@lru_cache(maxsize=1024)
def behaviour(model: str) -> Behaviour:
    words = dict(re.findall(r"\+([a-z]+)(\d*)", model))
    return msgspec.convert({name: int(number or 1) for name, number in words.items()}, Behaviour)


def said(model: str, prompt: str, place: int) -> str:
    """A piece of an answer that nobody can take for another's: by another model, to another prompt, or elsewhere."""
    return f"{crc32(f'{model}/{place}/{prompt}'.encode()):08x} "


class Served(Struct, frozen=True):
    """``user`` is who asked, as the request says. ``input`` and ``output`` are tokens; of an answer that was not
    written whole, ``output`` is the pieces that were. ``began`` and ``ended`` are seconds since 1970."""

    user: str
    model: str
    stream: bool
    input: int
    output: int
    reported: bool
    status: int
    whole: bool
    pieces: int
    began: float
    ended: float


class Asked(Struct):
    model: str
    user: str = ""
    stream: bool = False
    stream_options: dict[str, Any] | None = None
    max_tokens: int | None = None
    n: int = 1
    input: Any = None
    prompt: Any = None
    messages: list[Any] = []

    @property
    def asks(self) -> str:
        """The text that is to be answered: of a chat, its last message."""
        return str(self.messages[-1]["content"] if self.messages else self.prompt)

    @property
    def who(self) -> str:
        """``user``, or what the prompt says instead."""
        named = (
            None if self.user else NAMED.search(" ".join([str(one["content"]) for one in self.messages] or [self.asks]))
        )
        return named[1] if named else self.user


class Books:
    """``open`` is how many requests are being answered."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._encode = msgspec.json.Encoder().encode
        self.open = 0
        self.ended = 0
        self.wrong: dict[str, int] = {}

    def enter(self, served: Served) -> None:
        os.write(self._file, self._encode(served) + b"\n")
        self.open -= 1
        self.ended += 1


class Exchange:
    """One request, from its last byte to its line in the books."""

    def __init__(self, asked: Asked, path: bytes, books: Books) -> None:
        self.asked = asked
        self.chat = path.endswith(b"/chat/completions")
        self.embeds = path.endswith(b"/embeddings")
        self.does = behaviour(asked.model)
        self.books = books
        more = 1 + crc32(asked.user.encode()) % 100 / 100 if self.does.w else 1
        self.input, self.output = int(self.does.p * more), int(self.does.o * more)
        if asked.max_tokens is not None:
            self.output = min(self.output, asked.max_tokens)
        self.output *= asked.n
        if self.embeds:
            self.output = 0
        self.pieces = 0
        self.began = time.time()
        self.entered = False
        books.open += 1

    def enter(self, whole: bool, status: int = 200) -> None:
        if self.entered:
            return
        self.entered = True
        output = self.output if whole else self.pieces
        failed = status != 200
        asked = self.asked
        reported = whole and not failed and not self.does.q
        if asked.stream and not (asked.stream_options or {}).get("include_usage"):
            reported = False
        self.books.enter(
            Served(
                asked.who,
                asked.model,
                asked.stream,
                0 if failed else self.input,
                0 if failed else output,
                reported,
                status,
                whole,
                self.pieces,
                self.began,
                time.time(),
            )  # fmt: skip
        )

    def piece(self, place: int) -> str:
        return said(self.asked.model, self.asked.asks, place) if self.does.f else PIECE

    def text(self) -> str:
        if self.does.j:
            found = NUMBER.search(" ".join([str(one["content"]) for one in self.asked.messages] or [self.asked.asks]))
            return f'{{"age": {found[1] if found else 0}}}'
        if not self.does.bad:
            return "".join([self.piece(place) for place in range(self.output // self.asked.n)])
        before = self.books.wrong.get(self.asked.user, 0)
        self.books.wrong[self.asked.user] = before + 1
        return WRONG if before < self.does.bad else VALID

    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.input,
            "completion_tokens": self.output,
            "total_tokens": self.input + self.output,
        }

    def answer(self) -> bytes:
        if self.embeds:
            data: list[Any] = [{"object": "embedding", "index": 0, "embedding": [0.5, 1.0]}]
            told: dict[str, Any] = {"object": "list", "data": data, "model": self.asked.model, "usage": self.usage()}
            return whole_answer(200, msgspec.json.encode(told))
        text = self.text()
        said: dict[str, Any] = {"message": {"role": "assistant", "content": text}} if self.chat else {"text": text}
        told = {
            "id": "x",
            "object": "chat.completion" if self.chat else "text_completion",
            "created": 1,
            "model": self.asked.model,
            "choices": [{"index": index, "finish_reason": "stop", **said} for index in range(self.asked.n)],
        }
        if not self.does.q:
            told["usage"] = self.usage()
        return whole_answer(200, msgspec.json.encode(told))

    def event(self, text: str | None, finish: str | None = None) -> bytes:
        said: dict[str, Any] = {"delta": {"content": text} if text else {}} if self.chat else {"text": text or ""}
        return self._event([{"index": 0, "finish_reason": finish, **said}])

    def usage_event(self) -> bytes:
        return self._event([], usage=self.usage())

    def _event(self, choices: list[Any], **more: Any) -> bytes:
        kind = "chat.completion.chunk" if self.chat else "text_completion"
        told = {"id": "x", "object": kind, "created": 1, "model": self.asked.model, "choices": choices, **more}
        return chunk(b"data: " + msgspec.json.encode(told) + b"\n\n")


def whole_answer(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
        status,
        len(body),
        body,
    )


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


class Connection(asyncio.Protocol):
    def __init__(self, books: Books) -> None:
        self._books = books
        self._parser: Any = httptools.HttpRequestParser(self)
        self._path = b""
        self._body: list[bytes] = []
        self._exchange: Exchange | None = None
        self._task: asyncio.Task[None] | None = None
        self._transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if self._task is not None:
            self._task.cancel()
        if self._exchange is not None:
            self._exchange.enter(whole=False)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._body = []

    def on_url(self, url: bytes) -> None:
        self._path = url

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self._path == b"/stats":
            told = {"open": self._books.open, "ended": self._books.ended}
            self._transport.write(whole_answer(200, msgspec.json.encode(told)))
            return
        asked = msgspec.json.decode(b"".join(self._body), type=Asked)
        self._exchange = exchange = Exchange(asked, self._path, self._books)
        does = exchange.does
        if does.d or (asked.stream and does.g):
            self._task = asyncio.get_running_loop().create_task(self._later(exchange))
        else:
            self._at_once(exchange)

    def _at_once(self, exchange: Exchange) -> None:
        if not self._begin(exchange):
            return
        for place in range(exchange.does.pieces):
            if not self._piece(exchange, place):
                return
        self._end(exchange)

    async def _later(self, exchange: Exchange) -> None:
        does = exchange.does
        await asyncio.sleep(does.d / 1000)
        if not self._begin(exchange):
            return
        for place in range(does.pieces):
            if does.g and place:
                await asyncio.sleep(does.g / 1000)
            if not self._piece(exchange, place):
                return
        self._end(exchange)

    def _begin(self, exchange: Exchange) -> bool:
        """Whether pieces follow."""
        does = exchange.does
        if does.drop:
            self._transport.abort()
        elif does.s != 200:
            exchange.enter(whole=True, status=does.s)
            self._transport.write(whole_answer(does.s, b'{"error": {"message": "words of the provider"}}'))
        elif exchange.asked.stream:
            self._transport.write(HEAD)
            return True
        else:
            answer = exchange.answer()
            if does.cut:
                self._transport.write(answer[: len(answer) // 2])
                self._transport.close()
            else:
                self._transport.write(answer)
                exchange.enter(whole=True)
        return False

    def _piece(self, exchange: Exchange, place: int) -> bool:
        """Whether another follows."""
        if self._transport.is_closing():
            return False
        if exchange.does.cut and place >= exchange.does.pieces // 2:
            self._transport.close()
            return False
        self._transport.write(exchange.event(exchange.piece(place)))
        exchange.pieces += 1
        return True

    def _end(self, exchange: Exchange) -> None:
        last = exchange.event(None, "stop")
        if not exchange.does.q and (exchange.asked.stream_options or {}).get("include_usage"):
            last += exchange.usage_event()
        self._transport.write(last + chunk(b"data: [DONE]\n\n") + b"0\r\n\r\n")
        exchange.enter(whole=True)


async def serve(log: Path) -> None:
    books = Books(log)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(books), "127.0.0.1", 0, backlog=4096)
    print(server.sockets[0].getsockname()[1], flush=True)
    asyncio.get_running_loop().add_reader(sys.stdin, os._exit, 0)  # ends with whoever started it
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(Path(sys.argv[1])))
