"""Who a token says is asking, and why it is not believed."""

from typing import Literal

from msgspec import Struct

Why = Literal[
    "malformed", "algorithm", "key", "signature", "expired", "not_yet", "issuer", "audience", "claim", "unavailable"
]
"""``unavailable``: the provider's keys cannot be had now, so nothing is known of the token."""


class Identity(Struct, frozen=True):
    """``expires`` is in seconds since 1970."""

    team: str
    user: str
    expires: float


class BearerError(Exception):
    """A token is not accepted. The message says why, and holds nothing of the token but names of claims."""

    def __init__(self, why: Why, message: str) -> None:
        super().__init__(message)
        self.why = why
        self.message = message
