"""One Redis server, straight on the event loop: one connection, commands as they come, answers in their order.

redis-py takes some 60 microseconds to send a command and read its answer, of which little is Redis' own; the counters
of every call go this way (bench row ``redis``). What is rare (Sentinel, Cluster, listening) stays redis-py's.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis
from redis._parsers.base import BaseParser
from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Lost
from redis.exceptions import RedisError

from gateway.store.redis.address import Address
from gateway.store.redis.client import SECONDS, PoolClient, Word

GONE = "the connection to Redis was lost"
FAREWELL = 0.01
"""Seconds that the other side has to say goodbye in TLS."""


class LeanClient:
    """A Client. Belongs to the event loop in which it is first used."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._rare = PoolClient(address)  # for who listens
        self._line: Line | None = None
        self._lines: set[Line] = set()  # also those that are being closed
        self._dialling: asyncio.Future[Line] | None = None
        self._starts: list[Callable[[], None]] = []

    def start(self, *command: Word) -> "asyncio.Future[Any] | None":
        """The answer to come, if there is a connection to ask on at once."""
        line = self._line
        return None if line is None or line.closed else line.send(command)

    def soon(self, start: Callable[[], None], first: bool = False) -> None:
        if not self._starts:
            asyncio.get_running_loop().call_soon(self._turn)
        self._starts.insert(0 if first else len(self._starts), start)

    def _turn(self) -> None:
        starts, self._starts = self._starts, []
        line = self._line
        if line is not None:
            line.gathers = True
        try:
            for start in starts:
                start()
        finally:
            if line is not None:
                line.flush()

    async def call(self, *command: Word) -> Any:
        answer = self.start(*command) or (await self._connected()).send(command)
        try:
            return await answer
        except asyncio.CancelledError:
            self.hang_up()  # who has waited too long cannot tell whether anybody is there
            raise

    def hang_up(self) -> None:
        """What is under way fails; the next command connects anew."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def subscriber(self) -> Redis:
        return self._rare.subscriber()

    async def aclose(self) -> None:
        if self._dialling is not None:
            self._dialling.cancel()
            await asyncio.gather(self._dialling, return_exceptions=True)
        self.hang_up()
        for line in list(self._lines):
            await line.gone
        if self._address.tls:  # the event loop closes by itself what could not be connected
            await asyncio.sleep(3 * FAREWELL)
        await self._rare.aclose()

    async def _connected(self) -> "Line":
        """All who ask meanwhile wait for one connection."""
        if self._line is not None and not self._line.closed:
            return self._line
        if self._dialling is None:
            self._dialling = asyncio.get_running_loop().create_task(self._dial())
        try:
            return await asyncio.shield(self._dialling)
        finally:
            if self._dialling is not None and self._dialling.done():
                self._dialling = None

    async def _dial(self) -> "Line":
        async with asyncio.timeout(SECONDS):
            line = await dial(self._address, self._lines)
            try:
                for command in greeting(self._address):
                    await line.send(command)
            except BaseException:
                line.close()
                raise
        self._line = line
        return line


class Line(asyncio.Protocol):
    """One connection. While it ``gathers``, what is sent waits for ``flush``: each write wakes Redis, and costs as much
    as all the rest."""

    def __init__(self, loop: asyncio.AbstractEventLoop, lines: "set[Line]") -> None:
        self._loop = loop
        self._lines = lines
        self._reader = hiredis.Reader(protocolError=Lost, replyError=BaseParser.parse_error)
        self._waiting: deque[asyncio.Future[Any]] = deque()
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self.gathers = False
        self.closed = False
        self.gone: asyncio.Future[None] = loop.create_future()

    def send(self, command: tuple[Word, ...]) -> "asyncio.Future[Any]":
        """The answer to come; an error of Redis' is raised by it."""
        assert self._transport is not None
        answer: asyncio.Future[Any] = self._loop.create_future()
        self._waiting.append(answer)
        packed = hiredis.pack_command(command)  # type: ignore[arg-type]  # its stub knows one word only
        if self.gathers:
            self._unsent.append(packed)
        else:
            self._transport.write(packed)
        return answer

    def flush(self) -> None:
        self.gathers = False
        unsent, self._unsent = self._unsent, []
        if unsent and self._transport is not None and not self.closed:
            self._transport.write(unsent[0] if len(unsent) == 1 else b"".join(unsent))

    def close(self) -> None:
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        self._fail(Lost(GONE))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._lines.add(self)

    def data_received(self, data: bytes) -> None:
        reader = self._reader
        reader.feed(data)
        try:
            while (found := reader.gets()) is not False:
                answer = self._waiting.popleft()
                if answer.done():
                    continue  # nobody waits any more
                if isinstance(found, RedisError):
                    answer.set_exception(found)
                else:
                    answer.set_result(found)
        except (RedisError, IndexError):  # no answer that can be understood, or to nothing that was asked
            self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        self._lines.discard(self)
        self._fail(Lost(GONE))
        if not self.gone.done():
            self.gone.set_result(None)

    def _fail(self, error: RedisError) -> None:
        while self._waiting:
            answer = self._waiting.popleft()
            if not answer.done():
                answer.set_exception(error)


async def dial(address: Address, lines: set[Line]) -> Line:
    """Raises OSError. ``lines`` are those that are open."""
    loop = asyncio.get_running_loop()

    def make() -> Line:
        return Line(loop, lines)

    if address.path:
        _, line = await loop.create_unix_connection(make, address.path)
        return line
    [(host, port)] = address.nodes
    if not address.tls:
        _, line = await loop.create_connection(make, host, port)
        return line
    context = tls(address.options)
    _, line = await loop.create_connection(
        make, host, port, ssl=context, server_hostname=host, ssl_shutdown_timeout=FAREWELL
    )
    return line


def tls(options: dict[str, Any]) -> ssl.SSLContext:
    """As redis-py makes it of the same options."""
    context = ssl.create_default_context(cafile=options.get("ssl_ca_certs"))
    context.check_hostname = options.get("ssl_check_hostname", True)
    needed = options.get("ssl_cert_reqs", "required")
    context.verify_mode = {"none": ssl.CERT_NONE, "optional": ssl.CERT_OPTIONAL, "required": ssl.CERT_REQUIRED}[needed]
    if options.get("ssl_certfile"):
        context.load_cert_chain(options["ssl_certfile"], options.get("ssl_keyfile"), options.get("ssl_password"))
    return context


def greeting(address: Address) -> list[tuple[Word, ...]]:
    """What is said first on a connection."""
    options = address.options
    commands: list[tuple[Word, ...]] = []
    if "password" in options:
        who = (options["username"],) if "username" in options else ()
        commands.append(("AUTH", *who, options["password"]))
    if options.get("client_name"):
        commands.append(("CLIENT", "SETNAME", options["client_name"]))
    if options.get("db"):
        commands.append(("SELECT", options["db"]))
    return commands
