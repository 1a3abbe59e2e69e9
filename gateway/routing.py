"""Model names to a plan: which targets are asked, what, and where their choices will stand. Pure."""

from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

from msgspec import Struct

from adapters.errors import Rejected
from adapters.fields import NULL
from adapters.types import AnyJson, Call, Constraint, JsonSchema, Prompts
from gateway.agreement import Alike
from gateway.asking import requests, with_params
from gateway.constraints import Checker, ConstraintError
from gateway.errors import BadRequest, Forbidden, NotOffered, UnknownModel
from gateway.keeping import Keeping
from gateway.ledger.cost import RateTable
from gateway.paths import whole
from gateway.resilience.strategies import Order
from gateway.types import (
    NO_FANOUT,
    PLAIN,
    Caller,
    CompletionRequest,
    Fanout,
    FanoutBody,
    Leg,
    Plan,
    Policy,
    Target,
)
from gateway.wire.body import shown


def as_written(targets: Sequence[Target], now: float) -> tuple[Target, ...]:
    return tuple(targets)


class Route(Struct, frozen=True):
    """One model as it is offered. ``missing`` says what must be so before it can be, where it cannot; ``defaults`` are
    the parameters that apply where the caller gives none. ``order`` is in which its targets are asked, if there are
    several."""

    name: str
    targets: tuple[Target, ...]
    defaults: tuple[tuple[str, object], ...] = ()
    missing: tuple[str, ...] = ()
    order: Order = as_written
    policy: Policy = PLAIN


