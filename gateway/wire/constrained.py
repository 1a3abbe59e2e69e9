"""What thiggle's routes that constrain an answer have in common: one model, one answer, never a stream, and refusals in
the words of the route.

Their published documentation and clients: https://github.com/thiggle/api
"""

from typing import Annotated

from msgspec import Meta, Raw, Struct

from adapters.errors import Rejected
from adapters.types import Fields, Params
from gateway.errors import BadRequest, GatewayError
from gateway.types import CompletionResponse
from gateway.wire import thiggle
from gateway.wire.thiggle import not_here, to_json
from gateway.wire.values import Count, Int64, Name, Share, Text

MAX_NEW_TOKENS = 5
TOP_K = 50
TOP_P = 1.0
TEMPERATURE = 1.0
REPETITION_PENALTY = 1.0
"""What holds where the caller says nothing, as documented."""

EXPECTED = {
    **thiggle.EXPECTED,
    "model": "one model's name: the answer has room for one",
    "stop_after_match": "true or false",
    "top_k": "a whole number from 0 (all tokens) to 2147483647",
    "temperature": "a number from 0 to 2",
    "repetition_penalty": "a number above 0",
}

ONE_ANSWER = frozenset({"fanout", "n", "stream"})
NOTHING = (b"null", b"false", b"1")
"""What these fields may say, since it asks for nothing."""


class OneModel(Struct, kw_only=True):
    """null is the same as absence. ``model`` is ours."""

    prompt: Text
    model: Name | Annotated[tuple[Name, ...], Meta(min_length=1, max_length=1)] | None = None


class Sampled(OneModel, kw_only=True):
    """What the regex and the cfg route have in common. ``seed``, and ``max_tokens`` as a name, are ours."""

    max_new_tokens: Count | None = None
    max_tokens: Count | None = None
    stop_after_match: bool | None = None
    top_k: Annotated[int, Meta(ge=0, le=2**31 - 1)] | None = None
    top_p: Share | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    repetition_penalty: Annotated[float, Meta(gt=0)] | None = None
    seed: Int64 | None = None


class Matched(Struct):
    """The answer of the regex and the cfg route. ``tokens_generated`` counts what the engine made, also of what was
    cut off behind a match."""

    completion: str
    tokens_generated: int
    stop_reason: str


ELSEWHERE = (thiggle.KNOWN | frozenset(Sampled.__struct_fields__)) - ONE_ANSWER
CONSTRAINTS = (*thiggle.CONSTRAINTS, "pattern", "categories")


def check_fields(found: Fields, known: frozenset[str]) -> None:
    """Fields that nobody knows are passed over; not those that ask for several answers, for a stream, for what other
    routes of this API have, or for another constraint."""
    for name, value in found.items():
        if name in known or bytes(value) == b"null":
            continue
        if name in ONE_ANSWER and bytes(value) not in NOTHING:
            raise BadRequest(f"{name}: this route gives one whole answer of one model; leave it out", param=name)
        if name in ELSEWHERE:
            raise BadRequest(f"{name}: is not a field of this route; leave it out", param=name)
        if name.startswith(CONSTRAINTS):
            raise not_here(name)


def params_of(asked: Sampled) -> Params:
    return Params(
        max_tokens=thiggle.limit_of(asked) or MAX_NEW_TOKENS,
        temperature=TEMPERATURE if asked.temperature is None else asked.temperature,
        top_p=TOP_P if asked.top_p is None else asked.top_p,
        top_k=TOP_K if asked.top_k is None else asked.top_k,
        repetition_penalty=REPETITION_PENALTY if asked.repetition_penalty is None else asked.repetition_penalty,
        seed=asked.seed,
    )


def fields_of(params: Params) -> Fields:
    """The parameters as OpenAI's and vLLM's wire has them."""
    names = ("max_tokens", "temperature", "top_p", "top_k", "repetition_penalty", "seed")
    given = {name: getattr(params, name) for name in names}
    return {name: Raw(to_json(value)) for name, value in given.items() if value is not None}


def matched(response: CompletionResponse, text: str, match: bool) -> bytes:
    """The answer: ``text`` of the one choice there is, and whether it is a match or was cut off before."""
    [part] = response.parts
    return to_json(Matched(text, part.usage.output, "pattern_match" if match else "token_limit"))


def encode_error(error: GatewayError, fields: tuple[str, ...], engines: str) -> bytes:
    """An error; where a model was asked that cannot be held to this constraint, with those that can."""
    if error.param in fields and isinstance(error.__cause__, Rejected):
        return thiggle.flat(f"{error.message}; {engines}", error.param, error)
    return thiggle.encode_error(error)
