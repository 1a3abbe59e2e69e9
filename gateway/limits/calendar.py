"""Days and months of budgets. They begin at midnight UTC, for everybody."""

from datetime import UTC, datetime, timedelta

from msgspec import Struct

MS_OF_DAY = 86_400_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Calendar(Struct, frozen=True):
    """The day and the month that a moment lies in, each as a number that grows by one, and the milliseconds since 1970
    at which they end."""

    day: int
    month: int
    day_ends: int
    month_ends: int


def calendar_at(ms: int) -> Calendar:
    """``ms`` is milliseconds since 1970."""
    day = ms // MS_OF_DAY
    date = EPOCH + timedelta(days=day)
    month = date.year * 12 + date.month - 1
    next_month = datetime((month + 1) // 12, (month + 1) % 12 + 1, 1, tzinfo=UTC)
    return Calendar(day, month, (day + 1) * MS_OF_DAY, (next_month - EPOCH).days * MS_OF_DAY)
