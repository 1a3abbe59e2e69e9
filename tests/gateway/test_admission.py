"""Who is let in: what a call is taken to come to, in whose name, and how it is refused."""

import asyncio
from collections.abc import Awaitable, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.types import AnyJson, Call, Chat, Params, Prompts, Reply, Usage
from gateway.admission import ROOM, ROUGHLY, Admission, Rules, roughly
from gateway.asking import requests
from gateway.constraints import Checker
from gateway.counting import Limited, LocalCounting
from gateway.directory import Defaults, Directory
from gateway.errors import Exhausted, OverLimit, Unrecorded
from gateway.estimates import Estimator
from gateway.headers import lines_of
from gateway.keeping import Keeping
from gateway.ledger.cost import Rates, RateTable
from gateway.limits.local import LocalLimiter
from gateway.limits.types import Ask, Granted, Limits, Rough, Scope, StoreDown, Subject, TooClose, Verdict
from gateway.metrics import Figures, Recording
from gateway.store.sql.rows import TeamRow
from gateway.types import Caller, Clock, Leg, LegResult, Plan, Target
from tests.gateway.notebook import Notebook
from tests.gateway.playing import Playing, target

NOW = 1_798_113_600.0
PRICE = RateTable(((0, Rates(input=1_000_000, output=2_000_000)),))
"""A nano-dollar for each token of a prompt, two for each of an answer."""

UPSTREAM = Playing()
CHECKER = Checker()


class Room:
    """A disk with so many bytes."""

    def __init__(self, free: int = 1 << 20) -> None:
        self.free = self.room = free


class Watched:
    """Counting in process that remembers what it was asked. ``closely``: nothing is let in without a close look."""

    def __init__(self, limiter: LocalLimiter, closely: bool) -> None:
        self._counting = LocalCounting(limiter)
        self._closely = closely
        self.asks: list[Ask | Rough] = []

    at_once = True

    def spare(
        self, wishes: Sequence[tuple[str, int, int]], limited: Sequence[tuple[Subject, Limits]], now: int
    ) -> Granted | None:
        return None if self._closely else self._counting.spare(wishes, limited, now)

    def now(self, ask: Ask) -> Verdict | None:
        self.asks.append(ask)
        return self._counting.now(ask)

    def may_be_rough(self, limited: Limited) -> bool:
        return False

    def was_too_close(self, limited: Limited) -> None:
        raise AssertionError

    async def later(self, ask: Ask | Rough) -> Verdict:
        return await self._counting.later(ask)

    def alone(self, ask: Ask) -> Verdict:
        raise AssertionError

    def settle(self, hold: str, tokens: int, nano: int) -> None:
        self._counting.settle(hold, tokens, nano)


class Gate:
    """An admission over a limiter in process. Limits are by scope and name, as ``team/red`` or ``model/a``."""

    def __init__(
        self,
        limits: dict[str, Limits],
        *,
        closely: bool = True,
        rules: Rules | None = None,
        room: Room | None = None,
    ) -> None:
        self.time = NOW
        self.clock = Clock(lambda: self.time, lambda: self.time)
        named: dict[tuple[Scope, str], Limits] = {}
        for at, said in limits.items():
            scope, _, name = at.partition("/")
            named[scope, name] = said  # type: ignore[index]
        self.directory = Directory(Defaults({}, named))
        self.directory.load([TeamRow("red", False, None)], {}, [], [])
        self.limiter = LocalLimiter(lambda: int(self.time * 1000))
        self.counting = Watched(self.limiter, closely)
        self.book = Notebook(self.clock)
        self.book.accounts = type(self.book.accounts)(self.clock, self.book, self.counting.settle)
        self.metrics = Recording(Figures(), self.clock.steady)
        self.admission = Admission(
            self.directory,
            self.counting,
            self.book.accounts,
            room or Room(),
            rules or Rules(1000),
            self.clock,
            self.metrics,
        )

    async def admit(self, *legs: Leg, user: str = "", caller: Caller | None = None) -> Any:
        known = caller or self.directory.team("red", "", NOW + 60)
        assert known is not None
        self.time += 1e-6
        admitted = self.admission.admit(known, user, legs, f"{self.time * 1e6:.0f}")
        return await admitted if isinstance(admitted, Awaitable) else admitted

    @property
    def ask(self) -> Ask:
        ask = self.counting.asks[-1]
        assert isinstance(ask, Ask)
        return ask

    def count(self, scope: Scope, name: str) -> tuple[int, int]:
        """Tokens and nano-dollars that are reserved."""
        [count] = self.limiter.counted((Subject(scope, name),))
        return count.reserved_tokens_day, count.reserved_nano_month


