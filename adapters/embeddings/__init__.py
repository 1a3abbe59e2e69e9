"""Vectors for texts: the embedders beside the adapters, one for each wire."""

from adapters.embeddings.cohere import CohereEmbedder
from adapters.embeddings.local import local
from adapters.embeddings.openai import LongTailEmbedder, OpenAIEmbedder
from adapters.embeddings.types import MakeEmbedder

EMBEDDERS: dict[str, MakeEmbedder] = {
    "gpt": OpenAIEmbedder,
    "cohere": CohereEmbedder,
    "llama": OpenAIEmbedder,
    "local": local,
    "litellm": LongTailEmbedder,
}
"""By the names of ``adapters.ADAPTERS``."""
