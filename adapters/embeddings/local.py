"""The embeddings of an organisation's own servers, where they speak the OpenAI wire but not all of it.

A server that passes over what it does not know is not given it: the field is refused here.
"""

from typing import Any

from adapters.embeddings.ollama import OllamaEmbedder
from adapters.embeddings.openai import OpenAIEmbedder, refuse_rest
from adapters.embeddings.types import Embed, Embedder, MakeEmbedder, Vectors
from adapters.errors import Unknown, inexpressible
from adapters.types import Host, HttpResponse

ENCODING = frozenset({"encoding_format"})
SIZED = frozenset({"encoding_format", "dimensions"})


class LlamaCppEmbedder(OpenAIEmbedder):
    """https://github.com/ggml-org/llama.cpp/tree/master/tools/server. It passes over ``dimensions``."""

    route = "/v1/embeddings"

    def body(self, call: Embed) -> dict[str, Any]:
        if self._host.demo:
            raise inexpressible("model", "the demo model makes no embeddings: name a model that does")
        refuse_rest(call, ENCODING, "llama.cpp")
        return super().body(call)

    def decode(self, call: Embed, response: HttpResponse) -> Vectors:
        if response.status == 501:
            raise Unknown("the llama.cpp server was not started with --embeddings (HTTP 501)", status=501)
        return super().decode(call, response)


class TeiEmbedder(OpenAIEmbedder):
    """Text Embeddings Inference, the sister of TGI: it takes 32 items a request unless it is told otherwise.
    https://huggingface.co/docs/text-embeddings-inference"""

    route = "/v1/embeddings"
    most: int | None = 32

    def body(self, call: Embed) -> dict[str, Any]:
        refuse_rest(call, SIZED, "Text Embeddings Inference")
        return super().body(call)


class SGLangEmbedder(OpenAIEmbedder):
    """https://docs.sglang.ai/basic_usage/openai_api_embeddings.html"""

    def body(self, call: Embed) -> dict[str, Any]:
        refuse_rest(call, SIZED, "SGLang")
        return super().body(call)


ENGINES: dict[str, MakeEmbedder] = {
    "llama.cpp": LlamaCppEmbedder,
    "vllm": OpenAIEmbedder,
    "sglang": SGLangEmbedder,
    "tgi": TeiEmbedder,
    "ollama": OllamaEmbedder,
}
"""An engine's name, as ``adapters.local.ENGINES`` has it. vLLM knows what it is sent, or says that it does not."""


def local(host: Host) -> Embedder:
    """The embedder of a host's engine."""
    make = ENGINES.get(host.engine or "")
    if make is None:
        raise ValueError(f"engine is one of {', '.join(sorted(ENGINES))}; not {host.engine!r}")
    return make(host)
