"""Under which name the price list has the host of a provider."""

from urllib.parse import urlsplit

HOSTS = {
    "api.ai21.com": "ai21",
    "api.anthropic.com": "anthropic",
    "api.cerebras.ai": "cerebras",
    "api.cohere.ai": "cohere",
    "api.cohere.com": "cohere",
    "api.deepinfra.com": "deepinfra",
    "api.deepseek.com": "deepseek",
    "api.fireworks.ai": "fireworks_ai",
    "api.groq.com": "groq",
    "api.minimax.io": "minimax",
    "api.mistral.ai": "mistral",
    "api.moonshot.ai": "moonshot",
    "api.openai.com": "openai",
    "api.perplexity.ai": "perplexity",
    "api.sambanova.ai": "sambanova",
    "api.studio.nebius.com": "nebius",
    "api.tokenfactory.nebius.com": "nebius",
    "api.together.ai": "together_ai",
    "api.together.xyz": "together_ai",
    "api.voyageai.com": "voyage",
    "api.x.ai": "xai",
    "api.z.ai": "zai",
    "codestral.mistral.ai": "mistral",
    "dashscope-intl.aliyuncs.com": "dashscope",
    "dashscope.aliyuncs.com": "dashscope",
    "generativelanguage.googleapis.com": "gemini",
    "openrouter.ai": "openrouter",
}

WITHIN = {
    ".api.openai.com": "openai",
    ".aiplatform.googleapis.com": "vertex_ai",
    "-aiplatform.googleapis.com": "vertex_ai",
    ".cognitiveservices.azure.com": "azure",
    ".ml.cloud.ibm.com": "watsonx",
    ".openai.azure.com": "azure",
    ".services.ai.azure.com": "azure_ai",
}
"""How the names of hosts end of which a provider has many: one for each customer or region."""


def provider_at(base_url: str) -> str | None:
    """litellm's name of the provider that has this address; None for one that is not known, such as one's own."""
    try:
        host = urlsplit(base_url).hostname or ""
    except ValueError:
        return None
    host = host.rstrip(".")
    if host.startswith("bedrock-") and host.endswith(".amazonaws.com"):
        return "bedrock"
    return HOSTS.get(host) or next((name for end, name in WITHIN.items() if host.endswith(end)), None)