def priced(name: str = "a", **more: Any) -> Target:
    return target(UPSTREAM, name, **{"rates": PRICE, "estimator": Estimator(), **more})


def leg_to(call: Call, *targets: Target, name: str = "a", keeping: Keeping | None = None) -> Leg:
    return Leg(name, call, targets, 0, requests(targets[0], call, keeping), keeping, name)


def leg(name: str = "a", text: str = "hi", *, targets: tuple[Target, ...] = (), **params: Any) -> Leg:
    return leg_to(Call("", text, Params(**params)), *(targets or (priced(name),)), name=name)


def read_of(leg: Leg) -> int:
    estimator = leg.targets[0].estimator
    assert estimator is not None
    return estimator.before(leg.first[0].call).input


def done(meter: Any, leg: Leg, usage: Usage) -> None:
    """The leg is asked, and answers."""
    meter.begin(leg.targets[0], 1.0)
    sending = meter.sending(leg.first[0].call)
    sending.reach()
    sending.usage = usage
    meter.end(LegResult(leg, 0.0, outcome=Reply((), usage)))


# ------------------------------------------------------------------ what is reserved


async def test_prompt_and_longest_answer_are_reserved_and_the_rest_given_back() -> None:
    gate, asked = Gate({"team/red": Limits(tpd=10_000, usd_month=10**9)}), leg(max_tokens=50, n=2)
    admitted = await gate.admit(asked)
    read = read_of(asked)
    [claim], [hold] = gate.ask.claims, gate.ask.holds
    assert (claim.subject, claim.requests) == (Subject("team", "red"), 1)
    assert claim.tokens == hold.shares[0].tokens == read + 100
    assert claim.nano == hold.shares[0].nano == read + 2 * 100
    assert gate.count("team", "red") == (read + 100, read + 200)
    done(admitted.meters[0], asked, Usage(3, 4))
    assert gate.count("team", "red") == (0, 0)
    [count] = gate.limiter.counted((Subject("team", "red"),))
    assert (count.used.tokens_day, count.used.nano_month) == (7, 3 + 8)
    assert dict(lines_of(admitted.told()))[b"x-gateway-cost-usd"] == b"0.000000011"


async def test_nobody_is_asked_where_nothing_is_limited() -> None:
    gate, asked = Gate({"team/blue": Limits(rpm=1)}), leg(max_tokens=5)
    admitted = await gate.admit(asked)
    assert (gate.counting.asks, admitted.headers, admitted.meters[0].held) == ([], b"", False)


async def test_the_dearest_target_counts_and_the_others_may_have_read_in_vain() -> None:
    dear = RateTable(((0, Rates(input=1_000_000, output=9_000_000, request=7)),))
    gate = Gate({"team/red": Limits(usd_day=10**9)})
    asked = leg(max_tokens=10, targets=(priced(), priced("b", rates=dear)))
    await gate.admit(asked)
    assert gate.ask.claims[0].nano == 2 * read_of(asked) + 90 + 7


