"""What a leg uses: noted in the spool before its first byte goes out, entered in the ledger when it is over, and
settled with whoever reserved for it.

Nothing here waits. What a provider does not report is estimated, and said to be: of a stream that was cut, the pieces
that came; of an answer that nobody read, the prompt alone.
"""

import logging
from collections.abc import Callable, Sequence
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

Total = tuple[int, Usage, int | None]
"""Requests that have gone out, what they used, and what that costs."""

IMPOSSIBLE = 50_000_000
"""Tokens that no request comes to: models read some million, and write less. Whoever reports more has made a slip,
which would use up everybody's budgets."""

CREDIBLE = 20_000
"""Tokens that a prompt may come to, however short it is."""

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
        """A leg's entries; ``began`` is when its first target was asked, or it began to wait for what another call was
        given, by the steady clock; 0 where it did not wait."""

    def waited(self, request: str, began: float) -> None:
        """A leg has waited for an answer, since ``began``, and has no entry."""

    def left(self, request: str) -> None:
        """The caller of one that is under way has left; its entries come when it is over."""

    def unreached(self, model: str, target: str) -> None:
        """A target failed before any request had gone out to it: it has no entry."""


class Metered(Sending):
    """A Sending of a meter's. ``place`` is which of the leg's tries it belongs to: targets are asked one after the
    other, each with one request or several; ``began`` is when that try did, and ``ended`` when the
    next one began, 0 of the last."""

    meter: "LegMeter | None" = None
    target: Target | None = None
    place: int = 0
    began: float = 0.0
    ended: float = 0.0

    def reach(self) -> None:
        """Raises Unavailable where it cannot be noted that the bytes of a try's first request are about to go out."""
        meter = self.meter
        if meter is not None and meter.noted != self.place:
            call, target = self.call, self.target
            assert target is not None
            params, said = call.params, call.input
            if isinstance(said, Chat):  # as most are
                size, choices = memoryview(said.messages).nbytes, params.n
            else:
                size, choices = size_of(call), call.choices
            before = None if meter.noted < 0 else meter.spent(meter.noted)
            begun = Begun(
                meter.hold, meter.at, meter.request, meter.team, meter.key, meter.user, meter.model, target.name,
                size, 0 if params.max_tokens is None else params.max_tokens * choices, before, self.place,
            )  # fmt: skip
            try:
                meter.accounts.book.begin(begun)
            except SpoolFull as full:
                if meter.accounts.strict:
                    raise Unnoted(
                        "the gateway's disk has no room to note what calls use; none is made", retry_after=5
                    ) from full
            meter.noted = self.place
        self.reached = True


