"""Any sequence of reserving, settling, renewing, expiring and crashing: in process and in Redis the same comes of it,
and what is reserved is what living holds have reserved, always."""

import asyncio
import os
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import msgspec
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from gateway.limits.local import LocalLimiter
from gateway.limits.types import Ask, Claim, Count, Granted, Hold, Limits, Period, SettledUse, Share, Subject
from gateway.store.redis.address import parse
from gateway.store.redis.limiter import RedisLimiter
from gateway.store.redis.opening import open_client
from tests.gateway.limits.asking import DAY, Time
from tests.servers.redis import RedisServer

SUBJECTS = (Subject("key", "k"), Subject("team", "t"), Subject("organisation"))
EXAMPLES = int(os.environ.get("LIMITER_EXAMPLES", "40"))
SETTLED_FOR = 47 * 3_600_000
"""Longer than that nobody is remembered."""

T = TypeVar("T")

amounts = st.integers(0, 60)
maybe = st.integers(0, 120) | st.none()
limits = st.builds(
    Limits,
    rpm=st.integers(1, 8) | st.none(),
    tpm=maybe,
    tpd=st.none() | st.integers(0, 400),
    concurrent=st.none() | st.integers(0, 5),
    usd_day=maybe,
    usd_month=st.none() | st.integers(0, 400),
    soft_usd_day=maybe,
    soft_usd_month=maybe,
)
pauses = st.sampled_from([0, 1, 60_000, 99, 100, 10_000, 29_999, 59_999, 60_001, 50, 1_000, 3_600_000, DAY // 2, DAY])
ttls = st.sampled_from([0.001, 10.0, 60.0, 120.0, 7200.0])


class Both(RuleBasedStateMachine):
    server: RedisServer

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.clock = Time()
        self.admin = self.server.client()
        self.admin.flushall()
        self.client = open_client(parse(self.server.unix_url))
        self.redis = RedisLimiter(self.client, time=self.clock)
        self.local = LocalLimiter(self.clock)
        self.number = 0
        self.known: dict[str, tuple[int, tuple[Subject, ...]]] = {}
        """Holds that somebody may still settle: when they were made, and for whom."""
        self.living: dict[str, tuple[int, int, dict[Subject, tuple[int, int]]]] = {}
        """When they expire, on which day they were made, and what they have reserved."""
        self.run(self.redis.begin_epoch())

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def teardown(self) -> None:
        self.run(self.redis.close())
        self.run(self.client.aclose())
        self.admin.close()
        self.loop.close()

    def reap(self) -> None:
        self.living = {id: held for id, held in self.living.items() if held[0] > self.clock.now}

    @rule(pause=pauses)
    def wait(self, pause: int) -> None:
        self.clock.now += pause

    @rule(data=st.data(), legs=st.integers(1, 3), ttl=ttls)
    def reserve(self, data: st.DataObject, legs: int, ttl: float) -> None:
        subjects = data.draw(st.lists(st.sampled_from(SUBJECTS), min_size=1, max_size=3, unique=True))
        holds, wanted = [], {subject: [0, 0, 0] for subject in subjects}
        for _ in range(legs):
            self.number += 1
            tokens, nano = data.draw(amounts), data.draw(amounts)
            within = data.draw(st.lists(st.sampled_from(range(len(subjects))), min_size=1, unique=True))
            for place in within:
                for column, amount in enumerate((1, tokens, nano)):
                    wanted[subjects[place]][column] += amount
            holds.append(Hold(f"h{self.number}", tuple(Share(place, tokens, nano) for place in within)))
        claims = tuple(Claim(subject, data.draw(limits), *wanted[subject]) for subject in subjects)
        ask = Ask(claims, tuple(holds))
        verdict = self.run(self.redis.reserve(ask, ttl))
        here = self.local.admit(ask, ttl)
        if isinstance(verdict, Granted):
            counts = self.local.counted(tuple([period.subject for period in verdict.gone]))
            assert verdict.gone == tuple([gone(count, verdict.at) for count in counts])
            verdict = msgspec.structs.replace(verdict, gone=())
        assert verdict == here
        self.reap()
        if isinstance(verdict, Granted):
            for hold in holds:
                self.known[hold.id] = (self.clock.now, tuple(subjects[share.claim] for share in hold.shares))
                shares = {subjects[share.claim]: (share.tokens, share.nano) for share in hold.shares}
                self.living[hold.id] = (self.clock.now + int(ttl * 1000), self.clock.now // DAY, shares)
        elif verdict.wait is not None and all(claim.limits.concurrent is None for claim in claims):
            self.comes_back(claims, verdict.wait)

    def comes_back(self, claims: tuple[Claim, ...], wait: float) -> None:
        """Who waits exactly as long as they were told is let in, and a millisecond before they are not: counted here
        from the buckets, as nothing may be changed."""
        for now, let_in in (
            (self.clock.now + round(wait * 1000) - 1, False),
            (self.clock.now + round(wait * 1000), True),
        ):
            fits = True
            for claim in claims:
                buckets = [one for one in self.local._accounts[claim.subject].window.buckets if one.last + 60_000 > now]
                if claim.limits.rpm is not None:
                    fits &= sum(bucket.requests for bucket in buckets) + claim.requests <= claim.limits.rpm
                if claim.limits.tpm is not None:
                    fits &= sum(bucket.tokens for bucket in buckets) + claim.tokens <= claim.limits.tpm
            assert fits == let_in

    @rule(data=st.data(), tokens=amounts, nano=amounts, elsewhere=st.booleans())
    def settle(self, data: st.DataObject, tokens: int, nano: int, elsewhere: bool) -> None:
        known = [id for id, (made, _) in self.known.items() if self.clock.now - made < SETTLED_FOR]
        if not known:
            return
        id = data.draw(st.sampled_from(known))
        made, subjects = self.known[id]
        use = SettledUse(id, tokens, nano, subjects, made) if elsewhere else SettledUse(id, tokens, nano)
        self.run(self.redis.settle((use,)))
        self.local.settled((use,))
        self.reap()
        self.living.pop(id, None)

    @rule(data=st.data(), ttl=ttls)
    def renew(self, data: st.DataObject, ttl: float) -> None:
        ids = tuple(data.draw(st.lists(st.sampled_from([*self.known, "nobody"]), max_size=3, unique=True)))
        self.run(self.redis.renew(ids, ttl))
        self.local.renewed(ids, ttl)
        self.reap()
        for id in ids:
            if id in self.living:
                self.living[id] = (self.clock.now + int(ttl * 1000), *self.living[id][1:])

    @rule(subject=st.sampled_from(SUBJECTS), tokens=amounts, nano=amounts, ago=st.sampled_from([-5, 0, 1000, DAY]))
    def use_elsewhere(self, subject: Subject, tokens: int, nano: int, ago: int) -> None:
        self.number += 1
        use = SettledUse(f"e{self.number}", tokens, nano, (subject,), self.clock.now - ago)
        self.known[use.id] = (self.clock.now - ago, (subject,))
        for _ in range(2):
            self.run(self.redis.settle((use,)))
            self.local.settled((use,))
        self.reap()

    @rule()
    def crash(self) -> None:
        """Nobody is left who would settle."""
        self.known.clear()

    @rule(subject=st.sampled_from(SUBJECTS), tokens=amounts, nano=amounts, only_empty=st.booleans())
    def seed(self, subject: Subject, tokens: int, nano: int, only_empty: bool) -> None:
        rows = (Period(subject, self.clock.now, tokens, nano, nano + 5),)
        self.run(self.redis.seed(rows, only_empty=only_empty))
        self.local.seeded(rows, only_empty=only_empty)

    @invariant()
    def counters_are_the_same(self) -> None:
        assert self.run(self.redis.counts(SUBJECTS)) == self.local.counted(SUBJECTS)

    @invariant()
    def reserved_is_what_living_holds_have_reserved(self) -> None:
        self.run(self.redis.renew(("nobody",), 1.0))  # whoever's time is up, goes
        self.local.renewed(("nobody",), 1.0)
        self.reap()
        today = self.clock.now // DAY
        for count in self.local.counted(SUBJECTS):
            held = [shares[count.used.subject] for _, day, shares in self.of(count.used.subject) if day == today]
            assert count.reserved_tokens_day == sum(tokens for tokens, _ in held)
            assert count.reserved_nano_day == sum(nano for _, nano in held)
        in_counters, in_holds = reserved_in(self.server)
        assert in_counters == in_holds
        assert in_counters[1] == sum(nano for _, _, shares in self.living.values() for _, nano in shares.values())

    def of(self, subject: Subject) -> Iterator[tuple[int, int, dict[Subject, tuple[int, int]]]]:
        return (held for held in self.living.values() if subject in held[2])


def reserved_in(server: RedisServer) -> tuple[tuple[int, int, int, int], tuple[int, int, int, int]]:
    """Tokens and nano-dollars of days, nano-dollars of months, and places: as the counters have them, and the holds."""
    with server.client() as admin:
        counters = [0, 0, 0, 0]
        for key in admin.keys("{gw}:u:*"):
            for field, value in admin.hgetall(key).items():
                for column, letter in enumerate((b"T", b"N", b"M", b"p")):
                    if field.endswith(letter):
                        counters[column] += int(value)
        holds = [0, 0, 0, 0]
        for packed in admin.hvals("{gw}:holds"):
            row = msgspec.msgpack.decode(packed)
            for place in range(2, len(row), 4):
                _, _, tokens, nano = row[place : place + 4]
                for column, amount in enumerate((tokens, nano, nano, 1)):
                    holds[column] += amount
        assert admin.hlen("{gw}:holds") == admin.zcard("{gw}:expiry")
    return (counters[0], counters[1], counters[2], counters[3]), (holds[0], holds[1], holds[2], holds[3])


def test_any_sequence(redis_server: RedisServer) -> None:
    class Here(Both):
        server = redis_server

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=EXAMPLES, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )


def gone(count: Count, at: int) -> Period:
    """What is used or reserved."""
    used = count.used
    return Period(
        used.subject,
        at,
        used.tokens_day + count.reserved_tokens_day,
        used.nano_day + count.reserved_nano_day,
        used.nano_month + count.reserved_nano_month,
    )
