"""What one subject has used, and what is reserved in its name."""

from collections.abc import Iterator

from msgspec import Struct

from gateway.limits.calendar import Calendar
from gateway.limits.types import Claim, Kind, Limits, Standing, Subject
from gateway.limits.windows import Bucket, Window

SOON = 1_000
"""Milliseconds after which who has found no place may try again: nobody knows when a call will end."""


class Used:
    """The counters of one day (tokens and money) or one month (money). ``there``: something was entered, so that nobody
    need fill them from elsewhere."""

    __slots__ = ("nano", "number", "reserved_nano", "reserved_tokens", "there", "tokens")

    def __init__(self, number: int) -> None:
        self.number = number
        self.there = False
        self.tokens = 0
        self.nano = 0
        self.reserved_tokens = 0
        self.reserved_nano = 0

    def set(self, tokens: int, nano: int) -> None:
        self.there = True
        self.tokens = tokens
        self.nano = nano

    def add(self, tokens: int, nano: int) -> None:
        self.there = True
        self.tokens += tokens
        self.nano += nano


class Account:
    """``by_minute``, ``by_time`` (minute or day) and ``warns`` are how it is limited, and ``bounds`` its limits that do
    not only warn, so that who asks need not look at every limit there is."""

    __slots__ = ("bounds", "by_minute", "by_time", "day", "limits", "month", "places", "subject", "warns", "window")

    def __init__(self, subject: Subject, calendar: Calendar) -> None:
        self.subject = subject
        self.learn(Limits())
        self.window = Window()
        self.places = 0
        self.day = Used(calendar.day)
        self.month = Used(calendar.month)

    def learn(self, limits: Limits) -> None:
        """Its limits, which are other ones than when it was last asked."""
        self.limits = limits
        self.bounds = (limits.rpm, limits.tpm, limits.concurrent, limits.usd_month, limits.tpd, limits.usd_day)
        self.by_minute = limits.rpm is not None or limits.tpm is not None
        self.by_time = self.by_minute or limits.tpd is not None
        self.warns = limits.soft_usd_day is not None or limits.soft_usd_month is not None

    def turn(self, calendar: Calendar) -> None:
        """Begins a new day or month. The one before lives on in the holds that were made in it."""
        if self.day.number != calendar.day:
            self.day = Used(calendar.day)
            if self.month.number != calendar.month:
                self.month = Used(calendar.month)

    def fits(self, claim: Claim) -> bool:
        """Whether nothing stands in the way. The window must have been told the time."""
        limits = self.limits
        if self.by_minute:
            window = self.window
            if (most := limits.rpm) is not None and window.requests + claim.requests > most:
                return False
            if (most := limits.tpm) is not None and window.tokens + claim.tokens > most:
                return False
        if (most := limits.concurrent) is not None and self.places + claim.requests > most:
            return False
        if (most := limits.usd_month) is not None:
            month = self.month
            if month.nano + month.reserved_nano + claim.nano > most:
                return False
        day = self.day
        if (most := limits.tpd) is not None and day.tokens + day.reserved_tokens + claim.tokens > most:
            return False
        return (most := limits.usd_day) is None or day.nano + day.reserved_nano + claim.nano <= most

    def spares(self, requests: int, tokens: int, nano: int) -> bool:
        """Whether so many requests more fit so well that half of everything is left; where that is not so, it must be
        looked at closely how much they may take."""
        rpm, tpm, concurrent, usd_month, tpd, usd_day = self.bounds
        if rpm is not None and self.window.requests + requests > rpm:
            return False
        if tpm is not None and (self.window.tokens + tokens) * 2 > tpm:
            return False
        if concurrent is not None and self.places + requests > concurrent:
            return False
        if usd_month is not None:
            month = self.month
            if (month.nano + month.reserved_nano + nano) * 2 > usd_month:
                return False
        if tpd is None and usd_day is None:
            return True
        day = self.day
        if tpd is not None and (day.tokens + day.reserved_tokens + tokens) * 2 > tpd:
            return False
        return usd_day is None or (day.nano + day.reserved_nano + nano) * 2 <= usd_day

    def take(self, requests: int, tokens: int, nano: int, now: int) -> Bucket | None:
        """Reserves it, all but the places. The bucket is where it counts, if it is limited by the minute."""
        day, month = self.day, self.month
        day.there = month.there = True
        day.reserved_tokens += tokens
        day.reserved_nano += nano
        month.reserved_nano += nano
        return self.window.add(now, requests, tokens) if self.by_minute else None

    def is_idle(self, calendar: Calendar, now: int) -> bool:
        """Whether an account that is opened anew would be the same."""
        self.window.forget(now)
        return not (
            self.places
            or self.window.buckets
            or (self.day.there and self.day.number == calendar.day)
            or (self.month.there and self.month.number == calendar.month)
        )


