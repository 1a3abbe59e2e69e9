"""What the decoders of all providers share: bytes become payloads, payloads become deltas, and nothing is lost.

A read from a provider may hold good pieces and then an error. The pieces are handed out first; the error is raised
by the next ``feed`` or by ``close``.
"""

from adapters.errors import UNREADABLE, Garbled, ProviderError
from adapters.sse import MAX_EVENT, Events
from adapters.types import Decoder, Delta, Usage


class Lines:
    """Splits newline-delimited JSON, as ``Events`` splits server-sent events."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        self._rest += data
        if len(self._rest) > MAX_EVENT:
            raise Garbled(f"a line of the provider's stream is larger than {MAX_EVENT} bytes")
        if b"\n" not in data:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        return [line for line in lines if line.strip()]


class StreamDecoder:
    """One stream. A provider's decoder says how one payload is read, and sets ``done`` when the provider has said
    that it has finished."""

    __slots__ = ("_failure", "_splitter", "done", "usage")

    def __init__(self, splitter: Events | Lines) -> None:
        self.usage: Usage | None = None
        self.done = False
        self._splitter = splitter
        self._failure: ProviderError | None = None

    def feed(self, data: bytes) -> list[Delta]:
        if self._failure is not None:
            raise self._failure
        deltas: list[Delta] = []
        try:
            for payload in self._splitter.feed(data):
                self.read(payload, deltas)
        except UNREADABLE as exc:
            self._fail(Garbled("an event of the provider's stream is not what its interface promises"), deltas, exc)
        except ProviderError as exc:
            self._fail(exc, deltas, exc.__cause__)
        return deltas

    def read(self, payload: bytes, deltas: list[Delta]) -> None:
        """Adds what one payload says. May raise a ProviderError or what is UNREADABLE."""
        raise NotImplementedError

    def close(self) -> None:
        if self._failure is not None:
            raise self._failure
        if not self.done:
            raise Garbled("the provider's stream ended early")

    def _fail(self, failure: ProviderError, deltas: list[Delta], cause: BaseException | None) -> None:
        self._failure = failure
        if not deltas:
            raise failure from cause


class Outer:
    """A decoder around another: tells each of its pieces in its own way."""

    __slots__ = ("_decoder", "usage")

    def __init__(self, decoder: Decoder) -> None:
        self.usage: Usage | None = None
        self._decoder = decoder

    def feed(self, data: bytes) -> list[Delta]:
        try:
            return [told for delta in self._decoder.feed(data) for told in self.told(delta)]
        finally:
            self.usage = self._decoder.usage

    def close(self) -> None:
        self._decoder.close()

    def told(self, delta: Delta) -> list[Delta]:
        """What becomes of one piece."""
        raise NotImplementedError
