"""The dialect of ``POST /v1/embedding``: Lamini's. A text becomes a vector, a list of texts a list of vectors; source:
the published client, PyPI ``lamini`` 3.4. Errors are those of Lamini's other routes."""

import msgspec
from msgspec import Struct

from adapters.embeddings.types import Embed, Vectors
from gateway.errors import BadRequest
from gateway.wire import body as wire
from gateway.wire.embeddings import EmbeddingRequest
from gateway.wire.lamini import EXPECTED, Malformed, check_prompts, models_of, to_json


class Asked(Struct):
    prompt: str | tuple[str, ...]
    model_name: str | None = None


decode_asked = msgspec.json.Decoder(Asked).decode


def decode(body: wire.Body) -> EmbeddingRequest:
    """The request. Raises Malformed for what has not the form of one, else BadRequest."""
    try:
        asked: Asked = wire.convert(decode_asked, body.data, body.fields, EXPECTED)
    except BadRequest as error:
        raise Malformed(error.message, param=error.param) from None
    [model] = models_of(asked.model_name)
    items = (asked.prompt,) if isinstance(asked.prompt, str) else asked.prompt
    check_prompts(items)
    return EmbeddingRequest(model, Embed("", items), isinstance(asked.prompt, str))


def encode(request: EmbeddingRequest, vectors: Vectors) -> bytes:
    found = [row["embedding"] for row in vectors.rows]
    return to_json({"embedding": found[0] if request.single else found})