async def test_answers_that_break_their_type_are_paid_at_every_target() -> None:
    keeping = Keeping(CHECKER, AnyJson(), rounds=0)
    call = Call("", "hi", Params(max_tokens=10), constraint=AnyJson())
    gate = Gate({"team/red": Limits(usd_month=10**9)})
    alone = leg_to(call, priced(), keeping=keeping)
    await gate.admit(alone)
    of_one = gate.ask.claims[0].nano
    await gate.admit(leg_to(call, priced(), priced("b"), priced("c"), keeping=keeping))
    assert gate.ask.claims[0].nano == 3 * of_one


async def test_each_request_of_a_leg_is_reckoned() -> None:
    """A provider that gives one choice at a time reads the prompt each time."""
    gate = Gate({"team/red": Limits(tpd=10**6)})
    asked = leg(max_tokens=10, n=3, targets=(priced(max_n=1),))
    assert len(asked.first) == 3
    admitted = await gate.admit(asked)
    assert gate.ask.claims[0].tokens == 3 * read_of(asked) + 30
    assert admitted.meters[0].guess is None  # of the three together: it says nothing of the first
    whole = await gate.admit(leg(max_tokens=10))
    assert whole.meters[0].guess.input == read_of(asked)


async def test_rounds_of_repair_are_reckoned() -> None:
    """Each choice may be asked for twice more, with an answer as long as it may be, and what is wrong with it."""
    keeping = Keeping(CHECKER, AnyJson(), rounds=2)
    gate = Gate({"team/red": Limits(tpd=10**9)})
    asked = leg_to(Call("", "x" * 1000, Params(max_tokens=100, n=3), constraint=AnyJson()), priced(), keeping=keeping)
    await gate.admit(asked)
    first = read_of(asked) + 3 * 100
    repairs = 2 * 3 * (1000 + 100 + 100)
    assert gate.ask.claims[0].tokens >= first + repairs


# ------------------------------------------------------------------ open-ended calls


async def test_a_call_without_a_bound_takes_what_is_configured() -> None:
    gate, asked = Gate({"team/red": Limits(tpd=10**6)}), leg(n=2)
    await gate.admit(asked)
    assert gate.ask.claims[0].tokens == read_of(asked) + 2 * 1000


async def test_a_call_without_a_bound_takes_what_its_model_can_say() -> None:
    gate = Gate({"team/red": Limits(tpd=10**6)})
    asked = leg(targets=(priced(most_output=64), priced("b", most_output=80)))
    await gate.admit(asked)
    assert gate.ask.claims[0].tokens == read_of(asked) + 80


@pytest.mark.parametrize("limits", [Limits(tpm=500), Limits(tpd=500), Limits(tpm=700, tpd=500)])
async def test_a_call_without_a_bound_takes_a_whole_limit_and_no_more(limits: Limits) -> None:
    gate = Gate({"team/red": limits})
    await gate.admit(leg())
    assert gate.ask.claims[0].tokens == 500
    with pytest.raises(OverLimit) as raised:
        await gate.admit(leg())
    assert (raised.value.retry_after is None) == (limits.tpm is None or limits.tpd is not None)


async def test_legs_without_a_bound_share_a_limit() -> None:
    gate = Gate({"team/red": Limits(tpm=600)})
    await gate.admit(leg("a"), leg("b"), leg("c", max_tokens=20))
    shares = [hold.shares[0].tokens for hold in gate.ask.holds]
    assert 598 <= sum(shares) == gate.ask.claims[0].tokens <= 600
    assert shares[0] == shares[1] > 2 * shares[2]
    assert shares[2] == read_of(leg("c", max_tokens=20)) + 20


async def test_what_a_caller_has_bounded_is_never_let_in_beyond_the_limit() -> None:
    gate = Gate({"team/red": Limits(tpm=500)})
    with pytest.raises(OverLimit, match="never let more than 500 tokens per minute: ask for less") as raised:
        await gate.admit(leg(max_tokens=501))
    assert (raised.value.final, raised.value.retry_after) == (True, None)
    with pytest.raises(OverLimit, match="never"):  # nor a prompt that alone is more
        await gate.admit(leg(text="x" * 600))
    assert gate.count("team", "red") == (0, 0)


