"""What is configured of limits and prices, in the terms of those who keep and count them."""

from collections.abc import Mapping
from datetime import UTC, datetime

from msgspec import Struct

from gateway.config.check import MOST_DOLLARS
from gateway.config.model import BASE_URLS, AllLimits, Config, LimitsConfig, Price, ProviderConfig, TargetConfig
from gateway.control.types import LimitsView
from gateway.directory import NONE, Defaults
from gateway.ledger.cost import FREE, Rates, RateTable, rates_of
from gateway.limits.types import Limits, Scope
from gateway.prices import Price as Listed
from gateway.prices import pick
from gateway.prices.dollars import nano_dollars, nano_per_million
from gateway.prices.hosts import provider_at

BY_ADAPTER = {"gpt": "openai", "cohere": "cohere"}
"""Whose list holds for an adapter's own address."""

Listing = Mapping[tuple[str, str], Listed]


class Terms(Struct, frozen=True):
    """What a target costs, None if that is not known, and the most tokens that it answers with."""

    rates: RateTable | None = None
    most_output: int | None = None


def defaults_of(limits: AllLimits) -> Defaults:
    every: dict[Scope, Limits] = {
        "organisation": limits_of(limits.organisation),
        "team": limits_of(limits.team),
        "key": limits_of(limits.key),
        "user": limits_of(limits.user),
        "model": limits_of(limits.model),
    }
    sections: tuple[tuple[Scope, Mapping[str, LimitsConfig]], ...] = (
        ("team", limits.teams), ("key", limits.keys), ("user", limits.users), ("model", limits.models),
    )  # fmt: skip
    return Defaults(
        every, {(scope, name): limits_of(said) for scope, named in sections for name, said in named.items()}
    )


def views_of(limits: AllLimits) -> tuple[LimitsView, ...]:
    """What is set, as operators see it. ``*`` is the subject of what holds for all of a scope."""
    defaults = defaults_of(limits)
    found = [(scope, "" if scope == "organisation" else "*", own) for scope, own in defaults.every.items()]
    found += [(scope, subject, own) for (scope, subject), own in defaults.named.items()]
    return tuple(
        LimitsView(scope=scope, subject=subject, limits=own, source="routing.yaml")
        for scope, subject, own in found
        if own != NONE
    )


def limits_of(said: LimitsConfig) -> Limits:
    return Limits(
        said.rpm, said.tpm, said.tpd, said.concurrent, nano(said.usd_per_day), nano(said.usd_per_month),
        nano(said.soft_usd_per_day), nano(said.soft_usd_per_month),
    )  # fmt: skip


def nano(dollars: float | None) -> int | None:
    return None if dollars is None else nano_dollars(dollars, MOST_DOLLARS)


def listing(config: Config) -> Listing:
    """Of the published list, what this configuration names."""
    wanted = []
    for model in config.models.values():
        for target in model.targets:
            provider = listed_as(config.providers[target.provider])
            if provider is not None:
                wanted.append((provider, target.model))
    return pick(wanted)


def listed_as(provider: ProviderConfig) -> str | None:
    """Under which name the published list has a provider."""
    if provider.provider is not None:
        return provider.provider
    if provider.base_url is None:
        return BY_ADAPTER.get(provider.adapter) if provider.adapter in BASE_URLS else None
    return provider_at(provider.base_url)


def terms_of(provider: ProviderConfig, target: TargetConfig, listed: Listing) -> Terms:
    """By what the target says of itself, else by the published list. The embedded model costs nothing."""
    name = listed_as(provider)
    known = None if name is None else listed.get((name, target.model))
    most = target.max_output or (known.max_output if known else None)
    given = target.prices or ((target.price,) if target.price else ())
    if given:
        changes = sorted([(since(price.since), rates(price)) for price in given], key=lambda change: change[0])
        return Terms(RateTable(tuple(changes)), most)
    if provider.embedded:
        return Terms(RateTable(((0, FREE),)), most)
    return Terms(None if known is None else RateTable(((0, rates_of(known)),)), most)


def rates(price: Price) -> Rates:
    return Rates(
        input=per_million(price.input),
        output=per_million(price.output),
        cached=per_million(price.cached),
        cache_write=per_million(price.cache_write),
        reasoning=per_million(price.reasoning),
        request=0 if price.request is None else nano_dollars(price.request, MOST_DOLLARS),
    )


def per_million(dollars: float | None) -> int | None:
    return None if dollars is None else nano_per_million(dollars)


def since(day: str | None) -> int:
    """Microseconds since 1970."""
    if day is None:
        return 0
    return int(datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC).timestamp()) * 1_000_000
