"""Values of fields that several dialects have, and ``fanout``, which is ours in all of them."""

from typing import Annotated

from msgspec import Meta

Count = Annotated[int, Meta(ge=1, le=2**31 - 1)]
Whole = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Int64 = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Penalty = Annotated[float, Meta(ge=-2, le=2)]
Name = Annotated[str, Meta(min_length=1)]
Text = Annotated[str, Meta(min_length=1)]

FANOUT = {
    "fanout": 'an object such as {"mode": "quorum", "min_success": 2, "deadline_ms": 5000}',
    "fanout.mode": '"all", "first" or "quorum"',
    "fanout.min_success": "a whole number from 1 to 2147483647",
    "fanout.deadline_ms": "a whole number from 1 to 2147483647",
    "fanout.strict": "true or false",
    "fanout.merge": '"each" or "agree"',
    "fanout.tolerance": "a number of at least 0",
    "fanout.arrays": '"position" or "set"',
}
"""What it must be, in words."""
