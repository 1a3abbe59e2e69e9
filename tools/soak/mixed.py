"""All of it at once: callers of every kind, faults on every way, deaths, restarts, reloads; and then the accounts.

Two gateways share one Redis and one PostgreSQL, each behind a proxy that fails. The first lives all the time, so that
what it has of the machine can be seen to grow or not; of the second, workers are killed. Where there is no PostgreSQL
the first is alone, on SQLite.
"""

import asyncio
import random
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from tests.faults.asking import Asker, Call, Came
from tests.faults.gateway import KEY, Broken, Gateway
from tests.faults.judge import Finding, Line, judged, ledger
from tests.faults.load import Client, Dead
from tests.faults.proxy import Proxy, proxied
from tests.faults.schedule import mixed as faults
from tests.faults.schedule import on_the_wire
from tests.proofs.site import Site, site
from tests.servers.postgres import PASSWORD, binaries, postgres
from tests.servers.redis import RedisServer
from tools.soak.disturbances import Disturber
from tools.soak.sources import compared, exposition, valid
from tools.soak.vitals import MEGABYTE, Rest, Sample, Vitals, growth, resting
from tools.soak.workload import KNOWN, LIMITS, MODELS, TEAMS, Workload

TIMEOUTS = ", timeouts: {connect: 1, first_byte: 2, idle: 2, total: 6, first_token: 3}"
BOUND = 60.0
"""Seconds: a call is tried at two targets, up to three times, with waits between; and the machine is busy."""
FAULTS, REDIS_FAULTS, SQL_FAULTS = 0.06, 0.004, 0.005
"""The shares of exchanges that meet a fault. On the way to SQL every sixth stalls the ledger for half a minute."""
CALM, ROUGH = 0.15, 0.85
"""The shares of the time between which processes die: before and after, memory is compared under the same load."""
WARM = 0.3
"""The share of the time after which memory should not grow any more..."""
GROWTH = 24 * MEGABYTE
"""... by more than this."""
ALIKE = 5
"""Who ask the same at once before anything goes wrong."""
POOLS = 10
"""Connections to Redis and SQL that a process opens when it needs them, and keeps."""
SEGMENTS = 2
"""Segments of the spool that may be open beside those of the beginning."""
PIECES = 40_000
"""Pieces of memory that may be in use at rest beside those of the beginning: what is compiled and remembered at the
first use, and the last minute of limits; less than one for each call of a long run."""
AGAIN = 0.15
"""The share of those who ask the same at once for whom more than one call may be answered: while Redis is away nothing
is kept, and who comes when a call has just ended makes another. Before anything goes wrong it is none."""
FREE = 75.0
"""Seconds after which what a dead process had reserved is free."""


class Told(Struct):
    """What a run was like. ``alike`` are users who asked a gateway the same at once, ``gone`` processes that a
    reload has ended. ``broken`` are the invariants that do not hold, a sentence each."""

    seconds: float = 0.0
    sent: int = 0
    ends: Counter[str] = field(default_factory=Counter)
    failures: Counter[str] = field(default_factory=Counter)
    caches: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0
    wrong: list[str] = field(default_factory=list)
    injected: dict[str, Counter[str]] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)
    samples: list[Sample] = field(default_factory=list)
    before: Rest | None = None
    after: Rest | None = None
    finding: Finding = field(default_factory=Finding)
    metrics: str = ""
    alike: dict[str, list[list[str]]] = field(default_factory=dict)
    shared: str = ""
    gone: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def note_alike(self, gateway: Gateway, calls: list[Call]) -> None:
        """Who ask the same at once."""
        if len(calls) > 1 and len({call.prompt for call in calls}) == 1:
            self.alike.setdefault(gateway.folder.name, []).append([call.user for call in calls])

    def note(self, came: Came) -> None:
        self.sent += 1
        self.ends[came.end] += 1
        self.slowest = max(self.slowest, came.took)
        self.caches.update(came.cache.split(",") if came.cache else [])
        for code in came.codes:
            self.failures[f"{came.status} {code}" if came.end == "failed" else f"leg {code}"] += 1
        if came.wrong:
            self.wrong.append(f"{came.call.dialect} {','.join(came.call.models)} {came.call.user}: {came.wrong}")


