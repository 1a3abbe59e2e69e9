"""Names to plans: places fixed, limits held, nothing sent for a call that cannot be."""

import random
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest

from adapters.types import Asked, Chat, Params
from gateway.constraints import Checker
from gateway.errors import GatewayError
from gateway.resilience.strategies import Order, weighted
from gateway.routing import Route, Router, as_written
from gateway.types import Caller, CompletionRequest, Fanout, FanoutBody, Leg, Plan, Target
from tests.gateway.playing import Playing, target

UP = Playing()
TEAM = Caller("default", "k")


def router(order: Order = as_written, **more: Any) -> Router:
    routes = {
        "a": Route("a", (target(UP, "a-up"),)),
        "b": Route(
            "b", (target(UP, "b-up", weight=3), target(UP, "b2-up"), target(UP, "b3-up", fallback=True)), order=order
        ),
        "raw": Route("raw", (msgspec.structs.replace(target(UP, "raw-up"), mode="completion", max_tokens=99),)),
        "warm": Route("warm", (target(UP, "warm-up"),), defaults=(("temperature", 0.8), ("max_tokens", 20))),
        "keyless": Route("keyless", (), missing=("SOME_KEY must be set",)),
        "x,y": Route("x,y", (target(UP, "xy-up"),)),
    }
    options: dict[str, Any] = {
        "default": "a", "max_models": 4, "max_choices": 16, "checker": Checker(), "steady": float,
        "repair_rounds": 2, "legal_name": lambda name: ".." not in name,
    }  # fmt: skip
    return Router(routes, {"alias": "a"}, **(options | more))


def ask(*models: str, **more: Any) -> CompletionRequest:
    params = more.pop("params", Params())
    more.setdefault("one_text", len(models) == 1)
    fanout = {name: more.pop(name) for name in FanoutBody.__struct_fields__ if name in more}
    if fanout:
        more["fanout"] = FanoutBody(**fanout)
    return CompletionRequest(models, more.pop("input", "hi"), params, **more)


def body(plan: Plan, leg: int = 0) -> Any:
    return said(plan[leg], plan[leg].first[0])


def said(leg: Leg, asked: Asked) -> Any:
    """What is sent, also where it is said only then."""
    request = asked.request or leg.targets[0].adapter.encode(asked.call)
    return msgspec.json.decode(request.body)


def test_choices_have_their_places_before_anything_is_asked() -> None:
    plan, _ = router().plan(ask("a", "b", "a", params=Params(n=2)), TEAM)
    assert [(leg.model, leg.offset) for leg in plan] == [("a", 0), ("b", 2), ("a", 4)]


def test_no_model_is_the_default_model() -> None:
    assert router().plan(ask(), TEAM)[0][0].model == "a"


def test_an_alias_keeps_the_callers_name() -> None:
    plan, _ = router().plan(ask("alias"), TEAM)
    assert (plan[0].model, body(plan)["model"]) == ("alias", "a-up")


def test_names_with_commas_are_lists_unless_a_model_is_called_so() -> None:
    assert [leg.model for leg in router().plan(ask("a, b"), TEAM)[0]] == ["a", "b"]
    assert [leg.model for leg in router().plan(ask("x,y"), TEAM)[0]] == ["x,y"]
    with pytest.raises(GatewayError, match="no model 'a,b'"):
        router().plan(ask("a,b", one_text=False, mode="all"), TEAM)


def test_a_prompt_becomes_a_chat_only_where_the_target_chats() -> None:
    plan, _ = router().plan(ask("a", "raw"), TEAM)
    assert body(plan, 0)["messages"] == [{"role": "user", "content": "hi"}]
    assert body(plan, 1)["prompt"] == "hi"
    assert plan[0].call.input == "hi"


def test_a_chat_stays_a_chat() -> None:
    messages = msgspec.Raw(b'[{"role": "system", "content": "s"}]')
    for name in ("a", "raw"):
        plan, _ = router().plan(ask(name, input=Chat(messages)), TEAM)
        assert body(plan)["messages"] == [{"role": "system", "content": "s"}]


def test_completion_targets_get_a_token_limit_when_nobody_gives_one() -> None:
    assert body(router().plan(ask("raw"), TEAM)[0])["max_tokens"] == 99
    assert body(router().plan(ask("raw", params=Params(max_tokens=5)), TEAM)[0])["max_tokens"] == 5
    assert "max_completion_tokens" not in body(router().plan(ask("a"), TEAM)[0])


