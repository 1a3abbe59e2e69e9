"""One connection to a provider: one request at a time goes out, and its answer goes where it is wanted."""

import asyncio
from collections.abc import Callable
from typing import cast

from adapters.errors import Garbled, TimedOut, Unavailable
from adapters.types import HttpResponse
from gateway.outbox import Outbox
from gateway.upstream.alarm import Alarm
from gateway.upstream.failures import CUT, LATE, LOST, SILENT, STALLED, TOO_LARGE
from gateway.upstream.framing import Answers
from gateway.upstream.inflate import inflate
from gateway.upstream.peer import said_goodbye, stirring
from gateway.upstream.push import Push
from gateway.upstream.types import Feed, Limits, Timeouts

SMALL = 32 * 1024
"""Up to here, copying a body behind its head is cheaper than handing both to the kernel."""

UNUSED = 1.0
"""Seconds after which an idle connection is looked at before it is used again; one that has served only once is always
looked at, since some servers hang up after each answer without a word."""


class Connection(asyncio.Protocol):
    """Keeps no task: answers are read, handed on and finished inside the event loop's callbacks.

    ``released`` is told when an answer has been read and another request may be sent, ``lost`` when the connection is
    gone; ``answered``, if any, is called once, when the first answer has come.
    """

    __slots__ = (
        "_alarm",
        "_answers",
        "_future",
        "_limits",
        "_loop",
        "_mark",
        "_outbox",
        "_paused",
        "_proved",
        "_pieces",
        "_push",
        "_sending",
        "_size",
        "_time",
        "_timeouts",
        "_total_at",
        "_transport",
        "_used",
        "answered",
        "closed",
        "lost",
        "released",
        "since",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, limits: Limits, outbox: Outbox) -> None:
        self._loop = loop
        self._time = loop.time
        self._limits = limits
        self._outbox = outbox
        self._pieces: list[bytes] = []
        self._size = 0
        self._push: Push | None = None
        self._future: asyncio.Future[HttpResponse] | None = None
        self._alarm = Alarm(loop, self._rung)
        self._total_at = self._mark = 0.0
        self._paused = self._sending = False
        self.closed = False
        self.since = 0.0  # when it last became idle
        self._proved = self._used = False  # whether it has served again, after an answer; or at all
        self.released: Callable[[Connection], None] | None = None
        self.lost: Callable[[Connection], None] | None = None
        self.answered: Callable[[asyncio.Transport], None] | None = None

    # ------------------------------------------------------------------ what the client calls

    def ask(
        self, head: bytes, body: bytes, feed: Feed | None, timeouts: Timeouts, began: float, now: float, keep: bool
    ) -> asyncio.Future[HttpResponse]:
        """Sends a request. Its future is resolved by us alone, or cancelled by whoever awaits it, then to ``drop``."""
        self._answers.expect(keep)
        self._size = 0
        self._push = None if feed is None else Push(feed, self._resumed)
        self._timeouts = timeouts
        self._total_at = began + timeouts.total
        self._mark = now
        future = self._future = self._loop.create_future()
        size = len(body)
        if size <= SMALL:
            data = b"%b%d\r\n\r\n%b" % (head, size, body)
            if feed is None:
                self._outbox.send(self._transport, data)
            else:  # the sooner a stream begins, the more of it each read brings
                self._transport.write(data)
        else:
            self._transport.writelines((b"%b%d\r\n\r\n" % (head, size), body))
        due = now + timeouts.first_byte
        if due < self._alarm.at or self._total_at < self._alarm.at:
            self._alarm.by(min(due, self._total_at))
        return future

    def drop(self, future: asyncio.Future[HttpResponse]) -> None:
        """Gives a request up, unless it is over: the connection may by now serve another."""
        if self._future is future:
            self.abort()

    def usable(self, now: float) -> bool:
        """An idle connection may be used again: it is young, open, and silent."""
        idle = now - self.since
        if self.closed or idle >= self._limits.keep_alive or self._transport.is_closing():
            return False
        return (self._proved and idle < UNUSED) or not stirring(self._transport)

    def abort(self) -> None:
        """Closes at once, whatever is under way."""
        self.closed = True
        self._future = None
        if self._push is not None:
            self._push.drop()
            self._push = None
        self._transport.abort()

    def fail(self, error: Exception) -> None:
        """Closes, and raises ``error`` where the answer is awaited, if anywhere."""
        future = self._future
        self.abort()
        if future is not None and not future.done():
            future.set_exception(error)

    # ------------------------------------------------------------------ what the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._answers = Answers(self._limits.head)  # not before: it must be released, and connecting may fail
        self._transport = cast(asyncio.Transport, transport)
        # So that we hear when a request's last byte has left; asyncio's TLS would call a limit of 0 always reached.
        self._transport.set_write_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        future, answers = self._future, self._answers
        if future is None or future.done():  # unasked for, or given up in this very turn
            self.abort()
            return
        try:
            piece = answers.feed(data)
            if piece:
                self._take(piece)
        except Exception as error:
            self.fail(error)
            return
        if self._future is not future:  # given up by ``feed`` itself
            return
        if self._push is not None and self._push.held is not None:
            self._pause()
        elif answers.complete:
            self._finish()
        elif answers.status:
            self._moved()

    def eof_received(self) -> None:
        self._ended(properly=said_goodbye(self._transport))
        self.closed = True
        self._transport.abort()  # TLS would wait for the peer to say good-bye

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(properly=False)  # else we have heard of the end already
        self.closed = True
        self._answers.release()
        self._alarm.off()
        if self.lost is not None:
            self.lost(self)
        self.released = self.lost = self.answered = None

    def pause_writing(self) -> None:
        self._sending = True

    def resume_writing(self) -> None:
        self._sending = False
        if self._future is not None:
            self._moved()

    # ------------------------------------------------------------------ an answer's way

    def _take(self, piece: bytes) -> None:
        push, answers = self._push, self._answers
        if push is not None and answers.status == 200:
            if answers.encoding:
                push.inflate(piece, answers.encoding)
            else:
                push.take(piece)
            return
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self._limits.body:
            raise Garbled(TOO_LARGE)

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def _resumed(self, error: Exception | None) -> None:
        """The reader of a stream wants more, or no more."""
        if error is not None:
            self.fail(error)
            return
        if self._paused and not self.closed:
            self._paused = False
            self._transport.resume_reading()
        if self._answers.complete:
            self._finish()
        else:
            self._moved()

    def _ended(self, properly: bool) -> None:
        """The peer has closed."""
        if self._future is None:
            return
        if not self._answers.complete and not (properly and self._answers.end()):
            self.fail(Garbled(CUT) if self._answers.touched else Unavailable(LOST))
        elif self._push is None or self._push.held is None:
            self._finish()

    def _finish(self) -> None:
        answers, future = self._answers, self._future
        assert future is not None
        pieces = self._pieces
        if len(pieces) == 1 and not answers.encoding:  # nearly always
            body = pieces[0]
            pieces.clear()
        else:
            try:
                body = self._body()
            except Garbled as error:
                self.fail(error)
                return
        if self.answered is not None:
            self.answered(self._transport)
            self.answered = None
        self._future = self._push = None
        self._proved, self._used = self._used, True
        if answers.keep and not self._sending and not self.closed and self.released is not None:
            self.since = self._time()
            self.released(self)
        else:
            self.abort()
        if not future.done():
            future.set_result(HttpResponse(answers.status, answers.headers, body))

    def _body(self) -> bytes:
        answers, push, pieces = self._answers, self._push, self._pieces
        if push is not None and answers.status == 200:
            push.close()
            return b""
        body = b"".join(pieces)
        pieces.clear()
        return inflate(answers.encoding, body, self._limits.body) if answers.encoding else body

    # ------------------------------------------------------------------ the clock

    def _moved(self) -> None:
        """Something has arrived, or may from now on."""
        self._mark = now = self._time()
        timeouts = self._timeouts
        due = now + (timeouts.idle if self._answers.status else timeouts.first_byte)
        if due < self._alarm.at:
            self._alarm.by(due)

    def _rung(self) -> None:
        if self._future is None:
            return
        due, message = self._next_due()
        if self._time() >= due:
            self.fail(TimedOut(message))
        else:
            self._alarm.by(due)

    def _next_due(self) -> tuple[float, str]:
        """What may happen next without the clock running, and what is wrong when that time has passed."""
        status, timeouts = self._answers.status, self._timeouts
        if (self._push is not None and self._push.held is not None) or (self._sending and not status):
            return self._total_at, LATE
        due, message = (timeouts.idle, STALLED) if status else (timeouts.first_byte, SILENT)
        return min((self._mark + due, message), (self._total_at, LATE))