class Stage(Struct):
    """All that takes part. ``proxies`` by what they stand before."""

    place: Site
    redis: RedisServer | None
    proxies: dict[str, Proxy]
    mortal: Gateway | None

    @property
    def steady(self) -> Gateway:
        return self.place.gateways[0]

    async def rest(self) -> Rest:
        return await resting(self.steady, self.proxies["providers"].port)


@asynccontextmanager
async def staged(folder: Path) -> AsyncIterator[Stage]:
    async with AsyncExitStack() as stack:
        redis, proxies = None, {}
        ways: dict[str, Any] = {}
        if binaries():
            redis = stack.enter_context(RedisServer(folder / "redis"))
            proxies["Redis"] = await stack.enter_async_context(proxied(redis.port))
            proxies["SQL"] = await stack.enter_async_context(proxied(postgres().port))
            ways = {
                "redis_url": f"redis://127.0.0.1:{proxies['Redis'].port}",
                "database": f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxies['SQL'].port}/{{name}}",
            }
        place = await stack.enter_async_context(
            site(
                folder / "site",
                MODELS,
                gateways=2 if redis else 1,
                workers=(1, 2) if redis else 1,
                sql=bool(redis),
                limits=LIMITS,
                proxied_provider=True,
                provider_more=TIMEOUTS,
                watched=True,
                **ways,
            )  # fmt: skip
        )
        assert place.proxy is not None
        proxies["providers"] = place.proxy
        yield Stage(place, redis, proxies, place.gateways[1] if redis else None)


