"""Server-sent events: bytes in, event payloads out, however the bytes are split.

The whole of the little standard that providers use (https://html.spec.whatwg.org/multipage/server-sent-events.html):
CR LF and LF line ends, comments, several ``data`` lines in one event. Event names are dropped, since every provider
repeats them inside the payload.
"""

from adapters.errors import Garbled

MAX_EVENT = 16 * 1024 * 1024
"""Bytes that one unfinished event may hold before the stream is given up."""

PREFIX = b"data: "


class Events:
    """Splits one stream."""

    __slots__ = ("_held", "_parts")

    def __init__(self) -> None:
        self._parts: list[bytes] = []  # of an unfinished event; joined only when a line ends, so splits stay cheap
        self._held = 0

    def feed(self, data: bytes) -> list[bytes]:
        """The payloads that these bytes complete."""
        if self._parts or data[-1:] == b"\r" or b"\n" not in data:
            return self._resume(data)
        if data[:6] == PREFIX and data[-2:] == b"\n\n":  # whole events, nearly always of one line of data each
            payloads = data[6:-2].split(b"\n\ndata: ")
            if data.count(b"\n") == 2 * len(payloads) and b"\r" not in data:
                return payloads
        return self._split(data)

    def _resume(self, data: bytes) -> list[bytes]:
        self._parts.append(data)
        self._held += len(data)
        if self._held > MAX_EVENT:
            raise Garbled(f"an event of the provider's stream is larger than {MAX_EVENT} bytes")
        if b"\n" not in data or data[-1:] == b"\r":
            return []
        whole = b"".join(self._parts)
        self._parts.clear()
        self._held = 0
        return self._split(whole)

    def _split(self, data: bytes) -> list[bytes]:
        if b"\r" in data:  # never inside JSON, where it is escaped
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        frames = data.split(b"\n\n")
        rest = frames.pop()
        if rest:
            self._parts.append(rest)
            self._held = len(rest)
        return [payload for frame in frames if (payload := _payload(frame)) is not None]


def _payload(frame: bytes) -> bytes | None:
    if not frame.isascii() and not all(line.partition(b":")[0].isascii() for line in frame.split(b"\n")):
        raise Garbled("the provider's stream is damaged")  # skipped as a field that is not known, a piece would be lost
    lines = [_value(line) for line in frame.split(b"\n") if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def _value(line: bytes) -> bytes:
    return line[6:] if line[5:6] == b" " else line[5:]
