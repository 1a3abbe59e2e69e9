"""What is let in, what is not, and for how long: the same for every limiter."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.limits.types import (
    Ask,
    Claim,
    Granted,
    Hold,
    Limiter,
    Limits,
    Period,
    Refused,
    Rough,
    SettledUse,
    Share,
    Standing,
    Subject,
    TooClose,
)
from tests.gateway.limits.asking import DAY, KEY, MINUTE, MODEL, NOON, TEAM, Asking, Time, granted, ids, refused

TTL = 120.0
HALF_DAY = 12 * 3600.0
TO_THE_MONTH = 7.5 * 86_400
"""Seconds from noon of the 24th to the end of December."""


async def reserved(limiter: Limiter, subject: Subject = KEY) -> tuple[int, int, int]:
    [count] = await limiter.counts((subject,))
    return count.reserved_tokens_day, count.reserved_nano_day, count.reserved_nano_month


async def used(limiter: Limiter, subject: Subject = KEY) -> tuple[int, int, int]:
    [count] = await limiter.counts((subject,))
    return count.used.tokens_day, count.used.nano_day, count.used.nano_month


# ------------------------------------------------------------------ windows


async def test_requests_of_any_minute(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(rpm=3)
    for pause in (0, 20_000, 20_000):
        clock.now += pause
        granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    verdict = refused(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    standing = Standing(KEY, "requests/min", 3, 0, 60.0)
    assert verdict == Refused(standing, 20.0, False, standing, None)
    clock.now += 19_999
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).wait == 0.001
    clock.now += 1
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).wait == 20.0


async def test_requests_stay_counted_whatever_came_of_them(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(rpm=1)
    ask = asking.ask((KEY, limits))
    granted(await limiter.reserve(ask, TTL))
    await limiter.settle((SettledUse(ids([ask])[0], 0, 0),))
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).wait == 60.0


async def test_a_bucket_counts_until_a_minute_after_its_last_entry(
    limiter: Limiter, clock: Time, asking: Asking
) -> None:
    limits = Limits(rpm=2)
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    clock.now += 99
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    clock.now += 1_000
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).wait == 59.0
    clock.now += 59_000
    granted(await limiter.reserve(asking.ask((KEY, limits), legs=2), TTL))


async def test_never_more_than_the_limit_in_any_minute(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(rpm=7)
    times = []
    for step in range(400):
        clock.now += (step * 37) % 1501
        if isinstance(await limiter.reserve(asking.ask((KEY, limits)), TTL), Granted):
            times.append(clock.now)
    assert len(times) >= 30
    assert all(later - earlier >= MINUTE for earlier, later in zip(times, times[7:], strict=False))


async def test_the_wait_is_for_as_much_as_is_asked(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(tpm=100)
    for tokens, pause in ((50, 1000), (30, 5000), (20, 1000)):
        granted(await limiter.reserve(asking.ask((KEY, limits), tokens=tokens), TTL))
        clock.now += pause
    for tokens, wait in ((1, 53.0), (50, 53.0), (51, 54.0), (80, 54.0), (81, 59.0), (100, 59.0)):
        verdict = refused(await limiter.reserve(asking.ask((KEY, limits), tokens=tokens), TTL))
        assert (verdict.wait, verdict.never) == (wait, False)
        assert verdict.standing == Standing(KEY, "tokens/min", 100, 0, 59.0)
    clock.now += 54_000
    assert granted(await limiter.reserve(asking.ask((KEY, limits), tokens=80), TTL)).tokens == Standing(
        KEY, "tokens/min", 100, 0, 60.0
    )


async def test_settled_tokens_change_the_bucket_of_their_reservation(
    limiter: Limiter, clock: Time, asking: Asking
) -> None:
    limits = Limits(tpm=100)
    first, second = asking.ask((KEY, limits), tokens=60), asking.ask((KEY, limits), tokens=40)
    granted(await limiter.reserve(first, TTL))
    clock.now += 10_000
    granted(await limiter.reserve(second, TTL))
    clock.now += 10_000
    await limiter.settle((SettledUse(ids([first])[0], 10, 0),))
    assert granted(await limiter.reserve(asking.ask((KEY, limits), tokens=50), TTL)).tokens == Standing(
        KEY, "tokens/min", 100, 0, 60.0
    )
    assert refused(await limiter.reserve(asking.ask((KEY, limits), tokens=10), TTL)).wait == 40.0


async def test_more_than_was_reserved_makes_the_window_over_full(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(tpm=100)
    ask = asking.ask((KEY, limits), tokens=10)
    granted(await limiter.reserve(ask, TTL))
    await limiter.settle((SettledUse(ids([ask])[0], 250, 0),))
    clock.now += 1
    for tokens in (0, 1, 100):
        verdict = refused(await limiter.reserve(asking.ask((KEY, limits), tokens=tokens), TTL))
        assert (verdict.wait, verdict.standing.remaining) == (59.999, 0)
    clock.now += 59_999
    granted(await limiter.reserve(asking.ask((KEY, limits), tokens=100), TTL))


async def test_what_is_settled_after_its_minute_changes_no_window(
    limiter: Limiter, clock: Time, asking: Asking
) -> None:
    limits = Limits(tpm=100)
    ask = asking.ask((KEY, limits), tokens=10)
    granted(await limiter.reserve(ask, TTL))
    clock.now += 60_000
    granted(await limiter.reserve(asking.ask((KEY, limits), tokens=50), TTL))
    await limiter.settle((SettledUse(ids([ask])[0], 90, 0),))
    assert granted(await limiter.reserve(asking.ask((KEY, limits), tokens=50), TTL)).tokens == Standing(
        KEY, "tokens/min", 100, 0, 60.0
    )
    assert (await used(limiter))[0] == 90


async def test_a_clock_that_goes_back_lets_nobody_in_too_soon(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(rpm=2)
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    clock.now -= 5_000
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).wait == 65.0
    clock.now += 65_000
    granted(await limiter.reserve(asking.ask((KEY, limits), legs=2), TTL))


# ------------------------------------------------------------------ days and months


async def test_budgets_of_a_day_and_a_month(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(usd_day=100, usd_month=150)
    first = asking.ask((KEY, limits), nano=100)
    granted(await limiter.reserve(first, TTL))
    assert await reserved(limiter) == (0, 100, 100)
    verdict = refused(await limiter.reserve(asking.ask((KEY, limits), nano=1), TTL))
    assert verdict == Refused(Standing(KEY, "USD/day", 100, 0, HALF_DAY), None)
    await limiter.settle((SettledUse(ids([first])[0], 5, 80),))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (5, 80, 80))
    granted(await limiter.reserve(asking.ask((KEY, limits), nano=20), TTL))
    clock.now += DAY  # the hold of 20 has expired
    assert await used(limiter) == (0, 0, 80)
    verdict = refused(await limiter.reserve(asking.ask((KEY, limits), nano=71), TTL))
    assert verdict.standing == Standing(KEY, "USD/month", 150, 70, TO_THE_MONTH - 86_400)
    granted(await limiter.reserve(asking.ask((KEY, limits), nano=70), TTL))
    clock.now = NOON + int(TO_THE_MONTH * 1000)
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (0, 0, 0))
    granted(await limiter.reserve(asking.ask((KEY, limits), nano=100), TTL))


async def test_tokens_of_a_day(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(tpd=1000)
    ask = asking.ask((KEY, limits), tokens=900)
    standing = granted(await limiter.reserve(ask, TTL)).tokens
    assert standing == Standing(KEY, "tokens/day", 1000, 100, HALF_DAY)
    verdict = refused(await limiter.reserve(asking.ask((KEY, limits), tokens=101), TTL))
    assert verdict == Refused(standing, None, False, None, standing)
    await limiter.settle((SettledUse(ids([ask])[0], 1200, 0),))
    over = refused(await limiter.reserve(asking.ask((KEY, limits), tokens=1), TTL))
    assert over.standing == Standing(KEY, "tokens/day", 1000, 0, HALF_DAY)


async def test_a_hold_counts_in_the_day_in_which_it_was_made(limiter: Limiter, clock: Time, asking: Asking) -> None:
    clock.now = NOON + DAY // 2 - 1
    limits = Limits(tpd=100, usd_day=100, usd_month=1000)
    ask = asking.ask((KEY, limits), tokens=60, nano=70)
    granted(await limiter.reserve(ask, TTL))
    clock.now += 1
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 70), (0, 0, 0))
    granted(await limiter.reserve(asking.ask((KEY, limits), tokens=100, nano=100), TTL))
    await limiter.settle((SettledUse(ids([ask])[0], 50, 60),))
    assert (await reserved(limiter), await used(limiter)) == ((100, 100, 100), (0, 0, 60))


@pytest.mark.parametrize("end", ["2026-12-31", "2027-02-28", "2028-02-28", "2028-02-29", "2030-04-30", "2100-02-28"])
@pytest.mark.parametrize("before", [1, 86_399_999, 86_400_000])
async def test_when_days_and_months_end(limiter: Limiter, clock: Time, asking: Asking, end: str, before: int) -> None:
    midnight = datetime.fromisoformat(end).replace(tzinfo=UTC) + timedelta(days=1)
    clock.now = round(midnight.timestamp() * 1000) - before
    month = refused(await limiter.reserve(asking.ask((TEAM, Limits(usd_month=0)), nano=1), TTL))
    day = refused(await limiter.reserve(asking.ask((KEY, Limits(usd_day=0)), nano=1), TTL))
    now = midnight - timedelta(milliseconds=before)
    next_month = (now.replace(day=28) + timedelta(days=4)).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    assert day.standing.reset == before / 1000
    assert month.standing.reset == round((next_month - now).total_seconds(), 3)


async def test_soft_budgets_warn_of_what_was_used(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(soft_usd_day=100, soft_usd_month=150)

    async def use(nano: int) -> tuple[Standing, ...]:
        """Reserves a hundred times as much, and uses so much of it."""
        ask = asking.ask((KEY, limits), nano=100 * nano)
        soft = granted(await limiter.reserve(ask, TTL)).soft
        await limiter.settle((SettledUse(ids([ask])[0], 0, nano),))
        return soft

    day = Standing(KEY, "USD/day", 100, 0, HALF_DAY)
    month = Standing(KEY, "USD/month", 150, 0, TO_THE_MONTH)
    assert [await use(nano) for nano in (100, 1, 49, 1, 1)] == [(), (), (day,), (day,), (day, month)]


async def test_large_sums_are_exact(limiter: Limiter, asking: Asking) -> None:
    million_dollars = 10**15
    ask = asking.ask((KEY, Limits(usd_month=8 * million_dollars)), nano=8 * million_dollars - 1)
    granted(await limiter.reserve(ask, TTL))
    assert await reserved(limiter) == (0, 8 * million_dollars - 1, 8 * million_dollars - 1)
    await limiter.settle((SettledUse(ids([ask])[0], 0, 8 * million_dollars - 3),))
    assert await used(limiter) == (0, 8 * million_dollars - 3, 8 * million_dollars - 3)


# ------------------------------------------------------------------ places


async def test_places(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(concurrent=3)
    two, one = asking.ask((KEY, limits), legs=2), asking.ask((KEY, limits))
    granted(await limiter.reserve(two, TTL))
    assert refused(await limiter.reserve(asking.ask((KEY, limits), legs=2), TTL)) == Refused(
        Standing(KEY, "concurrent", 3, 1, 1.0), 1.0
    )
    granted(await limiter.reserve(one, TTL))
    assert refused(await limiter.reserve(asking.ask((KEY, limits)), TTL)).standing.remaining == 0
    await limiter.settle((SettledUse(ids([two])[0], 0, 0),))
    granted(await limiter.reserve(asking.ask((KEY, limits)), TTL))


async def test_places_of_those_who_never_come_back(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(concurrent=1)
    granted(await limiter.reserve(asking.ask((KEY, limits)), 30.0))
    clock.now += 29_999
    refused(await limiter.reserve(asking.ask((KEY, limits)), 30.0))
    clock.now += 1
    granted(await limiter.reserve(asking.ask((KEY, limits)), 30.0))


# ------------------------------------------------------------------ all or nothing


async def test_all_legs_in_all_subjects_or_nothing(limiter: Limiter, asking: Asking) -> None:
    """Four models, of which three fit the budget."""
    limits, loose = Limits(usd_month=300), Limits(rpm=100, tpm=10_000, concurrent=100)
    verdict = refused(await limiter.reserve(asking.ask((KEY, loose), (TEAM, limits), nano=100, tokens=5, legs=4), TTL))
    assert verdict.standing == Standing(TEAM, "USD/month", 300, 300, TO_THE_MONTH)
    assert verdict.never
    for subject in (KEY, TEAM):
        assert (await reserved(limiter, subject), await used(limiter, subject)) == ((0, 0, 0), (0, 0, 0))
    verdict_of_three = granted(await limiter.reserve(asking.ask((KEY, loose), (TEAM, limits), nano=100, legs=3), TTL))
    assert verdict_of_three.requests == Standing(KEY, "requests/min", 100, 97, 60.0)
    assert await reserved(limiter, TEAM) == (0, 300, 300)


async def test_legs_count_in_the_subjects_they_share(limiter: Limiter, asking: Asking) -> None:
    limits = Limits(rpm=10, concurrent=10)
    ask = Ask(
        (Claim(KEY, limits, 2, 30, 7), Claim(MODEL, limits, 1, 20, 5)),
        (Hold("a", (Share(0, 10, 2),)), Hold("b", (Share(0, 20, 5), Share(1, 20, 5)))),
    )
    assert granted(await limiter.reserve(ask, TTL)).requests == Standing(KEY, "requests/min", 10, 8, 60.0)
    assert (await reserved(limiter, KEY), await reserved(limiter, MODEL)) == ((30, 7, 7), (20, 5, 5))
    await limiter.settle((SettledUse("a", 11, 3),))
    assert (await reserved(limiter, KEY), await used(limiter, KEY)) == ((20, 5, 5), (11, 3, 3))
    await limiter.settle((SettledUse("b", 1, 1),))
    assert (await used(limiter, KEY), await used(limiter, MODEL)) == ((12, 4, 4), (1, 1, 1))


async def test_of_several_obstacles_the_longest_is_told(limiter: Limiter, clock: Time, asking: Asking) -> None:
    key, team = Limits(rpm=1, concurrent=1), Limits(tpm=10)
    granted(await limiter.reserve(asking.ask((TEAM, team), tokens=10), TTL))
    clock.now += 10_000
    granted(await limiter.reserve(asking.ask((KEY, key)), TTL))
    clock.now += 10_000
    verdict = refused(await limiter.reserve(asking.ask((TEAM, team), (KEY, key), tokens=1), TTL))
    assert (verdict.standing.kind, verdict.standing.subject, verdict.wait) == ("requests/min", KEY, 50.0)
    asked = asking.ask((MODEL, Limits(tpd=5)), (KEY, key), tokens=5)
    granted(await limiter.reserve(asking.ask((MODEL, Limits(tpd=5)), tokens=1), TTL))
    verdict = refused(await limiter.reserve(asked, TTL))
    assert (verdict.standing.kind, verdict.wait) == ("tokens/day", None)
    broke = Limits(usd_day=1, usd_month=1)
    granted(await limiter.reserve(asking.ask((TEAM, broke), nano=1), TTL))
    verdict = refused(await limiter.reserve(asking.ask((MODEL, Limits(tpd=5)), (TEAM, broke), tokens=5, nano=1), TTL))
    assert (verdict.standing.kind, verdict.wait, verdict.never) == ("USD/month", None, False)
    verdict = refused(await limiter.reserve(asking.ask((TEAM, broke), (KEY, key), nano=1, legs=2), TTL))
    assert (verdict.standing.kind, verdict.wait, verdict.never) == ("USD/day", None, True)


@pytest.mark.parametrize(
    ("limits", "kind"),
    [
        (Limits(rpm=1), "requests/min"),
        (Limits(tpm=199), "tokens/min"),
        (Limits(tpd=199), "tokens/day"),
        (Limits(concurrent=1), "concurrent"),
        (Limits(usd_day=19), "USD/day"),
        (Limits(usd_month=19), "USD/month"),
        (Limits(rpm=0), "requests/min"),
    ],
)
async def test_a_wish_larger_than_the_limit_is_never_let_in(
    limiter: Limiter, asking: Asking, limits: Limits, kind: str
) -> None:
    verdict = refused(await limiter.reserve(asking.ask((KEY, limits), tokens=100, nano=10, legs=2), TTL))
    assert (verdict.standing.kind, verdict.never, verdict.wait) == (kind, True, None)


async def test_the_tightest_limits_are_told(limiter: Limiter, asking: Asking) -> None:
    key, team = Limits(rpm=10, tpm=1000), Limits(rpm=100, tpm=500, tpd=480)
    verdict = granted(await limiter.reserve(asking.ask((KEY, key), (TEAM, team), tokens=100), TTL))
    assert verdict.requests == Standing(KEY, "requests/min", 10, 9, 60.0)
    assert verdict.tokens == Standing(TEAM, "tokens/day", 480, 380, HALF_DAY)
    assert granted(await limiter.reserve(asking.ask((MODEL, Limits(concurrent=1))), TTL)) == Granted(NOON)


# ------------------------------------------------------------------ the ends of holds


ALIKE = {"rpm": 2, "concurrent": 2, "tpm": 40, "tpd": 40, "usd_day": 400, "usd_month": 400}


@pytest.mark.parametrize("kind", list(ALIKE))
async def test_a_rough_wish_fits_easily_or_not_at_all(limiter: Limiter, asking: Asking, kind: str) -> None:
    """Of what is used up by degrees, half must be left; of the rest as much as is asked for."""
    limits = Limits(**{kind: ALIKE[kind]})
    limited = (TEAM, Limits(rpm=1000)), (KEY, limits)
    rough = [asking.rough(*limited, tokens=10, nano=100) for _ in range(3)]
    for one in rough[:2]:
        granted(await limiter.reserve(one, 60))
    before = await reserved(limiter), await reserved(limiter, TEAM)
    with pytest.raises(TooClose):
        await limiter.reserve(rough[2], 60)
    assert (await reserved(limiter), await reserved(limiter, TEAM)) == before
    verdict = await limiter.reserve(rough[2].whole(), 60)
    if kind in ("rpm", "concurrent"):
        refused(verdict)
    else:
        granted(verdict)
    await limiter.settle(tuple([SettledUse(id, 3, 30) for one in rough[:2] for id in one.ids()]))
    assert (await used(limiter))[0] == 6


async def test_a_rough_wish_counts_for_whom_it_is_made(limiter: Limiter, asking: Asking) -> None:
    """However many there were before, and of whatever is left of them."""
    subjects = [Subject("key", f"k{n}") for n in range(50)]
    for tokens, one in enumerate(subjects, 1):
        granted(await limiter.reserve(asking.rough((one, Limits(tpd=1000)), tokens=tokens), TTL))
    assert [(await reserved(limiter, one))[0] for one in subjects] == list(range(1, 51))
    both = Rough(((KEY, Limits(tpd=1000)), (TEAM, Limits(tpd=1000))), [("one", 3, 4), ("more", 5, 6)])
    verdict = granted(await limiter.reserve(both, TTL))
    assert await reserved(limiter) == await reserved(limiter, TEAM) == (8, 10, 10)
    assert verdict.tokens == Standing(KEY, "tokens/day", 1000, 992, HALF_DAY)


async def test_a_hold_is_settled_once(limiter: Limiter, asking: Asking) -> None:
    ask = asking.ask((KEY, Limits(tpd=100)), tokens=10, nano=5)
    granted(await limiter.reserve(ask, TTL))
    use = SettledUse(ids([ask])[0], 7, 3)
    for _ in range(3):
        await limiter.settle((use, use))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (7, 3, 3))


async def test_an_expired_hold_gives_everything_back(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(tpm=100, tpd=100, usd_day=100, concurrent=1)
    granted(await limiter.reserve(asking.ask((KEY, limits), tokens=100, nano=100), 30.0))
    clock.now += 30_000
    verdict = granted(await limiter.reserve(asking.ask((KEY, limits), tokens=40, nano=60), 30.0))
    assert verdict.tokens == Standing(KEY, "tokens/min", 100, 60, 60.0)
    assert (await reserved(limiter), await used(limiter)) == ((40, 60, 60), (0, 0, 0))


async def test_who_comes_late_is_entered_all_the_same_once(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(tpm=100, tpd=1000, concurrent=1)
    ask = asking.ask((KEY, limits), tokens=50, nano=9)
    granted(await limiter.reserve(ask, 30.0))
    clock.now += 40_000
    use = SettledUse(ids([ask])[0], 60, 7)
    for _ in range(2):
        await limiter.settle((use,))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (60, 7, 7))
    verdict = granted(await limiter.reserve(asking.ask((KEY, limits), tokens=40), TTL))
    assert verdict.tokens == Standing(KEY, "tokens/min", 100, 0, 60.0)


async def test_who_comes_after_two_days_is_not(limiter: Limiter, clock: Time, asking: Asking) -> None:
    ask, other = asking.ask((KEY, Limits(tpd=100)), nano=9), asking.ask((TEAM, Limits(tpd=1)))
    granted(await limiter.reserve(ask, 30.0))
    clock.now += 30_000
    await limiter.settle((SettledUse("nobody", 1, 1),))
    clock.now += 2 * DAY
    granted(await limiter.reserve(other, TTL))
    if type(limiter).__name__ == "LocalLimiter":  # Redis forgets by its own clock
        await limiter.settle((SettledUse(ids([ask])[0], 60, 7),))
        assert (await used(limiter))[2] == 0


async def test_renewed_holds_live_on(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(concurrent=2)
    kept, lost = asking.ask((KEY, limits)), asking.ask((KEY, limits))
    granted(await limiter.reserve(kept, 30.0))
    granted(await limiter.reserve(lost, 30.0))
    for _ in range(5):
        clock.now += 20_000
        await limiter.renew(ids([kept]), 30.0)
    granted(await limiter.reserve(asking.ask((KEY, limits)), 30.0))
    refused(await limiter.reserve(asking.ask((KEY, limits)), 30.0))
    await limiter.renew((*ids([lost]), "nobody"), 30.0)
    clock.now += 30_000
    granted(await limiter.reserve(asking.ask((KEY, limits), legs=2), 30.0))


async def test_many_expire_in_portions(limiter: Limiter, clock: Time, asking: Asking) -> None:
    limits = Limits(concurrent=1000)
    granted(await limiter.reserve(asking.ask((KEY, limits), nano=1, legs=200), 10.0))
    clock.now += 10_000
    left = []
    for _ in range(4):
        await limiter.renew(("nobody",), 10.0)
        left.append((await reserved(limiter))[1])
    assert left == [136, 72, 8, 0]


async def test_a_use_of_nobody_is_nothing(limiter: Limiter, asking: Asking) -> None:
    await limiter.settle((SettledUse("nobody", 10, 10),))
    assert await used(limiter) == (0, 0, 0)


async def test_a_use_from_elsewhere_is_entered_once(limiter: Limiter, clock: Time) -> None:
    use = SettledUse("elsewhere", 10, 20, (KEY, TEAM), clock.now - 1000)
    for _ in range(3):
        await limiter.settle((use,))
        clock.now += DAY // 8
    assert await used(limiter, KEY) == (10, 20, 20)
    assert await used(limiter, TEAM) == (10, 20, 20)
    await limiter.settle((SettledUse("yesterday", 1, 2, (KEY,), NOON - DAY),))
    assert await used(limiter, KEY) == (10, 20, 22)
    await limiter.settle((SettledUse("last month", 1, 2, (KEY,), NOON - 30 * DAY),))
    assert await used(limiter, KEY) == (10, 20, 22)


async def test_a_hold_that_was_also_used_elsewhere_counts_once(limiter: Limiter, clock: Time, asking: Asking) -> None:
    """Its reservation was not answered in time, but made all the same."""
    before, after, expired = (asking.ask((KEY, Limits(tpd=1000)), tokens=10, nano=10) for _ in range(3))
    granted(await limiter.reserve(before, TTL))
    for _ in range(2):
        await limiter.settle((SettledUse(ids([before])[0], 1, 1, (KEY,), clock.now),))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (1, 1, 1))
    late = SettledUse(ids([after])[0], 1, 1, (KEY,), clock.now)
    await limiter.settle((late,))
    granted(await limiter.reserve(after, TTL))  # executed only now
    await limiter.settle((late,))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (2, 2, 2))
    late = SettledUse(ids([expired])[0], 1, 1, (KEY,), clock.now)
    await limiter.settle((late,))
    granted(await limiter.reserve(expired, 10.0))
    clock.now += 10_000
    await limiter.settle((late,))
    assert (await reserved(limiter), await used(limiter)) == ((0, 0, 0), (3, 3, 3))


# ------------------------------------------------------------------ counters


async def test_counters_are_seeded(limiter: Limiter, clock: Time, asking: Asking) -> None:
    granted(await limiter.reserve(asking.ask((KEY, Limits(tpd=1000)), tokens=1, nano=2), TTL))
    rows = tuple(Period(subject, clock.now, 10, 20, 30) for subject in (KEY, TEAM))
    await limiter.seed(rows, only_empty=True)
    assert await used(limiter, KEY) == (0, 0, 0)
    assert await used(limiter, TEAM) == (10, 20, 30)
    await limiter.seed(tuple(Period(subject, clock.now, 11, 21, 31) for subject in (KEY, TEAM)), only_empty=False)
    for subject in (KEY, TEAM):
        assert await used(limiter, subject) == (11, 21, 31)
    assert await reserved(limiter, KEY) == (1, 2, 2)
    clock.now += DAY
    await limiter.seed((Period(KEY, clock.now, 1, 2, 99),), only_empty=True)
    assert await used(limiter, KEY) == (1, 2, 31)


async def test_what_is_refused_leaves_counters_to_be_seeded(limiter: Limiter, clock: Time, asking: Asking) -> None:
    refused(await limiter.reserve(asking.ask((KEY, Limits(rpm=0))), TTL))
    await limiter.seed((Period(KEY, clock.now, 10, 20, 30),), only_empty=True)
    assert await used(limiter) == (10, 20, 30)


@pytest.mark.parametrize("name", ["}{", "a/b", "Ü ☃", "x" * 500, "", "k\n\r\x00", "gw}:holds"])
async def test_any_name(limiter: Limiter, asking: Asking, name: str) -> None:
    one, other = Subject("user", name), Subject("user", name + "x")
    granted(await limiter.reserve(asking.ask((one, Limits(tpd=5)), tokens=5), TTL))
    granted(await limiter.reserve(asking.ask((other, Limits(tpd=5)), tokens=5), TTL))
    assert await reserved(limiter, one) == (5, 0, 0)
