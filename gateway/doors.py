"""What a configuration leads to: the routes of its models, and the clients, gates and standings behind them.

What has not changed since the configuration before is taken over, with all that it has learned.
"""

import random
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from adapters import ADAPTERS
from adapters.embeddings import EMBEDDERS
from adapters.types import Mode
from gateway import config as configuration
from gateway import estimates as tokenizers
from gateway import upstream
from gateway.config import Config, ModelConfig, ProviderConfig, TargetConfig
from gateway.config.model import Strategy
from gateway.config.rules import listing, terms_of
from gateway.constraints import Checker
from gateway.estimates import Estimator, Tokenizer
from gateway.gate import Gate
from gateway.reloading import Leases, Way
from gateway.resilience.retrying import Retrying
from gateway.resilience.standing import Standings
from gateway.resilience.strategies import Order, cheapest, fastest, least_busy, weighted
from gateway.routing import Route, Router
from gateway.types import Clock, Notice, Policy, Target
from gateway.upstream.types import Upstream
from gateway.watching import Watcher

STRATEGIES = {"weighted": weighted, "fastest": fastest, "least_busy": least_busy}

STATES = ("closed", "half_open", "open")


class Parts(Struct, frozen=True, eq=False):
    """What is there once for all configurations. ``embedded`` and ``longtail`` are the addresses of children that run,
    and ``environ`` is where keys are."""

    environ: Mapping[str, str]
    clock: Clock
    rng: random.Random
    standings: Standings
    leases: Leases
    notice: Notice | None = None
    embedded: str | None = None
    longtail: str | None = None

    def states(self) -> dict[tuple[str, ...], float]:
        """Of each target with each key, in which state its breaker is."""
        now = self.clock.steady()
        return {
            (target, credential, state): float(standing.breaker.state(now) == state)
            for (target, credential), standing in self.standings
            for state in STATES
        }


class Asked(Struct, frozen=True):
    """What can be asked for one model, and what must be so before more can."""

    targets: tuple[Target, ...]
    missing: tuple[str, ...]


