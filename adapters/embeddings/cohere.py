"""Cohere's embeddings, version 2. https://docs.cohere.com/reference/embed"""

from typing import Any

import msgspec
from msgspec import Raw, Struct

from adapters.embeddings.openai import refuse_rest, texts, vectors
from adapters.embeddings.types import Embed, Vectors
from adapters.errors import Garbled, read
from adapters.fields import NULL
from adapters.openai import headers, url
from adapters.types import Endpoint, Host, HttpRequest, HttpResponse, Usage, count

HANDLED = frozenset({"dimensions", "encoding_format", "input_type", "max_tokens", "priority", "truncate"})

OWN: dict[str, Any] = {"input_type": "search_document", "truncate": "NONE"}
"""Cohere's own fields as they are sent where the caller does not write them. The first is required; without the second,
a text that is too long would lose its end without a word."""

PASSED_ON = ("input_type", "max_tokens", "priority", "truncate")


class Found(Struct, rename={"floats": "float"}):
    floats: tuple[Raw, ...] | None = None
    base64: tuple[Raw, ...] | None = None


class Units(Struct):
    input_tokens: float | None = None


class Meta(Struct):
    billed_units: Units | None = None


class Answer(Struct):
    embeddings: Found
    meta: Meta | None = None

    def usage(self) -> Usage | None:
        units = self.meta.billed_units if self.meta else None
        tokens = count(units.input_tokens) if units else None
        return None if tokens is None else Usage(tokens, 0)


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class CohereEmbedder:
    """The embedder."""

    most: int | None = 96

    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/v2/embed", ""), headers(host))

    def encode(self, call: Embed) -> HttpRequest:
        refuse_rest(call, HANDLED, "Cohere")
        body: dict[str, Any] = {
            "model": call.model,
            "texts": texts(call, "Cohere"),
            "embedding_types": ["base64" if call.base64 else "float"],
            **OWN,
        }
        body |= {name: value for name in PASSED_ON if (value := call.fields.get(name, NULL)) != NULL}
        if call.dimensions is not None:
            body["output_dimension"] = call.dimensions
        return HttpRequest(self._endpoint, encode_request(body))

    def decode(self, call: Embed, response: HttpResponse) -> Vectors:
        answer = read(response, decode_answer)
        found = answer.embeddings.base64 if call.base64 else answer.embeddings.floats
        if found is None:
            raise Garbled("the provider's answer holds no vectors of the form that was asked for", status=200)
        return Vectors(vectors(found, len(call.items)), answer.usage())
