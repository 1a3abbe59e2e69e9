"""Runs the gateway: first start, the embedded model's process, uvicorn's workers, and the words on the screen."""

import asyncio
import logging
import os
import resource
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import uvicorn

from gateway import banner, logs
from gateway.app import EMBEDDED_SOCKET
from gateway.beside import long_tail
from gateway.census import Census
from gateway.children import Child
from gateway.config import Config
from gateway.control.bootstrap import Made, bootstrap
from gateway.draining import Server
from gateway.protocol import Protocol
from gateway.settings import Settings
from gateway.store.sql.engine import Database, database_url
from gateway.store.sql.migrate import migrate
from gateway.store.sql.record import Record
from gateway.workers import Workers

log = logging.getLogger("gateway.serve")

BACKLOG = 2048
PASSIVE = socket.AI_PASSIVE
FILES = 65_536
"""Open files that are asked for. Each connection is one, of callers and to providers; many systems give 1,024."""

STARTING = 10.0
"""Seconds that the embedded model gets to start; the others do not wait for it longer."""


def serve(config: Config, settings: Settings) -> None:
    """Serves until told to stop. Raises OSError when the address or the state directory cannot be used."""
    logs.to_stderr()
    ask_for_files()
    with listener(settings.host, settings.port) as listening:  # before anything is made that would be left behind
        with leaving_at_once():
            fresh = prepare(settings)
        with Census() as census, embedded_model(config, census), long_tail(config, settings, census):
            threading.Thread(target=banner.when_ready, args=(config, settings, fresh), daemon=True).start()
            run(settings, listening)


def ask_for_files() -> None:
    """As many as there may be without asking anybody; who has more keeps them. Children inherit it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


@contextmanager
def leaving_at_once() -> Iterator[None]:
    """Told to stop meanwhile, the process ends where it is, and the database undoes what was not done: an exception in
    the midst of an event loop would be logged by whoever waits there."""
    before = {number: signal.signal(number, lambda *_: os._exit(0)) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def prepare(settings: Settings) -> Made:
    """The record in the form that this code knows, with a team, a key and an admin key to begin with; what was made
    here is shown once. Raises RecordError and ControlError."""
    url = database_url(settings.database_url, Path(settings.state_dir))
    migrate(url)
    return asyncio.run(begun(url, settings))


def wall() -> float:
    return time.time()  # noqa: TID251 - before there is a gateway to be passed one


async def begun(url: str, settings: Settings) -> Made:
    database = Database(url)
    try:
        return await bootstrap(Record(database, wall), key=settings.bootstrap_key, admin=settings.admin_key)
    finally:
        await database.close()


def listener(host: str, port: int) -> socket.socket:
    """A socket bound to the address; all workers serve it."""
    family, kind, _, _, address = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=PASSIVE)[0]
    bound = socket.socket(family, kind)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.set_inheritable(True)
        bound.setblocking(False)  # several workers take callers from it, of whom one may have been taken meanwhile
    except BaseException:
        bound.close()
        raise
    return bound


def run(settings: Settings, listening: socket.socket) -> None:
    """uvicorn, in this process or as the parent of workers."""
    config = uvicorn.Config(
        "gateway.app:create",
        factory=True,
        workers=settings.workers,
        http=Protocol,
        loop="uvloop",
        ws="none",
        lifespan="on",
        backlog=BACKLOG,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        log_level="warning",
        timeout_keep_alive=75,  # longer than clients keep idle connections, so that they close first
    )
    if settings.workers > 1:
        Workers(config, [listening], settings.drain_seconds).run()
    else:
        Server(config, settings.drain_seconds).run(sockets=[listening])


@contextmanager
def embedded_model(config: Config, census: Census) -> Iterator[None]:
    """Runs the embedded model beside us if a provider asks for it; workers find its socket in the environment."""
    if not any(provider.embedded for provider in config.providers.values()):
        yield
        return
    with tempfile.TemporaryDirectory(prefix="gateway-") as folder:  # short: a socket's path has 107 bytes
        path = os.path.join(folder, "demo.sock")
        command = [sys.executable, "-m", "gateway.embedded", "--socket", path]
        child = Child("the embedded model", command, changed=census.member("demo"))
        os.environ[EMBEDDED_SOCKET] = f"http+unix://{quote(path, safe='')}"
        child.start()
        try:
            if not child.wait_ready(STARTING):
                del os.environ[EMBEDDED_SOCKET]  # its models are then not offered
            yield
        finally:
            child.stop()
