"""The composition root: the only place where the parts are made and given to each other."""

import asyncio
import contextlib
import gc
import multiprocessing
import os
import random
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.applications import Starlette

from adapters import ADAPTERS
from adapters.embeddings import EMBEDDERS
from adapters.types import Mode
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
from gateway.config import Config, ModelConfig, ProviderConfig, ServerConfig, TargetConfig
from gateway.config.model import Strategy
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
from gateway.resilience.retrying import Retrying
from gateway.resilience.standing import Standings
from gateway.resilience.strategies import Order, cheapest, fastest, least_busy, weighted
from gateway.routing import Route, Router
from gateway.settings import Settings
from gateway.sharing.sharing import Sharing
from gateway.store.jobs import JobStore
from gateway.types import Clock, Notice, Policy, Target
from gateway.upstream.types import Upstream
from gateway.wire import categorize, cfg, chat, completions, embeddings, lamini, lamini_embedding, regex, typed
from gateway.wire.dialect import Door, Only
from gateway.wire.door import CompletionsDoor
from gateway.wire.embeddings import EmbeddingDialect

if TYPE_CHECKING:
    from gateway.issuer import Issuer

EMBEDDED_SOCKET = "GATEWAY_EMBEDDED_SOCKET"
"""Where the process that serves the embedded model listens; set by ``serve`` for its workers."""

STRATEGIES = {"weighted": weighted, "fastest": fastest, "least_busy": least_busy}

STATES = ("closed", "half_open", "open")

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
    metrics = Metrics(settings.environ.get(census.VARIABLE), clock.steady)
    router = doors.router(rng, clock, metrics)
    metrics.watch_each("gateway_breaker_state", partial(doors.states, clock.steady))
    metrics.watch_each("gateway_provider_busy", lambda: {(name,): gate.busy for name, gate in doors.gates.items()})
    metrics.watch_each(
        "gateway_provider_waiting", lambda: {(name,): gate.waiting for name, gate in doors.gates.items()}
    )
    books = Bookkeeping(config, settings, clock, router.rates, metrics)
    issuer = None if config.jwt is None else issuer_of(config.jwt, clock)
    known = Keys(books.directory, clock.wall, issuer)
    limits = config.limits
    rules = Rules(limits.output_tokens, limits.unknown_price == "allow", config.ledger.on_full == "allow")
    admission = Admission(books.directory, books.counting, books.accounts, books.spool, rules, clock, metrics)
    server = config.server
    bounds: Any = {"max_body": server.max_body_bytes, "max_depth": server.max_depth}
    sharing = Sharing(books.cache, clock, config.cache.max_entry_bytes)
    completion = Completion(router, known, admission, sharing, clock, keepalive=server.keepalive, **bounds)
    doorkeeper = Doorkeeper(*bounds_of(server), clock.steady)
    admin = Admin(lambda: completion.router, known, int(clock.wall()), metrics.scraped)
    admin.stopping = lambda: doorkeeper.stopping
    rest = admin.app()
    jobs = Jobs(JobStore(Path(settings.state_dir), clock.wall, LOST), failure_of)
    polling = Polling(completion, known, jobs, clock, doorkeeper, **bounds)
    rest.router.routes.extend(polling.routes(admin.models))
    rest.router.routes.extend(admin_routes(Admins(books.directory, clock.wall).admin, books.control, clock.wall))
    rest.router.lifespan_context = lifespan(admin, doors, jobs, sharing, books, issuer, metrics)
    routes = [api.Route(path, door, completion.complete) for path, door in generating().items()]
    embedding = Embedding(lambda: completion.router, known, admission, clock, **bounds)
    routes += [api.Route(path, door, embedding.speaking(wire)) for path, (door, wire) in EMBEDDING.items()]
    return Api(routes, rest, rng, metrics, doorkeeper)


def bounds_of(server: ServerConfig) -> tuple[int, int, float | None]:
    """What a doorkeeper is told: the lag is in seconds."""
    return server.concurrency, server.queue, None if server.lag_ms is None else server.lag_ms / 1000


def issuer_of(settings: JwtSettings, clock: Clock) -> "Issuer":
    from gateway.issuer import Issuer  # here, since few need it, and what it takes is large
    from gateway.upstream.fetching import document

    return Issuer(settings, document, clock.wall)


class Asked(msgspec.Struct, frozen=True):
    """What can be asked for one model, and what must be so before more can."""

    targets: tuple[Target, ...]
    missing: tuple[str, ...]


