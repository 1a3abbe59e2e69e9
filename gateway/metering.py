"""What a leg uses: noted in the spool before its first byte goes out, entered in the ledger when it is over, and
settled with whoever reserved for it.

Nothing here waits. What a provider does not report is estimated, and said to be: of a stream that was cut, the pieces
that came; of an answer that nobody read, the prompt alone.
"""

from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec import Struct

from adapters.errors import Invalid, ProviderError, Unavailable
from adapters.types import Call, Reply, Usage, summed
from gateway.estimates import Guess
from gateway.ledger.cost import cost
from gateway.ledger.entry import Begun, Ended, Entry, Outcome
from gateway.limits.types import SettledUse
from gateway.store.spool import SpoolFull
from gateway.types import Clock, LegResult, Sending, Target

NOTHING = Usage(0, 0)


class Unnoted(Unavailable):
    code = "unrecorded"
    fall_back = False


class Book(Protocol):
    """Where legs are noted: the spool."""

    def begin(self, begun: Begun) -> None: ...
    def end(self, ended: Ended) -> None: ...


class Accounts(Struct, frozen=True, eq=False):
    """What all meters share. ``settle`` ends a leg's hold; None where nothing was reserved for it. ``strict``: what
    cannot be noted is not asked."""

    clock: Clock
    book: Book
    settle: Callable[[SettledUse], None]
    strict: bool = True


class Whose(Struct, frozen=True):
    """Whose call it is; ``request`` is its ``x-request-id``."""

    team: str
    key: str
    user: str
    request: str


class Try(Struct, eq=False):
    """One target, while it is asked and after."""

    target: Target
    began: float
    sendings: list[Sending]
    noted: bool = False


class LegMeter:
    """A Meter. ``hold`` is the leg's id, ``at`` the moment of admission in microseconds since 1970. ``held`` says that
    something is reserved under that id, ``guess`` what its first request was taken to come to."""

    __slots__ = ("_accounts", "_at", "_guess", "_held", "_hold", "_model", "_tries", "_whose", "cost", "ended")

    def __init__(
        self, accounts: Accounts, whose: Whose, hold: str, at: int, model: str, held: bool, guess: Guess | None
    ) -> None:
        self._accounts = accounts
        self._whose = whose
        self._hold = hold
        self._at = at
        self._model = model
        self._held = held
        self._guess = guess
        self._tries: list[Try] = []
        self.ended = False
        self.cost: int | None = 0

    def begin(self, target: Target) -> None:
        self._tries.append(Try(target, self._accounts.clock.steady(), []))

    def sending(self, call: Call) -> Sending:
        current = self._tries[-1]
        sending = Sending(call, guess=self._guess)
        self._guess = None
        current.sendings.append(sending)
        sending.reach = partial(self._reach, current, sending)
        return sending

    def heard(self, sending: Sending) -> None:
        sending.first = self._accounts.clock.steady()

    def end(self, result: LegResult) -> None:
        if self.ended:
            return
        self.ended = True
        entries = self._entries(result)
        if entries:
            self._accounts.book.end(Ended(self._hold, entries))
        if self._held:
            tokens = nano = 0
            for entry in entries:
                tokens += entry.input + entry.output
                nano += entry.cost or 0
            self._accounts.settle(SettledUse(self._hold, tokens, nano))

    # ------------------------------------------------------------------ before

    def _reach(self, current: Try, sending: Sending) -> None:
        """The request's bytes are about to go out."""
        if not current.noted:
            current.noted = True
            self._note(current.target, sending)
        sending.reached = True

    def _note(self, target: Target, sending: Sending) -> None:
        at, rates, whose = self._at, target.rates, self._whose
        read, written = likely(sending, target)
        price = None if rates is None else cost(rates.at(at), Usage(read, written), 1)
        begun = Begun(
            self._hold, at, whose.request, whose.team, whose.key, whose.user, self._model, target.name,
            read, written, price,
        )  # fmt: skip
        try:
            self._accounts.book.begin(begun)
        except SpoolFull as full:
            if self._accounts.strict:
                raise Unnoted("the gateway cannot note what the call uses, and so does not make it") from full

    # ------------------------------------------------------------------ after

    def _entries(self, result: LegResult) -> tuple[Entry, ...]:
        """One for each target that was reached. The leg counts as a request at the last of them."""
        reached = [tried for tried in self._tries if any(sending.reached for sending in tried.sendings)]
        if not reached:
            return ()
        last, now = reached[-1], self._accounts.clock.steady()
        entries = tuple([self._entry(i, tried, result, tried is last, now) for i, tried in enumerate(reached)])
        costs = [entry.cost for entry in entries]
        self.cost = None if None in costs else sum([price for price in costs if price is not None])
        return entries

    def _entry(self, place: int, tried: Try, result: LegResult, last: bool, now: float) -> Entry:
        target, at, whose = tried.target, self._at, self._whose
        sendings = [sending for sending in tried.sendings if sending.reached]
        usages = [used(sending, target) for sending in sendings]
        usage = usages[0] if len(usages) == 1 else summed(usages)
        rates = target.rates
        price = None if rates is None else cost(rates.at(at), usage, sum([answered(sending) for sending in sendings]))
        first = sendings[0].first
        return Entry(
            f"{self._hold}.{place}", at, whose.request, whose.team, whose.key, whose.user, self._model, target.name,
            outcome_of(result, last, sendings), 1 if last else 0, len(sendings), usage.input, usage.output,
            usage.cached, usage.cache_write, usage.reasoning, price, usage.estimated,
            round((now - tried.began) * 1000), round((first - tried.began) * 1000) if first else None,
        )  # fmt: skip


def answered(sending: Sending) -> bool:
    """Whether a request counts where each has a price: not those that the provider refused."""
    return sending.failure is None or sending.failure.status in (None, 200)


def used(sending: Sending, target: Target) -> Usage:
    """What one request came to; what is reported teaches what the next will be taken to cost."""
    usage, estimator = sending.usage, target.estimator
    if usage is None and sending.decoder is not None:
        usage = sending.decoder.usage
    if usage is not None and not usage.estimated:
        if estimator is not None and sending.usage is not None:
            guess = sending.guess or estimator.before(sending.call)
            estimator.learn(guess, usage.input, usage.output, chars=sending.chars, pieces=sending.pieces)
        return usage
    if not answered(sending):
        return NOTHING
    read = likely(sending, target)[0]
    if usage is not None:  # answered in full, but without a word of what it took
        return Usage(max(read, usage.input), usage.output, estimated=True)
    written = 0 if estimator is None else estimator.streamed(sending.chars, sending.pieces)
    return Usage(read, written, estimated=True)


def likely(sending: Sending, target: Target) -> tuple[int, int]:
    """Tokens of prompt and answer that one request comes to as a rule."""
    if target.estimator is None:
        return 0, 0
    if sending.guess is None:
        sending.guess = target.estimator.before(sending.call)
    return target.estimator.likely(sending.guess)


def outcome_of(result: LegResult, last: bool, sendings: list[Sending]) -> Outcome:
    outcome = result.outcome
    if isinstance(outcome, Reply) and last:
        return "ok"
    if outcome is None and last:
        return "lost" if result.given_up else "cancelled"
    if isinstance(outcome, ProviderError) and last:
        return "invalid" if isinstance(outcome, Invalid) else "failed"
    return "failed" if any(sending.failure for sending in sendings) else "invalid"
