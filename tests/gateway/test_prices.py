"""The price list: exact, sane, and with the notice of those it was taken from."""

import json
from decimal import Decimal
from typing import Any

import pytest

from gateway.prices import FILE, NANO, Price, Tier, lookup, prices
from tools.prices import PROVIDERS, by_provider

DOLLAR = NANO  # per million tokens


def test_a_price_that_its_provider_publishes() -> None:
    """https://platform.claude.com/docs/en/about-claude/pricing: 3, 15, 0.30 and 3.75 dollars a million."""
    assert lookup("anthropic", "claude-sonnet-4-5") == Price(
        mode="chat",
        input=3 * DOLLAR,
        output=15 * DOLLAR,
        cached=3 * DOLLAR // 10,
        cache_write=15 * DOLLAR // 4,
        max_input=200_000,
        max_output=64_000,
    )


def test_long_inputs_cost_more() -> None:
    """https://ai.google.dev/gemini-api/docs/pricing: from 1.25 and 10 dollars to 2.50 and 15."""
    price = lookup("gemini", "gemini-2.5-pro")
    assert price is not None and (price.input, price.output) == (DOLLAR * 5 // 4, 10 * DOLLAR)
    assert price.tiers == (Tier(200_000, DOLLAR * 5 // 2, 15 * DOLLAR, DOLLAR // 4),)


@pytest.mark.parametrize(("provider", "model"), [("anthropic", "claude-9"), ("nobody", "gpt-4o"), ("openai", "")])
def test_what_is_not_known_is_not_free(provider: str, model: str) -> None:
    assert lookup(provider, model) is None


def test_the_list_is_sane() -> None:
    assert prices().keys() <= set(PROVIDERS) and {"anthropic", "gemini", "mistral", "bedrock"} <= prices().keys()
    for models in prices().values():
        for price in models.values():
            assert price.input is not None or price.output is not None
            costs = (price.input, price.output, price.cached, price.cache_write, price.reasoning)
            assert all(0 <= cost < 10_000 * DOLLAR for cost in costs if cost is not None)
            assert all(count > 0 for count in (price.max_input, price.max_output) if count is not None)
            assert list(price.tiers) == sorted(price.tiers, key=lambda tier: tier.above)


def test_the_file_holds_no_fraction() -> None:
    def refuse(text: str) -> float:
        raise AssertionError(f"{text} is a fraction")

    json.loads(FILE.read_bytes(), parse_float=refuse)


def test_the_notice_stands_beside_it() -> None:
    assert "Permission is hereby granted, free of charge" in FILE.with_name("LICENSE").read_text()


def entry(**more: Any) -> dict[str, Any]:
    return {"litellm_provider": "mistral", "mode": "chat", "input_cost_per_token": Decimal("1E-7"), **more}


def test_how_the_list_is_made() -> None:
    listed = {
        "mistral/a": entry(max_input_tokens="8192", output_cost_per_token=Decimal("0.00000015")),
        "mistral/digits-of-a-float": entry(input_cost_per_token=Decimal("0.000015000020000000002")),
        "mistral/tiers": entry(
            input_cost_per_token_above_200k_tokens=Decimal("2E-7"),
            output_cost_per_token_above_200k_tokens=Decimal("3E-7"),
            input_cost_per_token_above_200k_tokens_priority=Decimal("9"),
        ),
        "mistral/free": entry(input_cost_per_token=0),
        "mistral/no-price": {"litellm_provider": "mistral", "mode": "chat"},
        "mistral/picture": entry(mode="image_generation"),
        "claude@vertex": entry(litellm_provider="vertex_ai-anthropic_models"),
        "nobody/x": entry(litellm_provider="nobody"),
        "sample_spec": {"mode": "one of: chat, embedding"},
    }
    assert by_provider(listed) == {
        "mistral": {
            "a": Price("chat", input=100_000_000, output=150_000_000, max_input=8192),
            "digits-of-a-float": Price("chat", input=15_000_020_000),
            "tiers": Price("chat", input=100_000_000, tiers=(Tier(200_000, 200_000_000, 300_000_000),)),
            "free": Price("chat", input=0),
        },
        "vertex_ai": {"claude@vertex": Price("chat", input=100_000_000)},
    }
