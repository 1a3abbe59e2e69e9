"""Who counts while the store that all replicas share is there, and while it is away."""

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from gateway.counting import ALONE, LIFE, LocalCounting, Policy, SharedCounting
from gateway.limits.local import LocalLimiter
from gateway.limits.types import (
    Ask,
    Granted,
    Hold,
    Limits,
    Period,
    Rough,
    SettledUse,
    StoreDown,
    Subject,
    TooClose,
    Verdict,
)
from tests.gateway.limits.asking import DAY, KEY, NOON, TEAM, Asking, Time, granted, refused


class Store:
    """A store that several share: a limiter that can go away, with what was let in told as Redis tells it. ``known`` is
    whether it is known to be away; ``renewed`` and ``settled`` are what it was told."""

    def __init__(self, clock: Time) -> None:
        self.limiter = LocalLimiter(clock)
        self.there = self.up = True
        self.asked = 0
        self.settled: list[SettledUse] = []
        self.renewed: list[str] = []
        self.holds: dict[str, tuple[Hold, Ask]] = {}

    async def reserve(self, ask: Ask | Rough, ttl: float) -> Verdict:
        assert ttl == LIFE
        self.asked += 1
        await asyncio.sleep(0)
        if not self.there:
            raise StoreDown
        verdict = self.limiter.admit(ask, ttl)
        if not isinstance(verdict, Granted):
            return verdict
        whole = ask.whole() if isinstance(ask, Rough) else ask
        self.holds.update({hold.id: (hold, whole) for hold in whole.holds})
        gone = []
        for count in self.limiter.counted(tuple(claim.subject for claim in whole.claims)):
            used = count.used
            gone.append(
                Period(
                    used.subject, used.at, used.tokens_day + count.reserved_tokens_day,
                    used.nano_day + count.reserved_nano_day, used.nano_month + count.reserved_nano_month,
                )
            )  # fmt: skip
        return msgspec.structs.replace(verdict, gone=tuple(gone))

    def tell(self, uses: tuple[SettledUse, ...]) -> "asyncio.Future[Any]":
        self.settled.extend(uses)
        self.limiter.settled(uses)
        for use in uses:
            self.holds.pop(use.id, None)
        done: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def living(self) -> list[str]:
        return list(self.holds)

    def under_way(self) -> list[tuple[Hold, Ask]]:
        return list(self.holds.values())

    async def renew(self, holds: tuple[str, ...], ttl: float) -> None:
        if not self.there:
            raise StoreDown
        self.renewed.extend(holds)

    def leave(self) -> None:
        self.there = self.up = False

    def come_back(self) -> None:
        self.there = self.up = True


class Replica:
    def __init__(self, policy: Policy = "local", replicas: int = 1) -> None:
        self.time, self.asking = Time(), Asking()
        self.store = Store(self.time)
        self.replicas = replicas
        self.counting = SharedCounting(self.store, policy, self.time, lambda: self.replicas)

    async def admit(self, *claims: tuple[Subject, Limits], **more: Any) -> tuple[Ask, Verdict]:
        """As the admission asks."""
        ask = self.asking.ask(*claims, **more)
        verdict = self.counting.now(ask)
        return ask, verdict or await self.counting.later(ask)

    async def let_in(self, *claims: tuple[Subject, Limits], most: int = 100, **more: Any) -> int:
        """How many, until one is refused."""
        for i in range(most):
            _, verdict = await self.admit(*claims, **more)
            if not isinstance(verdict, Granted):
                return i
        return most

    async def told(self) -> list[SettledUse]:
        for _ in range(3):
            await asyncio.sleep(0)
        return self.store.settled


# ------------------------------------------------------------------ in this process