@given(
    st.lists(st.tuples(st.integers(1, 400), st.one_of(st.none(), st.integers(1, 300))), min_size=1, max_size=4),
    st.integers(100, 3000),
)
def test_a_claim_is_the_sum_of_its_shares(legs: list[tuple[int, int | None]], limit: int) -> None:
    """And fits, wherever what is read and what is bounded does."""
    gate = Gate({"team/red": Limits(tpm=limit, usd_day=10**9)})
    plan = [leg(f"m{i}", "x" * size, max_tokens=bound) for i, (size, bound) in enumerate(legs)]
    least = sum(read_of(one) + (one.call.params.max_tokens or 0) for one in plan)
    try:
        asyncio.run(gate.admit(*plan))
    except OverLimit:
        assert least > limit
    else:
        assert least <= limit
    [claim] = gate.ask.claims
    assert claim.tokens == sum(hold.shares[0].tokens for hold in gate.ask.holds)
    assert claim.nano == sum(hold.shares[0].nano for hold in gate.ask.holds)
    assert all(hold.shares[0].tokens >= read_of(one) for hold, one in zip(gate.ask.holds, plan, strict=True))


# ------------------------------------------------------------------ prices


async def test_under_a_budget_a_price_must_be_known() -> None:
    gate = Gate({"team/red": Limits(usd_month=10**9)})
    with pytest.raises(Exhausted, match="what model 'b' costs is not known") as raised:
        await gate.admit(leg("a", max_tokens=1), leg("b", max_tokens=1, targets=(priced("b", rates=None),)))
    assert (raised.value.code, raised.value.param) == ("price_unknown", "model")
    assert gate.count("team", "red") == (0, 0)
    mixed = leg(max_tokens=1, targets=(priced(), priced("b", rates=None)))
    with pytest.raises(Exhausted):  # also of the target that is asked last
        await gate.admit(mixed)


async def test_a_price_is_nobodys_business_without_a_budget_or_where_that_is_allowed() -> None:
    unknown = leg(max_tokens=1, targets=(priced(rates=None),))
    assert (await Gate({"team/red": Limits(rpm=5, soft_usd_day=1)}).admit(unknown)).meters
    allowed = Gate({"team/red": Limits(usd_month=10**9)}, rules=Rules(1000, unpriced=True))
    await allowed.admit(unknown)
    assert allowed.ask.claims[0].nano == 0


async def test_a_budget_is_never_overspent() -> None:
    asked = leg(max_tokens=100)
    each = read_of(asked) + 200
    gate = Gate({"team/red": Limits(usd_month=3 * each + 1)})
    for _ in range(3):
        await gate.admit(asked)
    with pytest.raises(Exhausted, match="the budget of team 'red' has no room for this call") as raised:
        await gate.admit(asked)
    headers = dict(raised.value.headers)
    assert (headers[b"x-ratelimit-scope"], headers[b"x-gateway-limit"]) == (b"team", b"USD/month")


# ------------------------------------------------------------------ all legs or none


async def test_legs_are_let_in_together_or_not_at_all() -> None:
    plan = [leg(name, max_tokens=100) for name in "abcd"]
    each = read_of(plan[0]) + 200
    gate = Gate({"team/red": Limits(usd_month=3 * each)})
    with pytest.raises(Exhausted):
        await gate.admit(*plan)
    assert gate.count("team", "red") == (0, 0)
    admitted = await gate.admit(*plan[:3])
    assert [meter.hold for meter in admitted.meters] == [hold.id for hold in gate.ask.holds]
    assert gate.ask.claims[0].requests == 3
    assert gate.count("team", "red") == (3 * (each - 100), 3 * each)


async def test_every_leg_is_a_request() -> None:
    gate = Gate({"team/red": Limits(rpm=3)})
    await gate.admit(leg("a"), leg("b"))
    with pytest.raises(OverLimit, match="1 of its 3 requests per minute left, and this call may use 2 requests"):
        await gate.admit(leg("a"), leg("a"))
    await gate.admit(leg("a"))


