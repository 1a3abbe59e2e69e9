"""What a dialect is: how callers of one API ask, and how they are answered, whole, in pieces, or with an error."""

from typing import Protocol

from adapters.types import Delta, Usage
from gateway.errors import GatewayError
from gateway.types import CompletionRequest, CompletionResponse, Part, Plan


class Chunks(Protocol):
    """Encodes one streamed answer, event by event."""

    def texts(self, place: int, deltas: list[Delta]) -> bytes:
        """Pieces of choices, each an event; their indexes count from this place in the answer. Empty if none has
        a text."""

    def end(self, part: Part) -> bytes:
        """A choice's last event, with what it cost; a failed choice's also says why."""

    def usage(self, usage: Usage, elapsed_ms: int) -> bytes:
        """The sum over all choices, and the end of the stream."""

    def failed(self, error: GatewayError) -> bytes:
        """The call as a whole has failed after its first byte; ends the stream."""


class Dialect(Protocol):
    """Pure: bytes to values and back."""

    def decode(self, body: bytes, max_depth: int) -> CompletionRequest:
        """The request. Raises BadRequest naming the field that is wrong."""

    def encode(self, response: CompletionResponse) -> bytes: ...

    def encode_error(self, error: GatewayError) -> bytes: ...

    def chunks(self, id: str, created: int, plan: Plan) -> Chunks: ...
