"""The dialect of ``POST /v1/embeddings``: OpenAI's. https://platform.openai.com/docs/api-reference/embeddings

Errors are those of OpenAI's other routes. What the caller wrote goes to a provider of this wire as it is, and what the
provider wrote comes back, under the caller's name for the model.
"""

from typing import Annotated, Any, Literal, Protocol

import msgspec
from msgspec import Meta, Raw, Struct

from adapters.embeddings.types import Embed, Vectors
from adapters.types import Fields, Prompt, Usage
from gateway.errors import BadRequest
from gateway.wire import body as wire
from gateway.wire.openai import NULL, small, to_json, user_of

MOST = 2048
"""OpenAI's limit of items in one request."""

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Size = Annotated[int, Meta(ge=1, le=2**31 - 1)]

INPUT = "a text, a list of texts, a list of token ids, or a list of such lists, and none of them empty"

EXPECTED = {
    "model": "one model's name",
    "input": INPUT,
    "encoding_format": '"float" or "base64"',
    "dimensions": "a whole number of at least 1",
}

TAKEN = frozenset({"model", "input"})
"""Fields that the gateway says itself."""

NOT_HERE = ("fanout", "stream")
"""Fields of the generating routes that would change what comes back."""


class EmbeddingRequest(Struct, frozen=True):
    """What a caller asked, whatever the dialect. ``call`` is not yet addressed to a model; ``single`` says that its one
    item did not come as a list."""

    model: str
    call: Embed
    single: bool = False
    user: str = ""


class EmbeddingDialect(Protocol):
    """Pure: bytes to values and back. Errors are told by the route's door."""

    def decode(self, body: wire.Body) -> EmbeddingRequest:
        """The request. Raises BadRequest naming the field that is wrong."""

    def encode(self, request: EmbeddingRequest, vectors: Vectors) -> bytes: ...


class Asked(Struct):
    """The fields that the gateway reads. null is the same as absence."""

    model: Annotated[str, Meta(min_length=1)] | None = None
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Size | None = None


KNOWN = frozenset(Asked.__struct_fields__)

decode_asked = msgspec.json.Decoder(Asked).decode
decode_input = msgspec.json.Decoder(str | tuple[str | Token | tuple[Token, ...], ...]).decode


def decode(body: wire.Body) -> EmbeddingRequest:
    found = body.fields
    if found.get("model", NULL) == NULL:
        raise BadRequest("model is missing; GET /v1/models lists the models", param="model")
    if bytes(found["model"]).startswith(b"["):
        raise BadRequest("model: must be one model's name: vectors of several models do not compare", param="model")
    for name in NOT_HERE:
        if bytes(found.get(name, NULL)) not in (b"null", b"false"):
            raise BadRequest(f"{name}: embeddings have no {name}; leave it out", param=name)
    asked: Asked = wire.convert(decode_asked, small(found, KNOWN), found, EXPECTED)
    written = found.get("input", NULL)
    if written == NULL:
        raise BadRequest("input is missing", param="input")
    items, single = items_of(written)
    fields = {name: value for name, value in found.items() if name not in TAKEN}
    call = Embed("", items, asked.encoding_format == "base64", asked.dimensions, fields, written)
    return EmbeddingRequest(asked.model or "", call, single, user_of(found))


def items_of(written: Raw) -> tuple[tuple[Prompt, ...], bool]:
    """Each text or list of token ids, and whether it is one that did not come in a list."""
    try:
        given = decode_input(written)
    except msgspec.DecodeError:
        raise wrong_input() from None
    if not given:
        raise wrong_input()
    if isinstance(given, str):
        return (given,), True
    if isinstance(given[0], int):
        if not all(isinstance(item, int) for item in given):
            raise wrong_input()
        return (given,), True
    if len(given) > MOST:
        raise BadRequest(f"input: {len(given)} items in one call; at most {MOST} are allowed", param="input")
    if not all(item and isinstance(item, str | tuple) for item in given):
        raise wrong_input()
    return given, False


def wrong_input() -> BadRequest:
    return BadRequest(f"input: must be {INPUT}", param="input")


def encode(request: EmbeddingRequest, vectors: Vectors) -> bytes:
    told: dict[str, Any] = {
        "object": "list",
        "data": [row_object(i, row) for i, row in enumerate(vectors.rows)],
        "model": request.model,
        "usage": usage_object(vectors.usage or Usage(0, 0)),
    }
    for name, value in (vectors.raw or {}).items():
        told.setdefault(name, value)
    return to_json(told)


def row_object(index: int, row: Fields) -> dict[str, Any]:
    return {"object": "embedding", **row, "index": index}


def usage_object(usage: Usage) -> Any:
    if usage.raw is not None:
        return usage.raw
    return {"prompt_tokens": usage.input, "total_tokens": usage.input}