class LegMeter(Struct, eq=False):
    """A Meter. ``request`` is the call's ``x-request-id``, ``hold`` the leg's own id, ``at`` the moment of admission in
    microseconds since 1970. ``held`` says that something is reserved under that id, ``guess`` what its first request
    was taken to come to. ``cost`` is known when it has ended; None if a price is not.

    ``target``, ``began`` and ``place`` are of the try under way, ``noted`` is the place of the last one whose first
    request has gone out. ``totals`` are of tries that somebody has asked about before the end. ``missed`` are
    targets to which no request could be sent, ``served`` is the one that gave the answer to another call."""

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
    target: Target | None = None
    began: float = 0.0
    place: int = -1
    noted: int = -1
    sendings: tuple[Metered, ...] = ()
    totals: dict[int, Total] | None = None
    missed: tuple[Target, ...] = ()
    served: str = ""

    def begin(self, target: Target, now: float) -> None:
        if self.place > self.noted:
            self._missed()
        for sending in self.sendings:
            sending.ended = sending.ended or now
        self.target = target
        self.began = now
        self.place += 1

    def _missed(self) -> None:
        """No request has gone out to the target at hand."""
        if self.target is not None:
            self.missed += (self.target,)

    def sending(self, call: Call) -> Sending:
        sending = Metered(call, meter=self, target=self.target, place=self.place, began=self.began)
        if self.guess is not None:
            sending.guess, self.guess = self.guess, None
        self.sendings += (sending,)
        return sending

    def heard(self, sending: Sending) -> None:
        sending.first = self.accounts.clock.steady()

    def wait(self, began: float) -> None:
        self.began = began

    def leave(self) -> None:
        watch = self.accounts.watch
        if watch is not None and not self.ended:
            watch.left(self.request)
            watch.waited(self.request, self.sendings[0].began if self.sendings else self.began)

    def hit(self, target: str, began: float) -> None:
        self.served, self.began = target, began

    def end(self, result: LegResult) -> None:
        if self.ended:
            return
        self.ended = True
        accounts, sendings = self.accounts, self.sendings
        entries: tuple[Entry, ...] = ()
        tokens = nano = 0
        if self.noted >= 0 or self.served:
            if self.noted < 0:
                entries = (self._hit(),)
            elif len(sendings) == 1:  # as most are
                entries = (self._entry(0, sendings, result, True, accounts.clock.steady()),)
            else:
                entries = self._entries(result)
            accounts.book.end(Ended(self.hold, entries))
            for entry in entries:
                tokens += entry.input + entry.output
                if entry.cost is None:
                    self.cost = None
                else:
                    nano += entry.cost
            if self.cost is not None:
                self.cost = nano
        for sending in sendings:
            sending.meter = None  # they would refer to each other, and wait for the collector
        if self.held:
            accounts.settle(self.hold, tokens, nano)
        watch = accounts.watch
        if watch is not None:
            began = sendings[0].began if sendings else self.began
            if entries:
                watch.observe(entries, began)
            elif began:
                watch.waited(self.request, began)
            if self.place > self.noted and isinstance(result.outcome, ProviderError):
                self._missed()
            for target in self.missed:
                watch.unreached(self.model, target.name)

    # ------------------------------------------------------------------ before

    def spent(self, place: int) -> Spent:
        """What an earlier try came to: should nobody come to say how the leg ended."""
        found = [sending for sending in self.sendings if sending.place == place and sending.reached]
        total = total_of(found, self.at)
        self.totals = {**(self.totals or {}), place: total}  # reckoned once, since it teaches
        calls, usage, nano = total
        return Spent(calls, usage.input, usage.output, nano)

    # ------------------------------------------------------------------ after

    def _entries(self, result: LegResult) -> tuple[Entry, ...]:
        """One for each try whose target was reached. The leg counts as a request at the one that gave its answer, else
        at the last of them."""
        sendings, now = self.sendings, self.accounts.clock.steady()
        tries: dict[int, list[Metered]] = {}
        for sending in sendings:
            if sending.reached:
                tries.setdefault(sending.place, []).append(sending)
        chief = max(tries, default=0)
        if isinstance(result.outcome, Reply):  # it may be an earlier one's, half good, that nobody has bettered
            chief = max([place for place, some in tries.items() if some[0].target is result.target], default=chief)
        return tuple(
            [self._entry(i, tries[place], result, place == chief, now) for i, place in enumerate(sorted(tries))]
        )

    def _hit(self) -> Entry:
        """What was answered without asking anybody: it has used nothing."""
        took = int((self.accounts.clock.wall() - self.at / 1e6) * 1000)
        return Entry(
            f"{self.hold}.0", self.at, self.request, self.team, self.key, self.user, self.model, self.served, "hit",
            1, 0, 0, 0, None, None, None, 0, False, max(0, took), None,
        )  # fmt: skip

    def _entry(self, i: int, sendings: Sequence[Metered], result: LegResult, last: bool, now: float) -> Entry:
        first = sendings[0]
        target, began, heard, ended = first.target, first.began, first.first, first.ended or now
        assert target is not None
        total = None if self.totals is None else self.totals.get(first.place)
        if total is None and len(sendings) == 1:  # as most are
            calls, usage, paid = 1, used(first, target), 1 if first.failure is None else int(answered(first))
            nano = None if target.rates is None else cost(target.rates.at(self.at), usage, paid)
        else:
            calls, usage, nano = total or total_of(sendings, self.at)
        outcome: Outcome = "ok" if last and isinstance(result.outcome, Reply) else outcome_of(result, last, sendings)
        return Entry(
            f"{self.hold}.{i}", self.at, self.request, self.team, self.key, self.user, self.model, target.name,
            outcome, 1 if last else 0, calls, usage.input, usage.output,
            usage.cached, usage.cache_write, usage.reasoning,
            nano, usage.estimated, int((ended - began) * 1000), int((heard - began) * 1000) if heard else None,
        )  # fmt: skip


def total_of(sendings: Sequence[Metered], at: int) -> Total:
    """The requests of one try that have gone out, what they used, and what that costs."""
    target = sendings[0].target
    assert target is not None
    usage = summed([used(sending, target) for sending in sendings])
    paid = sum([answered(sending) for sending in sendings])
    return len(sendings), usage, None if target.rates is None else cost(target.rates.at(at), usage, paid)


def size_of(call: Call) -> int:
    """About how many bytes are said."""
    said = call.input
    if isinstance(said, str):
        return len(said)
    if isinstance(said, Chat):
        return memoryview(said.messages).nbytes
    return sum([len(item) for item in said.items])


def credible(call: Call) -> int:
    """Tokens of a prompt up to which a report teaches what others may come to: no tokenizer makes more of a text, and
    what a picture's address leads to is not much more."""
    return CREDIBLE + 8 * size_of(call)


def answered(sending: Sending) -> bool:
    """Whether a request counts where each has a price: not those that the provider refused."""
    return sending.failure is None or sending.failure.status in (None, 200)


def used(sending: Sending, target: Target) -> Usage:
    """What one request came to; what is reported teaches what the next will be taken to cost."""
    usage, estimator = sending.usage, target.estimator
    if usage is not None and not usage.estimated:
        read, guess = usage.input, sending.guess
        if read <= IMPOSSIBLE and usage.output <= IMPOSSIBLE:
            if (
                estimator is not None
                and (estimator.wants or (guess is not None and read > guess.input))
                and (read <= CREDIBLE or read <= credible(sending.call))
            ):
                guess = guess or estimator.before(sending.call)
                estimator.learn(guess, read, usage.output, chars=sending.chars, pieces=sending.pieces)
            return usage
        log.error("%s reports %d and %d tokens for one request; taken for none", target.name, read, usage.output)
        usage = Usage(0, 0, estimated=True)
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


def outcome_of(result: LegResult, last: bool, sendings: Sequence[Sending]) -> Outcome:
    """How it ended at a target that gave no answer, or not the last one."""
    outcome = result.outcome
    if last:
        if outcome is None:
            return "lost" if result.given_up else "cancelled"
        if isinstance(outcome, ProviderError):
            return "invalid" if isinstance(outcome, Invalid) else "failed"
    return "failed" if any(sending.failure for sending in sendings) else "invalid"
