"""What is limited, what a call wants of it, and what it is answered.

A call's legs are admitted together or not at all. Each leg has a **hold**: what it may come to in every subject that it
counts in. When the leg has ended, its hold is settled: what was used stays, the rest is given back. A hold that nobody
settles, since its process has died, expires.
"""

from collections.abc import Sequence
from typing import Literal, Protocol

from msgspec import Struct

Scope = Literal["organisation", "team", "key", "user", "model"]
SCOPES: tuple[Scope, ...] = ("organisation", "team", "key", "user", "model")

Kind = Literal["requests/min", "tokens/min", "tokens/day", "concurrent", "USD/day", "USD/month"]

NANO = 10**9
"""Nano-dollars in a dollar. Money is whole nano-dollars everywhere."""


class Limits(Struct, frozen=True, omit_defaults=True, gc=False):
    """What one subject may use; None where there is no such limit.

    ``rpm`` and ``tpm`` are requests and tokens in any 60 seconds; ``tpd`` tokens of a day, ``usd_day`` and
    ``usd_month`` nano-dollars of a day and of a month, which begin at midnight UTC. A request is one leg of a call, and
    holds one of ``concurrent`` places while it lasts. The soft ones only warn.
    """

    rpm: int | None = None
    tpm: int | None = None
    tpd: int | None = None
    concurrent: int | None = None
    usd_day: int | None = None
    usd_month: int | None = None
    soft_usd_day: int | None = None
    soft_usd_month: int | None = None


class Subject(Struct, frozen=True, gc=False):
    """Who or what is limited: a team by its name, a key by its id, an end user as ``team/user``, a model by its name in
    ``routing.yaml``. The organisation has no name."""

    scope: Scope
    name: str = ""


class Claim(Struct, frozen=True, gc=False):
    """What one call wants of one subject, all its legs together. ``limits`` has at least one limit."""

    subject: Subject
    limits: Limits
    requests: int
    tokens: int
    nano: int


class Share(Struct, frozen=True, gc=False):
    """A hold's part in the claim at this place of the ask. A hold is always one request."""

    claim: int
    tokens: int
    nano: int


class Hold(Struct, frozen=True, gc=False):
    """One leg's reservation. Its id is the leg's, and never used twice."""

    id: str
    shares: tuple[Share, ...]


class Ask(Struct, frozen=True, gc=False):
    """One call's wish: granted whole or refused whole. The shares of the holds add up to the claims."""

    claims: tuple[Claim, ...]
    holds: tuple[Hold, ...]

    def ids(self) -> list[str]:
        return [hold.id for hold in self.holds]


class Rough(Struct, frozen=True, gc=False):
    """A wish for more than the call can come to, found without looking closely. ``wishes`` are its holds, each with
    tokens and nano-dollars, which count alike in all who are ``limited``. It is never refused: TooClose is raised where
    less than half of a limit would be left."""

    limited: Sequence[tuple[Subject, Limits]]
    wishes: Sequence[tuple[str, int, int]]

    def ids(self) -> list[str]:
        return [id for id, _, _ in self.wishes]

    def whole(self) -> Ask:
        """The same in full."""
        many, places = len(self.wishes), range(len(self.limited))
        tokens, nano = sum([tokens for _, tokens, _ in self.wishes]), sum([nano for _, _, nano in self.wishes])
        claims = tuple([Claim(subject, limits, many, tokens, nano) for subject, limits in self.limited])
        holds = [Hold(id, tuple([Share(place, some, price) for place in places])) for id, some, price in self.wishes]
        return Ask(claims, tuple(holds))


class Standing(Struct, frozen=True, gc=False):
    """How it stands with one limit. ``remaining`` is never negative; ``reset`` is in seconds: until a window is empty
    again if nothing more is used, or until the day or month ends. Money is nano-dollars."""

    subject: Subject
    kind: Kind
    limit: int
    remaining: int
    reset: float


class Granted(Struct, frozen=True, gc=False):
    """``at`` is the store's time in milliseconds since 1970: the days and months that the call counts in are those of
    this moment. ``requests`` and ``tokens`` are the limits per minute or day with the smallest share left; ``soft`` are
    soft budgets that what was used has passed. ``degraded``: decided without the store that all share,
    which otherwise says what is ``gone``, used or reserved, of days and months that have a limit."""

    at: int
    requests: Standing | None = None
    tokens: Standing | None = None
    soft: tuple[Standing, ...] = ()
    degraded: bool = False
    gone: "tuple[Period, ...]" = ()


class Refused(Struct, frozen=True, gc=False):
    """``standing`` is the limit that binds: of all that stand in the way, the one that will do so longest. ``wait`` is
    in seconds: who comes back exactly then is let in, if nobody else came meanwhile; None where waiting for it is no
    advice: budgets, tokens of a day, and ``never``, a wish larger than the limit itself. ``requests`` and ``tokens``
    are as in Granted, without this call."""

    standing: Standing
    wait: float | None
    never: bool = False
    requests: Standing | None = None
    tokens: Standing | None = None
    degraded: bool = False


Verdict = Granted | Refused


class Period(Struct, frozen=True, gc=False):
    """What one subject has used of its calendar counters, as the ledger has it: in the day and month of ``at``
    (milliseconds since 1970)."""

    subject: Subject
    at: int
    tokens_day: int
    nano_day: int
    nano_month: int


class Count(Struct, frozen=True, gc=False):
    """What a limiter's calendar counters of one subject hold: committed, and reserved for holds."""

    used: Period
    reserved_tokens_day: int = 0
    reserved_nano_day: int = 0
    reserved_nano_month: int = 0


class StoreDown(Exception):
    """The store of counters cannot be asked now, or did not answer in time; what was asked may yet happen there."""


class TooClose(Exception):
    """Nothing is reserved: it must be looked at closely what the call may come to. ``away``: the store was asked, and
    cannot say now."""

    def __init__(self, away: bool = False) -> None:
        self.away = away


class SettledUse(Struct, frozen=True, gc=False):
    """What a leg came to, counted the same in every subject of its hold. ``subjects`` and ``at`` (milliseconds) are
    given where the hold was never made in this store: then it is committed there all the same, once."""

    id: str
    tokens: int
    nano: int
    subjects: tuple[Subject, ...] = ()
    at: int = 0


class Limiter(Protocol):
    """What every store of counters can do; in process and in Redis with the same outcome."""

    async def reserve(self, ask: Ask | Rough, ttl: float) -> Verdict:
        """Checks and reserves for all legs in all subjects in one step. Holds expire after ``ttl`` seconds unless they
        are renewed. Raises StoreDown, and TooClose for a rough wish."""

    async def settle(self, uses: tuple[SettledUse, ...]) -> None:
        """Ends holds. May be repeated: a hold is settled once, also if it had expired meanwhile. Raises StoreDown."""

    async def renew(self, holds: tuple[str, ...], ttl: float) -> None:
        """Lets living holds expire ``ttl`` seconds from now. Raises StoreDown."""

    async def seed(self, periods: tuple[Period, ...], *, only_empty: bool) -> None:
        """Sets what was used of calendar counters: of all these subjects, or only of those whose counters are not
        there. Raises StoreDown."""

    async def adjust(self, differences: tuple[Period, ...]) -> None:
        """Adds these figures to what was used in the present day and month. Raises StoreDown."""

    async def counts(self, subjects: tuple[Subject, ...]) -> tuple[Count, ...]:
        """What the counters of these subjects hold now. Raises StoreDown."""
