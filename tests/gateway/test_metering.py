"""What a leg is said to have used, however it ends."""

import asyncio
from typing import Any

import msgspec
import pytest

from adapters.errors import ProviderError, TimedOut
from adapters.types import AnyJson, Call, HttpRequest, HttpResponse, Params, Reply
from gateway.asking import requests
from gateway.constraints import Checker
from gateway.estimates import Estimator
from gateway.fanout import ask_all, begun
from gateway.gate import Gate
from gateway.keeping import Keeping
from gateway.ledger.cost import Rates, RateTable
from gateway.ledger.entry import Entry, Spent
from gateway.ledger.recovery import Likely, interrupted
from gateway.limits.types import SettledUse
from gateway.types import Clock, Fanout, Leg, LegResult, Plan, Target
from gateway.upstream.types import Feed, Reach
from tests.gateway.notebook import Notebook
from tests.gateway.playing import Play, Playing, event, fails, figures, hangs, says, streaming, target

PRICE = RateTable(((0, Rates(input=1_000_000, output=2_000_000, request=1000)),))
"""A nano-dollar for each token of a prompt, two for each of an answer, and a thousand for each request."""

CHECKER = Checker()


def priced(upstream: Playing, name: str, **more: Any) -> Target:
    return target(upstream, name, **{"rates": PRICE, "estimator": Estimator(), **more})


def leg(*targets: Target, n: int = 1, keeping: Keeping | None = None, text: str = "hi") -> Leg:
    constraint = None if keeping is None else keeping.constraint
    call = Call("", text, Params(n=n, max_tokens=20), constraint=constraint)
    return Leg("m", call, targets, 0, requests(targets[0], call, keeping), keeping, "m")


