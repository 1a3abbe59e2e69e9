"""Faults of a server that speaks HTTP/1.1, after the same form as those of ``kinds``."""

import random
import re
from typing import Literal

from tests.faults.kinds import Fault, Line

LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.I)
CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.I)
LAST = b"0\r\n\r\n"

Body = Literal["json", "html", "empty"]
SECRET = "upstream-7f3a.internal"
"""In the bodies of failures: what callers must not be shown."""
BODIES: dict[Body, tuple[bytes, bytes]] = {
    "json": (b"application/json", b'{"error": {"message": "words of %s", "type": "overloaded"}}' % SECRET.encode()),
    "html": (b"text/html", b"<html><body><h1>Bad Gateway</h1>%s</body></html>" % SECRET.encode()),
    "empty": (b"text/plain", b""),
}

Wrong = Literal["small", "large", "negative", "twice"]


class Refusal(Fault):
    """The server does not hear of the request: it is answered with ``status``. ``retry_after`` is the header's text."""

    def __init__(self, status: int, retry_after: str | None = None, body: Body = "json") -> None:
        super().__init__()
        self.kind = "throttled" if status == 429 else "5xx"  # type: ignore[misc]
        kind, content = BODIES[body]
        more = b"" if retry_after is None else b"retry-after: %b\r\n" % retry_after.encode()
        head = b"HTTP/1.1 %d No\r\ncontent-type: %b\r\n%bcontent-length: %d\r\n\r\n" % (
            status, kind, more, len(content),
        )  # fmt: skip
        self._answer = head + content
        self._request = b""

    async def asked(self, data: bytes, line: Line) -> None:
        self._request += data
        head, found, rest = self._request.partition(b"\r\n\r\n")
        length = LENGTH.search(head)
        if found and len(rest) >= (int(length[1]) if length else 0):
            self._request = b""
            self.acts(line)
            await line.back(self._answer)


def refusal(rng: random.Random) -> Refusal:
    """Any of them."""
    status = rng.choice((429, 429, 500, 502, 503, 529))
    return Refusal(status, rng.choice((None, "0", "1", "soon")), rng.choice(("json", "html", "empty")))


class Headed(Fault):
    """Sees the answer's head as a whole, together with what has come of its body."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: bytes | None = b""

    async def answered(self, data: bytes, line: Line) -> None:
        if self._waiting is None:
            await self.body(data, line)
            return
        self._waiting += data
        head, found, rest = self._waiting.partition(b"\r\n\r\n")
        if found:
            self._waiting = None
            await self.headed(head, rest, line)

    async def headed(self, head: bytes, body: bytes, line: Line) -> None:
        raise NotImplementedError

    async def body(self, data: bytes, line: Line) -> None:
        await line.back(data)


class Unfinished(Headed):
    """The connection is closed in order just before the answer's end: one byte before its length, or before the chunk
    that ends it."""

    kind = "unfinished"

    async def headed(self, head: bytes, body: bytes, line: Line) -> None:
        length = LENGTH.search(head)
        self._left = int(length[1]) - 1 if length else None
        await line.back(head + b"\r\n\r\n")
        await self.body(body, line)

    async def body(self, data: bytes, line: Line) -> None:
        if self._left is not None:
            part, self._left = data[: self._left], self._left - len(data)
            over = self._left < 0
        else:
            over = data.endswith(LAST)
            part = data.removesuffix(LAST)
        await line.back(part)
        if over:
            self.acts(line)
            line.close()


class WrongLength(Headed):
    """The answer says another length than it has. One that comes in chunks says a length as well."""

    def __init__(self, wrong: Wrong) -> None:
        super().__init__()
        self.kind = f"length {wrong}"  # type: ignore[misc]
        self._wrong = wrong

    async def headed(self, head: bytes, body: bytes, line: Line) -> None:
        found = LENGTH.search(head)
        real = int(found[1]) if found else 1000
        told = {
            "small": b"%d" % (real // 2),
            "large": b"%d" % (real + 100),
            "negative": b"-%d" % real,
            "twice": b"%d\r\ncontent-length: %d" % (real, real + 1),
        }[self._wrong]
        self.acts(line)
        line_of = b"\r\ncontent-length: " + told
        head = LENGTH.sub(line_of, head) if found else head + line_of
        await line.back(head + b"\r\n\r\n" + body)