class Mix:
    def __init__(self, stage: Stage, seconds: float, seed: int, told: Told) -> None:
        self._stage = stage
        self._seconds = seconds
        self._told = told
        self._rng = random.Random(f"{seed}/who")
        self._seed = seed
        self._work = Workload(seed)
        self._began = time.monotonic()
        self._vitals = Vitals(stage.steady)
        self._askers = [(one, Asker(KNOWN, BOUND, dies=one is stage.mortal)) for one in stage.place.gateways]

    @property
    def share(self) -> float:
        """Of the time, how much has passed."""
        return (time.monotonic() - self._began) / self._seconds

    async def keys(self) -> list[str]:
        gateway, keys = self._stage.steady, [KEY]
        for team, limits in TEAMS.items():
            await gateway.admin("teams", {"name": team, **limits})
            keys.append(await gateway.new_key(team))
        return keys

    async def run(self, callers: int, progress: Progress) -> None:
        stage, told = self._stage, self._told
        keys = await self.keys()
        await self._warm(keys)
        await stage.place.settled(30)
        told.before = await stage.rest()
        shares = {"providers": faults(self._seed, FAULTS)}
        if stage.redis:
            shares["Redis"] = on_the_wire(self._seed + 1, REDIS_FAULTS)
            shares["SQL"] = on_the_wire(self._seed + 2, SQL_FAULTS)
        for name, schedule in shares.items():
            stage.proxies[name].schedule = schedule
        disturber = Disturber(stage.steady, stage.mortal, stage.redis, random.Random(f"{self._seed}/what"))
        bar = progress.add_task("", total=self._seconds)
        self._began = time.monotonic()
        asking = [asyncio.create_task(self._caller(keys)) for _ in range(callers)]
        disturbing = asyncio.create_task(self._disturb(disturber))
        watching = asyncio.create_task(self._watch(progress, bar))
        try:
            await asyncio.gather(*asking)
            await disturbing
        finally:
            for task in (*asking, disturbing, watching):
                task.cancel()
        told.seconds = time.monotonic() - self._began
        told.done, told.gone, told.samples = disturber.done, disturber.gone, self._vitals.samples
        told.injected = {name: Counter(proxy.injected) for name, proxy in stage.proxies.items()}
        for name in shares:
            stage.proxies[name].schedule = None
        progress.update(bar, description="settling")

    async def _warm(self, keys: list[str]) -> None:
        """Each model once with each key and nothing wrong: this must be answered."""
        for gateway, asker in self._askers:
            for number, key in enumerate(keys):
                client = Client(gateway.port, key)
                for model in KNOWN:
                    dialect, user = "typed" if model == "ages" else "chat", f"warm-{gateway.port}-{number}-{model}"
                    came = await asker.ask(client, Call(dialect, (model,), f"#{number} @{user}", user))  # type: ignore[arg-type]
                    if came.end != "answered" or came.wrong:
                        self._told.wrong.append(f"before anything went wrong: {came}")
                if number < len(keys) - 1:  # the last team's may not have so many under way
                    await self._warm_alike(gateway, asker, client, number)
                await client.close()

    async def _warm_alike(self, gateway: Gateway, asker: Asker, client: Client, number: int) -> None:
        """The same from several at once, as streams and whole: nothing is wrong, so this is one call."""
        name, more = f"warm-{gateway.port}-{number}-alike", {"temperature": 0}
        calls = [Call("chat", ("slow",), name, f"{name}-{place}", place % 2 == 0, more) for place in range(ALIKE)]
        cames = await asyncio.gather(*[asker.ask(client, call) for call in calls])
        if any(came.end != "answered" or came.wrong for came in cames):
            self._told.wrong.append(f"before anything went wrong: {cames}")
        served = [one for one in self._stage.place.provider.served() if one.user.startswith(name)]
        caches = Counter([came.cache for came in cames])
        if len(served) != 1 or caches["miss"] != 1 or caches.total() - caches["coalesced"] - caches["hit"] != 1:
            self._told.wrong.append(f"before anything went wrong: the same at once is one call: {caches}, {served}")

    async def _caller(self, keys: list[str]) -> None:
        clients: dict[tuple[int, str], Client] = {}
        while self.share < 1:
            gateway, asker = self._rng.choice(self._askers)
            key = self._rng.choice(keys)
            client = clients.setdefault((gateway.port, key), Client(gateway.port, key))
            calls = self._work.next()
            self._told.note_alike(gateway, calls)
            cames = await asyncio.gather(*[asker.ask(client, call) for call in calls])
            for came in cames:
                self._told.note(came)
            if any(came.end == "dead" for came in cames):
                await asyncio.sleep(0.1)
        for client in clients.values():
            await client.close()

    async def _disturb(self, disturber: Disturber) -> None:
        """By the clock: in a short run each once or twice."""
        steps = max(2, round(self._seconds * (ROUGH - CALM) / 15))
        plan = [disturber.kill_a_worker, disturber.reload, disturber.restart_redis, disturber.reload]
        stage = self._stage
        for step in range(steps):
            due = CALM + (ROUGH - CALM) * (step + 0.5) / steps
            await asyncio.sleep(max(0.0, (due - self.share) * self._seconds))
            await plan[step % len(plan)]()
        await disturber.restart_redis()  # it forgets what the dead had reserved, which would be free after a minute
        if stage.redis:
            stage.proxies["Redis"].schedule = None

    async def _watch(self, progress: Progress, bar: int) -> None:
        while True:
            self._vitals.take()
            told = self._told
            met = sum(sum(proxy.injected.values()) for proxy in self._stage.proxies.values())
            words = f"{told.sent:,} calls, {sum(told.failures.values()):,} failures, {met:,} faults"
            now = f"{words}, {self._vitals.samples[-1].held.memory / MEGABYTE:.0f} MB"
            progress.update(bar, completed=min(1, self.share) * self._seconds, description=now)  # type: ignore[arg-type]
            await asyncio.sleep(1)


async def run(folder: Path, seconds: float, seed: int, callers: int, console: Console) -> Told:
    told = Told()
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    async with staged(folder) as stage:
        with Progress(*columns, console=console) as progress:
            try:
                await Mix(stage, seconds, seed, told).run(callers, progress)
                await judge(stage, told)
            except (AssertionError, Broken, Dead, OSError, TimeoutError) as error:
                told.broken.append(f"the accounts cannot be closed: {type(error).__name__}: {str(error)[:1500]}")
    return told


