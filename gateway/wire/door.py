"""The door of ``POST /v1/completions``, on which OpenAI's, vLLM's and Lamini's clients knock alike.

The body decides. Lamini's callers name the model ``model_name``, all others ``model``; who names none is known by what
else only Lamini's callers write. Nobody guesses which of two models is meant.
"""

from msgspec import Raw

from gateway.errors import BadRequest
from gateway.types import CompletionRequest
from gateway.wire import body as wire
from gateway.wire import completions
from gateway.wire import lamini as its_dialect
from gateway.wire.body import Body
from gateway.wire.dialect import Dialect
from gateway.wire.superset import superset

TYPES = frozenset({"output_type", "out_type"})
"""What only Lamini's callers write, be it null."""

BOTH = "model and model_name are both given; name the model once"
NEITHER = "model is missing; GET /v1/models lists the models"
NULL = Raw(b"null")


class Refusing:
    """A dialect in which a request is refused."""

    def __init__(self, dialect: Dialect, why: str) -> None:
        self._why = why
        self.read = dialect.read
        self.encode = dialect.encode
        self.encode_error = dialect.encode_error
        self.status = dialect.status
        self.chunks = dialect.chunks

    def decode(self, body: Body) -> CompletionRequest:
        raise BadRequest(self._why, param="model")


class Unheard(Refusing):
    """What errors are told in before anything is known of the caller: in the words of all."""

    def __init__(self) -> None:
        super().__init__(completions, NEITHER)
        self.encode_error = superset


class CompletionsDoor:
    """Keeps nothing: one for all requests."""

    def __init__(self) -> None:
        self._unheard = Unheard()
        self._unnamed = Refusing(completions, NEITHER)
        self._torn = {True: Refusing(its_dialect, BOTH), False: Refusing(completions, BOTH)}

    def early(self, lamini: bool) -> Dialect:
        return its_dialect if lamini else self._unheard

    def enter(self, body: bytes, max_depth: int, lamini: bool) -> tuple[Dialect, Body]:
        try:
            read = wire.read(body, max_depth)
        except BadRequest as error:
            if lamini:
                raise its_dialect.Malformed(error.message, param=error.param) from None
            raise
        return self._dialect(read, lamini), read

    def _dialect(self, read: Body, lamini: bool) -> Dialect:
        fields = read.fields
        model, model_name = fields.get("model", NULL) != NULL, fields.get("model_name", NULL) != NULL
        if model != model_name:
            return completions if model else its_dialect
        its = lamini or not TYPES.isdisjoint(fields)
        if model:
            return self._torn[its]
        return its_dialect if its or "model_name" in fields else self._unnamed
