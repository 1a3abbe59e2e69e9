"""What the service tells of itself while it works: each of these takes a microsecond or two, and none can fail.

Of a leg the ledger's own entries are told, so that ledger and metrics cannot differ. Label values are names that an
operator gave, or words of ours; never what a caller wrote.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping

from msgspec import Struct

from gateway.ledger.entry import Entry
from gateway.limits.types import Granted, Standing, Subject
from gateway.metrics import table
from gateway.metrics.shared import UNTOLD, Figures, Labels
from gateway.metrics.table import FIRST_SECONDS, OVERHEAD_SECONDS, SECONDS, TOKENS, Metric

SERVER = "gateway"
"""What stands for a provider's name where the gateway itself is the server."""

OPERATIONS = {
    "/v1/chat/completions": "chat",
    "/inf/chat/completions": "chat",
    "/v1/embeddings": "embeddings",
    "/v1/embedding": "embeddings",
}
"""The convention's names of what a route does, where that is not to complete a text."""
COMPLETION = "text_completion"

LEFT = 499
"""The status of a request whose caller left before there was one, by a custom of proxies."""

READY = 20_000
"""Sets of places that are kept at hand."""

LEFT_BEHIND = 1000
"""Requests of which it is known what they asked for, though their callers have left."""

KINDS = ("input", "output", "cached", "cache_write", "reasoning")

FIRST_SUM = len(FIRST_SECONDS) + 1
OVERHEAD_SUM = len(OVERHEAD_SECONDS) + 1
SECONDS_SUM = len(SECONDS) + 1
TOKENS_SUM = len(TOKENS) + 1
"""Where the sum of a histogram is, from its first number on."""


class Asking(Struct, eq=False):
    """A request that is being answered: what it asks for, and from when to when models were asked for it, by the steady
    clock."""

    route: str
    operation: str
    began: float
    first: float = math.inf
    last: float = 0.0


class OfRoute(Struct, frozen=True, eq=False):
    """Places of what is told of each request. Those of sums are in the histograms of which they are."""

    count: int
    seconds: int
    seconds_sum: int
    server: int
    server_sum: int
    overhead: int
    overhead_sum: int


class OfLeg(Struct, frozen=True, eq=False):
    """Places of what is told of each entry."""

    count: int
    cost: int
    input: int
    output: int
    rare: Labels
    seconds: int
    seconds_sum: int
    first_token: int
    asked: int
    asked_sum: int
    answered: int
    answered_sum: int


