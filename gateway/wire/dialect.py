"""What a dialect is: how callers of one API ask, and how they are answered, whole, in pieces, or with an error."""

from typing import Protocol

from adapters.types import Delta, Usage
from gateway.errors import GatewayError
from gateway.types import CompletionRequest, CompletionResponse, Leg, Part, Plan
from gateway.wire.body import Body


class Chunks(Protocol):
    """Encodes one streamed answer, event by event."""

    def texts(self, place: int, deltas: list[Delta]) -> bytes:
        """Pieces of choices, each an event; their indexes count from this place in the answer. Empty if there is
        nothing to be told yet."""

    def restart(self, leg: Leg) -> None:
        """The leg's model is asked again, or another target of it: what came so far, and was not told, is void."""

    def end(self, part: Part) -> bytes:
        """A choice's last event, with what it cost; a failed choice's also says why."""

    def usage(self, usage: Usage, elapsed_ms: int) -> bytes:
        """The sum over all choices, and the end of the stream."""

    def failed(self, error: GatewayError) -> bytes:
        """The call as a whole has failed after its first byte; ends the stream."""


class Dialect(Protocol):
    """Pure: bytes to values and back."""

    def read(self, body: bytes, max_depth: int) -> Body:
        """The body's fields. Raises BadRequest for what is not a JSON object."""

    def decode(self, body: Body) -> CompletionRequest:
        """The request. Raises BadRequest naming the field that is wrong."""

    def encode(self, request: CompletionRequest, response: CompletionResponse) -> bytes: ...

    def encode_error(self, error: GatewayError) -> bytes: ...

    def status(self, error: GatewayError) -> int:
        """The HTTP status that this API's clients expect of the error."""

    def chunks(self, request: CompletionRequest, id: str, created: int, plan: Plan) -> Chunks: ...


class Door(Protocol):
    """How a path's dialect is found."""

    def early(self, lamini: bool) -> Dialect:
        """What errors are told in before the body is understood. ``lamini``: a client of Lamini's asks, by its head."""

    def enter(self, body: bytes, max_depth: int, lamini: bool) -> tuple[Dialect, Body]:
        """The caller's dialect and the body's fields. Raises BadRequest for what is not a JSON object."""


class Only:
    """The door of a path on which one dialect is spoken."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect

    def early(self, lamini: bool) -> Dialect:
        return self._dialect

    def enter(self, body: bytes, max_depth: int, lamini: bool) -> tuple[Dialect, Body]:
        return self._dialect, self._dialect.read(body, max_depth)
