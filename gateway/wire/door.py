"""The door of ``POST /v1/completions``, on which OpenAI's, vLLM's and Lamini's clients knock alike.

The body decides. Lamini's callers name the model ``model_name``, all others ``model``; who names none is known by what
else only Lamini's callers write. Nobody guesses which of two models is meant.
"""

from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionRequest
from gateway.wire import body as wire
from gateway.wire import completions, lamini, superset
from gateway.wire.body import Body
from gateway.wire.dialect import Dialect

ITS_OWN = ("output_type", "out_type", "model_name")
"""Fields that only Lamini's callers write, be they null."""

BOTH = BadRequest("model and model_name are both given; name the model once", param="model")
NEITHER = BadRequest("model is missing; GET /v1/models lists the models", param="model")
NULL = b"null"


class CompletionsDoor:
    """Stateless: one for all requests."""

    def early(self, lamini_asks: bool) -> Dialect:
        return lamini if lamini_asks else superset

    def enter(self, body: bytes, max_depth: int, lamini_asks: bool) -> tuple[Dialect, Body]:
        try:
            read = wire.read(body, max_depth)
        except BadRequest as error:
            if lamini_asks:
                raise lamini.Malformed(error.message, param=error.param) from None
            raise
        fields = read.fields
        named, otherwise = fields.get("model", NULL) != NULL, fields.get("model_name", NULL) != NULL
        if named and not otherwise:
            return completions, read
        if otherwise and not named:
            return lamini, read
        its = lamini_asks or any(name in fields for name in ITS_OWN[: None if not named else 2])
        if named:
            return Refusing(lamini if its else completions, BOTH), read
        return (lamini if its else Refusing(completions, NEITHER)), read


class Refusing:
    """A dialect in which the request is refused."""

    def __init__(self, dialect: Dialect, error: GatewayError) -> None:
        self._error = error
        self.read = dialect.read
        self.encode = dialect.encode
        self.encode_error = dialect.encode_error
        self.status = dialect.status
        self.chunks = dialect.chunks

    def decode(self, body: Body) -> CompletionRequest:
        raise self._error
