"""The values that a request becomes on its way: what was asked, what is planned, what came of it."""

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol

from msgspec import Meta, Struct

from adapters.embeddings.types import Embedder
from adapters.errors import Invalid, ProviderError
from adapters.types import (
    Adapter,
    Asked,
    Call,
    Choice,
    Constraint,
    Decoder,
    Delta,
    Fields,
    Finish,
    Input,
    Mode,
    Params,
    Path,
    Reply,
    Usage,
)
from gateway.agreement import Alike
from gateway.errors import LegFailure
from gateway.estimates import Estimator, Guess
from gateway.gate import Gate
from gateway.keeping import Free, Keeping
from gateway.ledger.cost import RateTable
from gateway.limits.types import Limits, Subject
from gateway.resilience.retrying import Retrying
from gateway.resilience.standing import Standing
from gateway.upstream.types import Timeouts, Upstream


class Clock(Struct, frozen=True):
    """Where the time comes from: ``wall`` in seconds since 1970, ``steady`` for differences."""

    wall: Callable[[], float]
    steady: Callable[[], float]


class Caller(Struct, frozen=True, eq=False):
    """Who is asking: a team's key by its id, or a token that stands for one. ``expires`` is the wall clock's; ``may``
    says of a model's name whether it is allowed, None that all are. ``limited`` are the team, the key and the
    organisation, as far as they have limits. ``user`` is the end user whose token it is."""

    team: str
    key: str
    expires: float = math.inf
    may: Callable[[str], bool] | None = None
    limited: tuple[tuple[Subject, Limits], ...] = ()
    user: str = ""


class Sending(Struct, eq=False):
    """One HTTP request to a provider, while it is under way and after. ``usage`` is what its answer has reported, or
    our estimate; a stream that is cut leaves its ``decoder`` with what was reported until then, and how many
    characters and pieces it has brought. ``failure`` is why there was no answer. What is not ``reached`` has cost
    nothing. ``guess`` is what it was taken to come to."""

    call: Call
    usage: Usage | None = None
    decoder: Decoder | None = None
    chars: int = 0
    pieces: int = 0
    failure: ProviderError | None = None
    first: float = 0.0
    guess: Guess | None = None
    reached: bool = False

    def reach(self) -> None:
        """Its bytes are about to go out. May raise a ProviderError: then they must not."""
        self.reached = True


class Meter(Protocol):
    """Notes what one leg uses, from before its first request goes out."""

    def begin(self, target: "Target", now: float) -> None:
        """The leg is about to ask this target, now by the steady clock. Raises Unavailable where that could not be
        noted."""

    def sending(self, call: Call) -> Sending:
        """One more HTTP request to the target at hand."""

    def heard(self, sending: Sending) -> None:
        """The first piece of its answer has come."""

    def wait(self, began: float) -> None:
        """From ``began`` on, by the steady clock, the leg waits for what another call is given, or is about to make a
        call that others may hear."""

    def leave(self) -> None:
        """The leg's caller has left, and it goes on for others."""

    def hit(self, target: str, began: float) -> None:
        """The leg is answered by what this target gave to another call, and costs nothing. ``began`` is when it began
        to wait for that, by the steady clock; 0 where it did not wait."""

    def end(self, result: "LegResult") -> None:
        """The leg is over, however it ended. Only the first call counts."""


Caching = Literal["auto", "always", "never"]
Mixing = Literal["all", "first", "quorum"]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class FanoutBody(Struct, frozen=True, forbid_unknown_fields=True):
    """``fanout`` as callers write it, in every dialect. None is what holds by default."""

    mode: Mixing | None = None
    min_success: Positive | None = None
    deadline_ms: Positive | None = None
    strict: bool | None = None
    merge: Literal["each", "agree"] | None = None
    tolerance: Annotated[float, Meta(ge=0)] | None = None
    arrays: Literal["position", "set"] | None = None


NO_FANOUT = FanoutBody()


class Fanout(Struct, frozen=True):
    """How the answers of several models become one.

    ``all``: every model is waited for, and ``min_success`` of them must answer. ``first``: the first answer wins.
    ``quorum``: enough is when ``min_success`` have answered. ``deadline`` is in seconds from the start; ``strict``
    turns any model's failure into the call's. ``alike`` is there where answers are compared, as JSON values: a quorum
    is then of answers that agree. ``agree`` makes one answer of all by the majority of each leaf.
    """

    mode: Mixing = "all"
    min_success: int = 1
    deadline: float | None = None
    strict: bool = False
    alike: Alike | None = None
    agree: bool = False


class CompletionRequest(Struct, frozen=True):
    """What a caller asked, whatever the dialect. ``models`` is empty when the caller named none; ``one_text`` says that
    it came as one text, which may name several models with commas between. ``fields`` and ``constraint`` are the
    call's, ``constrained_by`` is the caller's name for the latter, ``unheld`` what its answers may be instead of
    keeping it and ``hint`` what shows it to a model (see ``Keeping``), and ``note`` what the dialect remembers for its
    answer. ``user`` is the caller's own name for the person who asks."""

    models: tuple[str, ...]
    input: Input
    params: Params
    stream: bool = False
    fanout: FanoutBody = NO_FANOUT
    one_text: bool = False
    fields: Fields | None = None
    constraint: Constraint | None = None
    constrained_by: str | None = None
    unheld: frozenset[Free] = frozenset({"cut"})
    hint: str | None = None
    note: Any = None
    user: str = ""