async def test_alone_the_answer_is_there_at_once() -> None:
    time = Time()
    limiter = LocalLimiter(time)
    counting, asking = LocalCounting(limiter), Asking()
    limits = Limits(rpm=2, tpd=1000)
    ask = asking.ask((TEAM, limits), tokens=10)
    verdict = counting.now(ask)
    assert verdict is not None and granted(verdict)
    assert counting.spare([("near", 10, 0)], [(TEAM, limits)], NOON) is not None
    later = counting.now(asking.ask((TEAM, limits)))
    assert later is not None and refused(later)
    counting.settle(ask.holds[0].id, 7, 0)
    counting.settle("near", 5, 0)
    [count] = limiter.counted((TEAM,))
    assert (count.used.tokens_day, count.reserved_tokens_day) == (12, 0)


async def test_alone_a_hold_lasts_as_long_as_its_call() -> None:
    time = Time()
    limiter = LocalLimiter(time)
    counting, limits = LocalCounting(limiter), Limits(concurrent=1)
    first = Asking().ask((KEY, limits))
    assert counting.now(first)
    time.now += int(ALONE * 1000) - 1000
    second = counting.now(Asking().ask((KEY, limits), name="second"))
    assert second is not None and refused(second)


# ------------------------------------------------------------------ together


async def test_the_store_decides_while_it_is_there() -> None:
    replica = Replica()
    ask = replica.asking.ask((TEAM, Limits(rpm=1)))
    assert replica.counting.now(ask) is None  # it must be asked
    assert replica.counting.spare([("h", 1, 1)], [(TEAM, Limits(rpm=100))], NOON) is None
    verdict = granted(await replica.counting.later(ask))
    assert not verdict.degraded
    _, second = await replica.admit((TEAM, Limits(rpm=1)))
    assert not refused(second).degraded
    assert replica.store.asked == 2


async def test_who_was_too_close_is_looked_at_closely_for_a_second() -> None:
    replica = Replica()
    limited, others = ((TEAM, Limits(tpm=100)),), ((KEY, Limits(tpm=100)),)
    rough = replica.asking.rough(*limited, tokens=60)
    assert replica.counting.may_be_rough(limited)
    with pytest.raises(TooClose) as close:
        await replica.counting.later(rough)
    assert not close.value.away
    replica.counting.was_too_close(limited)
    assert not replica.counting.may_be_rough(limited) and replica.counting.may_be_rough(others)
    replica.time.now += 1000
    assert replica.counting.may_be_rough(limited)
    replica.store.there = False
    with pytest.raises(TooClose) as away:
        await replica.counting.later(rough)
    assert away.value.away and granted(replica.counting.alone(replica.asking.ask(*limited))).degraded
    replica.store.up = False
    assert not replica.counting.may_be_rough(limited)


async def test_what_ends_together_is_told_together() -> None:
    replica = Replica()
    asks = [(await replica.admit((TEAM, Limits(rpm=9)), tokens=5))[0] for _ in range(3)]
    for i, ask in enumerate(asks):
        replica.counting.settle(ask.holds[0].id, i, 10 * i)
    assert replica.store.settled == []  # nobody waits
    assert await replica.told() == [SettledUse(ask.holds[0].id, i, 10 * i) for i, ask in enumerate(asks)]


