"""Which price a target of the configuration has, and dollars as people write them."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from gateway.prices import NANO, lookup, pick, prices
from gateway.prices.dollars import nano_dollars, nano_per_million
from gateway.prices.hosts import HOSTS, WITHIN, provider_at

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize(
    ("address", "provider"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://eu.api.openai.com/v1", "openai"),
        ("https://API.Groq.com:443/openai/v1", "groq"),
        ("https://us.openai.azure.com/openai/deployments/{model}", "azure"),
        ("https://bedrock-runtime.eu-west-1.amazonaws.com", "bedrock"),
        ("https://europe-west1-aiplatform.googleapis.com/v1", "vertex_ai"),
        ("http://gpu-1:8000/v1", None),
        ("https://api.openai.com.example.org/v1", None),
        ("https://notapi.openai.com/v1", None),
        ("https://[::1", None),
        ("", None),
    ],
)
def test_providers_by_their_address(address: str, provider: str | None) -> None:
    assert provider_at(address) == provider


def test_the_hosts_are_in_the_list() -> None:
    assert {*HOSTS.values(), *WITHIN.values()} - prices().keys() == {"openrouter"}


def test_the_targets_that_ship_have_prices() -> None:
    config: dict[str, Any] = yaml.safe_load((ROOT / "routing.yaml").read_text())
    addresses = {name: provider.get("base_url", "") for name, provider in config["providers"].items()}
    targets = {
        (provider_at(addresses[target["provider"]]) or target["provider"], target["model"])
        for model in config["models"].values()
        for target in model["targets"]
    }
    unpriced = targets - pick(targets).keys()
    assert {provider for provider, _ in unpriced} == {"demo", "openrouter"}


def test_picking_is_looking_up() -> None:
    wanted = [("openai", "gpt-4.1"), ("groq", "openai/gpt-oss-120b"), ("openai", "gpt-0"), ("nobody", "gpt-4.1")]
    assert pick(wanted) == {key: lookup(*key) for key in wanted[:2]}
    assert pick(()) == {}


@pytest.mark.parametrize(
    ("written", "nano"),
    [
        (3, 3 * NANO),
        (0.1, 100_000_000),
        (1e-9, 1),
        ("0.075", 75_000_000),
        (" 2.50 ", 2_500_000_000),
        ("1e3", 1000 * NANO),
        (".5", NANO // 2),
        (0, 0),
        ("0.000", 0),
        (1_000_000, 10**15),
    ],
)
def test_dollars_are_taken_exactly(written: int | float | str, nano: int) -> None:
    assert nano_per_million(written) == nano


@given(st.integers(0, 10**15))
def test_every_nano_dollar_can_be_written(nano: int) -> None:
    assert nano_per_million(str(Decimal(nano) / NANO)) == nano


@pytest.mark.parametrize(
    ("written", "message"),
    [
        (-1, "-1 is negative"),
        ("-0.5", "negative"),
        (float("nan"), "'nan' is no amount of dollars"),
        (float("inf"), "no amount"),
        ("1_000", "no amount"),
        ("١", "no amount"),
        ("", "no amount"),
        ("3 dollars", "no amount"),
        (True, "no amount"),
        ("1e999999999", "no amount"),
        ("9" * 1000, "no amount"),
        (1_000_001, "1000000 dollars are the most"),
        ("1e99", "are the most"),
        (0.1 + 0.2, "finer than a nano-dollar"),
        ("1e-10", "finer"),
    ],
)
def test_what_is_no_price(written: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        nano_per_million(written)


def test_other_amounts_have_other_bounds() -> None:
    assert nano_dollars("2.5", 3) == 2_500_000_000
    with pytest.raises(ValueError, match="3 dollars are the most"):
        nano_dollars("3.000000001", 3)
