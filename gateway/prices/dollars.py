"""Dollars as people write them, taken exactly."""

import re
from decimal import Decimal
from fractions import Fraction

from gateway.prices import NANO

WRITTEN = re.compile(r"\d{1,30}(\.\d{0,30})?([eE][+-]?\d{1,2})?|\.\d{1,30}([eE][+-]?\d{1,2})?", re.ASCII)

MOST_PER_MILLION = 10**6
"""Dollars for a million tokens beyond which a price is taken for a slip."""


def nano_dollars(value: int | float | str, most: int) -> int:
    """Whole nano-dollars; what a float was written as counts, not what it is. Raises ValueError for what is negative,
    no number, more than ``most`` dollars, or finer than a nano-dollar."""
    text = "" if isinstance(value, bool) else str(value).strip()
    if text.startswith("-") and WRITTEN.fullmatch(text[1:]):
        raise ValueError(f"{text} is negative: an amount of dollars is 0 or more")
    if not WRITTEN.fullmatch(text):
        raise ValueError(f"{str(value)[:40]!r} is no amount of dollars, such as 0.25")
    exact = Fraction(Decimal(text))
    if exact > most:
        raise ValueError(f"{text} is too much: {most} dollars are the most")
    nano = exact * NANO
    if nano.denominator != 1:
        raise ValueError(f"{text} is finer than a nano-dollar: 9 digits after the point are the most")
    return nano.numerator


def nano_per_million(value: int | float | str) -> int:
    """A price in dollars per million tokens, as nano-dollars. Raises ValueError."""
    return nano_dollars(value, MOST_PER_MILLION)