@pytest.mark.parametrize("policy", ["local", "deny", "allow"])
async def test_what_lives_is_renewed_until_it_ends(policy: Policy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.counting.LIFE", 0.04)
    replica = Replica(policy)
    replica.store.reserve = lambda ask, ttl: Store.reserve(replica.store, ask, LIFE)  # type: ignore[method-assign]
    first, _ = await replica.admit((TEAM, Limits(rpm=9)))
    second, _ = await replica.admit((TEAM, Limits(rpm=9)), legs=2)
    replica.counting.settle(first.holds[0].id, 1, 1)
    replica.counting.start()
    await asyncio.sleep(0.03)
    replica.store.leave()  # what cannot be told now is told later
    await asyncio.sleep(0.03)
    replica.store.come_back()
    before = len(replica.store.renewed)
    await asyncio.sleep(0.03)
    await replica.counting.close()
    assert set(replica.store.renewed) == {hold.id for hold in second.holds}
    assert len(replica.store.renewed) > before >= 2


async def test_at_the_end_nothing_stays_untold() -> None:
    replica = Replica()
    ask, _ = await replica.admit((TEAM, Limits(rpm=9)))
    replica.counting.settle(ask.holds[0].id, 3, 4)
    await replica.counting.close()
    assert replica.store.settled == [SettledUse(ask.holds[0].id, 3, 4)]


# ------------------------------------------------------------------ while it is away


def known_away(store: Store) -> None:
    store.leave()


def not_known_yet(store: Store) -> None:
    store.there = False


WAYS = pytest.mark.parametrize("away", [known_away, not_known_yet])


@WAYS
async def test_denied(away: Callable[[Store], None]) -> None:
    replica = Replica("deny")
    away(replica.store)
    with pytest.raises(StoreDown):
        await replica.admit((TEAM, Limits(rpm=5)))


@WAYS
async def test_allowed_without_a_limit(away: Callable[[Store], None]) -> None:
    replica = Replica("allow")
    away(replica.store)
    for _ in range(5):
        _, verdict = await replica.admit((TEAM, Limits(rpm=1, usd_day=1)), nano=100)
        assert granted(verdict).degraded and granted(verdict).at == NOON


@WAYS
async def test_locally_as_before_where_there_is_one_replica(away: Callable[[Store], None]) -> None:
    replica = Replica("local")
    away(replica.store)
    assert await replica.let_in((TEAM, Limits(rpm=5))) == 5
    _, verdict = await replica.admit((TEAM, Limits(rpm=5)))
    assert refused(verdict).degraded and refused(verdict).wait == 60
    replica.time.now += 60_000
    assert await replica.let_in((TEAM, Limits(rpm=5))) == 5


@pytest.mark.parametrize(
    ("limits", "replicas", "share"),
    [
        (Limits(rpm=100), 4, 25),
        (Limits(rpm=10), 3, 3),
        (Limits(rpm=3), 8, 1),  # at least one
        (Limits(tpm=1000), 4, 25),
        (Limits(concurrent=12), 4, 3),
        (Limits(tpd=1000), 1, 100),
        (Limits(tpd=2000), 4, 43),
    ],
)
async def test_a_replica_has_its_share(limits: Limits, replicas: int, share: int) -> None:
    replica = Replica(replicas=replicas)
    replica.store.leave()
    assert await replica.let_in((TEAM, limits), tokens=10, most=101) == share


@pytest.mark.parametrize("replicas", [1, 2, 3, 8])
@pytest.mark.parametrize("gone", [0, 400, 1000, 2000])
async def test_replicas_together_never_spend_more_than_is_left(replicas: int, gone: int) -> None:
    """However many there are, and none of them knows of the others."""
    limits = Limits(usd_month=1000)
    spent = 0
    for _ in range(replicas):
        replica = Replica(replicas=replicas)
        replica.counting.known((Period(TEAM, NOON, 0, gone, gone),))
        replica.store.leave()
        spent += await replica.let_in((TEAM, limits), nano=1, most=2000)
    assert spent <= max(0, 1000 - gone)
    assert spent >= max(0, 1000 - gone) * 7 // 8 - replicas  # and little is left lying


async def test_a_call_larger_than_a_share_but_not_than_the_limit_takes_the_whole_share() -> None:
    replica = Replica(replicas=2)
    replica.store.leave()
    wish = (TEAM, Limits(tpm=6000))
    ask, verdict = await replica.admit(wish, legs=2, tokens=2500)
    assert isinstance(verdict, Granted)
    _, verdict = await replica.admit(wish, tokens=1)
    assert refused(verdict).wait == 60
    for hold in ask.holds:
        replica.counting.settle(hold.id, 200, 0)
    assert await replica.let_in(wish, tokens=100) == (3000 - 400) // 100
    _, verdict = await replica.admit(wish, tokens=6001)
    assert refused(verdict).never


async def test_what_the_store_has_let_in_here_counts_in_the_share() -> None:
    replica, limits = Replica(replicas=2), Limits(rpm=10)
    for _ in range(3):
        await replica.admit((TEAM, limits))
    replica.store.leave()
    assert await replica.let_in((TEAM, limits)) == 2


async def test_places_that_the_store_gave_are_this_replicas() -> None:
    replica, limits = Replica(replicas=2), Limits(concurrent=4)
    ask, _ = await replica.admit((TEAM, limits))
    replica.store.leave()
    assert await replica.let_in((TEAM, limits)) == 1
    replica.counting.settle(ask.holds[0].id, 1, 1)
    assert await replica.let_in((TEAM, limits)) == 1


async def test_budgets_begin_where_the_store_was_last_heard() -> None:
    replica, limits = Replica(), Limits(usd_month=1000)
    ask, _ = await replica.admit((TEAM, limits), nano=700)
    replica.counting.known((Period(TEAM, NOON, 0, 100, 100),))  # the ledger knows less
    replica.store.leave()
    assert await replica.let_in((TEAM, limits), nano=100) == 3
    assert ask.holds


async def test_a_new_month_is_a_new_budget() -> None:
    replica, limits = Replica(), Limits(usd_month=100, usd_day=50)
    replica.counting.known((Period(TEAM, NOON, 0, 50, 50),))
    replica.store.leave()
    assert await replica.let_in((TEAM, limits), nano=10) == 0
    replica.time.now += DAY
    assert await replica.let_in((TEAM, limits), nano=10) == 5
    replica.time.now += 8 * DAY  # January
    assert await replica.let_in((TEAM, limits), nano=10) == 5


# ------------------------------------------------------------------ when it is back


@pytest.mark.parametrize("policy", ["local", "allow"])
async def test_what_was_let_in_meanwhile_is_told_with_whom_it_counts_for(policy: Policy) -> None:
    replica = Replica(policy)
    replica.store.leave()
    ask, verdict = await replica.admit((TEAM, Limits(tpd=100)), (KEY, Limits(tpd=50)), tokens=10)
    replica.store.come_back()
    replica.counting.settle(ask.holds[0].id, 7, 8)
    assert await replica.told() == [SettledUse(ask.holds[0].id, 7, 8, (TEAM, KEY), granted(verdict).at)]
    used = [count.used.tokens_day for count in replica.store.limiter.counted((TEAM, KEY))]
    assert used == [7, 7]


async def test_each_leg_counts_for_its_own_subjects() -> None:
    replica = Replica()
    replica.store.leave()
    ask = Ask(
        replica.asking.ask((TEAM, Limits(rpm=9)), (KEY, Limits(rpm=9)), legs=2).claims,
        tuple(
            msgspec.structs.replace(hold, shares=hold.shares[:shares])
            for hold, shares in zip(
                replica.asking.ask((TEAM, Limits()), (KEY, Limits()), legs=2).holds, (1, 2), strict=True
            )
        ),
    )
    verdict = replica.counting.now(ask)
    assert verdict is not None and granted(verdict)
    for hold in ask.holds:
        replica.counting.settle(hold.id, 1, 1)
    assert [use.subjects for use in await replica.told()] == [(TEAM,), (TEAM, KEY)]


async def test_what_was_refused_is_told_to_nobody() -> None:
    replica = Replica()
    replica.store.leave()
    ask, verdict = await replica.admit((TEAM, Limits(tpd=5)), tokens=10)
    assert refused(verdict).never
    replica.counting.settle(ask.holds[0].id, 0, 0)
    assert await replica.told() == [SettledUse(ask.holds[0].id, 0, 0)]


async def test_what_was_spent_meanwhile_counts_until_the_store_has_said_otherwise() -> None:
    replica, limits = Replica(), Limits(usd_month=100)
    replica.store.leave()
    ask, _ = await replica.admit((TEAM, limits), nano=60)
    replica.counting.settle(ask.holds[0].id, 5, 60)
    assert await replica.let_in((TEAM, limits), nano=50) == 0
    replica.store.come_back()
    await replica.told()
    _, verdict = await replica.admit((TEAM, limits), nano=10)
    assert not granted(verdict).degraded
    replica.store.leave()  # once more: what was spent is known from the store now, and counts once
    assert await replica.let_in((TEAM, limits), nano=10) == 3