Place = tuple[Account, Bucket | None, Used, Used]
"""Where a hold counts: the account, the bucket of its window, its day, its month."""


class Obstacle(Struct, frozen=True):
    """One limit that stands in the way: ``rank`` and ``ms`` order obstacles by how long they will. ``wait`` is None
    where waiting is no advice."""

    standing: Standing
    rank: int
    ms: float
    wait: int | None

    @property
    def never(self) -> bool:
        return self.ms == FOREVER


FOREVER = float("inf")
WAITS, TOKENS_OF_A_DAY, BUDGET = 1, 2, 3


def obstacles(account: Account, claim: Claim, calendar: Calendar, now: int) -> Iterator[Obstacle]:
    """Every limit of the claim that stands in its way."""
    limits, window, day, month = account.limits, account.window, account.day, account.month

    def obstacle(kind: Kind, most: int, used: int, wanted: int, rank: int, ms: int, reset: int) -> Obstacle:
        standing = Standing(account.subject, kind, most, max(0, most - used), reset / 1000)
        if wanted > most:
            return Obstacle(standing, BUDGET, FOREVER, None)
        return Obstacle(standing, rank, ms, ms if rank == WAITS else None)

    if (most := limits.rpm) is not None and (over := window.requests + claim.requests - most) > 0:
        ms = 0 if claim.requests > most else window.until_requests(now, over)
        yield obstacle("requests/min", most, window.requests, claim.requests, WAITS, ms, window.until_empty(now))
    if (most := limits.tpm) is not None and (over := window.tokens + claim.tokens - most) > 0:
        ms = 0 if claim.tokens > most else window.until_tokens(now, over)
        yield obstacle("tokens/min", most, window.tokens, claim.tokens, WAITS, ms, window.until_empty(now))
    until_day, until_month = calendar.day_ends - now, calendar.month_ends - now
    if (most := limits.tpd) is not None and (used := day.tokens + day.reserved_tokens) + claim.tokens > most:
        yield obstacle("tokens/day", most, used, claim.tokens, TOKENS_OF_A_DAY, until_day, until_day)
    if (most := limits.concurrent) is not None and account.places + claim.requests > most:
        yield obstacle("concurrent", most, account.places, claim.requests, WAITS, SOON, SOON)
    if (most := limits.usd_day) is not None and (used := day.nano + day.reserved_nano) + claim.nano > most:
        yield obstacle("USD/day", most, used, claim.nano, BUDGET, until_day, until_day)
    if (most := limits.usd_month) is not None and (used := month.nano + month.reserved_nano) + claim.nano > most:
        yield obstacle("USD/month", most, used, claim.nano, BUDGET, until_month, until_month)


def soft(account: Account, calendar: Calendar, now: int) -> Iterator[Standing]:
    """The soft budgets that are passed, by what was used: what is reserved is mostly given back."""
    day, month, limits = account.day, account.month, account.limits
    if (most := limits.soft_usd_day) is not None and day.nano > most:
        yield Standing(account.subject, "USD/day", most, 0, (calendar.day_ends - now) / 1000)
    if (most := limits.soft_usd_month) is not None and month.nano > most:
        yield Standing(account.subject, "USD/month", most, 0, (calendar.month_ends - now) / 1000)