class Doors:
    """The clients of all providers of one configuration, and the routes that lead through them."""

    def __init__(self, config: Config, environ: Mapping[str, str]) -> None:
        self._config = config
        self._environ = environ
        self._listing = listing(config)
        self._tokenizers: dict[str, Tokenizer] = {}
        self._clients: dict[upstream.Way, Upstream] = {}
        self.gates = {
            name: Gate(provider.concurrency, provider.queue)
            for name, provider in config.providers.items()
            if provider.concurrency is not None
        }
        self._standings = Standings(config.breaker, config.retry)
        self.embedded = environ.get(EMBEDDED_SOCKET)
        self.longtail = environ.get(LONGTAIL_SOCKET)

    def router(self, rng: random.Random, clock: Clock, notice: Notice | None = None) -> Router:
        config = self._config
        self._notice = notice
        targets = {name: self._targets(model) for name, model in config.models.items()}
        return Router(
            {name: self._route(name, model, targets, rng, clock) for name, model in config.models.items()},
            config.aliases,
            default=config.defaults.model,
            max_models=config.defaults.max_models,
            max_choices=config.server.max_choices,
            legal_name=configuration.legal_model_name,
            steady=clock.steady,
            checker=Checker(),
            repair_rounds=config.defaults.repair_rounds,
        )

    def _route(
        self, name: str, model: ModelConfig, targets: Mapping[str, Asked], rng: random.Random, clock: Clock
    ) -> Route:
        given = msgspec.structs.asdict(model.defaults)
        found = targets[name]
        return Route(
            name,
            found.targets,
            tuple((key, value) for key, value in given.items() if value not in (None, ())),
            found.missing,
            self._order(model.strategy, rng, clock),
            self._policy(model, targets, rng),
        )

    def _order(self, strategy: Strategy, rng: random.Random, clock: Clock) -> Order:
        if strategy == "cheapest":
            return cheapest(rng, clock.wall)
        return STRATEGIES[strategy](rng)

    def _policy(self, model: ModelConfig, targets: Mapping[str, Asked], rng: random.Random) -> Policy:
        retry, cache = self._config.retry, self._config.cache
        return Policy(
            Retrying(retry.rounds, retry.base, retry.most, rng.random),
            tuple([target for name in model.on_too_long for target in targets[name].targets]),
            tuple([target for name in model.on_filtered for target in targets[name].targets]),
            model.cache or cache.mode,
            model.cache_ttl or cache.ttl,
            self._notice,
        )

    def _targets(self, model: ModelConfig) -> Asked:
        found = [one for target in model.targets for one in self._target(target)]
        missing = dict.fromkeys(one for one in found if isinstance(one, str))
        return Asked(tuple([one for one in found if isinstance(one, Target)]), tuple(missing))

    def _target(self, target: TargetConfig) -> list[Target | str]:
        """The target, once with each of its provider's keys; or what must be so before it can be asked."""
        provider = self._config.providers[target.provider]
        names = configuration.key_names(provider)
        keys = {name: key for name in names if (key := self._environ.get(name))}
        if names and not keys:
            return [f"{' or '.join(names)} must be set at the gateway"]
        if provider.embedded and self.embedded is None:
            return ["the embedded model must be running (the gateway's log says why it is not)"]
        if provider.adapter == "litellm" and self.longtail is None:
            return ["litellm must be running (the gateway's log says why it is not)"]
        estimator = Estimator(self._tokenizer(target.tokenizer), template=self._mode(target) == "chat")
        if not names:
            return [self._keyed(target, provider, "", None, estimator)]
        return [self._keyed(target, provider, name, key, estimator) for name, key in keys.items()]

    def _mode(self, target: TargetConfig) -> Mode:
        provider = self._config.providers[target.provider]
        return target.mode or configuration.modes_of(provider)[0]

    def _keyed(
        self, target: TargetConfig, provider: ProviderConfig, credential: str, key: str | None, estimator: Estimator
    ) -> Target:
        base_url = self.embedded if provider.embedded else provider.base_url
        if provider.adapter == "litellm":
            base_url = self.longtail
        host = configuration.host(provider, key, base_url)
        mode, name = self._mode(target), f"{target.provider}/{target.model}"
        terms = terms_of(provider, target, self._listing)
        return Target(
            name,
            target.model,
            mode,
            ADAPTERS[provider.adapter](host),
            self._client(provider, base_url),
            provider.timeouts,
            self.gates.get(target.provider),
            target.weight,
            target.fallback,
            self._config.defaults.max_tokens if mode == "completion" else None,
            EMBEDDERS[provider.adapter](host),
            target.typed_path or provider.typed_path,
            not provider.embedded if provider.show_types is None else provider.show_types,
            terms.rates,
            terms.most_output,
            estimator,
            credential,
            self._standings.of(name, credential),
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

    def states(self, steady: Callable[[], float]) -> dict[tuple[str, ...], float]:
        """Of each target with each key, in which state its breaker is."""
        now = steady()
        return {
            (target, credential, state): float(standing.breaker.state(now) == state)
            for (target, credential), standing in self._standings
            for state in STATES
        }

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def lifespan(
    admin: Admin,
    doors: Doors,
    jobs: Jobs,
    sharing: Sharing,
    books: Bookkeeping,
    issuer: "Issuer | None",
    metrics: Metrics,
) -> Any:
    """Ready from now on; clients closed at the end."""

    @contextlib.asynccontextmanager
    async def run(app: Starlette) -> AsyncIterator[None]:
        bound = asyncio.create_task(leave_with(os.getppid())) if multiprocessing.parent_process() else None
        await books.start()
        sharing.start(books.elsewhere(sharing.kept))
        await jobs.start()
        if issuer is not None:
            issuer.start()
        metrics.start()
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
            await sharing.close()
            if issuer is not None:
                await issuer.close()
            await doors.close()
            await books.close()
            await metrics.close()

    return run


async def leave_with(parent: int) -> None:
    """Stops this worker when its parent has died without a word: nobody else would."""
    while os.getppid() == parent:  # noqa: ASYNC110 - nothing tells us but looking
        await asyncio.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)