class Doors:
    """Of one configuration."""

    def __init__(
        self,
        config: Config,
        parts: Parts,
        before: "Doors | None" = None,
        loaded: Mapping[str, Tokenizer] | None = None,
    ) -> None:
        """What has not changed since ``before`` is taken over: clients with their connections, gates with those who
        wait at them, tokenizers, and estimators with what they have learned. ``loaded`` are tokenizers that are here
        already."""
        self._config = config
        self._parts = parts
        self._listing = listing(config)
        self._before = before
        self.tokenizers: dict[str, Tokenizer] = {}
        self._loaded = loaded or {}
        self._clients: dict[upstream.Way, Upstream] = {}
        self._estimators: dict[tuple[object, ...], Estimator] = {}
        self._ways: set[Way] = set()
        self._places: set[tuple[str, str]] = set()
        self.watcher = Watcher(parts.clock.steady, parts.rng.random)
        self.gates = {
            name: self._gate(name, provider.concurrency, provider.queue)
            for name, provider in config.providers.items()
            if provider.concurrency is not None
        }

    def router(self) -> Router:
        """What it leads to is leased for as long as somebody goes by it."""
        config, parts = self._config, self._parts
        parts.standings.configure(config.breaker, config.retry)
        targets = {name: self._targets(model) for name, model in config.models.items()}
        router = Router(
            {name: self._route(name, model, targets) for name, model in config.models.items()},
            config.aliases,
            default=config.defaults.model,
            max_models=config.defaults.max_models,
            max_choices=config.server.max_choices,
            legal_name=configuration.legal_model_name,
            steady=parts.clock.steady,
            checker=Checker(),
            repair_rounds=config.defaults.repair_rounds,
        )
        self._before, self._loaded = None, {}
        parts.standings.keep(self._places)
        parts.leases.hold(router, self._ways)
        return router

    # ------------------------------------------------------------------ models

    def _route(self, name: str, model: ModelConfig, targets: Mapping[str, Asked]) -> Route:
        given = msgspec.structs.asdict(model.defaults)
        found = targets[name]
        return Route(
            name,
            found.targets,
            tuple((key, value) for key, value in given.items() if value not in (None, ())),
            found.missing,
            self._order(model.strategy),
            self._policy(model, targets),
        )

    def _order(self, strategy: Strategy) -> Order:
        rng, clock = self._parts.rng, self._parts.clock
        return cheapest(rng, clock.wall) if strategy == "cheapest" else STRATEGIES[strategy](rng)

    def _policy(self, model: ModelConfig, targets: Mapping[str, Asked]) -> Policy:
        retry, cache = self._config.retry, self._config.cache
        return Policy(
            Retrying(retry.rounds, retry.base, retry.most, self._parts.rng.random),
            tuple([target for name in model.on_too_long for target in targets[name].targets]),
            tuple([target for name in model.on_filtered for target in targets[name].targets]),
            model.cache or cache.mode,
            model.cache_ttl or cache.ttl,
            self._parts.notice,
        )

    def _targets(self, model: ModelConfig) -> Asked:
        watched = model.strategy == "least_busy"
        found = [one for target in model.targets for one in self._target(target, watched)]
        missing = dict.fromkeys(one for one in found if isinstance(one, str))
        return Asked(tuple([one for one in found if isinstance(one, Target)]), tuple(missing))

    # ------------------------------------------------------------------ targets

    def _target(self, target: TargetConfig, watched: bool) -> list[Target | str]:
        """The target, once with each of its provider's keys; or what must be so before it can be asked."""
        provider, parts = self._config.providers[target.provider], self._parts
        names = configuration.key_names(provider)
        keys = {name: key for name in names if (key := parts.environ.get(name))}
        if names and not keys:
            return [f"{' or '.join(names)} must be set at the gateway"]
        if provider.embedded and parts.embedded is None:
            return ["the embedded model must be running (the gateway's log says why it is not)"]
        if provider.adapter == "litellm" and parts.longtail is None:
            return ["litellm must be running (the gateway's log says why it is not)"]
        mode = target.mode or configuration.modes_of(provider)[0]
        estimator = self._estimator(target, provider, mode == "chat")
        if not names:
            return [self._keyed(target, provider, "", None, mode, estimator, watched)]
        return [self._keyed(target, provider, name, key, mode, estimator, watched) for name, key in keys.items()]

    def _keyed(
        self,
        target: TargetConfig,
        provider: ProviderConfig,
        credential: str,
        key: str | None,
        mode: Mode,
        estimator: Estimator,
        watched: bool,
    ) -> Target:
        base_url = self._parts.embedded if provider.embedded else provider.base_url
        if provider.adapter == "litellm":
            base_url = self._parts.longtail
        host = configuration.host(provider, key, base_url)
        name = f"{target.provider}/{target.model}"
        terms = terms_of(provider, target, self._listing)
        standing = self._parts.standings.of(name, credential)
        self._places.add((name, credential))
        client = self._client(provider, base_url)
        if watched:
            self.watcher.add(target.provider, host, self._way(provider, base_url), standing)
        return Target(
            name,
            target.model,
            mode,
            ADAPTERS[provider.adapter](host),
            client,
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
            standing,
        )

    def _gate(self, name: str, concurrency: int, queue: int) -> Gate:
        known = None if self._before is None else self._before.gates.get(name)
        return known if known is not None and known.bounds == (concurrency, queue) else Gate(concurrency, queue)

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
            self.tokenizers[spec] = self._loaded.get(spec) or tokenizers.load(spec, self._parts.environ)
        return self.tokenizers[spec]

    def _way(self, provider: ProviderConfig, base_url: str | None) -> upstream.Way:
        url = base_url or configuration.BASE_URLS[provider.adapter]
        return upstream.way(provider.client, self._parts.environ, url, provider.ca_file)

    def _client(self, provider: ProviderConfig, base_url: str | None) -> Upstream:
        way = self._way(provider, base_url)
        if way not in self._clients:
            known = None if self._before is None else self._before._clients.get(way)
            self._clients[way] = known or upstream.CLIENTS[way.client](way, upstream.Limits())
        self._ways.add((self._clients[way], base_url or configuration.BASE_URLS[provider.adapter]))
        return self._clients[way]
