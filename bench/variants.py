"""The gateway as it stands in an organisation: with Redis for its counters and kept answers, with a second replica, and
with a million keys in its database; and without what is counted for /metrics."""

import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bench import Problem
from bench.bursts import coalesced, coalesced_by_two
from bench.measure import Bench, Running, Sample, free_port, wait_for_port
from bench.peers import Peer, environment, fill
from bench.processes import Process
from bench.scenarios import SCENARIOS, Scenario

Variant = Callable[[Bench, Peer], list[Sample]]

UNMETERED = Path(__file__).with_name("unmetered.py")
KEYS = 1_000_000
TEAMS = 100


def with_redis(scenario: str) -> "Variant":
    """The load with limits, budgets and kept answers in Redis, whose own processor time is not counted."""

    def measured(bench: Bench, peer: Peer) -> list[Sample]:
        with redis(bench) as url:
            return repeated(bench, knowing(peer, url), SCENARIOS[scenario])

    return measured


def by_two(bench: Bench, peer: Peer) -> list[Sample]:
    with redis(bench) as url:
        return coalesced_by_two(bench, knowing(peer, url))


def knowing(peer: Peer, redis_url: str) -> Peer:
    return replace(peer, env={**peer.env, "GATEWAY_REDIS_URL": redis_url})


def with_keys(bench: Bench, peer: Peer) -> list[Sample]:
    """The load of ``one``, with so many more keys in the database than the one that is used."""
    with tempfile.TemporaryDirectory(prefix="keys-", dir=bench.folder) as state:
        given = replace(peer, env={**peer.env, "GATEWAY_STATE_DIR": state})
        prepare(given, Path(state))
        return repeated(bench, given)


def repeated(bench: Bench, peer: Peer, scenario: Scenario = SCENARIOS["one"]) -> list[Sample]:
    with bench.running(peer) as target:
        bench.warm_up(target, scenario)
        return [bench.repetition(target, scenario, None) for _ in range(bench.options.reps)]


def counted(bench: Bench, peer: Peer) -> list[Sample]:
    """The load of ``one``, with and without what is counted of each call for /metrics; they take turns."""
    at = peer.command.index("-m")
    without = replace(peer, command=(peer.command[0], str(UNMETERED), *peer.command[at + 2 :]))
    without = replace(without, env={**without.env, "PYTHONPATH": str(peer.cwd)})
    one = SCENARIOS["one"]
    with bench.running(peer) as full, bench.running(without) as bare:
        for target in (full, bare):
            bench.warm_up(target, one)
        return [difference(bench, full, bare) for _ in range(bench.options.reps)]


def difference(bench: Bench, full: Running, bare: Running) -> Sample:
    """Of two stretches of load each, in the order in which a steady drift is the same for both."""
    one = SCENARIOS["one"]
    taken = [bench.repetition(target, one, None) for target in (full, bare, bare, full)]
    first, second, third, last = [sample.figures["cpu_us"] for sample in taken]
    complaint = next((sample.complaint for sample in taken if sample.complaint), "")
    figures = {"cpu_us": (first + last - second - third) / 2, "without_cpu_us": (second + third) / 2}
    return Sample(figures, max(sample.foreign for sample in taken), complaint)


@contextmanager
def redis(bench: Bench) -> Iterator[str]:
    """A server of its own beside the provider and the clients."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise Problem("a row needs a redis-server: apt install redis-server")
    port = free_port()
    command = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    server = Process(command, bench.cores.load, bench.folder / "redis.log")
    try:
        wait_for_port(server, port)
        yield f"redis://127.0.0.1:{port}"
    finally:
        server.stop()


PREPARE = """
import sys
from gateway.serve import prepare
from gateway.settings import Settings
prepare(Settings.load())
"""


def prepare(peer: Peer, state: Path) -> None:
    """A record after its first start, then keys of many teams."""
    values: Mapping[str, object] = {"port": 0, "mock": 0, "work": state}
    env = environment(peer, values) | {name: fill(value, values) for name, value in peer.env.items()}
    subprocess.run([sys.executable, "-c", PREPARE], check=True, env=env, cwd=peer.cwd)
    with closing(sqlite3.connect(state / "record.sqlite3")) as database, database:
        team = "INSERT INTO teams (name, created, disabled, models, metadata, tags) VALUES (?, 0, 0, NULL, '{}', '[]')"
        database.executemany(team, [(f"team-{i}",) for i in range(TEAMS)])
        key = (
            "INSERT INTO keys (id, team, name, created, expires, disabled, revoked, models, metadata, tags)"
            " VALUES (?, ?, ?, 0, NULL, 0, NULL, NULL, '{}', '[]')"
        )
        database.executemany(key, [(f"{i:012d}", f"team-{i % TEAMS}", f"key-{i}") for i in range(KEYS)])
        digests = ((secrets.token_hex(32), f"{i:012d}") for i in range(KEYS))
        secret = "INSERT INTO key_secrets (digest, key, created, expires) VALUES (?, ?, 0, NULL)"
        database.executemany(secret, digests)


VARIANTS: Mapping[str, Variant] = {
    "hitredis": with_redis("hit"),
    "redis": with_redis("miss"),
    "keys": with_keys,
    "coalesced": coalesced,
    "coalesced2": by_two,
    "metrics": counted,
}
