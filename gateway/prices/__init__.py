"""What models cost and hold, as their providers publish it: data that ``make prices`` takes from litellm's list.

Money is whole nano-dollars per million tokens, so that no price is rounded and no float is added up. Prices change:
what stands here was known when it was made, and an operator's own contract is none of it.
"""

from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

import msgspec
from msgspec import Struct

FILE = Path(__file__).parent / "prices.json"

NANO = 10**9
"""Nano-dollars in a dollar."""


class Tier(Struct, frozen=True, omit_defaults=True):
    """What a call costs whose input has more than ``above`` tokens; None where the usual price holds."""

    above: int
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None


class Price(Struct, frozen=True, omit_defaults=True):
    """One model. ``input`` to ``reasoning`` are nano-dollars per million tokens of each kind; None is not known, except
    for ``reasoning``, which then costs what ``output`` does. ``max_input`` and ``max_output`` are tokens."""

    mode: str
    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    max_input: int | None = None
    max_output: int | None = None
    tiers: tuple[Tier, ...] = ()


Prices = Mapping[str, Mapping[str, Price]]
"""By litellm's name of the provider, then by the provider's own name for the model."""


@cache
def prices() -> Prices:
    """The whole list, read at the first call."""
    return msgspec.json.decode(FILE.read_bytes(), type=dict[str, dict[str, Price]])


def lookup(provider: str, model: str) -> Price | None:
    """A model's price; None if it is not known, which is not the same as free."""
    return prices().get(provider, {}).get(model)


def pick(wanted: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Price]:
    """The prices of these models, by provider and name; those that are not known are left out. Nothing else is kept in
    memory, so that a process can do with what its configuration names."""
    by_provider: dict[str, set[str]] = {}
    for provider, model in wanted:
        by_provider.setdefault(provider, set()).add(model)
    listed = msgspec.json.decode(FILE.read_bytes(), type=dict[str, msgspec.Raw]) if by_provider else {}
    found: dict[tuple[str, str], Price] = {}
    for provider in by_provider.keys() & listed.keys():
        models = msgspec.json.decode(listed[provider], type=dict[str, Price])
        found |= {(provider, model): models[model] for model in by_provider[provider] & models.keys()}
    return found
