"""Dollars as operators write and read them, and other amounts. Inside, money is whole nano-dollars; nothing is rounded
on the way, and nothing passes through binary fractions."""

import re
from decimal import Decimal, localcontext

from msgspec import Raw

from gateway.limits.types import NANO

MOST = 2**63 - 1
"""The largest amount that SQL and Redis both keep exactly."""

BUDGET = 10**9 * NANO
"""The largest budget."""

UNLIMITED = -1
"""Stands for a limit that lifts what ``routing.yaml`` says, where the record shows its own limits."""

LIFTED = "unlimited"

NUMBER = re.compile(r"([0-9]{1,40})(\.[0-9]{1,40})?([eE][+-]?[0-9]{1,3})?", re.ASCII)
WHOLE = "a whole number above 0"
DOLLARS = "dollars, such as 5 or 0.25"


def nano(text: str, most: int = MOST) -> int:
    """Nano-dollars of a number of dollars, at most that many. Raises ValueError with what is wrong."""
    if NUMBER.fullmatch(text) is None:
        if re.fullmatch(r"-[0-9].*", text, re.ASCII):
            raise ValueError("must not be negative")
        raise ValueError(f"must be {DOLLARS}")
    value = Decimal(text)
    if value and value.adjusted() > 10:
        raise ValueError(f"must be at most {dollar_text(most)} dollars")
    with localcontext(prec=150):
        exact = value * NANO
        if exact != exact.to_integral_value():
            raise ValueError("must be whole nano-dollars: no more than nine decimals")
    if exact > most:
        raise ValueError(f"must be at most {dollar_text(most)} dollars")
    return int(exact)


def amount(value: int, most: int) -> int:
    if value > most:
        raise ValueError(f"must be at most {most}")
    if value < 0:
        raise ValueError("must not be negative")
    return value


def dollar_text(nanos: int) -> str:
    """The exact decimal, as short as it goes: 12.5, 0.000000001, 3."""
    whole, rest = divmod(abs(nanos), NANO)
    digits = f"{rest:09d}".rstrip("0")
    return f"{'-' if nanos < 0 else ''}{whole}{'.' if digits else ''}{digits}"


def dollars(nanos: int) -> Raw:
    """The exact decimal as a JSON number."""
    return Raw(dollar_text(nanos).encode())
