"""Where answers begin and end on one connection: bytes in, status, headers and body bytes out. No I/O.

llhttp does the reading. It is made for all of HTTP; here what it still tolerates, and one who asks only by POST
has no use for, is refused: a transfer coding other than plain ``chunked`` (anything else leaves the end of the body
to guesswork), more answers than were asked for, and protocols that are not HTTP/1.
"""

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from adapters.errors import Garbled
from adapters.types import Headers
from gateway.upstream.failures import TOO_LONG, meaning

BODILESS = (204, 304)
TELLING = frozenset({b"transfer-encoding", b"content-encoding"})
START = b"HTTP/1."


class Answers:
    """Reads one connection's answers, one at a time: ``expect`` before each request, then ``feed`` what comes."""

    __slots__ = (
        "_another",
        "_barren",
        "_head_limit",
        "_lines",
        "_parser",
        "_parts",
        "_permits",
        "_start",
        "complete",
        "encoding",
        "headers",
        "keep",
        "on_body",
        "on_message_begin",
        "started",
        "status",
        "until_close",
    )

    def __init__(self, head_limit: int) -> None:
        self._head_limit = head_limit
        self._lines: Headers = []  # of the head being read, then of trailers, which nobody asks for
        self._parts: list[bytes] = []
        self._permits: list[None] = []
        # Two callbacks are methods of lists, so that a chunk costs no Python call, and a message that nobody
        # has a permit for stops the parser.
        self.on_body = self._parts.append
        self.on_message_begin = self._permits.pop
        self._parser = HttpResponseParser(self)
        self._start = b""
        self.headers: Headers = []
        self.status = 0

    def expect(self, keep: bool = True) -> None:
        """One more answer may come; unless ``keep``, it is the last."""
        self.status = 0  # until the head is there; interim answers do not count
        self.started = self.complete = False
        self._another = keep
        self._barren = 0
        if self._lines:
            self._lines = []
        self._permits.append(None)

    def feed(self, data: bytes) -> bytes:
        """The body bytes among these, freed from their framing. Raises Garbled."""
        if not self.started:
            if self._start or not data.startswith(START):
                data = self._begin(data)
                if not data:
                    return data
            self.started = True
        headless = not self.status
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self.complete:
                raise _reason(error) from None
            self.keep = False  # something follows that nobody asked for: the answer counts, the connection does not
        if headless and self._barren + len(data) > self._head_limit:
            self._weigh()
        parts = self._parts
        if parts:
            self._barren = 0
            piece = parts[0] if len(parts) == 1 else b"".join(parts)
            parts.clear()
            return piece
        if not self.complete:
            self._bound(len(data))
        return b""

    def _begin(self, data: bytes) -> bytes:
        """Holds back the first bytes until they are enough to tell HTTP/1 from what llhttp reads besides."""
        data = self._start + data
        if data.startswith(START):
            self._start = b""
            return data
        if not START.startswith(data):
            raise Garbled("the provider's answer is not HTTP/1")
        self._start = data
        return b""

    def _bound(self, size: int) -> None:
        """Head, chunk extensions and trailers: bytes that bring the body no further have one limit."""
        self._barren += size
        if self._barren > self._head_limit:
            raise Garbled(TOO_LONG)

    def _weigh(self) -> None:
        """The exact size of a head that came with much else in one read."""
        if sum(len(name) + len(value) + 4 for name, value in self.headers) > self._head_limit:
            raise Garbled(TOO_LONG)

    @property
    def touched(self) -> bool:
        """Anything of this answer has arrived."""
        return self.started or bool(self._start)

    def end(self) -> bool:
        """The peer has closed: was that the end of the body?"""
        if not self.complete and self.status and self.until_close:
            self.complete = True
            self.keep = False
        return self.complete

    def release(self) -> None:
        """The parser holds our methods: without this each connection would wait for the garbage collector."""
        del self._parser

    # ------------------------------------------------------------------ what the parser calls

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name.lower(), value.rstrip()))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self._interim(status)
            return
        self.status = status
        self.headers = headers = self._lines
        self._lines = []
        self.until_close = status not in BODILESS
        self.keep = self._another
        self.encoding = b""
        for name, value in headers:
            if name == b"content-length":
                self.until_close = False
            elif name in TELLING:
                self._told(name, value)

    def _told(self, name: bytes, value: bytes) -> None:
        if name == b"content-encoding":
            self.encoding = content_coding(self.headers)
            return
        self.until_close = False
        if value.lower() != b"chunked" or [line[0] for line in self.headers].count(name) > 1:
            raise Garbled("the provider's answer has a transfer coding that nobody asked for")
        self.keep = self._parser.get_http_version() != "1.0"  # RFC 9112 6.1

    def _interim(self, status: int) -> None:
        if status < 100 or status == 101:
            raise Garbled("the provider's answer has a status that nobody asked for")
        self._lines.clear()
        self._permits.append(None)

    def on_message_complete(self) -> None:
        if self.status:
            self.complete = True
            self.keep = self.keep and self._parser.should_keep_alive()


def _reason(error: Exception) -> Exception:
    """A complaint of ours comes out of the parser wrapped in one of its own."""
    return error.__context__ if isinstance(error.__context__, Garbled) else meaning(error)


def content_coding(headers: Headers) -> bytes:
    """How a body is compressed, empty if it is not; several codings at once are a name that nobody knows."""
    named = (value.lower() for name, value in headers if name == b"content-encoding")
    return b", ".join(coding for coding in named if coding not in (b"", b"identity"))