async def test_models_have_limits_of_their_own() -> None:
    gate = Gate({"model/a": Limits(rpm=2), "team/red": Limits(rpm=10)})
    await gate.admit(leg("a"), leg("b"), leg("a"))
    by_subject = {claim.subject: claim.requests for claim in gate.ask.claims}
    assert by_subject == {Subject("team", "red"): 3, Subject("model", "a"): 2}
    assert [[share.claim for share in hold.shares] for hold in gate.ask.holds] == [[0, 1], [0], [0, 1]]
    with pytest.raises(OverLimit, match="model 'a' has 0 of its 2 requests per minute left"):
        await gate.admit(leg("b"), leg("a"))
    await gate.admit(leg("b"))
    assert [claim.subject.scope for claim in gate.ask.claims] == ["team"]


async def test_a_model_without_limits_needs_no_asking() -> None:
    gate = Gate({"model/a": Limits(rpm=2)})
    admitted = await gate.admit(leg("b"))
    assert (gate.counting.asks, admitted.meters[0].held) == ([], False)


# ------------------------------------------------------------------ users


async def test_users_are_told_apart_by_their_teams() -> None:
    gate = Gate({"user/red/ann": Limits(rpm=1)})
    await gate.admit(leg(), user="ann")
    assert gate.ask.claims[0].subject == Subject("user", "red/ann")
    with pytest.raises(OverLimit, match="user 'ann' of team 'red'"):
        await gate.admit(leg(), user="ann")
    await gate.admit(leg(), user="bob")
    await gate.admit(leg(), user="ann", caller=Caller("blue", "k"))


async def test_a_tokens_user_is_not_the_bodys_to_say() -> None:
    gate = Gate({"user/red/ann": Limits(rpm=1)})
    ann = Caller("red", "", user="ann")
    await gate.admit(leg(), user="bob", caller=ann)
    with pytest.raises(OverLimit, match="user 'ann'"):
        await gate.admit(leg(), user="bob", caller=ann)
    admitted = await gate.admit(leg(), user="ann", caller=Caller("red", "", user="bob"))
    assert admitted.meters[0].user == "bob"


# ------------------------------------------------------------------ roughly and closely


TEXTS = st.text(alphabet=st.characters(codec="utf-8"), max_size=300)


@given(TEXTS, st.integers(1, 500), st.integers(1, 3), st.booleans())
def test_what_is_found_roughly_is_never_less(text: str, most: int, n: int, chat: bool) -> None:
    asked = leg_to(
        chat_of(text, max_tokens=most, n=n) if chat else Call("", text, Params(max_tokens=most, n=n)), priced()
    )
    found = roughly(asked, 0)
    assert found is not None
    assert found[0] >= read_of(asked) + most * n
    assert found[1] >= read_of(asked) + 2 * most * n


def chat_of(content: Any, **params: Any) -> Call:
    return Call("", Chat(Raw(msgspec.json.encode([{"role": "user", "content": content}]))), Params(**params))


PICTURE = [{"type": "text", "text": "?"}, {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}]


@pytest.mark.parametrize(
    "call",
    [
        Call("", "hi"),
        chat_of(PICTURE, max_tokens=5),
        Call("", chat_of("hi").input, Params(max_tokens=5), fields={"tools": Raw(b"[]")}),
        Call("", "hi", Params(max_tokens=5), fields={"documents": Raw(b"[]")}),
        Call("", Prompts(("a", "b")), Params(max_tokens=5)),
    ],
)
def test_what_must_be_looked_at_closely(call: Call) -> None:
    assert roughly(leg_to(call, priced()), 0) is None


def test_a_suffix_is_read_too() -> None:
    call = Call("", "hi", Params(max_tokens=5, suffix="x" * 10_000))
    first = leg("a", max_tokens=5).first
    assert roughly(Leg("a", call, (priced(),), 0, first, None, "a"), 0) is None


