"""Numbers within bounds, as grammars. What may be any number is a whole one: so small a model does not end digits."""

from fractions import Fraction
from functools import lru_cache
from math import ceil, floor, gcd, lcm
from typing import Any

from msgspec import Struct

from adapters.local.finite.sentences import Sentence, chars, choice, literal, repeat, sequence

LARGEST = 2**53 - 1
LISTED = 24
"""Numbers that are listed at most."""

STEPS = 11
"""Fractions between two whole numbers: tenths, with both ends."""

DECIMALS = 6


class Range(Struct):
    """What is asked of a number. ``open_low`` and ``open_high`` leave the ends themselves out."""

    low: Fraction | None = None
    high: Fraction | None = None
    open_low: bool = False
    open_high: bool = False
    step: Fraction | None = None

    def holds(self, value: Fraction) -> bool:
        above = self.low is None or (value > self.low if self.open_low else value >= self.low)
        below = self.high is None or (value < self.high if self.open_high else value <= self.high)
        return above and below and (self.step is None or (value / self.step).denominator == 1)

    def at_least(self, low: Fraction, is_open: bool) -> None:
        if self.low is None or low > self.low:
            self.low, self.open_low = low, is_open
        elif low == self.low:
            self.open_low |= is_open

    def at_most(self, high: Fraction, is_open: bool) -> None:
        if self.high is None or high < self.high:
            self.high, self.open_high = high, is_open
        elif high == self.high:
            self.open_high |= is_open

    def times(self, step: Fraction) -> None:
        mine = self.step
        self.step = (
            step
            if mine is None
            else Fraction(lcm(mine.numerator, step.numerator), gcd(mine.denominator, step.denominator))
        )


def exact(value: Any) -> Fraction | None:
    """A number as it is written in the schema; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e30:
        return None
    return Fraction(value) if isinstance(value, int) else Fraction(repr(value))


def range_of(schemas: list[dict[str, Any]]) -> Range | None:
    """What all of these ask together. None where one of them cannot be read."""
    made = Range()
    for schema in schemas:
        for name in ("minimum", "exclusiveMinimum", "maximum", "exclusiveMaximum", "multipleOf"):
            if name not in schema:
                continue
            value = exact(schema[name])
            if value is None:
                return None
            if name == "multipleOf":
                if value <= 0:
                    return None
                made.times(value)
            elif name.endswith("inimum"):
                made.at_least(value, name.startswith("exclusive"))
            else:
                made.at_most(value, name.startswith("exclusive"))
    return made


def number(asked: Range, whole: bool, digits: int) -> Sentence | None:
    """Numbers in this range, of so many digits unless it lies beyond them. None where there is none that is certain."""
    low, high = ends(asked, digits)
    between = asked.low is not None and asked.high is not None and asked.high - asked.low <= 1
    if not whole and (between or low > high):
        return fractions(asked)
    if max(abs(low), abs(high)) > LARGEST or low > high:
        return None
    step = 1 if asked.step is None else asked.step.numerator
    if step == 1:
        return integers(low, high)
    first = -(-low // step)
    last = high // step
    if first <= 0 <= last:
        first = 0
    values = [value * step for value in range(first, min(last, first + LISTED - 1) + 1)]
    if not values:
        return None if whole else fractions(asked)
    return choice([literal(str(value)) for value in values])


def ends(asked: Range, digits: int) -> tuple[int, int]:
    """The first and the last whole number, within so many digits where that leaves any."""
    limit = 10**digits - 1
    low = None if asked.low is None else ceil(asked.low) + (asked.open_low and asked.low.denominator == 1)
    high = None if asked.high is None else floor(asked.high) - (asked.open_high and asked.high.denominator == 1)
    if low is None:
        low = -limit if high is None or high >= -limit else high - limit
    if high is None:
        high = max(limit, low + limit)
    if low <= limit and high >= -limit:
        step = 1 if asked.step is None else asked.step.numerator
        return max(low, -max(limit, step)), min(high, max(limit, step))
    return low, high


@lru_cache(maxsize=64)
def integers(low: int, high: int) -> Sentence | None:
    """The whole numbers from one to the other: the same object each time, so that a grammar holds it once."""
    made = []
    if high >= 0:
        made += natural(max(low, 0), high)
    if low < 0:
        below = choice(natural(max(-high, 1), -low))
        made += [] if below is None else [sequence(literal("-"), below)]
    return choice(made)


def natural(low: int, high: int) -> list[Sentence]:
    """Numbers of one length after the other."""
    made = []
    for length in range(len(str(low)), len(str(high)) + 1):
        first = max(low, 10 ** (length - 1) if length > 1 else 0)
        made.append(between(str(first), str(min(high, 10**length - 1))))
    return made


def between(low: str, high: str) -> Sentence:
    """Numbers of the same length from one to the other."""
    if not low:
        return literal("")
    if low[0] == high[0]:
        return sequence(literal(low[0]), between(low[1:], high[1:]))
    rest = len(low) - 1
    first, last = int(low[0]), int(high[0])
    made: list[Sentence] = []
    if low[1:] != "0" * rest:
        made.append(sequence(literal(low[0]), between(low[1:], "9" * rest)))
        first += 1
    if high[1:] != "9" * rest:
        made.append(sequence(literal(high[0]), between("0" * rest, high[1:])))
        last -= 1
    if first <= last:
        made.append(sequence(digit(first, last), repeat(digit(0, 9), rest, rest)))
    found = choice(made)
    assert found is not None
    return found


def digit(first: int, last: int) -> Sentence:
    return literal(str(first)) if first == last else chars(((48 + first, 48 + last),))


def fractions(asked: Range) -> Sentence | None:
    """Some of the numbers between two that are close, as decimals."""
    if asked.low is None and asked.high is None:
        return None
    for places in range(1, DECIMALS + 1):
        unit = Fraction(1, 10**places)
        if asked.low is None:
            assert asked.high is not None
            first = floor(asked.high / unit) - STEPS
        else:
            first = ceil(asked.low / unit)
        last = first + STEPS if asked.high is None else floor(asked.high / unit)
        every = max(1, (last - first) // (STEPS - 1))
        found = [n for n in range(first, last + 1, every)[: 2 * STEPS] if asked.holds(n * unit)]
        if found:
            return choice([literal(decimal(n, places)) for n in found])
    return None


def decimal(count: int, places: int) -> str:
    """So many units of that decimal place."""
    digits = f"{abs(count):0{places + 1}}"
    text = f"{digits[:-places]}.{digits[-places:]}".rstrip("0").rstrip(".")
    return f"-{text}" if count < 0 else text
