"""``local``: servers of open models that an organisation runs itself, asked to continue a bare text, or to chat where
the target says so.

They are one adapter to an operator and five to us, since most of them drop a field that they do not know without a
word: what speaks at the other end has to be said.
"""

from adapters.local.demo import Demo
from adapters.local.llamacpp import LlamaCpp
from adapters.local.ollama import Ollama
from adapters.local.sglang import SGLang
from adapters.local.tgi import Tgi
from adapters.local.vllm import Vllm
from adapters.types import Adapter, Host, MakeAdapter

ENGINES: dict[str, MakeAdapter] = {
    "llama.cpp": LlamaCpp,
    "vllm": Vllm,
    "sglang": SGLang,
    "tgi": Tgi,
    "ollama": Ollama,
}
"""An engine's name, as ``routing.yaml`` says it. vLLM and SGLang are reached at ``.../v1``, the others at the root."""


def local(host: Host) -> Adapter:
    """The adapter of a host's engine."""
    make = Demo if host.demo else ENGINES.get(host.engine or "")
    if make is None:
        raise ValueError(f"engine is one of {', '.join(sorted(ENGINES))}; not {host.engine!r}")
    return make(host)
