"""The composition root: the only place where the parts are made and given to each other."""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette

from gateway import api, census, logs
from gateway import config as configuration
from gateway import estimates as tokenizers
from gateway.admin import Admin
from gateway.adminapi.routes import routes as admin_routes
from gateway.admission import Admission, Rules
from gateway.api import Api
from gateway.bearer.settings import JwtSettings
from gateway.beside import LONGTAIL_SOCKET
from gateway.bookkeeping import Bookkeeping
from gateway.checking import uncounted
from gateway.completion import Completion
from gateway.config import Config, ServerConfig, warnings
from gateway.doorkeeper import Doorkeeper
from gateway.doors import Doors, Parts
from gateway.embedding import Embedding
from gateway.estimates import Tokenizer
from gateway.jobs import Jobs
from gateway.keys import Admins, Keys
from gateway.lamini import LOST, Polling, failure_of
from gateway.memory import keep_freed
from gateway.metrics import Metrics
from gateway.reloading import Leases, Reloader
from gateway.resilience.standing import Standings
from gateway.settings import Settings
from gateway.sharing.sharing import Sharing
from gateway.store.jobs import JobStore
from gateway.store.sql.engine import RecordDown
from gateway.types import Clock
from gateway.watching import Watcher
from gateway.wire import categorize, cfg, chat, completions, embeddings, lamini, lamini_embedding, regex, typed
from gateway.wire.dialect import Door, Only
from gateway.wire.door import CompletionsDoor
from gateway.wire.embeddings import EmbeddingDialect

if TYPE_CHECKING:
    from gateway.issuer import Issuer

log = logging.getLogger("gateway.app")

EMBEDDED_SOCKET = "GATEWAY_EMBEDDED_SOCKET"
"""Where the process that serves the embedded model listens; set by ``serve`` for its workers."""

PAUSE = 1.0
"""Seconds after which a worker that could not start makes way for the next."""

COLLECTING = (5_000, 20, 20)
"""How often the collector of cycles looks: requests leave none behind."""

EMBEDDING: dict[str, tuple[Door, EmbeddingDialect]] = {
    "/v1/embeddings": (Only(completions), embeddings),
    "/v1/embedding": (Only(lamini), lamini_embedding),
}
"""The routes that make vectors, each with the dialect of its errors and its own."""


def generating() -> dict[str, Door]:
    """The routes that ask models, each with the dialect that it speaks."""
    typing = typed.Typed(typed.Conversions())
    return {
        "/v1/completion": typed.Completions(typing),
        "/v1/completion/typed": Only(typing),
        "/v1/completion/regex": Only(regex),
        "/v1/completion/cfg": Only(cfg),
        "/v1/categorize": Only(categorize),
        "/v1/chat/completions": Only(chat),
        "/v1/completions": CompletionsDoor(),
        "/inf/chat/completions": Only(chat),
    }


def create() -> Api:
    """The application for this process's environment, as uvicorn's factory wants it.

    Raises SettingsError, ConfigError, or OSError when the environment or the files are wrong.
    """
    keep_freed()
    logs.to_stderr()  # a worker begins without what its parent has set up
    settings = Settings.load()
    text = Path(settings.config).read_bytes()
    return build(configuration.load(text, str(settings.config)), settings, text=text)