class Seconds:
    """A steady clock: each look is a tenth of a second later."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.1
        return self.now


def book(**more: Any) -> Notebook:
    return Notebook(Clock(lambda: 1000.0, Seconds()), **more)


async def metered(plan: Plan, notebook: Notebook, *, streamed: bool = False, **fanout: Any) -> list[LegResult]:
    plan = streaming(plan) if streamed else plan
    meters = [notebook.meter(f"h.{i}") for i in range(len(plan))]
    results = begun(plan, notebook.accounts.clock, streamed, meters)
    emit = (lambda result, deltas, shift: None) if streamed else None
    await ask_all(results, Fanout(**fanout), notebook.accounts.clock, emit)
    return results


async def entered(plan: Plan, **more: Any) -> list[Entry]:
    notebook = book()
    await metered(plan, notebook, **more)
    return notebook.entries


def used(entry: Entry) -> tuple[str, int, int, int | None, bool]:
    return entry.outcome, entry.input, entry.output, entry.cost, entry.estimated


# ------------------------------------------------------------------ one that goes well


async def test_a_leg_is_noted_before_it_is_asked_and_entered_after() -> None:
    notebook = book()

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        assert len(notebook.begun) == 1 and not notebook.ended
        return await says("Hello", usage=(5, 3), n=2)(request, feed)

    await metered((leg(priced(Playing(a=play), "a"), n=2),), notebook)
    [noted], [ended], [entry] = notebook.begun, notebook.ended, notebook.entries
    assert (noted.leg, noted.team, noted.key, noted.user, noted.model, noted.target) == (
        "h.0", "red", "k", "ann", "m", "p/a",
    )  # fmt: skip
    assert (noted.most, noted.at, noted.request) == (40, 1_000_000, "r")
    assert noted.size >= 2
    assert ended.leg == "h.0"
    assert (entry.id, entry.at, entry.request, entry.team, entry.key, entry.user) == (
        "h.0.0", 1_000_000, "r", "red", "k", "ann",
    )  # fmt: skip
    assert (entry.model, entry.target, entry.outcome, entry.requests, entry.calls) == ("m", "p/a", "ok", 1, 1)
    assert (entry.input, entry.output, entry.cost, entry.estimated) == (5, 3, 1000 + 5 + 6, False)
    assert entry.duration >= 100 and entry.first_token is None
    assert notebook.settled == [SettledUse("h.0", 8, 1011)]


async def test_a_stream_has_a_first_token() -> None:
    [entry] = await entered((leg(priced(Playing(a=says("Hel", "lo", pause=0.001)), "a")),), streamed=True)
    assert entry.first_token is not None and 0 < entry.first_token < entry.duration
    assert used(entry) == ("ok", 5, 3, 1011, False)


async def test_each_target_has_its_own_time() -> None:
    """What failed at once did not take as long as the answer of another."""
    upstream = Playing(a=fails(503), b=says("x", "y", "z", "and more"))
    first, second = await entered((leg(priced(upstream, "a"), priced(upstream, "b", fallback=True)),), streamed=True)
    assert (first.target, second.target) == ("p/a", "p/b")
    assert 0 < first.duration <= second.duration + 100  # the clock of this test counts how often it is looked at


async def test_who_watches_hears_what_the_ledger_gets() -> None:
    notebook, watch = book(), Watching()
    notebook.accounts = msgspec.structs.replace(notebook.accounts, watch=watch)
    upstream = Playing(a=says("x"), b=fails(503))
    await metered((leg(priced(upstream, "b"), priced(upstream, "a", fallback=True)),), notebook)
    assert [watch.entries] == [tuple(ended.entries) for ended in notebook.ended]
    assert watch.unreached_ == []


async def test_a_target_without_a_turn_is_told_as_unreached() -> None:
    notebook, watch = book(), Watching()
    notebook.accounts = msgspec.structs.replace(notebook.accounts, watch=watch)
    full = Gate(1, 0)
    async with full:
        upstream = Playing(a=says("x"))
        plan = (leg(priced(upstream, "b", gate=full), priced(upstream, "a", fallback=True)),)
        await metered(plan, notebook)
    assert [entry.target for entry in watch.entries] == ["p/a"]
    assert watch.unreached_ == [("m", "p/b")]


async def test_who_waits_and_has_no_entry_is_told_to_have_waited() -> None:
    """Of one who heard a failure, or who left; one whom the cache has answered at once did not wait."""
    notebook, watch = book(), Watching()
    notebook.accounts = msgspec.structs.replace(notebook.accounts, watch=watch)
    of = leg(priced(Playing(a=says("x")), "a"))
    waiting, served, late = notebook.meter("h.0"), notebook.meter("h.1"), notebook.meter("h.2")
    for meter in (waiting, late):
        meter.wait(5.0)
    served.hit("p/a", 0.0)
    for meter in (waiting, served):
        meter.end(LegResult(of, 5.0))
    assert watch.waits == [5.0] and [one.outcome for one in watch.entries] == ["hit"]
    late.leave()
    assert watch.waits == [5.0, 5.0] and watch.left_ == [late.request]
    late.end(LegResult(of, 5.0))
    late.leave()
    assert watch.left_ == [late.request]


class Watching:
    def __init__(self) -> None:
        self.entries: tuple[Entry, ...] = ()
        self.unreached_: list[tuple[str, str]] = []
        self.waits: list[float] = []
        self.left_: list[str] = []

    def observe(self, entries: tuple[Entry, ...], began: float) -> None:
        self.entries += entries

    def waited(self, request: str, began: float) -> None:
        self.waits.append(began)

    def left(self, request: str) -> None:
        self.left_.append(request)

    def unreached(self, model: str, target: str) -> None:
        self.unreached_.append((model, target))


async def test_nothing_is_settled_where_nothing_was_reserved() -> None:
    notebook = book()
    meter = notebook.meter(held=False)
    results = begun((leg(priced(Playing(a=says("x")), "a")),), notebook.accounts.clock, False, [meter])
    await ask_all(results, Fanout(), notebook.accounts.clock)
    assert (len(notebook.entries), notebook.settled) == (1, [])


async def test_only_the_first_end_counts() -> None:
    notebook = book()
    [result] = await metered((leg(priced(Playing(a=says("x")), "a")),), notebook)
    assert result.meter is not None
    result.outcome = TimedOut("later")
    result.meter.end(result)
    assert [entry.outcome for entry in notebook.entries] == ["ok"]
    assert len(notebook.settled) == len(notebook.ended) == 1


# ------------------------------------------------------------------ targets in turn


async def test_each_target_that_was_reached_has_an_entry_and_the_last_is_the_request() -> None:
    up, notebook = Playing(a=fails(500), b=fails(429), c=says("C", usage=(7, 2))), book()
    await metered((leg(*[priced(up, name) for name in "abc"]),), notebook)
    assert [(entry.id, entry.target, entry.requests, entry.calls, *used(entry)) for entry in notebook.entries] == [
        ("h.0.0", "p/a", 0, 1, "failed", 0, 0, 0, False),
        ("h.0.1", "p/b", 0, 1, "failed", 0, 0, 0, False),
        ("h.0.2", "p/c", 1, 1, "ok", 7, 2, 1011, False),
    ]
    assert [noted.target for noted in notebook.begun] == ["p/a", "p/b", "p/c"]
    assert notebook.settled == [SettledUse("h.0", 9, 1011)]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 503, 504])
async def test_what_a_provider_refuses_costs_nothing(status: int, streamed: bool) -> None:
    [entry] = await entered((leg(priced(Playing(a=fails(status)), "a")),), streamed=streamed)
    assert used(entry) == ("failed", 0, 0, 0, False)
    assert (entry.requests, entry.calls) == (1, 1)


class Unreached(Playing):
    """A provider to whom no connection can be had."""

    async def _play(self, request: HttpRequest, feed: Feed | None, reach: Reach | None) -> HttpResponse:
        raise TimedOut("could not connect to the provider")


async def test_what_was_not_reached_is_not_in_the_ledger() -> None:
    notebook = book()
    [result] = await metered((leg(priced(Unreached(), "a")),), notebook)
    assert isinstance(result.outcome, TimedOut)
    assert (notebook.begun, notebook.entries) == ([], [])
    assert notebook.settled == [SettledUse("h.0", 0, 0)]


async def test_the_one_behind_it_is_the_request() -> None:
    notebook = book()
    await metered((leg(priced(Unreached(), "a"), priced(Playing(b=says("B")), "b")),), notebook)
    [entry] = notebook.entries
    assert (entry.id, entry.target, entry.requests, entry.outcome) == ("h.0.0", "p/b", 1, "ok")


async def test_and_so_is_the_one_before_it() -> None:
    """Whoever was reached last: a leg is counted once."""
    notebook = book()
    await metered((leg(priced(Playing(b=fails(500)), "b"), priced(Unreached(), "a")),), notebook)
    [entry] = notebook.entries
    assert (entry.target, entry.requests, entry.outcome) == ("p/b", 1, "failed")


async def test_who_waits_for_a_full_queue_is_not_reached() -> None:
    up, notebook, gate = Playing(a=hangs()), book(), Gate(1, 0)
    async with gate:
        await metered((leg(priced(up, "a", gate=gate)),), notebook)
    assert (up.asked, notebook.entries, notebook.settled) == ([], [], [SettledUse("h.0", 0, 0)])


# ------------------------------------------------------------------ what is not reported


async def test_an_answer_that_does_not_say_what_it_took_is_estimated() -> None:
    [entry] = await entered((leg(priced(Playing(a=says("word " * 8, usage=None)), "a"), text="word " * 8),))
    assert entry.estimated and entry.outcome == "ok"
    assert 8 <= entry.input <= 20 and 8 <= entry.output <= 20
    assert entry.cost == 1000 + entry.input + 2 * entry.output


def lost() -> Play:
    """The connection breaks after the request went out."""

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        raise TimedOut("the provider did not answer in time")

    return play


async def test_an_answer_that_never_came_may_have_cost_its_prompt() -> None:
    [entry] = await entered((leg(priced(Playing(a=lost()), "a"), text="word " * 40),))
    assert (entry.outcome, entry.output, entry.estimated, entry.calls) == ("failed", 0, True, 1)
    assert 40 <= entry.input <= 100
    assert entry.cost == 1000 + entry.input


def then_silent(*chunks: str, usage: tuple[int, int] | None = None) -> Play:
    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        assert feed is not None
        for chunk in chunks:
            told: dict[str, Any] = {"choices": [{"index": 0, "delta": {"content": chunk}}]}
            feed(event(told | ({"usage": figures(usage)} if usage else {})))
        await asyncio.sleep(60)
        raise AssertionError

    return play


async def left(plan: Plan, notebook: Notebook, **fanout: Any) -> None:
    """The caller leaves in the middle."""
    task = asyncio.create_task(metered(plan, notebook, streamed=True, **fanout))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@pytest.mark.parametrize("pieces", [0, 1, 5, 40])
async def test_of_a_stream_that_was_left_the_pieces_count(pieces: int) -> None:
    notebook = book()
    await left((leg(priced(Playing(a=then_silent(*["a "] * pieces)), "a")),), notebook)
    [entry] = notebook.entries
    assert (entry.outcome, entry.output, entry.estimated, entry.requests) == ("cancelled", pieces, True, 1)
    assert (entry.first_token is not None) == (pieces > 0)
    assert notebook.settled == [SettledUse("h.0", entry.input + pieces, 1000 + entry.input + 2 * pieces)]


async def test_of_a_stream_that_was_left_the_providers_word_counts_where_there_is_one() -> None:
    notebook = book()
    await left((leg(priced(Playing(a=then_silent("a", "b", usage=(11, 2))), "a")),), notebook)
    assert [used(entry) for entry in notebook.entries] == [("cancelled", 11, 2, 1015, False)]


async def test_every_leg_of_a_call_that_was_left_is_entered() -> None:
    up, notebook = Playing(a=then_silent("a"), b=then_silent("b", "c"), c=hangs()), book()
    await left(tuple(leg(priced(up, name)) for name in "abc"), notebook)
    assert sorted((entry.target, entry.outcome, entry.output) for entry in notebook.entries) == [
        ("p/a", "cancelled", 1), ("p/b", "cancelled", 2), ("p/c", "cancelled", 0),
    ]  # fmt: skip
    assert sorted(use.id for use in notebook.settled) == ["h.0", "h.1", "h.2"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_losers_of_a_race_are_entered(streamed: bool) -> None:
    up, notebook = Playing(a=says("A", pause=0.001), b=says("B", pause=60)), book()
    await metered((leg(priced(up, "a")), leg(priced(up, "b"))), notebook, streamed=streamed, mode="first")
    assert sorted((entry.target, entry.outcome, entry.requests) for entry in notebook.entries) == [
        ("p/a", "ok", 1), ("p/b", "lost", 1),
    ]  # fmt: skip


async def test_who_is_late_is_cancelled() -> None:
    [entry] = await entered((leg(priced(Playing(a=hangs()), "a")),), deadline=0.01)
    assert entry.outcome == "cancelled"


# ------------------------------------------------------------------ several requests


async def test_all_requests_of_a_leg_are_summed() -> None:
    up = Playing(a=says("x", usage=(5, 3)))
    [entry] = await entered((leg(priced(up, "a", max_n=1), n=3),))
    assert (entry.calls, entry.requests, *used(entry)) == (3, 1, "ok", 15, 9, 3000 + 15 + 18, False)


async def test_of_several_requests_those_that_failed_cost_nothing() -> None:
    answers = iter([says("x", usage=(5, 3)), fails(500), says("x", usage=(5, 3))])

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        return await next(answers)(request, feed)

    [entry] = await entered((leg(priced(Playing(a=play), "a", max_n=1), n=3),))
    assert entry.outcome == "failed"
    assert entry.calls == 3 and entry.cost is not None and 1000 <= entry.cost < 3000


async def test_rounds_of_repair_are_summed() -> None:
    answers = iter(["no", "still no", '{"a": 1}'])

    async def play(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        return await says(next(answers), usage=(5, 3))(request, feed)

    keeping, notebook = Keeping(CHECKER, AnyJson(), rounds=2), book()
    [result] = await metered((leg(priced(Playing(a=play), "a"), keeping=keeping),), notebook)
    assert isinstance(result.outcome, Reply)
    [entry] = notebook.entries
    assert (entry.calls, entry.requests, *used(entry)) == (3, 1, "ok", 15, 9, 3000 + 15 + 18, False)
    assert len(notebook.begun) == 1
    assert notebook.settled == [SettledUse("h.0", 24, 3033)]


async def test_answers_that_never_keep_their_type_are_paid_for_at_every_target() -> None:
    up, notebook = Playing(a=says("no", usage=(5, 3)), b=says("no", usage=(5, 3))), book()
    keeping = Keeping(CHECKER, AnyJson(), rounds=1)
    await metered((leg(priced(up, "a"), priced(up, "b"), keeping=keeping),), notebook)
    assert [(entry.target, entry.requests, entry.calls, *used(entry)) for entry in notebook.entries] == [
        ("p/a", 0, 2, "invalid", 10, 6, 2022, False), ("p/b", 1, 2, "invalid", 10, 6, 2022, False),
    ]  # fmt: skip


async def test_an_answer_that_is_half_good_is_the_request_of_whoever_gave_it() -> None:
    async def half(request: HttpRequest, feed: Feed | None) -> HttpResponse:
        choices = [
            {"index": i, "message": {"role": "assistant", "content": text}} for i, text in enumerate(("{}", "no"))
        ]
        return HttpResponse(200, [], msgspec.json.encode({"choices": choices, "usage": figures((5, 3))}))

    up, keeping = Playing(a=half, b=says("no", n=2)), Keeping(CHECKER, AnyJson(), rounds=0)
    entries = await entered((leg(priced(up, "a"), priced(up, "b"), n=2, keeping=keeping),))
    assert [(entry.target, entry.outcome, entry.requests) for entry in entries] == [
        ("p/a", "ok", 1), ("p/b", "invalid", 0),
    ]  # fmt: skip


# ------------------------------------------------------------------ prices


async def test_a_price_that_is_not_known_is_no_price() -> None:
    notebook = book()
    [result] = await metered((leg(priced(Playing(a=says("x")), "a", rates=None)),), notebook)
    assert [entry.cost for entry in notebook.entries] == [None]
    assert notebook.settled == [SettledUse("h.0", 8, 0)]
    assert getattr(result.meter, "cost", 0) is None


async def test_a_leg_costs_what_all_its_targets_do() -> None:
    notebook = book()
    keeping = Keeping(CHECKER, AnyJson(), rounds=0)
    up = Playing(a=says("no", usage=(5, 3)), b=says("{}", usage=(7, 2)))
    [result] = await metered((leg(priced(up, "a"), priced(up, "b"), keeping=keeping),), notebook)
    assert getattr(result.meter, "cost", 0) == 1011 + 1011
    mixed = (leg(priced(up, "a"), priced(up, "b", rates=None), keeping=keeping),)
    [result] = await metered(mixed, notebook)
    assert getattr(result.meter, "cost", 0) is None
    assert notebook.settled[-1] == SettledUse("h.0", 17, 1011)  # what is known of it


async def test_prices_are_those_of_the_moment_of_admission() -> None:
    later = RateTable(((0, Rates(input=0, output=0)), (2_000_000, Rates(input=9_000_000, output=9_000_000))))
    notebook = book()
    made = leg(priced(Playing(a=says("x")), "a", rates=later))
    for at, price in ((1_999_999, 0), (2_000_000, 72)):
        results = begun((made,), notebook.accounts.clock, False, [notebook.meter(at=at)])
        await ask_all(results, Fanout(), notebook.accounts.clock)
        assert notebook.entries[-1].cost == price


# ------------------------------------------------------------------ a disk that is full


async def test_what_cannot_be_noted_is_not_asked() -> None:
    up, notebook = Playing(a=says("A"), b=says("B")), book(full=True)
    [result] = await metered((leg(priced(up, "a"), priced(up, "b")),), notebook)
    assert isinstance(result.outcome, ProviderError) and result.outcome.code == "unrecorded"
    assert (up.asked, result.attempts) == ([], 1)  # nor at the next target: it is the same disk
    assert (notebook.entries, notebook.settled) == ([], [SettledUse("h.0", 0, 0)])


async def test_unless_that_is_allowed() -> None:
    up, notebook = Playing(a=says("A")), book(full=True, strict=False)
    [result] = await metered((leg(priced(up, "a")),), notebook)
    assert isinstance(result.outcome, Reply)
    assert [used(entry) for entry in notebook.entries] == [("ok", 5, 3, 1011, False)]
    assert notebook.settled == [SettledUse("h.0", 8, 1011)]


# ------------------------------------------------------------------ what is learned


class Learning(Estimator):
    def __init__(self) -> None:
        super().__init__()
        self.learned: list[tuple[int, int]] = []

    def learn(self, guess: Any, input: int, output: int, *, chars: int = 0, pieces: int = 0) -> None:
        self.learned.append((guess.size.bytes, input))
        super().learn(guess, input, output, chars=chars, pieces=pieces)


async def test_each_request_teaches_what_its_own_prompt_came_to() -> None:
    notebook, estimator = book(), Learning()
    made = leg(priced(Playing(a=says("x", usage=(5, 3))), "a", max_n=1, estimator=estimator), n=2, text="x" * 100)
    await metered((made,), notebook)
    sizes = {size for size, _ in estimator.learned}
    assert len(estimator.learned) == 2 and len(sizes) == 1
    assert estimator.learned[0] == (estimator.before(made.first[0].call).size.bytes, 5)


async def test_a_guess_is_that_of_the_first_request_alone() -> None:
    notebook, estimator = book(), Learning()
    made = leg(priced(Playing(a=says("x")), "a", estimator=estimator))
    meter = notebook.meter(guess=estimator.before(made.first[0].call))
    meter.begin(made.targets[0], 1.0)
    first, second = meter.sending(made.first[0].call), meter.sending(made.first[0].call)
    assert first.guess is not None and second.guess is None


async def test_estimates_teach_nothing() -> None:
    notebook, estimator = book(), Learning()
    await metered((leg(priced(Playing(a=says("x", usage=None)), "a", estimator=estimator)),), notebook)
    assert estimator.learned == []


async def test_without_an_estimator_a_prompt_is_taken_for_nothing() -> None:
    [entry] = await entered((leg(priced(Playing(a=lost()), "a", estimator=None)),))
    assert used(entry) == ("failed", 0, 0, 1000, True)


@pytest.mark.parametrize("usage", [(10**12, 3), (5, 10**12)])
async def test_a_report_that_cannot_be_is_none(usage: tuple[int, int]) -> None:
    estimator = Estimator()
    up = Playing(a=says("Hello", usage=usage))
    [entry] = await entered((leg(priced(up, "a", estimator=estimator)),))
    assert entry.estimated and entry.input + entry.output < 100
    assert estimator.before(Call("", "hi")).most < 100


async def test_a_report_that_is_hardly_true_teaches_nothing() -> None:
    estimator = Estimator()
    [entry] = await entered((leg(priced(Playing(a=says("Hello", usage=(10**6, 3))), "a", estimator=estimator)),))
    assert (entry.input, entry.estimated) == (10**6, False)
    assert estimator.before(Call("", "hi")).most < 100


async def test_what_a_target_came_to_is_noted_when_the_leg_goes_on() -> None:
    """Should the gateway die at the next one, nobody else could tell."""
    up, notebook = Playing(a=says("no", usage=(5, 3)), b=fails(503), c=says("{}", usage=(5, 3))), book()
    keeping = Keeping(CHECKER, AnyJson(), rounds=1)
    await metered((leg(*[priced(up, name) for name in "abc"], keeping=keeping),), notebook)
    assert [noted.before for noted in notebook.begun] == [None, Spent(2, 10, 6, 2022), Spent(1, 0, 0, 0)]
    begun = notebook.begun[:2]
    entries = interrupted(begun, Likely(7, 1, 9))
    assert [(one.target, one.calls, one.requests, one.input, one.output, one.cost) for one in entries] == [
        ("p/a", 2, 0, 10, 6, 2022), ("p/b", 1, 1, 7, 1, 9),
    ]  # fmt: skip