def test_a_models_defaults_give_way_to_the_caller() -> None:
    assert body(router().plan(ask("warm"), TEAM)[0])["temperature"] == 0.8
    plan, _ = router().plan(ask("warm", params=Params(temperature=0.0)), TEAM)
    assert (body(plan)["temperature"], body(plan)["max_completion_tokens"]) == (0.0, 20)


@pytest.mark.parametrize(
    ("request_", "status", "words"),
    [
        (ask("nope"), 404, "there is no model 'nope'"),
        (ask("allias"), 404, "did you mean 'alias'?"),
        (ask("../../etc"), 400, "is not a model's name"),
        (ask("keyless"), 503, "SOME_KEY must be set"),
        (ask("a", "keyless"), 503, "SOME_KEY"),
        (ask("keyless", "nope"), 404, "nope"),
        (ask("a", "a", "a", "a", "a"), 400, "5 models in one call; at most 4"),
        (ask("a,a,a,a,a"), 400, "at most 4"),
        (ask("a", "b", params=Params(n=9)), 400, "more than the 16 choices"),
        (ask("a", "b", mode="quorum", min_success=3), 400, "3 of 2 models"),
        (ask("a", "b", mode="first", min_success=2), 400, "quorum"),
    ],
)
def test_what_cannot_be_is_refused_whole(request_: CompletionRequest, status: int, words: str) -> None:
    with pytest.raises(GatewayError) as caught:
        router().plan(request_, TEAM)
    assert caught.value.status == status
    assert words in caught.value.message


def test_without_a_default_the_model_must_be_named() -> None:
    with pytest.raises(GatewayError, match="model is missing"):
        router(default=None).plan(ask(), TEAM)


def test_only_models_that_can_be_asked_are_offered() -> None:
    assert router().offered() == ["a", "b", "raw", "warm", "x,y", "alias"]


@pytest.mark.parametrize(
    ("asked", "fanout"),
    [
        ({}, Fanout("all", 1)),
        ({"mode": "quorum"}, Fanout("quorum", 2)),
        ({"mode": "quorum", "min_success": 3}, Fanout("quorum", 3)),
        ({"mode": "first", "deadline_ms": 1500, "strict": True}, Fanout("first", 1, 1.5, True)),
    ],
)
def test_how_answers_are_joined(asked: dict[str, Any], fanout: Fanout) -> None:
    assert router().plan(ask("a", "b", "raw", **asked), TEAM)[1] == fanout


def test_first_tries_are_shared_out_by_weight_and_fallbacks_come_last() -> None:
    rng = random.Random(1)
    plans = [router(order=weighted(rng)).plan(ask("b"), TEAM)[0] for _ in range(2000)]
    firsts = [plan[0].targets[0].model for plan in plans]
    assert 0.70 < firsts.count("b-up") / 2000 < 0.80
    assert {plan[0].targets[-1].model for plan in plans} == {"b3-up"}
    assert all(len(plan[0].targets) == 3 for plan in plans)


def test_a_model_may_have_an_order_of_its_own_which_is_told_the_time() -> None:
    told: list[float] = []

    def backwards(targets: Sequence[Target], now: float) -> tuple[Target, ...]:
        told.append(now)
        return tuple(reversed(targets))

    both = (target(UP, "one"), target(UP, "two"))
    options: dict[str, Any] = {
        "default": None, "max_models": 4, "max_choices": 16, "checker": Checker(), "legal_name": bool,
        "repair_rounds": 2, "steady": lambda: 7.5,
    }  # fmt: skip
    routes = {"own": Route("own", both, order=backwards), "common": Route("common", both)}
    plan, _ = Router(routes, {}, **options).plan(ask("own", "common"), TEAM)
    assert [[one.model for one in leg.targets] for leg in plan] == [["two", "one"], ["one", "two"]]
    assert told == [7.5]


def test_later_parts_of_a_seeded_call_have_seeds_of_their_own() -> None:
    single = Route("one", (target(UP, "one-up", max_n=1),))
    options: dict[str, Any] = {
        "default": None, "max_models": 4, "max_choices": 16, "checker": Checker(), "steady": float,
        "legal_name": bool, "repair_rounds": 2,
    }  # fmt: skip
    plan, _ = Router({"one": single}, {}, **options).plan(ask("one", params=Params(n=3, seed=40)), TEAM)
    assert [said(plan[0], asked)["seed"] for asked in plan[0].first] == [40, 41, 42]


def test_a_target_shows_no_secret() -> None:
    assert isinstance(router(), Router) and "sk-" not in repr(target(UP, "a")) and isinstance(target(UP, "a"), Target)