async def test_a_picture_is_more_than_its_address() -> None:
    gate, asked = (
        Gate({"team/red": Limits(tpm=100_000)}, closely=False),
        leg_to(chat_of(PICTURE, max_tokens=5), priced()),
    )
    await gate.admit(asked)
    assert gate.ask.claims[0].tokens >= 2000 > ROUGHLY + len(bytes(asked.call.input.messages))  # type: ignore[union-attr]


LIMITS = [
    Limits(rpm=7), Limits(tpm=20_000), Limits(tpd=20_000), Limits(concurrent=7), Limits(usd_day=20_000),
    Limits(usd_month=25_000), Limits(rpm=5, tpm=30_000, usd_day=9_000),
]  # fmt: skip


@pytest.mark.parametrize("limits", LIMITS)
async def test_looked_at_roughly_or_closely_the_same_is_let_in(limits: Limits) -> None:
    """As each call is over before the next: what is reserved roughly is more, but never refuses what would fit."""
    told = []
    for closely in (True, False):
        gate, verdicts = Gate({"team/red": limits}, closely=closely), []
        for i in range(60):
            asked = leg(text="x" * (10 + i), max_tokens=300 + 10 * i)
            try:
                admitted = await gate.admit(asked)
            except (OverLimit, Exhausted) as error:
                verdicts.append((type(error).__name__, dict(error.headers)[b"x-gateway-limit"]))
                continue
            if limits.concurrent is None:
                done(admitted.meters[0], asked, Usage(50 + i, 300 + 10 * i))
            verdicts.append(("let in", b""))
        told.append(verdicts)
        [count] = gate.limiter.counted((Subject("team", "red"),))
        assert limits.concurrent or (count.reserved_tokens_day, count.reserved_nano_month) == (0, 0)
    assert told[0] == told[1]
    assert {verdict for verdict, _ in told[0]} >= {"let in"} and len(set(told[0])) > 1


async def test_a_soft_budget_is_always_looked_at_closely() -> None:
    gate = Gate({"team/red": Limits(usd_day=10**9, soft_usd_day=100)}, closely=False)
    asked = leg(max_tokens=200)
    admitted = await gate.admit(asked)
    assert admitted.headers == b""
    done(admitted.meters[0], asked, Usage(3, 200))
    admitted = await gate.admit(asked)
    assert dict(lines_of(admitted.headers))[b"x-gateway-budget-warning"] == b"team 'red' has passed $0.0000001 per day"


# ------------------------------------------------------------------ what stands in the way


@pytest.mark.parametrize("free", [0, ROOM - 1])
async def test_what_cannot_be_noted_is_not_let_in(free: int) -> None:
    with pytest.raises(Unrecorded, match="no room to note") as raised:
        await Gate({}, room=Room(free)).admit(leg())
    assert raised.value.retry_after == 5
    assert await Gate({}, room=Room(free), rules=Rules(10, unnoted=True)).admit(leg())
    assert await Gate({}, room=Room(ROOM)).admit(leg())


class Away(Watched):
    """Must be waited for, and is not there; or is never heard of again."""

    def __init__(self, limiter: LocalLimiter, silent: bool) -> None:
        super().__init__(limiter, True)
        self.silent = silent
        self.given_back: list[str] = []

    def now(self, ask: Ask) -> Verdict | None:
        return None

    async def later(self, ask: Ask | Rough) -> Verdict:
        self.asks.append(ask)
        if self.silent:
            await asyncio.sleep(60)
        raise StoreDown

    def settle(self, hold: str, tokens: int, nano: int) -> None:
        assert (tokens, nano) == (0, 0)
        self.given_back.append(hold)


def away(silent: bool) -> tuple[Gate, Away]:
    gate = Gate({"team/red": Limits(rpm=5)})
    counting = Away(gate.limiter, silent)
    gate.admission = Admission(
        gate.directory, counting, gate.book.accounts, Room(), Rules(10), gate.clock, gate.metrics
    )
    return gate, counting