class Target(Struct, frozen=True, eq=False):
    """One provider's model, ready to be asked. ``name`` is how it is shown, ``provider/model``; ``gate`` bounds how
    many calls it gets at once. ``path`` is how its answers are held to their constraints, where that is not the
    adapter's to say, and ``shows_types`` whether the model is shown the type that its decoder holds it to. ``rates``
    are its prices where they are known, ``most_output`` the tokens of its longest answer. ``credential`` names the key
    that it is asked with, where its provider has several: it is then there once for each. ``standing`` is what is known
    of how it does."""

    name: str
    model: str
    mode: Mode
    adapter: Adapter
    upstream: Upstream
    timeouts: Timeouts
    gate: Gate | None = None
    weight: int = 1
    fallback: bool = False
    max_tokens: int | None = None
    embedder: Embedder | None = None
    path: Path | None = None
    shows_types: bool = True
    rates: RateTable | None = None
    most_output: int | None = None
    estimator: Estimator | None = None
    credential: str = ""
    standing: Standing | None = None


class Notice(Protocol):
    """Hears of what is asked more than once, or not at all."""

    def retried(self, target: str, reason: str) -> None: ...
    def fell_back(self, model: str, from_target: str, to_target: str, reason: str) -> None: ...
    def cache(self, model: str, result: str) -> None: ...


class Policy(Struct, frozen=True, eq=False):
    """How the calls of one route are made: when its targets are asked again, who is asked instead when a call is too
    long or filtered, and whether and for how many seconds answers are kept."""

    retrying: Retrying = Retrying()
    on_too_long: tuple[Target, ...] = ()
    on_filtered: tuple[Target, ...] = ()
    cache: Caching = "auto"
    cache_ttl: int = 3600
    notice: Notice | None = None


PLAIN = Policy()


class Leg(Struct, frozen=True, eq=False):
    """One model's part of a call: what it is asked, of which targets in which order, and where its choices begin.

    ``first`` is what the first target is asked, made while planning, so that a call which no wire can express fails
    before anything is sent. ``keeping`` holds the answer to its constraint, if it has one. ``model`` is the caller's
    name for the model, ``name`` its own.
    """

    model: str
    call: Call
    targets: tuple[Target, ...]
    offset: int
    first: tuple[Asked, ...]
    keeping: Keeping | None = None
    name: str = ""
    policy: Policy = PLAIN


Cached = Literal["", "hit", "miss", "coalesced"]


class Shared(Protocol):
    """A leg's part in what is shared with others who ask the same."""

    async def answer(
        self, result: "LegResult", clock: Clock, emit: "Callable[[LegResult, list[Delta], int], Any] | None"
    ) -> None:
        """Leaves the answer, or why there is none, in ``result``. What was used is noted, however it ends."""

    def leave(self) -> None:
        """There will be no ``answer``, or it is over."""


NONE_BROKEN: Mapping[int, Invalid] = MappingProxyType({})
NONE_KEPT: Mapping[int, Choice] = MappingProxyType({})

Plan = tuple[Leg, ...]
Outcome = Reply | ProviderError


class LegResult(Struct, eq=False):
    """What came of a leg. ``outcome`` is None while it is asked; times are the steady clock's, ``created`` the wall's.

    ``sent`` counts the characters of each choice that a stream has handed on, so that what was spent is known even of
    a stream that was cut. ``path`` is how the answer is held to its constraint; ``used`` is the usage of all answers
    that were given under it, good or not; ``broken`` are choices that do not keep it, where others do, and ``kept``
    those that do, before a prompt is put in front of them. ``whole``: the target was asked for it in one piece.
    ``given_up``: enough others had answered. ``heard`` is when a stream began to speak, ``until`` the moment after
    which nobody waits. ``cache`` is how the leg shares with others; empty if it does not. ``age`` is that of a kept
    answer in seconds, and ``served`` the name of the target that gave it.
    """

    leg: Leg
    started: float
    outcome: Outcome | None = None
    target: Target | None = None
    attempts: int = 0
    ended: float = 0.0
    created: int = 0
    sent: list[int] = []
    path: Path | None = None
    used: tuple[Usage, ...] = ()
    broken: Mapping[int, Invalid] = NONE_BROKEN
    kept: Mapping[int, Choice] = NONE_KEPT
    whole: bool = False
    meter: Meter | None = None
    given_up: bool = False
    heard: float = 0.0
    until: float = math.inf
    share: "Shared | None" = None
    cache: Cached = ""
    age: int = 0
    served: str = ""

    @property
    def answered_by(self) -> str:
        """The name of the target that answers, or has answered; empty if none was asked."""
        return self.served if self.target is None else self.target.name


class Part(Struct, frozen=True):
    """One choice of the merged answer. A failed leg's choices stay in their places, with ``error``. ``agreement`` has
    the shape of a value that several made, with the share of them for each leaf; ``failed`` are those that have no part
    in it."""

    index: int
    model: str
    text: str
    finish: Finish | None
    usage: Usage
    created: int
    elapsed_ms: int
    error: ProviderError | None = None
    raw: Fields | None = None
    agreement: Any = None
    failed: tuple[LegFailure, ...] = ()


class CompletionResponse(Struct, frozen=True):
    """The merged answer: ``usage`` is the sum over the parts, ``elapsed_ms`` the wall time of the whole. ``raw`` holds
    what the provider said beside its choices, where only one was asked."""

    id: str
    created: int
    parts: tuple[Part, ...]
    usage: Usage
    elapsed_ms: int
    legs: int = 1
    raw: Fields | None = None
