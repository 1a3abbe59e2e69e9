"""What can befall an exchange on its way, whatever it speaks: each kind is a small class.

An exchange is the bytes of one request and those of its answer. A fault sees both in the portions in which they come,
and says what goes on, to whom, and when. One is made for one exchange; ``rng`` is all the chance that it has.
"""

import asyncio
import random
from typing import ClassVar, Protocol


class Line(Protocol):
    """One connection through the proxy, as faults may use it."""

    async def forward(self, data: bytes) -> None:
        """To the server."""

    async def back(self, data: bytes) -> None:
        """To the client."""

    def end_answer(self) -> None:
        """The client is told that nothing more will come; what it sends is still taken."""

    def close(self) -> None:
        """Cleanly: what is written arrives, and then the end."""

    def abort(self) -> None:
        """By a reset, on both sides."""

    def count(self, kind: str) -> None: ...


class Fault:
    """By itself no fault: all goes through. ``kind`` is what it is counted as, once, when it acts. One that ``stays``
    befalls all that follows on its connection: no network loses bytes and goes on with those behind them."""

    kind: ClassVar[str] = "pass"

    def __init__(self) -> None:
        self._counted = False
        self.stays = False

    async def opened(self, line: Line) -> bool:
        """The client has connected, with this exchange to be the first. False: the server need not hear of it."""
        return True

    async def asked(self, data: bytes, line: Line) -> None:
        await line.forward(data)

    async def answered(self, data: bytes, line: Line) -> None:
        await line.back(data)

    async def ended(self, line: Line) -> None:
        """The server has closed."""
        line.close()

    def acts(self, line: Line) -> bool:
        """Counts it; whether this was the first time."""
        first = not self._counted
        if first:
            self._counted = True
            line.count(self.kind)
        return first


class Latency(Fault):
    """The answer begins later."""

    kind = "latency"

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds

    async def answered(self, data: bytes, line: Line) -> None:
        if self.acts(line):
            await asyncio.sleep(self._seconds)
        await line.back(data)


class Jitter(Fault):
    """Each portion of the answer is late by up to ``most`` seconds."""

    kind = "jitter"

    def __init__(self, rng: random.Random, most: float) -> None:
        super().__init__()
        self._rng, self._most = rng, most

    async def answered(self, data: bytes, line: Line) -> None:
        self.acts(line)
        await asyncio.sleep(self._rng.uniform(0, self._most))
        await line.back(data)


class Refused(Fault):
    """The connection is reset before anything is said; one that was open already, at the next request."""

    kind = "refused"

    async def opened(self, line: Line) -> bool:
        self.acts(line)
        line.abort()
        return False

    async def asked(self, data: bytes, line: Line) -> None:
        self.acts(line)
        line.abort()


class After(Fault):
    """Something happens behind so many bytes of the answer; what comes later is lost."""

    def __init__(self, after: int = 0) -> None:
        super().__init__()
        self._left = after
        self._over = False

    async def answered(self, data: bytes, line: Line) -> None:
        if self._over:
            return
        if len(data) <= self._left:
            self._left -= len(data)
            await line.back(data)
            return
        self._over = self.stays = True
        if self._left:
            await line.back(data[: self._left])
            await asyncio.sleep(0.005)  # so that it arrives before what happens
        self.acts(line)
        self.happens(line)

    def happens(self, line: Line) -> None:
        raise NotImplementedError


class Reset(After):
    """The server has the request; the connection is reset."""

    kind = "reset"

    def happens(self, line: Line) -> None:
        line.abort()


class Truncated(After):
    """The connection is closed in order, in the middle of the answer."""

    kind = "truncated"

    def happens(self, line: Line) -> None:
        line.close()


class HalfClosed(After):
    """The client is told that nothing more comes, and the connection stays open."""

    kind = "half-closed"

    def happens(self, line: Line) -> None:
        line.end_answer()

    async def ended(self, line: Line) -> None:
        pass


class Silence(Fault):
    """A black hole: connections are taken, and nothing comes back. ``heard``: the server has got the request."""

    kind = "silence"

    def __init__(self, heard: bool = False) -> None:
        super().__init__()
        self._heard = heard

    async def asked(self, data: bytes, line: Line) -> None:
        self.acts(line)
        self.stays = True
        if self._heard:
            await line.forward(data)

    async def answered(self, data: bytes, line: Line) -> None:
        pass

    async def ended(self, line: Line) -> None:
        pass


class Drip(Fault):
    """The answer comes ``size`` bytes at a time, ``gap`` seconds apart."""

    kind = "drip"

    def __init__(self, size: int, gap: float) -> None:
        super().__init__()
        self._size, self._gap = size, gap

    async def answered(self, data: bytes, line: Line) -> None:
        self.acts(line)
        for begin in range(0, len(data), self._size):
            await line.back(data[begin : begin + self._size])
            await asyncio.sleep(self._gap)


class Garbage(Fault):
    """Random bytes instead of the answer, the first of which begins nothing in HTTP, RESP or PostgreSQL's protocol."""

    kind = "garbage"

    def __init__(self, rng: random.Random, size: int = 400) -> None:
        super().__init__()
        self._rng, self._size = rng, size

    async def answered(self, data: bytes, line: Line) -> None:
        if self.acts(line):
            await line.back(b"\xff" + self._rng.randbytes(self._size - 1))


class Flipped(Fault):
    """Some bytes of the answer have their highest bit turned over, about one in ``every`` and at least one: JSON and
    HTTP are then not what they were, and nobody can take them for another answer."""

    kind = "flipped"

    def __init__(self, rng: random.Random, every: int = 60) -> None:
        super().__init__()
        self._rng, self._every = rng, every

    async def answered(self, data: bytes, line: Line) -> None:
        changed = bytearray(data)
        places = [place for place in range(len(data)) if self._rng.random() * self._every < 1]
        if self.acts(line) and not places:
            places = [self._rng.randrange(len(data))]
        for place in places:
            changed[place] ^= 0x80
        await line.back(bytes(changed))
