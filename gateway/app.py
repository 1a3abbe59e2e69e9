"""The composition root: the only place where the parts are made and given to each other."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Mapping
from functools import partial
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
from gateway.checking import uncounted
from gateway.completion import Completion
from gateway.config import Config, ModelConfig, ProviderConfig, ServerConfig, TargetConfig
from gateway.config.rules import listing, terms_of
from gateway.constraints import Checker
from gateway.doorkeeper import Doorkeeper
from gateway.embedding import Embedding
from gateway.estimates import Estimator, Tokenizer
from gateway.gate import Gate
from gateway.jobs import Jobs
from gateway.keys import Admins, Keys
from gateway.lamini import LOST, Polling, failure_of
from gateway.memory import keep_freed
from gateway.metrics import Metrics
from gateway.reloading import Leases, Reloader, Way
from gateway.routing import Route, Router, weighted
from gateway.settings import Settings
from gateway.store.jobs import JobStore
from gateway.types import Clock, Target
from gateway.upstream.types import Upstream
from gateway.wire import categorize, cfg, chat, completions, embeddings, lamini, lamini_embedding, regex, typed
from gateway.wire.dialect import Door, Only
from gateway.wire.door import CompletionsDoor
from gateway.wire.embeddings import EmbeddingDialect

if TYPE_CHECKING:
    from gateway.issuer import Issuer

EMBEDDED_SOCKET = "GATEWAY_EMBEDDED_SOCKET"
"""Where the process that serves the embedded model listens; set by ``serve`` for its workers."""

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
    leases = Leases()
    doors = Doors(config, settings.environ)
    completion: Completion
    books = Bookkeeping(config, settings, clock, lambda target: completion.router.rates(target))
    issuer = None if config.jwt is None else issuer_of(config.jwt, clock)
    known = Keys(books.directory, clock.wall, issuer)
    rules = rules_of(config, config)
    admission = Admission(books.directory, books.counting, books.accounts, books.spool, rules, clock)
    server = config.server
    bounds: Any = {"max_body": server.max_body_bytes, "max_depth": server.max_depth}
    completion = Completion(doors.router(rng, leases), known, admission, clock, keepalive=server.keepalive, **bounds)
    metrics = Metrics(settings.environ.get(census.VARIABLE))
    doorkeeper = Doorkeeper(*bounds_of(server), clock.steady)
    admin = Admin(lambda: completion.router, known, int(clock.wall()), metrics.render)
    admin.stopping = lambda: doorkeeper.stopping
    rest = admin.app()
    jobs = Jobs(JobStore(Path(settings.state_dir), clock.wall, LOST), failure_of)
    polling = Polling(completion, known, jobs, clock, doorkeeper, **bounds)
    rest.router.routes.extend(polling.routes(admin.models))
    rest.router.routes.extend(admin_routes(Admins(books.directory, clock.wall).admin, books.control, clock.wall))
    routes = {path: api.Route(door, completion.complete) for path, door in generating().items()}
    embedding = Embedding(lambda: completion.router, known, admission, clock, **bounds)
    routes |= {path: api.Route(door, embedding.speaking(wire)) for path, (door, wire) in EMBEDDING.items()}
    app = Api(routes, rest, rng, doorkeeper)

    def apply(new: Config) -> None:
        """Everything that a configuration says, at once. It is all made before anything of it holds."""
        nonlocal doors
        now = Doors(new, settings.environ, doors, fresh)
        fresh.clear()
        router = now.router(rng, leases)
        admission.rules = rules_of(new, config)
        books.configure(new.limits)
        doorkeeper.configure(*bounds_of(new.server))
        completion.keepalive = new.server.keepalive
        for one in (completion, embedding, polling):
            one.max_body, one.max_depth = new.server.max_body_bytes, new.server.max_depth
        completion.router, doors = router, now

    def have(spec: str) -> Tokenizer:
        """Loads a tokenizer beside the event loop, before it is needed on it."""
        fresh[spec] = doors.tokenizers.get(spec) or tokenizers.load(spec, settings.environ)
        return fresh[spec]

    fresh: dict[str, Tokenizer] = {}
    reloader = None
    if text is not None:
        beyond = partial(uncounted, have=have)
        reloader = Reloader(Path(settings.config), text, config, beyond, apply, clock)
        app.reload = reloader.hear
    rest.router.lifespan_context = lifespan(admin, leases, jobs, books, issuer, reloader)
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


class Doors:
    """The clients of all providers of one configuration, and the routes that lead through them."""

    def __init__(
        self,
        config: Config,
        environ: Mapping[str, str],
        before: "Doors | None" = None,
        loaded: Mapping[str, Tokenizer] | None = None,
    ) -> None:
        """What has not changed since ``before`` is taken over: clients with their connections, gates with those who
        wait at them, tokenizers, and estimators with what they have learned. ``loaded`` are tokenizers that are here
        already."""
        self._config = config
        self._environ = environ
        self._listing = listing(config)
        self._before = before
        self.tokenizers: dict[str, Tokenizer] = {}
        self._loaded = loaded or {}
        self._clients: dict[upstream.Way, Upstream] = {}
        self._estimators: dict[tuple[object, ...], Estimator] = {}
        self._ways: set[Way] = set()
        self._gates = {
            name: self._gate(name, provider.concurrency, provider.queue)
            for name, provider in config.providers.items()
            if provider.concurrency is not None
        }
        self.embedded = environ.get(EMBEDDED_SOCKET)
        self.longtail = environ.get(LONGTAIL_SOCKET)

    def router(self, rng: random.Random, leases: Leases) -> Router:
        """What it leads to is leased for as long as somebody goes by it."""
        config = self._config
        router = Router(
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
        self._before, self._loaded = None, {}
        leases.hold(router, self._ways)
        return router

    def _gate(self, name: str, concurrency: int, queue: int) -> Gate:
        known = None if self._before is None else self._before._gates.get(name)
        return known if known is not None and known.bounds == (concurrency, queue) else Gate(concurrency, queue)

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
            self._estimator(target, provider, mode == "chat"),
        )

    def _estimator(self, target: TargetConfig, provider: ProviderConfig, template: bool) -> Estimator:
        """One for each target; of two that are alike in all this, the second has its own, too."""
        at: tuple[object, ...] = (target.provider, provider.base_url, target.model, target.tokenizer, template)
        while at in self._estimators:
            at = (*at, "again")
        known = None if self._before is None else self._before._estimators.get(at)
        self._estimators[at] = known or Estimator(self._tokenizer(target.tokenizer), template=template)
        if known is not None:
            self._tokenizer(target.tokenizer)  # the next may need it
        return self._estimators[at]

    def _tokenizer(self, spec: str | None) -> Tokenizer | None:
        if spec is None:
            return None
        if spec not in self.tokenizers:  # each takes some ten megabytes
            self.tokenizers[spec] = self._loaded.get(spec) or tokenizers.load(spec, self._environ)
        return self.tokenizers[spec]

    def _client(self, provider: ProviderConfig, base_url: str | None) -> Upstream:
        url = base_url or configuration.BASE_URLS[provider.adapter]
        way = upstream.way(provider.client, self._environ, url, provider.ca_file)
        if way not in self._clients:
            known = None if self._before is None else self._before._clients.get(way)
            self._clients[way] = known or upstream.CLIENTS[way.client](way, upstream.Limits())
        self._ways.add((self._clients[way], url))
        return self._clients[way]


def lifespan(
    admin: Admin,
    leases: Leases,
    jobs: Jobs,
    books: Bookkeeping,
    issuer: "Issuer | None",
    reloader: Reloader | None,
) -> Any:
    """Ready from now on; clients closed at the end."""

    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        bound = asyncio.create_task(leave_with(os.getppid())) if multiprocessing.parent_process() else None
        await books.start()
        await jobs.start()
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
            await jobs.close()
            if issuer is not None:
                await issuer.close()
            await leases.close()
            await books.close()

    return run


async def leave_with(parent: int) -> None:
    """Stops this worker when its parent has died without a word: nobody else would."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us but looking
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