def build(config: Config, settings: Settings, clock: Clock | None = None, text: bytes | None = None) -> Api:
    """The application for a configuration. ``text`` is the file that says it: it is then read again when it changes."""
    clock = clock or Clock(time.time, time.monotonic)
    rng = random.Random()
    environ, leases = settings.environ, Leases()
    metrics = Metrics(environ.get(census.VARIABLE), clock.steady)
    standings = Standings(config.breaker, config.retry)
    parts = Parts(
        environ, clock, rng, standings, leases, metrics, environ.get(EMBEDDED_SOCKET), environ.get(LONGTAIL_SOCKET)
    )
    doors = Doors(config, parts)
    completion: Completion
    books = Bookkeeping(config, settings, clock, lambda target: completion.router.rates(target), metrics)
    issuer = None if config.jwt is None else issuer_of(config.jwt, clock)
    known = Keys(books.directory, clock.wall, issuer)
    rules = rules_of(config, config)
    admission = Admission(books.directory, books.counting, books.accounts, books.spool, rules, clock, metrics)
    server = config.server
    bounds: Any = {"max_body": server.max_body_bytes, "max_depth": server.max_depth}
    sharing = Sharing(books.cache, clock, config.cache.max_entry_bytes)
    completion = Completion(doors.router(), known, admission, sharing, clock, keepalive=server.keepalive, **bounds)
    watching = Watching(doors.watcher)
    doorkeeper = Doorkeeper(*bounds_of(server), clock.steady, time.thread_time)
    admin = Admin(lambda: completion.router, known, int(clock.wall()), metrics.scraped)
    admin.stopping = lambda: doorkeeper.stopping
    rest = admin.app()
    jobs = Jobs(JobStore(Path(settings.state_dir), clock.wall, LOST), failure_of)
    polling = Polling(completion, known, jobs, clock, doorkeeper, **bounds)
    rest.router.routes.extend(polling.routes(admin.models))
    rest.router.routes.extend(admin_routes(Admins(books.directory, clock.wall).admin, books.control, clock.wall))
    routes = [api.Route(path, door, completion.complete) for path, door in generating().items()]
    embedding = Embedding(lambda: completion.router, known, admission, clock, **bounds)
    routes += [api.Route(path, door, embedding.speaking(wire)) for path, (door, wire) in EMBEDDING.items()]
    app = Api(routes, rest, rng, metrics, doorkeeper)
    doorkeeper.refusing = app.outbox.flush

    def apply(new: Config) -> None:
        """Everything that a configuration says, at once. It is all made before anything of it holds."""
        nonlocal doors
        now = Doors(new, parts, doors, fresh)
        fresh.clear()
        router = now.router()
        admission.rules = rules_of(new, config)
        books.configure(new.limits, new.cache.max_bytes)
        sharing.most = new.cache.max_entry_bytes
        doorkeeper.configure(*bounds_of(new.server))
        completion.keepalive = new.server.keepalive
        for one in (completion, embedding, polling):
            one.max_body, one.max_depth = new.server.max_body_bytes, new.server.max_depth
        completion.router, doors = router, now
        watching.go_on_with(now.watcher)

    def have(spec: str) -> Tokenizer:
        """Loads a tokenizer beside the event loop, before it is needed on it."""
        fresh[spec] = doors.tokenizers.get(spec) or tokenizers.load(spec, environ)
        return fresh[spec]

    fresh: dict[str, Tokenizer] = {}
    reloader = None
    if text is not None:
        beyond = partial(uncounted, have=have)
        lacking = partial(warnings, environ=environ)
        reloader = Reloader(Path(settings.config), text, config, beyond, apply, lacking, clock)
        app.reload = reloader.hear
        metrics.watch("gateway_config_valid", lambda: reloader.succeeded)
        metrics.watch("gateway_config_loaded_timestamp_seconds", lambda: reloader.loaded_at)
    app.shared = lambda: sharing.under_way
    metrics.watch("gateway_shared_calls", app.shared)
    metrics.watch_each("gateway_breaker_state", parts.states)
    metrics.watch_each("gateway_provider_busy", lambda: {(name,): gate.busy for name, gate in doors.gates.items()})
    metrics.watch_each(
        "gateway_provider_waiting", lambda: {(name,): gate.waiting for name, gate in doors.gates.items()}
    )
    rest.router.lifespan_context = lifespan(admin, leases, jobs, sharing, watching, books, issuer, metrics, reloader)
    return app


def rules_of(config: Config, begun: Config) -> Rules:
    """What of admission is configured. What is said of the ledger holds as at the start."""
    limits = config.limits
    return Rules(limits.output_tokens, limits.unknown_price == "allow", begun.ledger.on_full == "allow")


def bounds_of(server: ServerConfig) -> tuple[int, int, float | None]:
    """What a doorkeeper is told: the lag is in seconds."""
    return server.concurrency, server.queue, None if server.lag_ms is None else server.lag_ms / 1000


def issuer_of(settings: JwtSettings, clock: Clock) -> "Issuer":
    from gateway.issuer import Issuer  # here, since few need it, and what it takes is large
    from gateway.upstream.fetching import document

    return Issuer(settings, document, clock.wall)


class Watching:
    """Who watches the engines of the configuration that holds."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self._retiring: set[asyncio.Task[None]] = set()

    def start(self) -> None:
        self._watcher.start()

    def go_on_with(self, watcher: Watcher) -> None:
        task = asyncio.get_running_loop().create_task(self._watcher.close())
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)
        self._watcher = watcher
        watcher.start()

    async def close(self) -> None:
        await asyncio.gather(*self._retiring)
        await self._watcher.close()


def lifespan(
    admin: Admin,
    leases: Leases,
    jobs: Jobs,
    sharing: Sharing,
    watching: Watching,
    books: Bookkeeping,
    issuer: "Issuer | None",
    metrics: Metrics,
    reloader: Reloader | None,
) -> Any:
    """Ready from now on; clients closed at the end."""

    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        parent = multiprocessing.parent_process()
        bound = None if parent is None or parent.pid is None else asyncio.create_task(leave_with(parent.pid))
        await begin(books)
        sharing.start(books.elsewhere(sharing.kept))
        await jobs.start()
        metrics.start()
        watching.start()
        if issuer is not None:
            issuer.start()
        if reloader is not None:
            reloader.start()
        gc.freeze()  # what is there now stays: nobody need look through it again and again
        gc.set_threshold(*COLLECTING)
        admin.ready = True
        try:
            yield
        finally:
            admin.ready = False
            if bound:
                bound.cancel()
            if reloader is not None:
                await reloader.close()
            await watching.close()
            await jobs.close()
            await sharing.close()
            if issuer is not None:
                await issuer.close()
            await leases.close()
            await books.close()
            await metrics.close()

    return run


async def begin(books: Bookkeeping) -> None:
    """A worker that cannot read the record while it starts ends, and its parent starts another. Told that the start
    has failed, uvicorn would end all of them, and with them those that serve well without SQL."""
    try:
        await books.start()
    except RecordDown as error:
        if multiprocessing.parent_process() is None:
            raise
        log.error("this worker cannot start (%s); another is tried", error)
        await asyncio.sleep(PAUSE)
        os._exit(1)


async def leave_with(parent: int) -> None:
    """Stops this worker when its parent has died without a word: nobody else would."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us but looking
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
