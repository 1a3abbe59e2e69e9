"""Translators between one canonical call and many providers' wires. They translate; they never talk.

``ADAPTERS`` is the whole registry: a name as ``routing.yaml`` says it, and what makes that adapter for a host.
"""

from adapters.cohere import Cohere
from adapters.llama import Llama
from adapters.local import local
from adapters.longtail import LongTail
from adapters.openai import OpenAI
from adapters.types import MakeAdapter

ADAPTERS: dict[str, MakeAdapter] = {
    "gpt": OpenAI,
    "cohere": Cohere,
    "llama": Llama,
    "local": local,
    "litellm": LongTail,
}
