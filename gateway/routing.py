"""Model names to a plan: which targets are asked, what, and where their choices will stand. Pure."""

import random
from collections.abc import Callable, Mapping, Sequence
from difflib import get_close_matches

import msgspec
from msgspec import Struct

from adapters.errors import Rejected
from adapters.types import Asked, Call, Message, Params
from gateway.errors import BadRequest, NotOffered, UnknownModel
from gateway.types import CompletionRequest, Fanout, Leg, Plan, Target, Team
from gateway.wire.body import shown

Order = Callable[[Sequence[Target]], tuple[Target, ...]]
"""Says in which order the targets of a model are asked."""


class Route(Struct, frozen=True):
    """One model as it is offered. ``missing`` says what must be so before it can be, where it cannot; ``defaults`` are
    the parameters that apply where the caller gives none."""

    name: str
    targets: tuple[Target, ...]
    defaults: tuple[tuple[str, object], ...] = ()
    missing: tuple[str, ...] = ()


class Router:
    """All models of one configuration. ``aliases`` are further names of models."""

    def __init__(
        self,
        routes: Mapping[str, Route],
        aliases: Mapping[str, str],
        *,
        default: str | None,
        max_models: int,
        max_choices: int,
        legal_name: Callable[[str], bool],
        order: Order,
    ) -> None:
        self._routes = {**routes, **{alias: routes[name] for alias, name in aliases.items()}}
        self._default = default
        self._max_models = max_models
        self._max_choices = max_choices
        self._legal_name = legal_name
        self._order = order

    def offered(self) -> list[str]:
        """The names that can be asked, in the order of the configuration."""
        return [name for name, route in self._routes.items() if route.targets]

    def plan(self, request: CompletionRequest, team: Team) -> tuple[Plan, Fanout]:
        """A leg for each model in the caller's order, or the error that stops the whole call."""
        routes = self._resolve(request)
        n = request.params.n
        if len(routes) * n > self._max_choices:
            raise BadRequest(
                f"n: {len(routes)} models with {n} choices each are more than {self._max_choices} choices",
                param="n",
            )
        legs = tuple(self._leg(name, route, request, i * n) for i, (name, route) in enumerate(routes))
        return legs, fanout_of(request, len(legs))

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
                raise NotOffered(f"model '{name}' is not offered: {' or '.join(route.missing)}", param="model")
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

    def _leg(self, name: str, route: Route, request: CompletionRequest, offset: int) -> Leg:
        params = request.params
        if route.defaults:
            params = with_defaults(params, route.defaults)
        call = Call(name, request.input, params, request.stream)
        targets = route.targets if len(route.targets) == 1 else self._order(route.targets)
        return first_expressible(name, call, targets, offset)


def first_expressible(name: str, call: Call, targets: tuple[Target, ...], offset: int) -> Leg:
    """The leg, beginning with the first target whose wire has words for the call."""
    refusal: Rejected | None = None
    for i, target in enumerate(targets):
        try:
            return Leg(name, call, targets[i:], offset, requests(target, call))
        except Rejected as exc:
            refusal = refusal or exc
    assert refusal is not None
    raise BadRequest(f"model '{name}': {refusal.message}", param=refusal.param) from refusal


def requests(target: Target, call: Call) -> tuple[Asked, ...]:
    """What a target is asked: one request, or several where it gives fewer choices at a time than are asked.

    Raises Rejected when the target's wire cannot express the call.
    """
    asked = for_target(target, call)
    most, n = target.adapter.max_n, asked.params.n
    if most is None or n <= most:
        return (Asked(asked, target.adapter.encode(asked)),)
    return tuple(Asked(part, target.adapter.encode(part)) for part in parts(asked, most))


def parts(call: Call, most: int) -> list[Call]:
    """The call in calls of at most ``most`` choices. Each later one gets its own seed, so that choices differ."""
    params, found = call.params, []
    for start in range(0, params.n, most):
        seed = None if params.seed is None else params.seed + start
        share = msgspec.structs.replace(params, n=min(most, params.n - start), seed=seed)
        found.append(msgspec.structs.replace(call, params=share))
    return found


def for_target(target: Target, call: Call) -> Call:
    """The call in the target's terms: its own model name, and a prompt made a chat where it only chats."""
    text, params = call.input, call.params
    if target.mode == "chat" and isinstance(text, str):
        text = (Message("user", text),)
    if params.max_tokens is None and target.max_tokens is not None:
        params = msgspec.structs.replace(params, max_tokens=target.max_tokens)
    return Call(target.model, text, params, call.stream)


def with_defaults(params: Params, defaults: tuple[tuple[str, object], ...]) -> Params:
    fill = {name: value for name, value in defaults if getattr(params, name) in (None, ())}
    return msgspec.structs.replace(params, **fill) if fill else params


def fanout_of(request: CompletionRequest, legs: int) -> Fanout:
    """How the legs become one answer. A quorum is by default the majority."""
    needed = request.min_success
    if needed is None:
        needed = legs // 2 + 1 if request.mode == "quorum" else 1
    if needed > legs:
        raise BadRequest(f"fanout.min_success: {needed} of {legs} models cannot be reached", param="fanout.min_success")
    if request.mode == "first" and needed > 1:
        raise BadRequest(
            'fanout.min_success: mode "first" ends with one answer; use "quorum"', param="fanout.min_success"
        )
    deadline = None if request.deadline_ms is None else request.deadline_ms / 1000
    return Fanout(request.mode, needed, deadline, request.strict)


def weighted(rng: random.Random) -> Order:
    """First tries are shared out by weight; the rest follow in a random order of the same weights; fallbacks come
    last, as they are written."""

    def order(targets: Sequence[Target]) -> tuple[Target, ...]:
        drawn = sorted(
            (target for target in targets if not target.fallback),
            key=lambda target: rng.random() ** (1 / target.weight),
            reverse=True,
        )
        return (*drawn, *(target for target in targets if target.fallback))

    return order
