"""Three workers under traffic, one of them killed and replaced: what ``/metrics`` says is what was sent, what the
provider served and what the ledger has, to the last request, token and nano-dollar."""

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.gateway import KEY, Gateway, routing, running
from tests.faults.judge import Line, ledger
from tests.faults.load import CHAT, Client, Dead
from tests.faults.processes import provider, until
from tests.gateway.metrics.exposition import Told
from tests.servers.prometheus import needs_prometheus, promtool
from tests.servers.redis import RedisServer

WORKERS = 3

MODELS: dict[str, str | tuple[str, ...]] = {
    "good": "good+p7+o4",
    "long": "long+p300+o40+g1",
    "slow": "slow+p5+o5+d1500",
    "bad": "bad+s500",
    "full": "full+s429",
    "tight": "tight+p7+o4",
}


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


async def told(gateway: Gateway) -> Told:
    """What a worker says: any of them, and not the one that is asked all the time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write(b"GET /metrics HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 200") and b"text/plain; version=" in head
    return Told(body.decode())


def workers_of(gateway: Gateway) -> list[int]:
    """The processes that serve; multiprocessing's tracker is none."""
    assert gateway.process is not None
    tasks = Path(f"/proc/{gateway.process.pid}/task").glob("*/children")
    found = [int(pid) for task in tasks for pid in task.read_text().split()]
    return [pid for pid in found if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def sockets_of(pid: int) -> int:
    return sum(os.readlink(fd).startswith("socket:") for fd in Path(f"/proc/{pid}/fd").iterdir())


class Sent:
    """What callers have got, as they saw it."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._number = 0
        self.statuses: Counter[tuple[str, str, str]] = Counter()

    async def load(
        self, bodies: Sequence[dict[str, Any]], key: str = KEY, path: str = CHAT, team: str = "default"
    ) -> None:
        """Each of these on a connection of its own, so that all workers get some."""

        async def one(body: dict[str, Any]) -> None:
            self._number += 1
            client = Client(self._gateway.port, key)
            said = {
                "messages": [{"role": "user", "content": "x"}],
                "user": f"u{self._number}",
                "max_tokens": 100,
            } | body
            try:
                answer = await client.call(said, path)
                self.statuses[path, str(answer.status), team] += 1
            finally:
                await client.close()

        await asyncio.gather(*[one(body) for body in bodies])


def agree(found: Told, lines: list[Line], sent: Sent) -> None:
    """The figures against the ledger, and against what callers have got."""
    assert found.by("gateway_requests_total", "route", "status", "team") == dict(sent.statuses)
    legs = Counter((line.model, line.target, line.outcome) for line in lines)
    assert found.by("gateway_legs_total", "model", "target", "outcome") == dict(legs)
    tokens: Counter[tuple[str, str, str]] = Counter()
    money: Counter[tuple[str, str]] = Counter()
    for line in lines:
        tokens[line.team, line.model, "input"] += line.input
        tokens[line.team, line.model, "output"] += line.output
        money[line.team, line.model] += line.cost or 0
    assert found.by("gateway_tokens_total", "team", "model", "kind") == dict(+tokens)
    nano = {by: round(value * 10**9) for by, value in found.by("gateway_cost_usd_total", "team", "model").items()}
    assert nano == dict(+money)


async def test_three_workers_tell_one_truth_though_one_is_killed(tmp_path: Path, redis: RedisServer) -> None:
    async with provider(tmp_path / "served") as host:
        limits = "{models: {tight: {rpm: 5}}}"
        gateway = Gateway(tmp_path, routing(host.url, MODELS, limits), workers=WORKERS, redis_url=redis.url)
        async with running(gateway):
            await until(lambda: all_run(gateway), 20, "not all workers have started")
            sent = Sent(gateway)
            good, bad = {"model": "good"}, {"model": "bad"}
            await sent.load(
                [good] * 90 + [{"model": "long", "stream": True}] * 30 + [bad] * 10 + [{"model": "full"}] * 5
            )
            await sent.load([{"model": "no-such-model"}] * 4)
            await sent.load([good] * 3, key="sk-nobody", team="")
            await sent.load([{"model": "good", "prompt": "x"}] * 9, path="/v1/completion")
            refused = sent.statuses[CHAT, "429", "default"]
            await sent.load([{"model": "tight"}] * 12)
            refused = sent.statuses[CHAT, "429", "default"] - refused

            async def same() -> bool:
                found = await told(gateway)
                all_told = found.total("gateway_requests_total") == sent.statuses.total()
                return all_told and found.total("gateway_legs_total") == len(await ledger(gateway.state))

            await until(same, 10, "the ledger does not get all")
            found, lines = await told(gateway), await ledger(gateway.state)
            agree(found, lines, sent)
            served = host.served()
            assert found.total("gateway_tokens_total", kind="input") == sum(one.input for one in served)
            assert found.total("gateway_tokens_total", kind="output") == sum(one.output for one in served)
            decisions = found.by("gateway_admissions_total", "decision", "scope", "limit")
            assert decisions == {("refused", "model", "requests/min"): 7, ("granted", "", ""): 149}
            assert refused == 7
            assert found.total("gateway_first_byte_seconds_count") == 30
            assert found.total("gateway_in_flight") == 0
            histograms(found, len(lines))

            # One is killed with calls under way: what they came to is estimated by the one who finds them.
            before = {pid: sockets_of(pid) for pid in workers_of(gateway)}  # idle ones to the provider
            calls = asyncio.create_task(gathered(gateway, 30))
            await until(lambda: in_flight(gateway, 30), 10, "not all calls are under way")
            victim = max(before, key=lambda pid: sockets_of(pid) - before[pid])
            os.kill(victim, signal.SIGKILL)
            answered = await calls
            sent.statuses[CHAT, "200", "default"] += answered
            assert answered < 30
            await until(lambda: all_run(gateway, victim), 30, "the worker is not replaced")
            await sent.load([good] * 60 + [bad] * 10)
            await until(same, 20, "the ledger does not get all")
            found, lines = await told(gateway), await ledger(gateway.state)
            agree(found, lines, sent)
            assert found.total("gateway_legs_total", outcome="interrupted") == 30 - answered
            assert found.total("gateway_in_flight") == 0
            for _ in range(10):  # whoever answers
                assert (await told(gateway)).by("gateway_legs_total", "outcome") == found.by(
                    "gateway_legs_total", "outcome"
                )


async def all_run(gateway: Gateway, gone: int = 0) -> bool:
    workers = workers_of(gateway)
    if gone in workers:
        return False
    try:
        return (await told(gateway)).total("gateway_workers") == WORKERS
    except (OSError, AssertionError):
        return False


async def in_flight(gateway: Gateway, count: int) -> bool:
    return (await told(gateway)).total("gateway_in_flight") == count


async def gathered(gateway: Gateway, count: int) -> int:
    """How many slow calls are answered."""

    async def one() -> int:
        client = Client(gateway.port, KEY)
        try:
            body = {"model": "slow", "messages": [{"role": "user", "content": "x"}], "max_tokens": 9}
            return int((await client.call(body)).status == 200)
        except Dead:
            return 0
        finally:
            await client.close()

    return sum(await asyncio.gather(*[one() for _ in range(count)]))


def histograms(found: Told, legs: int) -> None:
    """Each counts what the counter beside it does, and its buckets only grow."""
    requests = found.total("gateway_requests_total")
    for name in (
        "gateway_request_duration_seconds",
        "gen_ai_server_request_duration_seconds",
        "gateway_overhead_seconds",
    ):
        assert found.total(f"{name}_count") == requests, name
    assert found.total("gen_ai_client_operation_duration_seconds_count") == legs
    assert found.total("gen_ai_client_token_usage_count") == 2 * legs
    assert found.total("gen_ai_client_token_usage_sum") == (
        found.total("gateway_tokens_total", kind="input") + found.total("gateway_tokens_total", kind="output")
    )
    assert 0 < found.total("gateway_overhead_seconds_sum") < found.total("gateway_request_duration_seconds_sum")


@needs_prometheus
@pytest.mark.parametrize("workers", [1, 2])
async def test_promtool_finds_nothing_to_complain_of(tmp_path: Path, workers: int, redis: RedisServer) -> None:
    async with provider(tmp_path / "served") as host:
        gateway = Gateway(tmp_path, routing(host.url, MODELS), workers=workers, redis_url=redis.url)
        async with running(gateway):
            sent = Sent(gateway)
            await sent.load([{"model": "good"}] * 5 + [{"model": "long", "stream": True}, {"model": "bad"}])
            reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(b"GET /metrics HTTP/1.0\r\n\r\n")
            body = (await reader.read()).partition(b"\r\n\r\n")[2]
            writer.close()
    assert Told(body.decode()).total("gateway_requests_total") == 7
    assert await asyncio.to_thread(promtool, "check", "metrics", given=body) == ""
