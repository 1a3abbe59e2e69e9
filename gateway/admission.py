"""Lets a call in: all its legs in all scopes in one step, or none of them.

What a call may come to is estimated upward, and reserved: the tokens of its prompt and of the longest answer it can
have, and what its targets may take for them. When a leg is over, what it did not use is given back.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Protocol

from msgspec import Struct

from adapters.types import Call, Chat, Params
from gateway.directory import Directory
from gateway.errors import Exhausted, Unrecorded
from gateway.estimates import Guess, output_bound
from gateway.estimates.size import has_parts
from gateway.headers import Head
from gateway.ledger.cost import dearest
from gateway.limits.types import (
    NANO,
    Ask,
    Claim,
    Granted,
    Hold,
    Limits,
    Rough,
    Share,
    Standing,
    StoreDown,
    Subject,
    TooClose,
    Verdict,
)
from gateway.limits.words import dollars, refusal, told
from gateway.metering import Accounts, LegMeter
from gateway.types import Caller, Clock, Leg, Plan, Target

ROOM = 8192
"""Bytes that a leg takes in the spool, at most."""

ROUGHLY = 600
"""Tokens that a request may cost beyond a token for each of its bytes: what templates and hidden instructions add."""

SHOWN = 512
"""Tokens by which a model is told what is wrong with its answer, beside the answer."""

Limited = Sequence[tuple[Subject, Limits]]
"""Who is concerned, with their limits."""

Wish = tuple[Subject, Limits, Sequence[int]]
"""Whose limits count, and for which legs."""


class Counting(Protocol):
    """Who keeps the counters. ``now`` answers at once, or says that it must be asked with ``later``; ``at_once`` says
    whether ``spare`` may let anybody in."""

    @property
    def at_once(self) -> bool: ...

    def spare(self, wishes: Sequence[tuple[str, int, int]], limited: Limited, now: int) -> Granted | None:
        """Lets a call in at once, if every limit has room to spare; None, and nothing is reserved, otherwise.
        ``wishes`` are the holds of its legs, each with tokens and nano-dollars; ``now`` is in milliseconds since
        1970."""

    def may_be_rough(self, limited: Limited) -> bool:
        """Whether a rough wish of these is worth a try."""

    def was_too_close(self, limited: Limited) -> None:
        """It was not."""

    def now(self, ask: Ask) -> Verdict | None: ...
    async def later(self, ask: Ask | Rough) -> Verdict:
        """Raises StoreDown, and TooClose for a rough wish."""

    def alone(self, ask: Ask) -> Verdict:
        """Without the store, which has just been asked in vain."""

    def settle(self, hold: str, tokens: int, nano: int) -> None:
        """What a leg came to. Without waiting, whatever the state of the store."""


class Spooling(Protocol):
    """Where legs are noted."""

    free: int
    """Bytes that may be written for sure."""

    @property
    def room(self) -> int:
        """Bytes that may yet be written."""


class Watch(Protocol):
    """Who counts what is decided."""

    def granted(self, verdict: Granted | None = None) -> None:
        """A call was let in; without a verdict where nothing limits it."""

    def refused(self, standing: Standing, degraded: bool = False) -> None:
        """It was not, since this limit was in the way."""

    def unpriced(self, subject: Subject) -> None:
        """It was not, since a budget holds and a price is not known."""

    def unrecorded(self) -> None:
        """It was not, since what it uses could not be counted or noted."""


class Rules(Struct, frozen=True):
    """What is configured: the tokens of an answer that nobody bounds, and whether a call is let in under a budget when
    a price is not known, or when it could not be noted."""

    output_tokens: int
    unpriced: bool = False
    unnoted: bool = False


class Need(Struct, frozen=True):
    """What one leg may come to. ``open`` says that the caller has set no bound: then tokens are reserved as far as a
    limit goes, and no farther, but no less than is ``read`` for sure. ``nano`` is None where a price is not known.
    ``guess`` is what its only request is taken to come to; None where it begins with several."""

    tokens: int
    read: int
    nano: int | None
    open: bool
    guess: Guess | None


class Admitted(Struct, eq=False):
    """A call that has been let in, with a meter for each leg, and what its answer's head says of limits."""

    meters: Sequence[LegMeter]
    headers: Head

    def told(self) -> Head:
        """... and what the call has cost, once its legs are over and if all prices are known."""
        total = 0
        for meter in self.meters:
            if meter.cost is None:
                return self.headers
            total += meter.cost
        return self.headers + b"x-gateway-cost-usd: %d.%09d\r\n" % divmod(total, NANO)


