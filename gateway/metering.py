"""What a leg uses: noted in the spool before its first byte goes out, entered in the ledger when it is over, and
settled with whoever reserved for it.

Nothing here waits. What a provider does not report is estimated, and said to be: of a stream that was cut, the pieces
that came; of an answer that nobody read, the prompt alone.
"""

import logging
from collections.abc import Callable
from functools import partial
from typing import Protocol

from msgspec import Struct

from adapters.errors import Invalid, ProviderError
from adapters.types import Call, Chat, Reply, Usage, summed
from gateway.estimates import Guess
from gateway.gate import Overloaded
from gateway.ledger.cost import cost
from gateway.ledger.entry import Begun, Ended, Entry, Outcome, Spent
from gateway.store.spool import SpoolFull
from gateway.types import Clock, LegResult, Sending, Target

NOTHING = Usage(0, 0)

IMPOSSIBLE = 50_000_000
"""Tokens that no request comes to: models read some million, and write less. Whoever reports more has made a slip,
which would use up everybody's budgets."""

log = logging.getLogger("gateway.accounting")


class Unnoted(Overloaded):
    code = "unrecorded"
    fall_back = False


class Book(Protocol):
    """Where legs are noted: the spool."""

    def begin(self, begun: Begun) -> None: ...
    def end(self, ended: Ended) -> None: ...


class Accounts(Struct, frozen=True, eq=False):
    """What all meters share. ``settle`` ends a leg's hold, with the tokens and nano-dollars that it came to.
    ``strict``: what cannot be noted is not asked. ``watch`` hears what the ledger gets."""

    clock: Clock
    book: Book
    settle: Callable[[str, int, int], None]
    strict: bool = True
    watch: "Watch | None" = None


class Watch(Protocol):
    """Who counts what legs come to."""

    def observe(self, entries: tuple[Entry, ...], began: float) -> None:
        """A leg's entries; ``began`` is when its first target was asked, by the steady clock."""

    def unreached(self, model: str, target: str) -> None:
        """A target failed before any request had gone out to it: it has no entry."""


class Try(Struct, eq=False):
    """One target, while it is asked and after; ``ended`` is when the next one was asked, 0 of the last. ``noted``: its
    first request has gone out. ``total`` is what it came to, once somebody has asked."""

    target: Target
    began: float
    sendings: list[Sending]
    noted: bool = False
    ended: float = 0.0
    total: tuple[int, Usage, int | None] | None = None


class LegMeter(Struct, eq=False):
    """A Meter. ``request`` is the call's ``x-request-id``, ``hold`` the leg's own id, ``at`` the moment of admission in
    microseconds since 1970. ``held`` says that something is reserved under that id, ``guess`` what its first request
    was taken to come to. ``cost`` is known when it has ended; None if a price is not."""

    accounts: Accounts
    team: str
    key: str
    user: str
    request: str
    hold: str
    at: int
    model: str
    held: bool
    guess: Guess | None = None
    cost: int | None = 0
    ended: bool = False
    tries: list[Try] = []

    def begin(self, target: Target) -> None:
        now = self.accounts.clock.steady()
        if self.tries:
            self.tries[-1].ended = now
        self.tries.append(Try(target, now, []))

    def sending(self, call: Call) -> Sending:
        current, sending = self.tries[-1], Sending(call)
        if self.guess is not None:
            sending.guess, self.guess = self.guess, None
        current.sendings.append(sending)
        sending.reach = partial(self._reach, current, sending)
        return sending

    def heard(self, sending: Sending) -> None:
        sending.first = self.accounts.clock.steady()

    def end(self, result: LegResult) -> None:
        if self.ended:
            return
        self.ended = True
        entries = self._entries(result)
        for tried in self.tries:
            for sending in tried.sendings:
                sending.reach = None
        tokens = nano = 0
        if entries:
            self.accounts.book.end(Ended(self.hold, entries))
            for entry in entries:
                tokens += entry.input + entry.output
                if entry.cost is None:
                    self.cost = None
                else:
                    nano += entry.cost
            if self.cost is not None:
                self.cost = nano
        if self.held:
            self.accounts.settle(self.hold, tokens, nano)
        watch = self.accounts.watch
        if watch is not None:
            if entries:
                watch.observe(entries, self.tries[0].began)
            if len(entries) < len(self.tries) and isinstance(result.outcome, ProviderError | Reply):
                for tried in self.tries:
                    if not tried.noted:
                        watch.unreached(self.model, tried.target.name)

    # ------------------------------------------------------------------ before

    def _reach(self, current: Try, sending: Sending) -> None:
        """The request's bytes are about to go out."""
        if not current.noted:
            call, target = sending.call, current.target
            begun = Begun(
                self.hold, self.at, self.request, self.team, self.key, self.user, self.model, target.name,
                size_of(call), (call.params.max_tokens or 0) * call.choices,
                self._spent() if len(self.tries) > 1 else None,
            )  # fmt: skip
            try:
                self.accounts.book.begin(begun)
            except SpoolFull as full:
                if self.accounts.strict:
                    raise Unnoted(
                        "the gateway's disk has no room to note what calls use; none is made", retry_after=5
                    ) from full
            current.noted = True
        sending.reached = True
        sending.reach = None  # it would refer to itself, and wait for the collector

    def _spent(self) -> Spent | None:
        """What the target came to that was asked before this one: should nobody come to say how the leg ended."""
        before = [tried for tried in self.tries[:-1] if tried.noted]
        if not before:
            return None
        calls, usage, nano = self._total(before[-1])
        return Spent(calls, usage.input, usage.output, nano)

    # ------------------------------------------------------------------ after

    def _entries(self, result: LegResult) -> tuple[Entry, ...]:
        """One for each target that was reached. The leg counts as a request at the one that gave its answer, else at
        the last of them."""
        tries, now = self.tries, self.accounts.clock.steady()
        if len(tries) == 1 and tries[0].noted:
            return (self._entry(0, tries[0], result, True, now),)
        tries = [tried for tried in tries if any(sending.reached for sending in tried.sendings)]
        chief = tries[-1:]
        if isinstance(result.outcome, Reply):  # it may be an earlier one's, half good, that nobody has bettered
            chief = [tried for tried in tries if tried.target is result.target][-1:] or chief
        return tuple([self._entry(i, tried, result, tried in chief, now) for i, tried in enumerate(tries)])

    def _entry(self, place: int, tried: Try, result: LegResult, last: bool, now: float) -> Entry:
        target, sendings, began = tried.target, tried.sendings, tried.began
        if len(sendings) > 1:
            sendings = [sending for sending in sendings if sending.reached]
        first, (calls, usage, nano) = sendings[0].first, self._total(tried)
        ended = tried.ended or now
        outcome: Outcome = "ok" if last and isinstance(result.outcome, Reply) else outcome_of(result, last, sendings)
        return Entry(
            f"{self.hold}.{place}", self.at, self.request, self.team, self.key, self.user, self.model, target.name,
            outcome, 1 if last else 0, calls, usage.input, usage.output,
            usage.cached, usage.cache_write, usage.reasoning,
            nano, usage.estimated, int((ended - began) * 1000), int((first - began) * 1000) if first else None,
        )  # fmt: skip

    def _total(self, tried: Try) -> tuple[int, Usage, int | None]:
        """The requests that have gone out, what they used, and what that costs. Reckoned once, since it teaches."""
        if tried.total is None:
            target, sendings = tried.target, tried.sendings
            if len(sendings) == 1:
                usage, paid = used(sendings[0], target), int(answered(sendings[0]))
            else:
                sendings = [sending for sending in sendings if sending.reached]
                usage = summed([used(sending, target) for sending in sendings])
                paid = sum([answered(sending) for sending in sendings])
            nano = None if target.rates is None else cost(target.rates.at(self.at), usage, paid)
            tried.total = len(sendings), usage, nano
        return tried.total


