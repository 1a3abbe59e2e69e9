"""What a call costs, in whole nano-dollars, reckoned without fractions and rounded once.

A price that is not known makes a cost that is not known: None, which is never zero.
"""

from msgspec import Struct
from msgspec.structs import replace

from adapters.types import Usage
from gateway.prices import Price, Tier

MILLION = 10**6

MOST = 2**63 - 1
"""Nine thousand million dollars: what the record can hold, and more than any call costs. Counts of tokens that make it
more are a provider's mistake."""


class Rates(Struct, frozen=True, omit_defaults=True):
    """What a target's tokens cost: nano-dollars per million of each kind, and ``request`` nano-dollars per request.

    None is not known; except that ``cached`` and ``cache_write`` then cost what ``input`` does, and ``reasoning`` what
    ``output`` does. Of the tiers whose ``above`` the input has passed, the highest holds, in what it says; the order
    in which they are given is no matter.
    """

    input: int | None = None
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    request: int = 0
    tiers: tuple[Tier, ...] = ()

    def holding(self, input: int) -> "Rates":
        """The rates of a call with that much input."""
        passed = [tier for tier in self.tiers if input > tier.above]
        if not passed:
            return self
        tier = max(passed, key=lambda one: one.above)
        return Rates(
            self.input if tier.input is None else tier.input,
            self.output if tier.output is None else tier.output,
            self.cached if tier.cached is None else tier.cached,
            self.cache_write if tier.cache_write is None else tier.cache_write,
            self.reasoning,
            self.request,
        )


FREE = Rates(input=0, output=0)
"""What costs nothing, and is known to."""


class RateTable(Struct, frozen=True):
    """Rates that change: each holds from its moment on, in microseconds since 1970, until the next does. Raises
    ValueError if the moments do not grow."""

    changes: tuple[tuple[int, Rates], ...] = ()

    def __post_init__(self) -> None:
        moments = [since for since, _ in self.changes]
        if any(later <= earlier for earlier, later in zip(moments, moments[1:], strict=False)):
            raise ValueError("rates must stand in the order of the moments from which they hold, each another")

    def at(self, moment: int) -> Rates | None:
        """The rates of that moment, in microseconds since 1970; None if nothing held yet, which is not known."""
        if len(self.changes) == 1 and self.changes[0][0] <= moment:  # as most are
            return self.changes[0][1]
        for since, rates in reversed(self.changes):
            if since <= moment:
                return rates
        return None


def rates_of(price: Price) -> Rates:
    return Rates(
        price.input, price.output, price.cached, price.cache_write, price.reasoning, request=0, tiers=price.tiers
    )


def cost(rates: Rates | None, usage: Usage, calls: int = 1) -> int | None:
    """Nano-dollars of what was used in so many requests, rounded half up, ``MOST`` at most; None if a price is
    missing that it takes.

    Each token is paid for once: what was read from the cache or written to it is part of the input, reasoning part of
    the output. The tier is that of the whole input.
    """
    if rates is None:
        return None
    if rates.tiers:
        rates = rates.holding(usage.input)
    of_input, of_output = rates.input, rates.output
    if not (usage.cached or usage.cache_write or usage.reasoning) and of_input is not None and of_output is not None:
        plain = usage.input * of_input + usage.output * of_output  # as most are
        total = (plain + MILLION // 2) // MILLION + rates.request * calls
        return total if total < MOST else MOST
    cached = min(usage.cached or 0, usage.input)
    cache_write = min(usage.cache_write or 0, usage.input - cached)
    reasoning = min(usage.reasoning or 0, usage.output)
    total = 0
    for tokens, own, usual in (
        (usage.input - cached - cache_write, of_input, of_input),
        (cached, rates.cached, of_input),
        (cache_write, rates.cache_write, of_input),
        (usage.output - reasoning, of_output, of_output),
        (reasoning, rates.reasoning, of_output),
    ):
        if tokens > 0:
            price = usual if own is None else own
            if price is None:
                return None
            total += tokens * price
    return min((total + MILLION // 2) // MILLION + rates.request * calls, MOST)


def dearest(rates: Rates | None, input: int, output: int, calls: int = 1) -> int | None:
    """The most that a call may cost which uses up to so many tokens, whatever it uses them for and whichever tier it
    comes to; None if a price is missing that it may take. Each token is at the dearest of its prices."""
    if rates is None:
        return None
    if rates.tiers:
        return dearest_of_tiers(rates, input, output, calls)
    of_input, of_output = rates.input, rates.output
    if of_input is None or of_output is None:
        if (input and of_input is None) or (output and of_output is None):
            return None
        of_input, of_output = of_input or 0, of_output or 0
    if rates.cached is not None and rates.cached > of_input:
        of_input = rates.cached
    if rates.cache_write is not None and rates.cache_write > of_input:
        of_input = rates.cache_write
    if rates.reasoning is not None and rates.reasoning > of_output:
        of_output = rates.reasoning
    most = -(-(input * of_input + output * of_output) // MILLION) + rates.request * calls
    return most if most < MOST else MOST


def dearest_of_tiers(rates: Rates, input: int, output: int, calls: int) -> int | None:
    most = 0
    for above in (0, *[tier.above + 1 for tier in rates.tiers if tier.above < input]):
        one = dearest(replace(rates.holding(above), tiers=()), input, output, calls)
        if one is None:
            return None
        most = max(most, one)
    return most
