"""Times as operators write and read them: ISO 8601 in UTC, dates, and durations such as 90d. Inside they are seconds
since 1970."""

import re
from datetime import UTC, datetime

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
LAST = 253_402_300_799
"""The last second of the year 9999, which is as far as ISO 8601 with four digits goes."""

DURATION = "a duration such as 90d, 24h or 30m"
INSTANT = f"{DURATION}, a date such as 2027-01-31, or a time such as 2027-01-31T12:00:00Z"


def iso(at: int) -> str:
    """2026-11-30T14:00:00Z."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def duration(text: str) -> int:
    """Seconds. Raises ValueError with what it must be."""
    found = re.fullmatch(r"([0-9]{1,9})([smhdw])", text.strip(), re.ASCII)
    if found is None:
        raise ValueError(f"must be {DURATION}")
    return int(found[1]) * SECONDS[found[2]]


def later(text: str, now: int) -> int:
    """The moment that lies this far ahead of now, or that is named. Raises ValueError with what it must be."""
    return instant(text, now, 1)


def earlier(text: str, now: int) -> int:
    """The moment that lies this far back, or that is named; never before 1970. Raises ValueError as ``later``."""
    return max(0, instant(text, now, -1))


def instant(text: str, now: int, sign: int) -> int:
    try:
        at = now + sign * duration(text)
    except ValueError:
        at = named(text.strip())
    if at > LAST:
        raise ValueError("must be before the year 10000")
    return at


def named(text: str) -> int:
    """A date is its midnight; what names no zone is UTC."""
    try:
        if len(text) > 40 or not re.match(r"[0-9]{4}-", text, re.ASCII):
            raise ValueError
        at = datetime.fromisoformat(text)
        seconds = int((at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp())
    except (ValueError, OverflowError):
        raise ValueError(f"must be {INSTANT}") from None
    if seconds < 0:
        raise ValueError("must be after 1970")
    return seconds