class Router:
    """All models of one configuration. ``aliases`` are further names of models, ``steady`` is the clock that orders go
    by."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        aliases: Mapping[str, str],
        *,
        default: str | None,
        max_models: int,
        max_choices: int,
        legal_name: Callable[[str], bool],
        steady: Callable[[], float],
        checker: Checker,
        repair_rounds: int,
    ) -> None:
        self._routes = {**routes, **{alias: routes[name] for alias, name in aliases.items()}}
        self._rates = {target.name: target.rates for route in routes.values() for target in route.targets}
        self._default = default
        self._max_models = max_models
        self._max_choices = max_choices
        self._legal_name = legal_name
        self._steady = steady
        self._checker = checker
        self._repair_rounds = repair_rounds

    def offered(self) -> list[str]:
        """The names that can be asked, in the order of the configuration."""
        return [name for name, route in self._routes.items() if route.targets]

    def candidates(self, name: str, caller: Caller) -> tuple[str, tuple[Target, ...]]:
        """A model's own name, and its targets in the order in which to ask them; or the error that stops the call."""
        route = self._route(name)
        if not route.targets:
            raise not_offered(name, route)
        check_allowed(name, route.name, caller)
        return route.name, self._ordered(route)

    def policy(self, name: str) -> Policy:
        """How the calls of a model are made, by any of its names."""
        return self._routes[name].policy

    def rates(self, target: str) -> RateTable | None:
        """The prices of a target by its name, where they are known."""
        return self._rates.get(target)

    def own_name(self, name: str) -> str:
        """What an alias stands for."""
        return self._routes[name].name

    def plan(self, request: CompletionRequest, caller: Caller) -> tuple[Plan, Fanout]:
        """A leg for each model in the caller's order, or the error that stops the whole call."""
        names, params = request.models, request.params
        call = Call("", request.input, params, request.stream, request.fields, request.constraint)
        if len(names) == 1 and (route := self._routes.get(names[0])) is not None and route.targets:
            alone = params.n == 1 and params.best_of is None and not isinstance(request.input, Prompts)
            if alone and caller.may is None and request.fanout is NO_FANOUT and request.constraint is None:
                return (self._leg(names[0], route, request, call, 0, None),), ALL  # as most are
            routes = [(names[0], route)]
        else:
            routes = self._resolve(request)
        if caller.may is not None:
            for name, route in routes:
                check_allowed(name, route.name, caller)
        prompts = len(request.input.items) if isinstance(request.input, Prompts) else 1
        n = made = prompts * params.n
        if params.best_of is not None:
            made = prompts * max(params.n, params.best_of)
        if len(routes) * made > self._max_choices:
            raise too_many(len(routes), prompts, made // prompts, self._max_choices)
        keeping = None if request.constraint is None else self._keeping(request.constraint, request)
        fanout = ALL if request.fanout is NO_FANOUT else fanout_of(request, len(routes))
        if request.stream and keeping is not None and waits(fanout, len(routes)):
            call = whole(call)
        if len(routes) == 1:
            [(name, route)] = routes
            return (self._leg(name, route, request, call, 0, keeping),), fanout
        legs = [self._leg(name, route, request, call, i * n, keeping) for i, (name, route) in enumerate(routes)]
        return tuple(legs), fanout

    def _resolve(self, request: CompletionRequest) -> list[tuple[str, Route]]:
        names = request.models or self._default_model()
        if request.one_text and names[0] not in self._routes and "," in names[0]:
            names = tuple(name.strip() for name in names[0].split(","))
        if len(names) > self._max_models:
            raise BadRequest(
                f"model: {len(names)} models in one call; at most {self._max_models} are allowed", param="model"
            )
        found = [(name, self._route(name)) for name in names]
        for name, route in found:  # after all names are known: what will never work is said before what may, later
            if not route.targets:
                raise not_offered(name, route)
        return found

    def _default_model(self) -> tuple[str, ...]:
        if self._default is None:
            raise BadRequest("model is missing, and no default model is configured", param="model")
        return (self._default,)

    def _route(self, name: str) -> Route:
        route = self._routes.get(name)
        if route is None:
            raise self._unknown(name)
        return route

    def _unknown(self, name: str) -> BadRequest | UnknownModel:
        if not self._legal_name(name):
            return BadRequest(
                f"model: {shown(repr(name))} is not a model's name (letters, digits, and . _ : / @ + -; no '..')",
                param="model",
            )
        near = get_close_matches(name, self._routes, n=1)
        hint = f"; did you mean '{near[0]}'?" if near else "; GET /v1/models lists them"
        return UnknownModel(f"there is no model '{shown(name)}'{hint}", param="model")

    def _keeping(self, constraint: Constraint, request: CompletionRequest) -> Keeping:
        param = request.constrained_by
        try:
            self._checker.prepare(constraint)
        except ConstraintError as exc:
            raise BadRequest(f"{param}: {exc.message}" if param else exc.message, param=param) from exc
        return Keeping(self._checker, constraint, request.unheld, self._repair_rounds, request.hint)

    def _leg(
        self, name: str, route: Route, request: CompletionRequest, call: Call, offset: int, keeping: Keeping | None
    ) -> Leg:
        if route.defaults:
            call = with_defaults(call, route.defaults)
        targets = route.targets if len(route.targets) == 1 else route.order(route.targets, self._steady())
        refusal: Rejected | None = None
        for i, target in enumerate(targets):  # the first whose wire has words for the call
            try:
                first = requests(target, call, keeping)
            except Rejected as exc:
                refusal = refusal or exc
                continue
            return Leg(name, call, targets[i:] if i else targets, offset, first, keeping, route.name, route.policy)
        assert refusal is not None
        param = request.constrained_by if refusal.param in CONSTRAINTS else refusal.param
        raise BadRequest(f"model '{name}': {refusal.message}", param=param or refusal.param) from refusal

    def _ordered(self, route: Route) -> tuple[Target, ...]:
        return route.targets if len(route.targets) == 1 else route.order(route.targets, self._steady())


def not_offered(name: str, route: Route) -> NotOffered:
    return NotOffered(f"model '{name}' is not offered: {' or '.join(route.missing)}", param="model")


def check_allowed(name: str, own: str, caller: Caller) -> None:
    """An allow-list may name a model or its alias; what it names can be asked by that name."""
    if caller.may is not None and not (caller.may(own) or caller.may(name)):
        raise Forbidden(
            f"model '{name}' is not among those that this key may ask; GET /v1/models lists them", param="model"
        )


CONSTRAINTS = frozenset(
    {"anyjson", "grammar", "guided_choice", "guided_grammar", "guided_json", "guided_regex", "jsonschema", "oneof"}
    | {"regex", "response_format", "structured_outputs"}
)
"""What adapters call a constraint that their wire has no words for; callers have their own name for it."""


def too_many(models: int, prompts: int, each: int, most: int) -> BadRequest:
    factors = [(models, "models"), (prompts, "prompts"), (each, "choices each")]
    product = " times ".join([f"{count} {noun}" for count, noun in factors if count > 1])
    param = "prompt" if prompts > each else "n"
    return BadRequest(f"{product} are more than the {most} choices that one call may have", param=param)


def with_defaults(call: Call, defaults: tuple[tuple[str, object], ...]) -> Call:
    said = call.fields or {}
    fill = {
        name: value
        for name, value in defaults
        if getattr(call.params, name) in (None, ())
        and said.get(name, NULL) == NULL
        and not (name == "stop" and call.constraint is not None)  # it would end the answer in its middle
    }
    return with_params(call, **fill) if fill else call


ALL = Fanout()


def fanout_of(request: CompletionRequest, legs: int) -> Fanout:
    """How the legs become one answer. A quorum is by default the majority."""
    asked = request.fanout
    mode, needed = asked.mode or "all", asked.min_success
    if needed is None:
        needed = legs // 2 + 1 if mode == "quorum" else 1
    if needed > legs:
        raise BadRequest(f"fanout.min_success: {needed} of {legs} models cannot be reached", param="fanout.min_success")
    if mode == "first" and needed > 1:
        raise BadRequest(
            'fanout.min_success: mode "first" ends with one answer; use "quorum"', param="fanout.min_success"
        )
    deadline = None if asked.deadline_ms is None else asked.deadline_ms / 1000
    agree = asked.merge == "agree"
    return Fanout(mode, needed, deadline, asked.strict or False, alike_of(asked, agree, request), agree)


def alike_of(asked: FanoutBody, agree: bool, request: CompletionRequest) -> Alike | None:
    """When two answers count as the same, where they are compared: as JSON, which only a typed answer is."""
    typed = isinstance(request.constraint, JsonSchema | AnyJson)
    if agree and not typed:
        raise BadRequest('fanout.merge: "agree" compares JSON values: ask for a typed answer', param="fanout.merge")
    if agree and request.params.echo:
        raise BadRequest("echo: a prompt has no place in front of what several models agree on", param="echo")
    if agree and asked.mode == "first":
        raise BadRequest(
            'fanout.merge: "agree" needs several answers; mode "first" ends with one', param="fanout.merge"
        )
    if typed and (agree or asked.mode == "quorum"):
        return Alike(asked.tolerance or 0.0, asked.arrays == "set")
    for name in ("tolerance", "arrays"):
        if getattr(asked, name) is not None:
            raise BadRequest(
                f'fanout.{name}: is for typed answers that are compared: with merge "agree" or mode "quorum"',
                param=f"fanout.{name}",
            )
    return None


def waits(fanout: Fanout, legs: int) -> bool:
    """Whether an answer that must keep a type can be told only when all that count are known to be good."""
    return fanout.alike is not None or (fanout.mode == "first" and legs > 1)
