"""Ollama's embeddings, by its native route. https://github.com/ollama/ollama/blob/main/docs/api.md"""

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from adapters.embeddings.openai import refuse_rest, texts, vectors
from adapters.embeddings.types import Embed, Vectors
from adapters.errors import Garbled, read
from adapters.openai import headers, url
from adapters.types import Endpoint, Host, HttpRequest, HttpResponse, Usage, count

HANDLED = frozenset({"dimensions", "encoding_format"})


class Request(Struct):
    """``truncate`` is said, since Ollama cuts a text that is too long unless it is told not to."""

    model: str
    input: list[str]
    truncate: bool = False
    dimensions: int | UnsetType = UNSET


class Answer(Struct):
    embeddings: tuple[Raw, ...] | None = None
    prompt_eval_count: float | None = None


encode_request = msgspec.json.Encoder().encode
decode_answer = msgspec.json.Decoder(Answer).decode


class OllamaEmbedder:
    """The embedder. It gives floats; what else was asked for is made of them."""

    most: int | None = None

    def __init__(self, host: Host) -> None:
        self._endpoint = Endpoint(url(host, "/api/embed", ""), headers(host))

    def encode(self, call: Embed) -> HttpRequest:
        refuse_rest(call, HANDLED, "Ollama")
        dimensions = UNSET if call.dimensions is None else call.dimensions
        body = Request(call.model, texts(call, "Ollama"), dimensions=dimensions)
        return HttpRequest(self._endpoint, encode_request(body))

    def decode(self, call: Embed, response: HttpResponse) -> Vectors:
        answer = read(response, decode_answer)
        if answer.embeddings is None:
            raise Garbled("the provider's answer holds no vectors", status=200)
        tokens = count(answer.prompt_eval_count)
        usage = None if tokens is None else Usage(tokens, 0)
        return Vectors(vectors(answer.embeddings, len(call.items)), usage)