class Admitting(Struct, frozen=True, eq=False):
    """A call that asks to be let in: whose, for what, under which ``x-request-id``. ``stem`` is what the ids of its
    holds begin with, ``at`` the moment in microseconds since 1970."""

    caller: Caller
    user: str
    plan: Plan
    request: str
    stem: str
    at: int


class Admission:
    def __init__(
        self,
        directory: Directory,
        counting: Counting,
        accounts: Accounts,
        spool: Spooling,
        rules: Rules,
        clock: Clock,
        watch: Watch,
    ) -> None:
        self._directory = directory
        self._counting = counting
        self._accounts = accounts
        self._spool = spool
        self.rules = rules
        self._clock = clock
        self._watch = watch

    def admit(self, caller: Caller, user: str, plan: Plan, request: str) -> Admitted | Awaitable[Admitted]:
        """At once where that can be known at once, as it mostly can where the counters are in this process. Raises
        OverLimit, Exhausted or Unrecorded, here or later; nothing is reserved then."""
        spool, directory = self._spool, self._directory
        if spool.free < ROOM and spool.room < ROOM * len(plan) and not self.rules.unnoted:
            self._watch.unrecorded()
            raise Unrecorded("the gateway's disk has no room to note what calls use; none is made", retry_after=5)
        at = int(self._clock.wall() * 1_000_000)
        user = caller.user or user  # nobody takes another's name by writing it into the body
        call = Admitting(caller, user, plan, request, f"{at:014x}-{request[:13]}", at)
        limited = caller.limited
        if user and directory.users_limited and (found := directory.limited("user", f"{caller.team}/{user}")):
            limited = (*limited, found)
        if not limited and not directory.models_limited:
            self._watch.granted()
            return Admitted(self._meters(call, at, None), b"")
        counting = self._counting
        if directory.models_limited or not (counting.at_once or counting.may_be_rough(limited)):
            return self._closely(call, limited)
        wishes = wishes_of(plan, call.stem, at)
        if wishes is None:
            return self._closely(call, limited)
        if not counting.at_once:
            return self._roughly(call, wishes, limited)
        granted = counting.spare(wishes, limited, at // 1000)
        return self._closely(call, limited) if granted is None else self._let_in(call, granted, [])

    async def _roughly(self, call: Admitting, wishes: list[tuple[str, int, int]], limited: Limited) -> Admitted:
        away = False
        try:
            verdict = await self._asked(Rough(limited, wishes))
            if isinstance(verdict, Granted):
                return self._let_in(call, verdict, [])
        except TooClose as close:
            away = close.away
            if not away:
                self._counting.was_too_close(limited)
        return await self._closely(call, limited, away)

    async def _closely(self, call: Admitting, limited: Limited, away: bool = False) -> Admitted:
        """``away``: the store that all share has just been asked in vain."""
        wanted = self._ask(limited, call.plan, call.stem, call.at)
        if wanted is None:
            self._watch.granted()
            return Admitted(self._meters(call, call.at, None), b"")
        ask, needs = wanted
        counting = self._counting
        verdict = counting.alone(ask) if away else counting.now(ask)
        if verdict is None:
            verdict = await self._asked(ask)
        if not isinstance(verdict, Granted):
            self._watch.refused(verdict.standing, verdict.degraded)
            raise refusal(verdict, wish_of(ask, verdict.standing.subject, verdict.standing.kind))
        return self._let_in(call, verdict, needs)

    def _let_in(self, call: Admitting, granted: Granted, needs: Sequence[Need]) -> Admitted:
        self._watch.granted(granted)
        return Admitted(self._meters(call, granted.at * 1000, needs), told(granted))

    async def _asked(self, ask: Ask | Rough) -> Verdict:
        try:
            return await self._counting.later(ask)
        except StoreDown as exc:
            self._watch.unrecorded()
            raise Unrecorded("limits cannot be looked up now, and no call is let in without", retry_after=1) from exc
        except asyncio.CancelledError:
            for id in ask.ids():  # the caller has left; what was asked for may yet be granted
                self._counting.settle(id, 0, 0)
            raise

    def _meters(self, call: Admitting, at: int, needs: Sequence[Need] | None) -> list[LegMeter]:
        """``needs`` is None where nothing was reserved, and empty where nobody has looked closely."""
        accounts, user, request, stem, held = self._accounts, call.user, call.request, call.stem, needs is not None
        team, key = call.caller.team, call.caller.key
        meters: list[LegMeter] = []
        for leg in call.plan:
            i = len(meters)
            guess = needs[i].guess if needs else None
            meters.append(LegMeter(accounts, team, key, user, request, f"{stem}.{i}", at, leg.name, held, guess))
        return meters

    # ------------------------------------------------------------------ what is asked for

    def _ask(self, limited: Limited, plan: Plan, stem: str, at: int) -> tuple[Ask, list[Need]] | None:
        """None where nobody concerned has limits."""
        wishes: list[Wish] = [(subject, limits, range(len(plan))) for subject, limits in limited]
        if self._directory.models_limited:
            wishes += self._by_model(plan)
        if not wishes:
            return None
        needs = [self._need(leg, at) for leg in plan]
        shares: list[list[Share]] = [[] for _ in plan]
        claims = [self._claim(place, wish, needs, plan, shares) for place, wish in enumerate(wishes)]
        holds = [Hold(f"{stem}.{i}", tuple(mine)) for i, mine in enumerate(shares)]
        return Ask(tuple(claims), tuple(holds)), needs

    def _by_model(self, plan: Plan) -> list[Wish]:
        legs: dict[str, list[int]] = {}
        for i, leg in enumerate(plan):
            legs.setdefault(leg.name, []).append(i)
        found = [(self._directory.limited("model", name), places) for name, places in legs.items()]
        return [(*limited, places) for limited, places in found if limited is not None]

    def _claim(self, place: int, wish: Wish, needs: list[Need], plan: Plan, shares: list[list[Share]]) -> Claim:
        subject, limits, legs = wish
        all_tokens = nano = 0
        for i, tokens in zip(legs, within([needs[i] for i in legs], limits), strict=True):
            price = needs[i].nano
            if price is None:
                if not self.rules.unpriced and (limits.usd_day is not None or limits.usd_month is not None):
                    self._watch.unpriced(subject)
                    raise unpriced(plan[i])
                price = 0
            shares[i].append(Share(place, tokens, price))
            all_tokens += tokens
            nano += price
        return Claim(subject, limits, len(legs), all_tokens, nano)

    def _need(self, leg: Leg, at: int) -> Need:
        call, targets, params = leg.call, may_ask(leg), leg.call.params
        guess = guessed(targets[0], leg.first[0].call if len(leg.first) == 1 else call)
        if guess and len(leg.first) <= 1:
            read, most = guess.input, guess.most
        else:
            read, most = read_by(targets[0], leg)
        for target in targets[1:]:
            most = max(most, read_by(target, leg)[1])
        choices, times = most_choices(call), max(1, len(leg.first))
        bound = output_bound(params, longest(targets, leg), call.prompts)
        written = self.rules.output_tokens * choices if bound is None else bound
        more = most_more = 0
        if leg.keeping is not None:  # each choice may be asked for again, with what was wrong in the prompt
            rounds, hint = leg.keeping.rounds, len((leg.keeping.hint or "").encode())
            again = rounds * (written + choices * (SHOWN + hint))
            more = rounds * ((guess.input if guess else read) * choices // call.prompts) + again
            most_more = rounds * (most * choices // call.prompts) + again
            times += rounds * choices
            written += rounds * written
        dollars = price_of if leg.keeping is None else price_of_all
        nano = dollars(targets, at, most + most_more, written, times)
        one = guess if len(leg.first) == 1 else None  # what several requests come to together says little of the first
        return Need(read + more + written, read, nano, params.max_tokens is None, one)


def wishes_of(plan: Plan, stem: str, at: int) -> list[tuple[str, int, int]] | None:
    """The holds of a call's legs, each with what it comes to at most; None if one must be looked at closely."""
    wishes: list[tuple[str, int, int]] = []
    for leg in plan:
        rough = roughly(leg, at)
        if rough is None:
            return None
        tokens, nano = rough
        wishes.append((f"{stem}.{len(wishes)}", tokens, nano))
    return wishes


def roughly(leg: Leg, at: int) -> tuple[int, int] | None:
    """More tokens and nano-dollars than the simplest of calls can come to, found without looking closely; None for all
    others."""
    call = leg.call
    params, said = call.params, call.input
    limit = params.max_tokens
    if limit is None or leg.keeping is not None or len(leg.first) != 1 or params.best_of is not None:
        return None
    if params.suffix is not None or (call.fields is not None and not PLAIN.issuperset(call.fields)):
        return None
    if isinstance(said, str):
        read = ROUGHLY + (len(said) if said.isascii() else 4 * len(said))
    elif isinstance(said, Chat) and not has_parts(raw := bytes(said.messages)):  # a picture is more than its address
        read = ROUGHLY + len(raw)
    else:
        return None
    written, targets, policy = limit * params.n, leg.targets, leg.policy
    if len(targets) > 1 or policy.on_too_long or policy.on_filtered:
        nano = price_of(may_ask(leg), at, read, written, 1)
    else:
        rates = targets[0].rates
        nano = None if rates is None else dearest(rates.at(at), read, written)
    return None if nano is None else (read + written, nano)


def may_ask(leg: Leg) -> tuple[Target, ...]:
    """Whoever may be asked for the leg: each target once, with however many keys, and those of its route's detours."""
    targets, policy = leg.targets, leg.policy
    if policy.on_too_long or policy.on_filtered:
        targets = (*targets, *policy.on_too_long, *policy.on_filtered)
    if len(targets) == 1:
        return targets
    return tuple({target.name: target for target in targets}.values())


PLAIN = frozenset(Params.__struct_fields__) | {"max_completion_tokens", "user", "stream_options", "metadata", "store"}
"""Fields that nobody reads as a part of the prompt."""


def guessed(target: Target, call: Call) -> Guess | None:
    return None if target.estimator is None else target.estimator.before(call)


def read_by(target: Target, leg: Leg) -> tuple[int, int]:
    """Tokens that the target reads, in all requests that it takes: as a guess's ``input`` and ``most``."""
    guesses = [guess for asked in leg.first if (guess := guessed(target, asked.call))]
    return sum([guess.input for guess in guesses]), sum([guess.most for guess in guesses])


def longest(targets: tuple[Target, ...], leg: Leg) -> int | None:
    """Tokens of the longest answer that any of them gives, where the caller has set no bound; None if that is not known
    of all."""
    if leg.first and leg.first[0].call.params.max_tokens is not None:
        return leg.first[0].call.params.max_tokens  # what the gateway asks for
    most = [target.most_output for target in targets if target.most_output is not None]
    return max(most) if len(most) == len(targets) else None


def most_choices(call: Call) -> int:
    """How many answers may be made."""
    return call.prompts * max(call.params.n, call.params.best_of or 0)


def price_of(targets: tuple[Target, ...], at: int, read: int, written: int, times: int) -> int | None:
    """What the dearest target takes, after all others have read the prompt and broken off."""
    if len(targets) == 1:
        rates = targets[0].rates
        return None if rates is None else dearest(rates.at(at), read, written, times)
    in_vain = last = 0
    for target in targets:
        whole, nothing = price_at(target, at, read, written, times), price_at(target, at, read, 0, times)
        if whole is None or nothing is None:
            return None
        in_vain += nothing
        last = max(last, whole - nothing)
    return in_vain + last


def price_of_all(targets: tuple[Target, ...], at: int, read: int, written: int, times: int) -> int | None:
    """What all targets take together: each may answer in full, and not keep to the type."""
    total = 0
    for target in targets:
        price = price_at(target, at, read, written, times)
        if price is None:
            return None
        total += price
    return total


def price_at(target: Target, at: int, read: int, written: int, times: int) -> int | None:
    return None if target.rates is None else dearest(target.rates.at(at), read, written, times)


def within(needs: Sequence[Need], limits: Limits) -> list[int]:
    """The tokens to reserve of a subject, for each of a call's legs. Those that nobody has bounded may together take
    all that a limit ever allows: the call would otherwise never be let in, however short its answers."""
    tokens, tpm, tpd = [need.tokens for need in needs], limits.tpm, limits.tpd
    if tpm is None and tpd is None:
        return tokens
    most = min([limit for limit in (tpm, tpd) if limit is not None])
    if sum(tokens) <= most:
        return tokens
    least = [need.read if need.open else need.tokens for need in needs]
    room, unbounded = most - sum(least), sum(tokens) - sum(least)
    if room < 0 or not unbounded:
        return tokens
    return [low + room * (all - low) // unbounded for low, all in zip(least, tokens, strict=True)]


def unpriced(leg: Leg) -> Exhausted:
    error = Exhausted(
        f"a budget holds for this call, and what model '{leg.model}' costs is not known: its targets need a price in "
        "routing.yaml",
        param="model",
    )
    error.code = "price_unknown"
    return error


def wish_of(ask: Ask, subject: Subject, kind: str) -> str:
    """What the call may use of a limit, in words."""
    claim = next(claim for claim in ask.claims if claim.subject == subject)
    if kind.startswith("USD"):
        return dollars(claim.nano)
    if kind.startswith("tokens"):
        return f"{claim.tokens:,} tokens"
    return f"{claim.requests:,} request{'s' if claim.requests > 1 else ''}"
