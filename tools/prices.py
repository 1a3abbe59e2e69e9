"""Makes gateway/prices/prices.json from the list that litellm brings, which is read as data: nothing is imported.

python -m tools.prices .venv-litellm
"""

import json
import re
import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from gateway.prices import FILE, NANO, Price, Tier

SOURCE = "litellm/model_prices_and_context_window_backup.json"

PROVIDERS = (
    *("ai21", "anthropic", "azure", "azure_ai", "bedrock", "cerebras", "cohere", "dashscope", "deepinfra", "deepseek"),
    *("fireworks_ai", "gemini", "groq", "minimax", "mistral", "moonshot", "nebius", "openai"),
    *("perplexity", "sambanova", "together_ai", "vertex_ai", "voyage", "watsonx", "xai", "zai"),
)
"""The well-known ones, by litellm's names."""

SAME = {
    "bedrock_converse": "bedrock",
    "bedrock_mantle": "bedrock",
    "cohere_chat": "cohere",
    "fireworks_ai-embedding-models": "fireworks_ai",
    "text-completion-openai": "openai",
    "vertex_ai-language-models": "vertex_ai",
}
"""Entries that the list keeps under another name of the same provider; so does everything that begins like
``vertex_ai-``."""

MODES = frozenset({"chat", "completion", "embedding", "responses"})

KINDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "reasoning": "output_cost_per_reasoning_token",
}
ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens")
MILLION = 10**6


def main(venv: Path) -> None:
    [found] = venv.glob(f"lib/python3*/site-packages/{SOURCE}")
    [notice] = venv.glob("lib/python3*/site-packages/litellm-*.dist-info/licenses/LICENSE")
    listed = json.loads(found.read_bytes(), parse_float=Decimal)
    made = dict(sorted((provider, dict(sorted(models.items()))) for provider, models in by_provider(listed).items()))
    FILE.write_text("{\n" + "\n },\n".join(map(lines, *zip(*made.items(), strict=True))) + "\n }\n}\n")
    FILE.with_name("LICENSE").write_bytes(notice.read_bytes())
    print(f"{sum(map(len, made.values()))} models of {len(made)} providers, {FILE.stat().st_size >> 10} KiB")


def lines(provider: str, models: dict[str, Price]) -> str:
    """One line a model, so that a change of a price is one line of a diff."""
    entries = ",\n".join(f"  {quoted(name)}: {quoted(price)}" for name, price in models.items())
    return f" {quoted(provider)}: {{\n{entries}"


def quoted(value: object) -> str:
    return msgspec.json.encode(value).decode()


def by_provider(listed: dict[str, dict[str, Any]]) -> dict[str, dict[str, Price]]:
    found: dict[str, dict[str, Price]] = {}
    for name, entry in listed.items():
        provider = entry.get("litellm_provider", "")
        provider = SAME.get(provider) or ("vertex_ai" if provider.startswith("vertex_ai-") else provider)
        if provider in PROVIDERS and entry.get("mode") in MODES:
            price = price_of(entry)
            if price is not None:
                found.setdefault(provider, {})[name.removeprefix(f"{provider}/")] = price
    return found


def price_of(entry: dict[str, Any]) -> Price | None:
    """None for an entry that has no price: nobody can reckon with it."""
    costs = {kind: nano(entry.get(name)) for kind, name in KINDS.items()}
    if costs["input"] is None and costs["output"] is None:
        return None
    return Price(
        mode=entry["mode"],
        **costs,
        max_input=whole(entry.get("max_input_tokens")),
        max_output=whole(entry.get("max_output_tokens")),
        tiers=tuple(sorted(tiers(entry), key=lambda tier: tier.above)),
    )


def tiers(entry: dict[str, Any]) -> Iterator[Tier]:
    """The prices of long inputs."""
    kinds = {name: kind for kind, name in KINDS.items() if kind != "reasoning"}
    found: dict[int, dict[str, int | None]] = {}
    for name, value in entry.items():
        match = ABOVE.fullmatch(name)
        if match and match[1] in kinds:
            found.setdefault(int(match[2]) * 1000, {})[kinds[match[1]]] = nano(value)
    return (Tier(above, **costs) for above, costs in found.items())


def nano(cost: Any) -> int | None:
    """Nano-dollars per million tokens, from dollars per token; exact, but for digits that a float has added."""
    if not isinstance(cost, int | Decimal):
        return None
    return round(Decimal(cost) * MILLION * NANO)


def whole(count: Any) -> int | None:
    """The list holds numbers, and sometimes the same as text."""
    return int(count) if isinstance(count, int | Decimal) or (isinstance(count, str) and count.isdigit()) else None


if __name__ == "__main__":
    main(Path(sys.argv[1]))
