"""What calls cost: to the nano-dollar, each token once, and never zero where it is not known."""

from fractions import Fraction
from math import floor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from adapters.types import Usage
from gateway.ledger.cost import FREE, MILLION, Rates, RateTable, cost, dearest, rates_of
from gateway.prices import NANO, Tier, lookup

PRICE = st.integers(0, 10**15)
TOKENS = st.integers(0, 10**8)
MAYBE = st.none() | TOKENS
RATES = st.builds(
    Rates, PRICE, PRICE, st.none() | PRICE, st.none() | PRICE, st.none() | PRICE, request=st.integers(0, NANO)
)
TIERS = st.lists(
    st.builds(Tier, st.integers(1, 10**8), *[st.none() | PRICE] * 4), max_size=3, unique_by=lambda tier: tier.above
)
USAGE = st.builds(Usage, TOKENS, TOKENS, MAYBE, MAYBE, MAYBE)


def known(value: int | None) -> int:
    assert value is not None
    return value


def exact(rates: Rates, usage: Usage, calls: int) -> Fraction:
    """As the law has it: in fractions of a nano-dollar, one bucket at a time."""
    held = [tier for tier in rates.tiers if usage.input > tier.above]
    if held:
        top = max(held, key=lambda tier: tier.above)
        said = {name: value for name in Tier.__struct_fields__[1:] if (value := getattr(top, name)) is not None}
        rates = structs.replace(rates, **said)
    cached = min(usage.cached or 0, usage.input)
    written = min(usage.cache_write or 0, usage.input - cached)
    reasoning = min(usage.reasoning or 0, usage.output)
    total = Fraction(rates.request * calls)
    total += Fraction((usage.input - cached - written) * known(rates.input), MILLION)
    total += Fraction(cached * known(rates.input if rates.cached is None else rates.cached), MILLION)
    total += Fraction(written * known(rates.input if rates.cache_write is None else rates.cache_write), MILLION)
    total += Fraction((usage.output - reasoning) * known(rates.output), MILLION)
    total += Fraction(reasoning * known(rates.output if rates.reasoning is None else rates.reasoning), MILLION)
    return total


@given(RATES, TIERS, USAGE, st.integers(0, 10))
def test_it_is_the_exact_sum_rounded_half_up(rates: Rates, tiers: list[Tier], usage: Usage, calls: int) -> None:
    rates = structs.replace(rates, tiers=tuple(tiers))
    found = known(cost(rates, usage, calls))
    assert found == floor(exact(rates, usage, calls) + Fraction(1, 2)) >= 0


@given(RATES, st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=20))
def test_parts_come_to_the_whole_but_for_rounding(rates: Rates, parts: list[tuple[int, int]]) -> None:
    whole = Usage(sum(input for input, _ in parts), sum(output for _, output in parts))
    apart = sum(known(cost(rates, Usage(*part))) for part in parts)
    assert abs(apart - known(cost(rates, whole, len(parts)))) <= len(parts)


@given(RATES, USAGE, TOKENS, TOKENS, st.integers(0, 3))
def test_more_never_costs_less(rates: Rates, usage: Usage, input: int, output: int, calls: int) -> None:
    more = Usage(usage.input + input, usage.output + output, usage.cached, usage.cache_write, usage.reasoning)
    if (usage.cached or 0) + (usage.cache_write or 0) <= usage.input and (usage.reasoning or 0) <= usage.output:
        assert known(cost(rates, more, 1 + calls)) >= known(cost(rates, usage, 1))


@given(RATES, TIERS, USAGE, TOKENS, TOKENS)
def test_nothing_costs_more_than_the_dearest(
    rates: Rates, tiers: list[Tier], usage: Usage, input: int, output: int
) -> None:
    rates = structs.replace(rates, tiers=tuple(tiers))
    assert known(cost(rates, usage)) <= known(dearest(rates, usage.input + input, usage.output + output))


def test_each_token_is_paid_once() -> None:
    """https://platform.claude.com/docs/en/about-claude/pricing: 3, 15, 0.30 and 3.75 dollars a million."""
    price = lookup("anthropic", "claude-sonnet-4-5")
    assert price is not None
    usage = Usage(1_000_000, 100_000, cached=600_000, cache_write=300_000)
    assert (
        cost(rates_of(price), usage)
        == (100 * 3_000_000 + 600 * 300_000 + 300 * 3_750_000) + 100 * 15_000_000
        == (3_105_000_000)
    )


@pytest.mark.parametrize(
    ("rates", "usage", "expected"),
    [
        (Rates(input=1, output=0), Usage(499_999, 0), 0),
        (Rates(input=1, output=0), Usage(500_000, 0), 1),
        (Rates(input=1, output=1), Usage(250_000, 250_000), 1),  # rounded once, not for each kind
        (Rates(input=NANO), Usage(1, 1), None),
        (Rates(output=NANO), Usage(1, 1), None),
        (Rates(input=NANO), Usage(1, 0), 1000),  # as of embeddings
        (Rates(output=NANO, cached=NANO), Usage(5, 0, cached=5), 5000),
        (Rates(output=NANO, cached=NANO), Usage(6, 0, cached=5), None),
        (Rates(), Usage(0, 0), 0),
        (None, Usage(0, 0), None),
        (FREE, Usage(7, 7, 1, 1, 1), 0),
        (Rates(input=NANO, output=NANO), Usage(5, 0, cached=9), 5000),  # a provider that does not count so
        (Rates(input=NANO, output=NANO), Usage(5, 0, cached=5, cache_write=5), 5000),
        (Rates(input=0, output=NANO, reasoning=3 * NANO), Usage(1, 10, reasoning=4), 18_000),
        (Rates(input=0, output=0, request=7), Usage(1, 1), 21),
        (Rates(input=10**15, output=0), Usage(2**53 - 1, 0), 2**63 - 1),  # no provider means that
    ],
)
def test_of_kinds_and_rounding(rates: Rates | None, usage: Usage, expected: int | None) -> None:
    assert cost(rates, usage, 3) == expected


@pytest.mark.parametrize(("input", "expected"), [(100, 100), (101, 202), (200, 400), (201, 603)])
def test_tiers(input: int, expected: int) -> None:
    tiers = (Tier(200, 3 * MILLION), Tier(100, 2 * MILLION))
    assert cost(Rates(input=MILLION, output=0, tiers=tiers), Usage(input, 0)) == expected


def test_the_dearest() -> None:
    rates = Rates(MILLION, 2 * MILLION, cached=0, cache_write=3 * MILLION, reasoning=9 * MILLION, request=5)
    assert dearest(rates, 10, 10, calls=2) == 30 + 90 + 10
    cheaper = Rates(MILLION, 0, tiers=(Tier(100, 1),))
    assert dearest(cheaper, 1000, 0) == 1000  # it may come to less input, and that costs more
    assert dearest(Rates(input=1), 5, 5) is None is dearest(Rates(output=1), 5, 5) is dearest(None, 0, 0)
    assert dearest(Rates(input=1), 5, 0) == 1


def test_rates_by_date() -> None:
    early, late = Rates(input=1), Rates(input=2)
    table = RateTable(((10, early), (20, late)))
    assert [table.at(moment) for moment in (9, 10, 19, 20, 10**16)] == [None, early, early, late, late]
    assert RateTable().at(0) is None


@pytest.mark.parametrize("moments", [(2, 1), (1, 1)])
def test_dates_out_of_order(moments: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="in the order of the moments"):
        RateTable(tuple((moment, FREE) for moment in moments))
