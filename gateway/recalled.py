"""A head that a connection has heard before. Callers who keep a connection say the same head with each request, but for
the length of the body: what it says need not be found out again.
"""

import re
from hmac import compare_digest
from typing import Any

from msgspec import Struct

LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,7})\r\n")
DIGITS = 7

TRIES = 4
"""Heads one after the other, each another than the one before, after which those of a connection are not looked at any
more."""


class Heard(Struct, frozen=True, eq=False):
    """A head: all that stands before the digits of its length, all behind them up to where the body begins, and what it
    says."""

    before: bytes
    behind: bytes
    said: Any

    def __repr__(self) -> str:
        return f"Heard({len(self.before) + len(self.behind)} bytes)"  # they hold a key

    def body(self, data: bytes, most: int) -> tuple[int, int] | None:
        """Where the body begins in these bytes and how long it is to be, ``most`` at most; None if this is another
        head, or more than it and its body has come."""
        size = len(self.before)
        if not compare_digest(data[:size], self.before):  # it holds a key
            return None
        end = data.find(b"\r", size, size + DIGITS + 1)
        if end < 0 or not data.startswith(self.behind, end):
            return None
        digits, at = data[size:end], end + len(self.behind)
        if not digits.isdigit():
            return None
        length = int(digits)
        return (at, length) if len(data) - at <= length <= most else None


def heard(data: bytes, said: Any) -> Heard | None:
    """The head with which these bytes begin. None if they do not hold all of it, or more than it and its body, or if it
    says in an unusual way how long the body is."""
    end = data.find(b"\r\n\r\n") + 4
    found = LENGTH.search(data, 0, end - 2)
    if end < 4 or found is None or len(data) - end > int(found[1]):
        return None
    return Heard(data[: found.start(1)], data[found.end(1) : end], said)
