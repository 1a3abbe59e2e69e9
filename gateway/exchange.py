"""One HTTP exchange with a caller: their bytes in, within limits; our bytes out, at the pace they read.

There are two ways to it with one contract: ``asgi``, for servers like uvicorn, and ``protocol``, which is shorter and
is taken by every POST of at most 256 KiB that is alone on its connection.
"""

import asyncio
from collections.abc import Awaitable
from typing import Protocol

from gateway.errors import BadRequest, TooLarge
from gateway.headers import Head, HeaderLines
from gateway.keys import Last
from gateway.wire.dialect import Dialect

JSON = (b"content-type", b"application/json")
EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]


class Exchange(Protocol):
    """Lives as long as one request. ``id`` names it to the caller, in ``x-request-id`` of every answer; ``dialect`` is
    what they speak, once it is known; ``started`` says that an answer has begun, ``status`` what it began with, and
    ``left`` that the caller has gone before its end. ``lamini`` says that a client of Lamini's asks, ``timeout`` what
    its header ``x-gateway-timeout-ms`` says. ``whole`` says that the body is here already, and ``arrived`` when that
    was, by a steady clock, where it was noted; else it is 0. ``team`` is whose key was accepted, and ``first`` when a
    stream began, by the steady clock: whoever knows that notes it here. ``last`` is
    who came last on its connection, where that is known."""

    id: str
    dialect: Dialect | None
    lamini: bool
    authorization: bytes | None
    content_type: bytes | None
    cache_control: bytes | None
    timeout: bytes | None
    started: bool
    status: int
    left: bool
    team: str
    first: float
    whole: bool
    arrived: float
    last: Last | None

    def at_hand(self, limit: int) -> bytes:
        """The body, where it is ``whole``. Raises TooLarge."""

    async def read(self, limit: int) -> bytes:
        """The body. Raises TooLarge as soon as it is, and CancelledError if the caller leaves before its end."""

    def cancel_when_left(self) -> None:
        """From now on, a caller who hangs up cancels the task that asks for this here. To be called when the body has
        been read."""

    def stop_watching(self) -> None:
        """The answer is complete; whoever leaves now has it."""

    def answer(self, status: int, headers: Head, body: bytes) -> Awaitable[None] | None:
        """The whole answer, as JSON: it is sent when this is over; None says that it is. From here on it does not
        matter whether the caller leaves."""

    def open(self, headers: Head) -> None:
        """Says what the head of a stream will be. It is sent with the first piece, so that until then the call can
        still fail with a status of its own."""

    def write(self, data: bytes) -> asyncio.Future[None] | None:
        """Sends a piece of a stream. If the caller reads too slowly, the future is done when they have caught up."""

    async def finish(self, data: bytes) -> None:
        """Sends the last piece and ends the stream."""

    def abort(self) -> None:
        """Breaks off an answer that has begun, so that it cannot be taken for complete."""


MOST_PATIENCE = 86_400_000


def both(given: bytes | None, value: bytes) -> bytes:
    """A header that may come once: said twice, it becomes what no key can be, and nobody chooses between them."""
    return value if given is None else b"%b, %b" % (given, value)


def whole_head(id: str, size: int, headers: HeaderLines) -> HeaderLines:
    return [JSON, (b"content-length", b"%d" % size), (b"x-request-id", id.encode()), *headers]


def stream_head(id: str, headers: HeaderLines) -> HeaderLines:
    return [*EVENTS, (b"x-request-id", id.encode()), *headers]


def patience(said: bytes) -> float:
    """Seconds that the caller waits at most. Raises BadRequest."""
    if not said.isdigit() or len(said) > 12 or not 1 <= int(said) <= MOST_PATIENCE:
        raise BadRequest(
            f"x-gateway-timeout-ms: must be a whole number of milliseconds from 1 to {MOST_PATIENCE}",
            param="x-gateway-timeout-ms",
        )
    return int(said) / 1000


def too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")
