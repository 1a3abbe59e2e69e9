"""The limiter in this process."""

from collections.abc import Callable, Sequence

from gateway.limits.accounts import Account, Obstacle, Place, obstacles, soft
from gateway.limits.calendar import calendar_at
from gateway.limits.holds import Held, Holds, Reserved
from gateway.limits.types import (
    Ask,
    Claim,
    Count,
    Granted,
    Limits,
    Period,
    Refused,
    Rough,
    SettledUse,
    Standing,
    Subject,
    TooClose,
    Verdict,
)
from gateway.limits.windows import SPAN, Bucket

PORTION = 64
"""How many expired holds, or accounts that may be idle, are looked at in one call."""
SWEEP = 1_000
"""Milliseconds between two looks at accounts that may be idle."""


class LocalLimiter:
    """Limiter for a gateway of one process: the same outcomes as in Redis, without waiting. The asynchronous methods
    are those of every Limiter; who knows that it has this one calls ``admit`` and its fellows.

    ``clock_ms`` tells milliseconds since 1970. It should not go back: where it does, days and months do not, and what
    was used in the last minute counts for that much longer.
    """

    def __init__(self, clock_ms: Callable[[], int]) -> None:
        self._clock = clock_ms
        self._calendar = calendar_at(clock_ms())
        self._accounts: dict[Subject, Account] = {}
        self._holds = Holds()
        self._noticed: dict[str, list[tuple[Account, Bucket, int]]] = {}
        self._unswept: list[Subject] = []
        self._sweep_at = 0
        self._due = 0
        """When there is something to do beside what is asked: a new day, expired holds, idle accounts."""

    # ------------------------------------------------------------------ without waiting

    def admit(self, ask: Ask | Rough, ttl: float) -> Verdict:
        """``ttl`` is in seconds; of a rough wish, the holds do not expire. Raises TooClose."""
        now = self._clock()
        if isinstance(ask, Rough):
            granted = self.spare(ask.wishes, ask.limited, now)
            if granted is None:
                raise TooClose
            return granted
        if now >= self._due:
            self._tend(now)
        claims, day = ask.claims, self._calendar.day
        accounts = []
        fit = True
        for claim in claims:
            account = self._accounts.get(claim.subject) or self._open(claim.subject)
            if account.limits is not claim.limits:
                account.learn(claim.limits)
            if account.day.number != day:
                account.turn(self._calendar)
            if account.by_minute:
                account.window.forget(now)
            accounts.append(account)
            fit = account.fits(claim) and fit
        if not fit:
            return self._refused(claims, accounts, now)
        self._enter(ask, accounts, now, ttl)
        requests, tokens = self._tightest(accounts, now)
        passed: tuple[Standing, ...] = ()
        for account in accounts:
            if account.warns:
                passed += tuple(soft(account, self._calendar, now))
        return Granted(now, requests, tokens, passed)

    def noticed(self, ask: Ask | Rough) -> None:
        """Another store has let this in: it counts in the last minute, and holds its places, but no money. Nothing is
        noticed of those who have only budgets."""
        now = self._clock()
        if now >= self._due:
            self._tend(now)
        if isinstance(ask, Rough):
            wishes = ask.wishes
            requests, all_tokens = len(wishes), sum([tokens for _, tokens, _ in wishes])
            alike: list[tuple[Account, Bucket]] = []
            for subject, limits in ask.limited:
                if (place := self._notice(subject, limits, requests, all_tokens, now)) is not None:
                    place[0].places += requests
                    alike.append(place)
            for id, tokens, _ in wishes:
                self._noticed[id] = [(account, bucket, tokens) for account, bucket in alike]
            return
        places = [self._notice(one.subject, one.limits, one.requests, one.tokens, now) for one in ask.claims]
        for hold in ask.holds:
            shares = self._noticed[hold.id] = []
            for share in hold.shares:
                if (place := places[share.claim]) is None:
                    continue
                account, bucket = place
                account.places += 1
                shares.append((account, bucket, share.tokens))

    def _notice(
        self, subject: Subject, limits: Limits, requests: int, tokens: int, now: int
    ) -> tuple[Account, Bucket] | None:
        if limits.rpm is None and limits.tpm is None and limits.concurrent is None:
            return None
        account = self._current(subject)
        window = account.window
        if (buckets := window.buckets) and buckets[0].last + SPAN <= now:
            window.forget(now)
        return account, window.add(now, requests, tokens)

    def over(self, hold: str, tokens: int) -> None:
        """Such a hold has come to so many tokens."""
        for account, bucket, reserved in self._noticed.pop(hold, ()):
            account.places -= 1
            bucket.change(tokens - reserved)

    def _enter(self, ask: Ask, accounts: list[Account], now: int, ttl: float) -> None:
        buckets = [
            account.take(claim.requests, claim.tokens, claim.nano, now)
            for account, claim in zip(accounts, ask.claims, strict=True)
        ]
        expires = now + int(ttl * 1000)
        for hold in ask.holds:
            shares: list[Reserved] = []
            for share in hold.shares:
                account = accounts[share.claim]
                account.places += 1
                shares.append((account, buckets[share.claim], account.day, account.month, share.tokens, share.nano))
            self._holds.add(hold.id, expires, ttl, shares)
        if expires < self._due:
            self._due = expires

    def spare(
        self, wishes: Sequence[tuple[str, int, int]], limited: Sequence[tuple[Subject, Limits]], now: int
    ) -> Granted | None:
        """Lets a call in if there is much room for it everywhere. ``wishes`` are the holds of its legs, each with
        tokens and nano-dollars, which count alike in all who are limited. None, and nothing is reserved, where it must
        be asked for in full. Takes half as long. ``now`` is the clock's time; the holds do not expire."""
        if now >= self._due:
            self._tend(now)
        requests, day, known = len(wishes), self._calendar.day, self._accounts
        _, tokens, nano = wishes[0]
        if requests > 1:
            tokens, nano = sum([wish[1] for wish in wishes]), sum([wish[2] for wish in wishes])
        accounts: list[Account] = []
        for subject, limits in limited:
            account = known.get(subject) or self._open(subject)
            if account.limits is not limits:
                account.learn(limits)
            if account.day.number != day:
                account.turn(self._calendar)
            if account.by_minute and (buckets := account.window.buckets) and buckets[0].last + SPAN <= now:
                account.window.forget(now)
            if account.warns or not account.spares(requests, tokens, nano):
                return None
            accounts.append(account)
        places: list[Place] = []
        for account in accounts:
            account.places += requests
            places.append((account, account.take(requests, tokens, nano, now), account.day, account.month))
        kept = self._holds.kept
        for hold, tokens, nano in wishes:
            kept[hold] = (places, tokens, nano)
        tightest, of_tokens = self._tightest(accounts, now)
        return Granted(now, tightest, of_tokens)

    def spent(self, hold: str, tokens: int, nano: int) -> None:
        """What a leg that was let in here came to."""
        held = self._holds.kept.pop(hold, None)
        if held is None:
            self.settled((SettledUse(hold, tokens, nano),))
        else:
            places, reserved_tokens, reserved_nano = held
            release(places, reserved_tokens, reserved_nano, tokens, nano)

    def settled(self, uses: tuple[SettledUse, ...]) -> None:
        now = self._clock()
        if now >= self._due:
            self._tend(now)
        for use in uses:
            told = bool(use.subjects) and self._holds.is_told(use.id)
            tokens, nano = (0, 0) if told else (use.tokens, use.nano)
            if (held := self._holds.pop(use.id)) is not None:
                release_each(held.shares, tokens, nano)
            elif (held := self._holds.pop_expired(use.id)) is not None:
                for account, bucket, day, month, _, _ in held.shares:
                    if bucket is not None:
                        bucket.change(tokens)
                    self._commit(account.subject, day.number, month.number, tokens, nano)
            elif use.subjects and not told:
                then = calendar_at(min(use.at, now))
                for subject in use.subjects:
                    self._commit(subject, then.day, then.month, tokens, nano)
                    if use.at + SPAN > now:
                        self._accounts[subject].window.forget(now)
                        self._accounts[subject].window.add(now, 1, tokens)
            if use.subjects and not told:
                self._holds.note(use.id, now)

    def renewed(self, holds: tuple[str, ...], ttl: float) -> None:
        now = self._clock()
        if now >= self._due:
            self._tend(now)
        expires = now + int(ttl * 1000)
        for id in holds:
            if (held := self._holds.pop(id)) is not None:
                self._holds.add(id, expires, ttl, held.shares)
        self._due = min(self._due, expires)

    def seeded(self, periods: tuple[Period, ...], *, only_empty: bool) -> None:
        self._turn(self._clock())
        for period in periods:
            then = calendar_at(period.at)
            account = self._current(period.subject)
            if account.day.number == then.day and not (only_empty and account.day.there):
                account.day.set(period.tokens_day, period.nano_day)
            if account.month.number == then.month and not (only_empty and account.month.there):
                account.month.set(0, period.nano_month)

    def counted(self, subjects: tuple[Subject, ...]) -> tuple[Count, ...]:
        now = self._clock()
        self._turn(now)
        counts = []
        for subject in subjects:
            account = self._current(subject)
            day, month = account.day, account.month
            used = Period(subject, now, day.tokens, day.nano, month.nano)
            counts.append(Count(used, day.reserved_tokens, day.reserved_nano, month.reserved_nano))
        return tuple(counts)

    # ------------------------------------------------------------------ as every limiter

    async def reserve(self, ask: Ask | Rough, ttl: float) -> Verdict:
        return self.admit(ask, ttl)

    async def settle(self, uses: tuple[SettledUse, ...]) -> None:
        self.settled(uses)

    async def renew(self, holds: tuple[str, ...], ttl: float) -> None:
        self.renewed(holds, ttl)

    async def seed(self, periods: tuple[Period, ...], *, only_empty: bool) -> None:
        self.seeded(periods, only_empty=only_empty)

    async def adjust(self, differences: tuple[Period, ...]) -> None:
        self._turn(self._clock())
        for period in differences:
            account = self._current(period.subject)
            account.day.add(period.tokens_day, period.nano_day)
            account.month.add(0, period.nano_month)

    async def counts(self, subjects: tuple[Subject, ...]) -> tuple[Count, ...]:
        return self.counted(subjects)

    # ------------------------------------------------------------------ within

    def _open(self, subject: Subject) -> Account:
        account = self._accounts[subject] = Account(subject, self._calendar)
        return account

    def _current(self, subject: Subject) -> Account:
        """The account, in this day and month."""
        account = self._accounts.get(subject) or self._open(subject)
        if account.day.number != self._calendar.day:
            account.turn(self._calendar)
        return account

    def _commit(self, subject: Subject, day: int, month: int, tokens: int, nano: int) -> None:
        """Enters what nothing was reserved for. What came of days and months that are over is nobody's limit now."""
        account = self._current(subject)
        if account.day.number == day:
            account.day.add(tokens, nano)
        if account.month.number == month:
            account.month.add(0, nano)

    def _refused(self, claims: tuple[Claim, ...], accounts: list[Account], now: int) -> Refused:
        found: list[Obstacle] = []
        for account, claim in zip(accounts, claims, strict=True):
            found += obstacles(account, claim, self._calendar, now)
        longest = max(found, key=lambda obstacle: (obstacle.rank, obstacle.ms))
        waits = [obstacle.wait for obstacle in found if obstacle.wait is not None]
        wait = max(waits) / 1000 if len(waits) == len(found) else None
        requests, tokens = self._tightest(accounts, now)
        return Refused(longest.standing, wait, longest.never, requests, tokens)

    def _tightest(self, accounts: list[Account], now: int) -> tuple[Standing | None, Standing | None]:
        """Of the requests, and of the tokens, the limit of which the smallest share is left."""
        requests: Standing | None = None
        tokens: Standing | None = None
        least_requests = least_tokens = 2.0
        for account in accounts:
            if not account.by_time:
                continue
            limits, window = account.limits, account.window
            reset = (window.buckets[-1].last + SPAN - now) / 1000 if window.buckets else 0.0
            if (most := limits.rpm) is not None:
                left = most - window.requests if most > window.requests else 0
                if (share := left / (most or 1)) < least_requests:
                    least_requests = share
                    requests = Standing(account.subject, "requests/min", most, left, reset)
            if (most := limits.tpm) is not None:
                left = most - window.tokens if most > window.tokens else 0
                if (share := left / (most or 1)) < least_tokens:
                    least_tokens = share
                    tokens = Standing(account.subject, "tokens/min", most, left, reset)
            if (most := limits.tpd) is not None:
                left = max(0, most - account.day.tokens - account.day.reserved_tokens)
                if (share := left / (most or 1)) < least_tokens:
                    least_tokens = share
                    reset = (self._calendar.day_ends - now) / 1000
                    tokens = Standing(account.subject, "tokens/day", most, left, reset)
        return requests, tokens

    def _turn(self, now: int) -> None:
        if now >= self._calendar.day_ends:
            self._calendar = calendar_at(now)

    def _tend(self, now: int) -> None:
        """What is due beside what is asked, in portions: the rest is for the next call."""
        self._turn(now)
        for held in self._holds.expire(now, PORTION):
            give_back(held)
        if now >= self._sweep_at:
            self._sweep_at = now + SWEEP
            self._holds.forget(now)
            self._sweep(now)
        due = min(self._calendar.day_ends, self._sweep_at)
        if (expiry := self._holds.next_expiry()) is not None:
            due = min(due, expiry)
        self._due = due

    def _sweep(self, now: int) -> None:
        """Closes accounts that are idle."""
        if not self._unswept:
            self._unswept = list(self._accounts)
        for _ in range(min(PORTION, len(self._unswept))):
            subject = self._unswept.pop()
            if (account := self._accounts.get(subject)) is not None and account.is_idle(self._calendar, now):
                del self._accounts[subject]


def give_back(held: Held) -> None:
    """Nothing is known to have been used: its places, tokens and money are free."""
    for account, bucket, day, month, tokens, nano in held.shares:
        account.places -= 1
        day.reserved_tokens -= tokens
        day.reserved_nano -= nano
        month.reserved_nano -= nano
        if bucket is not None:
            bucket.change(-tokens)


def release(places: list[Place], tokens: int, nano: int, used_tokens: int, used_nano: int) -> None:
    """What was used stays, the rest is given back."""
    for account, bucket, day, month in places:
        account.places -= 1
        day.reserved_tokens -= tokens
        day.reserved_nano -= nano
        day.tokens += used_tokens
        day.nano += used_nano
        month.reserved_nano -= nano
        month.nano += used_nano
        if bucket is not None and used_tokens != tokens and (window := bucket.window) is not None:
            bucket.tokens += used_tokens - tokens
            window.tokens += used_tokens - tokens


def release_each(shares: list[Reserved], used_tokens: int, used_nano: int) -> None:
    """The same of a hold that has not reserved the same everywhere."""
    for account, bucket, day, month, tokens, nano in shares:
        release([(account, bucket, day, month)], tokens, nano, used_tokens, used_nano)
