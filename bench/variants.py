"""The gateway as it stands in an organisation: with Redis for its counters, and with a million keys in its database."""

import secrets
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

from bench import Problem
from bench.measure import Bench, Sample, free_port, wait_for_port
from bench.peers import Peer, environment, fill
from bench.processes import Process
from bench.scenarios import SCENARIOS

KEYS = 1_000_000
TEAMS = 100


def with_redis(bench: Bench, peer: Peer) -> list[Sample]:
    """The load of ``one``, with limits and budgets in Redis, whose own processor time is not counted."""
    with redis(bench) as url:
        return repeated(bench, replace(peer, env={**peer.env, "GATEWAY_REDIS_URL": url}))


def with_keys(bench: Bench, peer: Peer) -> list[Sample]:
    """The load of ``one``, with so many more keys in the database than the one that is used."""
    with tempfile.TemporaryDirectory(prefix="keys-", dir=bench.folder) as state:
        given = replace(peer, env={**peer.env, "GATEWAY_STATE_DIR": state})
        prepare(given, Path(state))
        return repeated(bench, given)


def repeated(bench: Bench, peer: Peer) -> list[Sample]:
    one = SCENARIOS["one"]
    with bench.running(peer) as target:
        bench.warm_up(target, one)
        return [bench.repetition(target, one, None) for _ in range(bench.options.reps)]


@contextmanager
def redis(bench: Bench) -> Iterator[str]:
    """A server of its own beside the provider and the clients."""
    binary = shutil.which("redis-server")
    if binary is None:
        raise Problem("the row redis needs a redis-server: apt install redis-server")
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
