"""The door to providers: one request out, one answer back, whole or pushed piece by piece."""

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from adapters.types import HttpRequest, HttpResponse

Feed = Callable[[bytes], asyncio.Future[None] | None]
"""Takes the next bytes of a body as they arrive, decompressed and never empty. What it returns, if anything, is done
when more may come: until then the client stops reading, so a slow reader holds bounded memory. It may raise a
ProviderError: the exchange is then given up and the error comes out of ``stream``."""


Reach = Callable[[], None]
"""Called once, when a connection is there and the request's bytes are about to go out. It may raise a ProviderError:
then they do not."""


class Timeouts(Struct, frozen=True, forbid_unknown_fields=True):
    """Seconds. ``connect`` includes TLS, ``first_byte`` runs from the request's last byte to the answer's head,
    ``idle`` is between two reads of a body (not while ``Feed`` holds it back), ``total`` is over all. ``first_token``
    runs from the start to the first piece of text of a stream."""

    connect: float = 5.0
    first_byte: float = 120.0
    idle: float = 60.0
    total: float = 600.0
    first_token: float = 120.0


class Limits(Struct, frozen=True, forbid_unknown_fields=True):
    """Bounds on what a provider may send, in bytes, and on the connections kept to one origin.

    ``keep_alive`` is how many seconds an idle connection is kept: below the 5 s after which llama.cpp and others
    close theirs.
    """

    head: int = 64 * 1024
    body: int = 64 * 1024 * 1024
    connections: int = 1024
    keep_alive: float = 4.0


class Upstream(Protocol):
    """Talks HTTP. Every failure is a ProviderError: ``Unavailable`` (refused, reset, TLS, name), ``TimedOut``, or
    ``Garbled`` (malformed, too large). Cancelling a call closes its connection at once, which tells the provider."""

    async def fetch(self, request: HttpRequest, timeouts: Timeouts, reach: Reach | None = None) -> HttpResponse:
        """The whole answer, whatever its status."""

    async def stream(
        self, request: HttpRequest, timeouts: Timeouts, feed: Feed, reach: Reach | None = None
    ) -> HttpResponse:
        """Pushes a 200's body into ``feed`` and returns when it has ended; any other answer is returned whole.

        Returns normally only when the body was complete by its framing: a body cut short is ``Garbled``.
        """

    async def forget(self, url: str) -> None:
        """Closes the connections to where this address leads: nobody will ask there any more."""

    async def close(self) -> None:
        """Closes every connection."""