class Recording:
    """``steady`` is in seconds."""

    def __init__(self, figures: Figures, steady: Callable[[], float]) -> None:
        self._figures = figures
        self._values = figures.values
        self._steady = steady
        self._asking: dict[str, Asking] = {}
        self._left: dict[str, str] = {}  # what was asked for by those who have left, the first first
        self._of_route: dict[tuple[str, int, str, str], OfRoute] = {}
        self._of_leg: dict[tuple[str, str, str, str, str], OfLeg] = {}
        self._states: dict[tuple[str, str], str] = {}
        self._in_flight = figures.place(table.IN_FLIGHT)
        self._values[self._in_flight] = 0
        self._granted = figures.place(table.ADMISSIONS, ("granted", "", ""))
        self._watched: list[Callable[[], None]] = []
        for metric in table.TABLE:  # so that they are seen to grow from 0 on
            if metric.kind == "counter" and not metric.labels and not metric.reckoned:
                figures.place(metric)

    # ------------------------------------------------------------------ requests

    def begun(self, id: str, route: str) -> None:
        """A request that asks models; ``id`` is what its legs name it by, ``route`` the template of its path."""
        self._asking[id] = Asking(route, OPERATIONS.get(route, COMPLETION), self._steady())
        self._values[self._in_flight] += 1

    def answered(self, id: str, status: int, team: str, code: str = "", first_byte: float = 0.0) -> None:
        """It is over. ``status`` was sent, 0 where the caller had left before; ``code`` is that of an error; and
        ``first_byte`` when a stream began, by the steady clock."""
        asking, values = self._asking.pop(id), self._values
        key = (asking.route, status, team, code)
        of = self._of_route.get(key)
        if of is None:
            of = self._place_route(key, asking.operation)
        took = self._steady() - asking.began
        values[self._in_flight] -= 1
        values[of.count] += 1
        bucket = bisect_left(SECONDS, took)
        values[of.seconds + bucket] += 1
        values[of.seconds_sum] += took
        values[of.server + bucket] += 1
        values[of.server_sum] += took
        ours = took - (asking.last - asking.first) if asking.last else took
        values[of.overhead + bisect_left(OVERHEAD_SECONDS, ours)] += 1
        values[of.overhead_sum] += ours
        if first_byte:
            until = first_byte - asking.began
            place = self._figures.place(table.FIRST_BYTE_SECONDS, (asking.route,))
            values[place + bisect_left(FIRST_SECONDS, until)] += 1
            values[place + FIRST_SUM] += until

    def broken(self, route: str, reason: str) -> None:
        """A stream that had begun was not completed: ``caller_left``, ``failed`` by a mistake of ours, or the
        code of the reason for which the gateway broke it off."""
        self._count(table.BROKEN, route, reason)

    def shed(self, reason: str) -> None:
        """A request was turned away, since there is too much to do."""
        self._count(table.REJECTED, reason)

    def turned_away(self, route: str, status: int, reason: str) -> None:
        """... before anything of it was looked at, with this status."""
        self._count(table.REJECTED, reason)
        self._count(table.REQUESTS, route, str(status), "")

    def answered_otherwise(self, status: int) -> None:
        """A request that asks no model."""
        self._count(table.OTHER_REQUESTS, f"{status // 100}xx")

    # ------------------------------------------------------------------ legs

    def observe(self, entries: tuple[Entry, ...], began: float) -> None:
        """What the ledger has got of one leg, just now; ``began`` is when its first target was asked, or it began to
        wait for what another call was given, by the steady clock; 0 where it did not wait."""
        asking = self._asking.get(entries[0].request) if began else None
        operation = COMPLETION
        if asking is not None:
            operation = asking.operation
            asking.last = self._steady()
            if began < asking.first:
                asking.first = began
        elif began:
            operation = self._left.get(entries[0].request, COMPLETION)
        values, places = self._values, self._of_leg
        for entry in entries:
            if not entry.calls:  # nobody was asked
                self._count(table.LEGS, entry.model, entry.target, entry.outcome)
                continue
            key = (entry.team, entry.model, entry.target, entry.outcome, operation)
            of = places.get(key)
            if of is None:
                of = self._place_leg(key)
            input, output = entry.input, entry.output
            values[of.count] += 1
            values[of.input] += input
            values[of.output] += output
            values[of.asked + bisect_left(TOKENS, input)] += 1
            values[of.asked_sum] += input
            values[of.answered + bisect_left(TOKENS, output)] += 1
            values[of.answered_sum] += output
            took = entry.duration / 1000
            values[of.seconds + bisect_left(SECONDS, took)] += 1
            values[of.seconds_sum] += took
            cost = entry.cost
            if cost is not None:
                values[of.cost] += cost
            if entry.first_token is not None:
                until = entry.first_token / 1000
                values[of.first_token + bisect_left(FIRST_SECONDS, until)] += 1
                values[of.first_token + FIRST_SUM] += until
            if entry.estimated or cost is None or entry.cached or entry.cache_write or entry.reasoning:
                self._rare(entry, of.rare)

    def waited(self, request: str, began: float) -> None:
        """A leg has waited for an answer, since ``began``, and the ledger has nothing of it."""
        asking = self._asking.get(request)
        if asking is not None:
            asking.last = self._steady()
            asking.first = min(asking.first, began)

    def left(self, request: str) -> None:
        """The caller of a leg has left, and it goes on for others: what it comes to is told later."""
        asking = self._asking.get(request)
        if asking is not None and asking.operation != COMPLETION:
            self._left[request] = asking.operation
            if len(self._left) > LEFT_BEHIND:
                del self._left[next(iter(self._left))]

    def recovered(self, entry: Entry) -> None:
        """The same of one that a process which died had begun. How long it took nobody knows."""
        self._count(table.LEGS, entry.model, entry.target, entry.outcome)
        place, by = self._figures.place, (entry.team, entry.model)
        self._values[place(table.TOKENS_USED, (*by, "input"))] += entry.input
        self._values[place(table.TOKENS_USED, (*by, "output"))] += entry.output
        self._values[place(table.COST, by)] += entry.cost or 0
        self._rare(entry, by)

    def unreached(self, model: str, target: str) -> None:
        """A target failed before any request had gone out: of that the ledger has nothing."""
        self._count(table.LEGS, model, target, "unreached")

    def cache(self, model: str, result: str) -> None:
        """What the cache did for a leg: ``hit``, ``miss`` or ``coalesced``. Of legs whose answers are not
        shared nothing is told."""
        self._count(table.CACHE, model, result)

    def retried(self, target: str, reason: str) -> None:
        self._count(table.RETRIES, target, reason)

    def fell_back(self, model: str, from_target: str, to_target: str, reason: str) -> None:
        self._count(table.FALLBACKS, model, from_target, to_target, reason)

    def breaker(self, target: str, credential: str, state: str) -> None:
        """The breaker's state from now on: ``closed``, ``half_open`` or ``open``. ``credential`` is a name, not a
        key."""
        before = self._states.get((target, credential))
        if before is not None:
            self._values[self._figures.place(table.BREAKER, (target, credential, before))] = 0
        self._states[target, credential] = state
        self._values[self._figures.place(table.BREAKER, (target, credential, state))] = 1

    # ------------------------------------------------------------------ admission

    def granted(self, verdict: Granted | None = None) -> None:
        """A call was let in; without a verdict where nothing limits it."""
        self._values[self._granted] += 1
        if verdict is not None and (verdict.degraded or verdict.soft):
            if verdict.degraded:
                self._count(table.DEGRADED)
            for soft in verdict.soft:
                self._count(table.SOFT_BUDGETS, *subject_of(soft), soft.kind)

    def refused(self, standing: Standing, degraded: bool = False) -> None:
        """A call was not let in, since this limit was in the way."""
        self._count(table.ADMISSIONS, "refused", standing.subject.scope, standing.kind)
        if degraded:
            self._count(table.DEGRADED)

    def unpriced(self, subject: Subject) -> None:
        """A call was not let in, since somebody has a budget and its price is not known."""
        self._count(table.ADMISSIONS, "refused", subject.scope, "price_unknown")

    def unrecorded(self) -> None:
        """A call was not let in, since what it uses could not be counted or noted."""
        self._count(table.ADMISSIONS, "unrecorded", "", "")

    # ------------------------------------------------------------------ what is looked at now and then

    def watch(self, name: str, read: Callable[[], float], *labels: str) -> None:
        """A gauge, or a counter that something else keeps from 0 on: ``read`` tells it as it is in this worker."""
        metric = metric_of(name)

        def look() -> None:
            keep(read())

        keep = self._keeper(metric, labels)
        self._watched.append(look)

    def watch_each(self, name: str, read: Callable[[], Mapping[Labels, float]]) -> None:
        """Several series of one metric, by their labels; a gauge that ``read`` leaves out is told no
        more."""
        metric = metric_of(name)
        keepers: dict[Labels, Callable[[float], None]] = {}

        def look() -> None:
            found = read()
            for labels, value in found.items():
                keep = keepers.get(labels)
                if keep is None:
                    keep = keepers[labels] = self._keeper(metric, labels)
                keep(value)
            if metric.kind == "gauge":
                for labels in keepers.keys() - found.keys():
                    keepers.pop(labels)(UNTOLD)

        self._watched.append(look)

    def look(self) -> None:
        """Looks at all that is watched, so that other workers can tell it."""
        for look in self._watched:
            look()

    # ------------------------------------------------------------------ within

    def _count(self, metric: Metric, *labels: str) -> None:
        self._values[self._figures.place(metric, labels)] += 1

    def _keeper(self, metric: Metric, labels: Labels) -> Callable[[float], None]:
        """What notes a value. Of a counter, what it has grown by: the worker before us has counted, too."""
        values, place, last = self._values, self._figures.place(metric, labels), 0.0

        def gauge(value: float) -> None:
            values[place] = value * metric.scale

        def counter(value: float) -> None:
            nonlocal last
            values[place] += (value - last) * metric.scale
            last = value

        return gauge if metric.kind == "gauge" else counter

    def _place_route(self, key: tuple[str, int, str, str], operation: str) -> OfRoute:
        route, status, team, code = key
        place = self._figures.place
        seconds, server = place(table.REQUEST_SECONDS, (route,)), place(table.SERVER_SECONDS, (operation, SERVER, code))
        overhead = place(table.OVERHEAD, (route,))
        found = OfRoute(
            place(table.REQUESTS, (route, str(status or LEFT), team)),
            seconds,
            seconds + SECONDS_SUM,
            server,
            server + SECONDS_SUM,
            overhead,
            overhead + OVERHEAD_SUM,
        )
        if len(self._of_route) < READY:
            self._of_route[key] = found
        return found

    def _place_leg(self, key: tuple[str, str, str, str, str]) -> OfLeg:
        team, model, target, outcome, operation = key
        place, client = self._figures.place, (operation, *target.split("/", 1))
        seconds = place(table.OPERATION_SECONDS, (*client, "" if outcome == "ok" else outcome))
        asked, answered = place(table.TOKEN_USAGE, (*client, "input")), place(table.TOKEN_USAGE, (*client, "output"))
        found = OfLeg(
            place(table.LEGS, (model, target, outcome)),
            place(table.COST, (team, model)),
            place(table.TOKENS_USED, (team, model, "input")),
            place(table.TOKENS_USED, (team, model, "output")),
            (team, model),
            seconds,
            seconds + SECONDS_SUM,
            place(table.FIRST_TOKEN_SECONDS, client),
            asked,
            asked + TOKENS_SUM,
            answered,
            answered + TOKENS_SUM,
        )
        if len(self._of_leg) < READY:
            self._of_leg[key] = found
        return found

    def _rare(self, entry: Entry, by: Labels) -> None:
        """What few entries have."""
        if entry.estimated:
            self._count(table.ESTIMATED, entry.target)
        if entry.cost is None:
            self._count(table.UNPRICED, entry.target)
        place = self._figures.place
        for kind in KINDS[2:]:
            if tokens := getattr(entry, kind):
                self._values[place(table.TOKENS_USED, (*by, kind))] += tokens


def subject_of(standing: Standing) -> Labels:
    """Whose limit it is, as far as an operator has named them: keys and end users come and go."""
    subject = standing.subject
    return (subject.scope, subject.name if subject.scope in ("team", "model") else "")


def metric_of(name: str) -> Metric:
    for metric in table.TABLE:
        if metric.name == name and not metric.reckoned:
            return metric
    raise ValueError(f"no metric is called {name!r}")
