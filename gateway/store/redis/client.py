"""redis-py, such that nothing is ever asked twice: no retries, and no more than the caller's time."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, Protocol

from hiredis import pack_command
from redis.asyncio import Connection, ConnectionPool, Redis, RedisCluster, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as Lost

from gateway.store.redis.address import Address

SECONDS = 0.2
"""To connect, and for an answer that nobody else times."""
CONNECTIONS = 16

Word = bytes | str | int


class Client(Protocol):
    def start(self, *command: Word) -> "asyncio.Future[Any] | None":
        """The same, for who need not wait for a connection: the answer to come, or None if ``call`` must be awaited."""

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        """In the next turn of the event loop, with whatever else is to be sent then, or before it."""

    async def call(self, *command: Word) -> Any:
        """One command, sent at most once, with keys of one slot. Can be cancelled. Raises RedisError, OSError."""

    def hang_up(self) -> None:
        """Nothing was heard for too long of what ``start`` has sent."""

    def subscriber(self) -> Redis:
        """A connection of its own, for who listens; theirs to close."""

    async def aclose(self) -> None: ...


@contextmanager
def closed_is_lost() -> Iterator[None]:
    """The event loop says by a RuntimeError that a connection which has just been closed cannot be written to, and
    redis-py lets it through."""
    try:
        yield
    except RuntimeError as error:
        raise Lost("the connection to Redis was closed") from error


def settings(address: Address) -> dict[str, Any]:
    return {
        "socket_connect_timeout": SECONDS,
        "socket_timeout": SECONDS,
        "socket_keepalive": True,
        "retry": Retry(NoBackoff(), 0),
        "protocol": 2,  # which every server and every ACL user speaks
        **address.options,
    }


class PoolClient:
    """One server, or the master that Sentinels name."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._sentinel = sentinel_of(address) if address.kind == "sentinel" else None
        self._redis = self._open(None)  # who asks has a time of their own
        self._pool = self._redis.connection_pool

    def start(self, *command: Word) -> "asyncio.Future[Any] | None":
        return None

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        asyncio.get_running_loop().call_soon(start)

    def hang_up(self) -> None:
        """Each command has closed its own connection."""

    async def call(self, *command: Word) -> Any:
        packed = pack_command(command)  # type: ignore[arg-type]  # its stub knows one word only
        with closed_is_lost():
            connection = await self._pool.get_connection()  # type: ignore[no-untyped-call]
        try:
            with closed_is_lost():
                await connection.send_packed_command(packed, check_health=False)
                return await connection.read_response()
        finally:
            await self._pool.release(connection)

    def subscriber(self) -> Redis:
        return self._open(SECONDS)

    async def aclose(self) -> None:
        await self._redis.aclose()
        if self._sentinel is not None:
            for sentinel in self._sentinel.all:
                await sentinel.aclose()

    def _open(self, seconds: float | None) -> Redis:
        address = self._address
        options = settings(address) | {"socket_timeout": seconds, "max_connections": CONNECTIONS}
        if self._sentinel is not None:
            client: Redis = self._sentinel.master_for(address.service, **options)
            return client
        if address.path:
            options |= {"connection_class": UnixDomainSocketConnection, "path": address.path}
            del options["socket_keepalive"]
        else:
            [(host, port)] = address.nodes
            options |= {"connection_class": SSLConnection if address.tls else Connection, "host": host, "port": port}
        return Redis.from_pool(ConnectionPool(**options))


class Sentinels(Sentinel):
    """Whoever has answered is asked first from then on. Where several find that out at once, redis-py lets each move
    it, by which another one is lost: it would be asked no more, nor ever be closed."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self.all = tuple(self.sentinels)

    async def discover_master(self, service_name: str) -> tuple[str, int]:
        try:
            found: tuple[str, int] = await super().discover_master(service_name)
            return found
        finally:
            self.sentinels = list(dict.fromkeys((*self.sentinels, *self.all)))


def sentinel_of(address: Address) -> Sentinels:
    options = settings(address)
    tls = {"ssl": True} if address.tls else {}
    own = {name: value for name, value in options.items() if name.startswith(("socket_", "ssl_")) or name == "retry"}
    own |= tls | address.sentinel_options | {"protocol": 2}
    return Sentinels(address.nodes, sentinel_kwargs=own, **tls)


class ClusterClient:
    def __init__(self, address: Address) -> None:
        self._address = address
        self._options = settings(address)
        self._options.pop("db", None)
        if address.tls:
            self._options["ssl"] = True
        nodes = [ClusterNode(host, port) for host, port in address.nodes]
        self._cluster = RedisCluster(startup_nodes=nodes, max_connections=CONNECTIONS, **self._options)
        self._turn = count()

    def start(self, *command: Word) -> "asyncio.Future[Any] | None":
        return None

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        asyncio.get_running_loop().call_soon(start)

    def hang_up(self) -> None:
        """Each command has closed its own connection."""

    async def call(self, *command: Word) -> Any:
        with closed_is_lost():
            return await self._cluster.execute_command(*command)

    def subscriber(self) -> Redis:
        """To one node after the other: each tells what any of them is told."""
        nodes = [(str(node.host), int(node.port)) for node in self._cluster.get_nodes()] or list(self._address.nodes)
        host, port = nodes[next(self._turn) % len(nodes)]
        return Redis(host=host, port=port, **self._options)

    async def aclose(self) -> None:
        await self._cluster.aclose()
