"""SGLang, by its OpenAI wire. https://docs.sglang.ai/basic_usage/openai_api_completions.html

It says what vLLM says, in flat error objects; it takes several choices at any temperature, and no nulls.
"""

from adapters.errors import Rule
from adapters.local.vllm import Vllm


class SGLang(Vllm):
    max_n: int | None = None
    rules: tuple[Rule, ...] = ()