async def test_without_the_store_nobody_is_let_in() -> None:
    gate, _ = away(silent=False)
    with pytest.raises(Unrecorded, match="limits cannot be looked up now") as raised:
        await gate.admit(leg())
    assert (raised.value.status, raised.value.retry_after) == (503, 1)


class Elsewhere(Watched):
    """A store that must be waited for. ``there``: it answers."""

    at_once = False

    def __init__(self, limiter: LocalLimiter) -> None:
        super().__init__(limiter, False)
        self.limiter = limiter
        self.there = True
        self.close: list[Limited] = []

    def may_be_rough(self, limited: Limited) -> bool:
        return not self.close

    def was_too_close(self, limited: Limited) -> None:
        self.close.append(limited)

    def now(self, ask: Ask) -> Verdict | None:
        return None

    async def later(self, ask: Ask | Rough) -> Verdict:
        self.asks.append(ask)
        if not self.there:
            raise TooClose(away=True)
        return self.limiter.admit(ask, 60)

    def alone(self, ask: Ask) -> Verdict:
        self.asks.append(ask)
        return self.limiter.admit(ask, 60)


def elsewhere(limits: Limits) -> tuple[Gate, Elsewhere]:
    gate = Gate({"team/red": limits})
    counting = Elsewhere(gate.limiter)
    gate.admission = Admission(
        gate.directory, counting, gate.book.accounts, Room(), Rules(10), gate.clock, gate.metrics
    )
    return gate, counting


async def test_a_store_elsewhere_is_asked_roughly_first() -> None:
    gate, counting = elsewhere(Limits(tpm=2000, usd_month=10**9))
    one, two = leg("a", "hi", max_tokens=20), leg("b", "hi", max_tokens=20)
    await gate.admit(one)
    [ask] = counting.asks
    assert isinstance(ask, Rough) and [tokens for _, tokens, _ in ask.wishes] == [ROUGHLY + 2 + 20]
    await gate.admit(one, two)
    roughly, closely = counting.asks[1:]
    assert isinstance(roughly, Rough) and roughly.ids() == closely.ids()
    assert isinstance(closely, Ask) and closely.claims[0].tokens < ROUGHLY
    assert [[subject for subject, _ in limited] for limited in counting.close] == [[Subject("team", "red")]]
    await gate.admit(one)
    assert [type(one) for one in counting.asks] == [Rough, Rough, Ask, Ask]
    await gate.admit(leg("a"))  # how long its answer may be nobody knows
    assert isinstance(counting.asks[-1], Ask)


async def test_a_store_that_does_not_answer_is_not_asked_again() -> None:
    gate, counting = elsewhere(Limits(tpm=2000))
    counting.there = False
    assert await gate.admit(leg("a", max_tokens=20))
    assert [type(one) for one in counting.asks] == [Rough, Ask] and not counting.close


async def test_who_leaves_while_the_store_is_asked_gives_all_back() -> None:
    gate, counting = away(silent=True)
    task = asyncio.create_task(gate.admit(leg("a"), leg("b")))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert counting.given_back == counting.asks[0].ids()
    assert len(counting.given_back) == 2


async def test_the_ledgers_names_are_the_callers() -> None:
    gate = Gate({"key/k": Limits(rpm=5)})
    caller = Caller("red", "k", limited=((Subject("key", "k"), Limits(rpm=5)),))
    admitted = await gate.admit(leg("a"), leg("b"), user="ann", caller=caller)
    plan: Plan = (leg("a"), leg("b"))
    for meter, one in zip(admitted.meters, plan, strict=True):
        done(meter, one, Usage(1, 1))
    assert [(entry.team, entry.key, entry.user, entry.model) for entry in gate.book.entries] == [
        ("red", "k", "ann", "a"), ("red", "k", "ann", "b"),
    ]  # fmt: skip
    ids = [entry.id for entry in gate.book.entries]
    assert ids == sorted(ids) and all(
        id.startswith(f"{entry.at:014x}"[:9]) for id, entry in zip(ids, gate.book.entries, strict=True)
    )
