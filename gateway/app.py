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
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette

from adapters import ADAPTERS
from adapters.embeddings import EMBEDDERS
from gateway import api, census, logs, upstream
from gateway import config as configuration
from gateway import estimates as tokenizers
from gateway.admin import Admin
from gateway.adminapi.routes import routes as admin_routes
from gateway.admission import Admission, Rules
from gateway.api import Api
from gateway.bearer.settings import JwtSettings
from gateway.beside import LONGTAIL_SOCKET
from gateway.bookkeeping import Bookkeeping
from gateway.completion import Completion
from gateway.config import Config, ModelConfig, ProviderConfig, TargetConfig
from gateway.config.rules import listing, terms_of
from gateway.constraints import Checker
from gateway.embedding import Embedding
from gateway.estimates import Estimator, Tokenizer
from gateway.gate import Gate
from gateway.jobs import Jobs
from gateway.keys import Admins, Keys
from gateway.lamini import LOST, Polling, failure_of
from gateway.memory import keep_freed
from gateway.metrics import Metrics
from gateway.routing import Route, Router, weighted
from gateway.settings import Settings
from gateway.store.jobs import JobStore
from gateway.store.sql.engine import RecordDown
from gateway.types import Clock, Target
from gateway.upstream.types import Upstream
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
    return build(configuration.load(text, str(settings.config)), settings)


def build(config: Config, settings: Settings, clock: Clock | None = None) -> Api:
    """The application for a configuration."""
    clock = clock or Clock(time.time, time.monotonic)
    rng = random.Random()
    doors = Doors(config, settings.environ)
    router = doors.router(rng)
    books = Bookkeeping(config, settings, clock, router.rates)
    issuer = None if config.jwt is None else issuer_of(config.jwt, clock)
    known = Keys(books.directory, clock.wall, issuer)
    limits = config.limits
    rules = Rules(limits.output_tokens, limits.unknown_price == "allow", config.ledger.on_full == "allow")
    admission = Admission(books.directory, books.counting, books.accounts, books.spool, rules, clock)
    server = config.server
    bounds: Any = {"max_body": server.max_body_bytes, "max_depth": server.max_depth}
    completion = Completion(router, known, admission, clock, keepalive=server.keepalive, **bounds)
    metrics = Metrics(settings.environ.get(census.VARIABLE))
    admin = Admin(lambda: completion.router, known, int(clock.wall()), metrics.render)
    rest = admin.app()
    jobs = Jobs(JobStore(Path(settings.state_dir), clock.wall, LOST), failure_of)
    polling = Polling(completion, known, jobs, clock, **bounds)
    rest.router.routes.extend(polling.routes(admin.models))
    rest.router.routes.extend(admin_routes(Admins(books.directory, clock.wall).admin, books.control, clock.wall))
    rest.router.lifespan_context = lifespan(admin, doors, jobs, books, issuer)
    routes = {path: api.Route(door, completion.complete) for path, door in generating().items()}
    embedding = Embedding(lambda: completion.router, known, admission, clock, **bounds)
    routes |= {path: api.Route(door, embedding.speaking(wire)) for path, (door, wire) in EMBEDDING.items()}
    return Api(routes, rest, rng)


def issuer_of(settings: JwtSettings, clock: Clock) -> "Issuer":
    from gateway.issuer import Issuer  # here, since few need it, and what it takes is large
    from gateway.upstream.fetching import document

    return Issuer(settings, document, clock.wall)


class Doors:
    """The clients of all providers of one configuration, and the routes that lead through them."""

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._listing = listing(config)
        self._tokenizers: dict[str, Tokenizer] = {}
        self._clients: dict[upstream.Way, Upstream] = {}
        self._gates = {
            name: Gate(provider.concurrency, provider.queue)
            for name, provider in config.providers.items()
            if provider.concurrency is not None
        }
        self.embedded = environ.get(EMBEDDED_SOCKET)
        self.longtail = environ.get(LONGTAIL_SOCKET)

    def router(self, rng: random.Random) -> Router:
        config = self._config
        return Router(
            {name: self._route(name, model) for name, model in config.models.items()},
            config.aliases,
            default=config.defaults.model,
            max_models=config.defaults.max_models,
            max_choices=config.server.max_choices,
            legal_name=configuration.legal_model_name,
            order=weighted(rng),
            checker=Checker(),
            repair_rounds=config.defaults.repair_rounds,
        )

    def _route(self, name: str, model: ModelConfig) -> Route:
        targets = [self._target(target) for target in model.targets]
        given = msgspec.structs.asdict(model.defaults)
        return Route(
            name,
            tuple(target for target in targets if isinstance(target, Target)),
            tuple((key, value) for key, value in given.items() if value not in (None, ())),
            tuple(dict.fromkeys(target for target in targets if isinstance(target, str))),
        )

    def _target(self, target: TargetConfig) -> Target | str:
        """The target, or what must be so before it can be asked."""
        provider = self._config.providers[target.provider]
        key = self._environ.get(provider.key_env) if provider.key_env else None
        if provider.key_env and not key:
            return f"{provider.key_env} must be set at the gateway"
        if provider.embedded and self.embedded is None:
            return "the embedded model must be running (the gateway's log says why it is not)"
        if provider.adapter == "litellm" and self.longtail is None:
            return "litellm must be running (the gateway's log says why it is not)"
        base_url = self.embedded if provider.embedded else provider.base_url
        if provider.adapter == "litellm":
            base_url = self.longtail
        host = configuration.host(provider, key, base_url)
        adapter = ADAPTERS[provider.adapter](host)
        mode = target.mode or adapter.modes[0]
        terms = terms_of(provider, target, self._listing)
        return Target(
            f"{target.provider}/{target.model}",
            target.model,
            mode,
            adapter,
            self._client(provider, base_url),
            provider.timeouts,
            self._gates.get(target.provider),
            target.weight,
            target.fallback,
            self._config.defaults.max_tokens if mode == "completion" else None,
            EMBEDDERS[provider.adapter](host),
            target.typed_path or provider.typed_path,
            not provider.embedded if provider.show_types is None else provider.show_types,
            terms.rates,
            terms.most_output,
            Estimator(self._tokenizer(target.tokenizer), template=mode == "chat"),
        )

    def _tokenizer(self, spec: str | None) -> Tokenizer | None:
        if spec is None:
            return None
        if spec not in self._tokenizers:  # each takes some ten megabytes
            self._tokenizers[spec] = tokenizers.load(spec, self._environ)
        return self._tokenizers[spec]

    def _client(self, provider: ProviderConfig, base_url: str | None) -> Upstream:
        url = base_url or configuration.BASE_URLS[provider.adapter]
        way = upstream.way(provider.client, self._environ, url, provider.ca_file)
        if way not in self._clients:
            self._clients[way] = upstream.CLIENTS[way.client](way, upstream.Limits())
        return self._clients[way]

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def lifespan(admin: Admin, doors: Doors, jobs: Jobs, books: Bookkeeping, issuer: "Issuer | None") -> Any:
    """Ready from now on; clients closed at the end."""

    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        bound = asyncio.create_task(leave_with(os.getppid())) if multiprocessing.parent_process() else None
        await begin(books)
        await jobs.start()
        if issuer is not None:
            issuer.start()
        gc.freeze()  # what is there now stays: nobody need look through it again and again
        gc.set_threshold(*COLLECTING)
        admin.ready = True
        try:
            yield
        finally:
            admin.ready = False
            if bound:
                bound.cancel()
            await jobs.close()
            if issuer is not None:
                await issuer.close()
            await doors.close()
            await books.close()

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