def size_of(call: Call) -> int:
    """About how many bytes are said."""
    said = call.input
    if isinstance(said, str):
        return len(said)
    if isinstance(said, Chat):
        return len(bytes(said.messages))
    return sum([len(item) for item in said.items])


def credible(call: Call) -> int:
    """Tokens of a prompt up to which a report teaches what others may come to: no tokenizer makes more of a text, and
    what a picture's address leads to is not much more."""
    return 20_000 + 8 * size_of(call)


def answered(sending: Sending) -> bool:
    """Whether a request counts where each has a price: not those that the provider refused."""
    return sending.failure is None or sending.failure.status in (None, 200)


def used(sending: Sending, target: Target) -> Usage:
    """What one request came to; what is reported teaches what the next will be taken to cost."""
    usage, estimator = sending.usage, target.estimator
    if usage is not None and not usage.estimated and (usage.input > IMPOSSIBLE or usage.output > IMPOSSIBLE):
        log.error("%s reports %d and %d tokens for one request; taken for none", target.name, usage.input, usage.output)
        usage = Usage(0, 0, estimated=True)
    if usage is not None and not usage.estimated:
        guess = sending.guess
        if (
            estimator is not None
            and usage.input <= credible(sending.call)
            and (estimator.wants or (guess is not None and usage.input > guess.input))
        ):
            guess = guess or estimator.before(sending.call)
            estimator.learn(guess, usage.input, usage.output, chars=sending.chars, pieces=sending.pieces)
        return usage
    if usage is None and sending.decoder is not None and (usage := sending.decoder.usage) is not None:
        return usage  # what had been reported before the stream broke off
    if not answered(sending):
        return NOTHING
    read = read_of(sending, target)
    if usage is not None:  # answered in full, but without a word of what it took
        return Usage(max(read, usage.input), usage.output, estimated=True)
    written = 0 if estimator is None else estimator.streamed(sending.chars, sending.pieces)
    return Usage(read, written, estimated=True)


def read_of(sending: Sending, target: Target) -> int:
    """Tokens of the prompt that one request comes to as a rule."""
    if target.estimator is None:
        return 0
    return target.estimator.likely(sending.guess or target.estimator.before(sending.call))[0]


def outcome_of(result: LegResult, last: bool, sendings: list[Sending]) -> Outcome:
    """How it ended at a target that gave no answer, or not the last one."""
    outcome = result.outcome
    if last:
        if outcome is None:
            return "lost" if result.given_up else "cancelled"
        if isinstance(outcome, ProviderError):
            return "invalid" if isinstance(outcome, Invalid) else "failed"
    return "failed" if any(sending.failure for sending in sendings) else "invalid"