async def judge(stage: Stage, told: Told) -> None:
    """All invariants, each by its sentence."""
    broken = told.broken
    if told.wrong:
        broken.append(f"no wrong answer: there are {len(told.wrong)}, the first: {told.wrong[0][:600]}")
    place = stage.place
    for one in place.gateways:
        if one.process is None or one.process.returncode is not None:
            broken.append(f"no gateway ends by itself: one has:\n{one.tail(3)}")
            return
    if stage.proxies.get("SQL"):
        stage.proxies["SQL"].reset()
    died = bool(told.done["worker killed"])
    await place.settled(120, free=False)
    lines = await equal(place, told)
    if told.finding.drift:
        broken.append(f"no token unaccounted: ledger and provider differ: {told.finding.brief(6)}")
    texts = [await exposition(one) for one in place.gateways]
    told.metrics, wrong = compared(texts, lines, died)
    shared(lines, told)
    if not valid(texts):
        broken.append("the routing file that is there holds: a worker says that it goes by another")
    if told.gone:
        broken.append(f"no process ends by a reload: {', '.join(told.gone)} did")
    if wrong:
        broken.append(f"no token unaccounted: ledger and /metrics differ in {len(wrong)}, the first: {wrong[:3]}")
    await nothing_left(stage, told)
    later = [one for one in told.samples if one.at >= told.samples[0].at + WARM * told.seconds]
    if (grown := growth(later)) > GROWTH:
        broken.append(f"no megabyte leaked: memory has grown by {grown / MEGABYTE:.1f} MB after it was warm")
    try:
        await place.settled(FREE)
    except AssertionError as error:
        broken.append(f"nothing stays reserved: {str(error)[:600]}")


def shared(lines: list[Line], told: Told) -> None:
    """Who ask the same at once are answered by one call: what was answered for more than one of them is counted."""
    answered = Counter([one.user for one in lines if one.outcome == "ok"])
    words = []
    for name, groups in told.alike.items():
        calls = [sum([answered[user] for user in users]) for users in groups]
        again = sum([max(0, number - 1) for number in calls])
        words.append(f"{sum(map(len, groups)):,} calls in {len(groups):,} groups: {again:,} more than one for each")
        if again > AGAIN * len(groups) + 1:
            told.broken.append(f"one call for all who ask the same at once: of {name}, {words[-1]}")
    told.shared = "; ".join(words)


async def equal(place: Site, told: Told, seconds: float = 30.0) -> list[Line]:
    """The ledger's lines, once it agrees with the provider or will not."""
    deadline = time.monotonic() + seconds
    while True:
        lines = await ledger(place.database)
        told.finding = judged(place.provider.served(), lines)
        if not told.finding.drift or time.monotonic() > deadline:
            return lines
        await asyncio.sleep(0.5)


async def nothing_left(stage: Stage, told: Told, seconds: float = 15.0) -> None:
    """Files and tasks come back to what they were: connections that idle are closed after some seconds."""
    assert told.before is not None
    deadline = time.monotonic() + seconds
    while (more := left(told.before, rest := await stage.rest())) and time.monotonic() < deadline:  # noqa: ASYNC110
        await asyncio.sleep(0.5)
    told.after = rest
    told.broken += more


def left(before: Rest, after: Rest) -> list[str]:
    found = []
    if tasks := after.tasks - before.tasks:
        found.append(f"no task leaked: there are more than before: {dict(tasks)}")
    if after.blocks > before.blocks + PIECES:
        found.append(f"nothing kept for ever: {after.blocks:,} pieces of memory, {before.blocks:,} before")
    if after.callers + after.providers > before.callers + before.providers:
        found.append(f"no socket leaked: {after.callers} of callers and {after.providers} to providers are open")
    if after.stores > before.stores + POOLS:
        found.append(f"no socket leaked: {after.stores} to Redis and SQL are open, {before.stores} before")
    files = after.others - before.others
    for name in [name for name in files if name.endswith(".spool") and files[name] <= SEGMENTS]:
        del files[name]
    if files:
        found.append(f"no file leaked: open beside what was before: {dict(files)}")
    return found
