"""vLLM, by its OpenAI wire. https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html

Its sampling defaults come from the model's ``generation_config.json``, so what is not asked is sent as well.
"""

from typing import Any

from msgspec import Struct, structs

from adapters.errors import Rule, bare, require
from adapters.openai import OpenAI, Request
from adapters.types import Call, Mode

RULES: tuple[Rule, ...] = (
    (
        "n",
        lambda p: p.n == 1 or p.temperature != 0,
        "vLLM gives one choice a request at temperature 0: ask for n = 1",
    ),
    ("seed", lambda p: p.seed != -1, "vLLM takes a seed of -1 for no seed: send another"),
)


class Sampling(Request, omit_defaults=True, kw_only=True):
    """OpenAI's request, and what the model's file would decide otherwise."""

    temperature: float
    top_p: float
    top_k: int
    min_p: float
    repetition_penalty: float


class Vllm(OpenAI):
    """One choice a request, because vLLM refuses more at temperature 0; a host's ``max_n`` allows them otherwise.
    Its prefix cache makes the repeats cheap."""

    modes: tuple[Mode, ...] = ("completion",)
    max_n: int | None = 1
    rules: tuple[Rule, ...] = RULES

    def body(self, call: Call) -> Struct:
        bare(call)
        require(call.params, self.rules)
        return explicit(super().body(call))


def explicit(asked: Request) -> Sampling:
    """The request with every sampling value said: OpenAI's defaults, and off for what OpenAI does not have."""
    values: dict[str, Any] = structs.asdict(asked)
    values["temperature"] = 1.0 if asked.temperature is None else asked.temperature
    values["top_p"] = 1.0 if asked.top_p is None else asked.top_p
    return Sampling(**values, top_k=-1, min_p=0.0, repetition_penalty=1.0)
