"""``llama``: the hosts of open models that speak the OpenAI wire (Together, Groq, Fireworks, DeepInfra, OpenRouter).

Base models are continued on their completion route, chat models are asked through their chat route; which of the two
is said by the target. The hosts differ in rows of ``routing.yaml``; what they share against OpenAI stands here.
"""

from adapters.openai import OpenAI


class Llama(OpenAI):
    """Speaks ``max_tokens`` on both routes, and asks for one choice a request: several of these hosts refuse ``n``
    or ignore it (https://console.groq.com/docs/openai, https://openrouter.ai/docs/api-reference)."""

    max_n: int | None = 1
    chat_limit = "max_tokens"
