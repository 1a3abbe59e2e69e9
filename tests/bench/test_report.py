"""Repetitions become figures, figures meet targets or miss them."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bench.__main__ import repeat, wanted_scenarios
from bench.measure import Options, Sample, calls_complaint
from bench.peers import NGINX, environment, gateway
from bench.processes import Usage
from bench.report import Figure, failures, fill_in, summarise
from bench.scenarios import Scenario, Target


def samples(*values: float, foreign: float = 0, complaint: str = "") -> list[Sample]:
    return [Sample({"cpu_us": value}, foreign, complaint) for value in values]


def test_undisturbed_repetitions_count_alone() -> None:
    taken = samples(20, 22, 24) + samples(90, foreign=0.5)
    assert summarise(taken, "cpu_us", 0.15, 3) == Figure(22, 20, 24, 3, disturbed=False, complaint="")


def test_with_too_few_of_them_all_count_and_are_marked() -> None:
    taken = samples(20) + samples(30, 40, foreign=0.5)
    figure = summarise(taken, "cpu_us", 0.15, 3)
    assert figure == Figure(30, 20, 40, 3, disturbed=True, complaint="")
    assert figure is not None and figure.text("us") == "~30.0 (20.0-40.0)"


@pytest.mark.parametrize(
    ("target", "figure", "other", "met"),
    [
        (Target("ratio", 5), 98, 20, True),
        (Target("ratio", 5), 102, 20, False),
        (Target("ratio", 5), 90, None, None),
        (Target("difference", 60), 139, 80, True),
        (Target("difference", 60), 141, 80, False),
        (Target("difference", 60), 20, None, None),
        (Target("at most", 80), 81, 6, False),
        (Target("at least", 11_000), 11_000, None, True),
        (Target("all"), 1_000, 1_000, True),
        (Target("all"), 999, 1_000, False),
    ],
)
def test_targets(target: Target, figure: float, other: float | None, met: bool | None) -> None:
    assert target.met(figure, other) is met


def test_three_models_are_held_against_the_one_model_of_nginx() -> None:
    taken = {("gateway", "three"): samples(150), ("nginx", "one"): samples(20)}
    (line,) = fill_in(["three"], ["gateway", "nginx"], taken, Options())
    assert (line.ratio, line.met) == (7.5, True)


def test_a_chat_is_held_against_our_own_call() -> None:
    taken = {("gateway", "one"): samples(100), ("gateway", "chat"): samples(120), ("nginx", "one"): samples(20)}
    (line,) = fill_in(["chat"], ["gateway", "nginx"], taken, Options())
    assert (line.ratio, line.met, str(line.row.target)) == (1.2, False, "<= 1.15 x one")


def test_a_typed_call_is_held_against_the_same_without_its_type() -> None:
    taken = {("gateway", "untyped"): samples(80), ("gateway", "typed"): samples(141)}
    (line,) = fill_in(["typed"], ["gateway", "nginx"], taken, Options())
    assert (line.met, str(line.row.target), list(line.figures)) == (False, "<= untyped + 60", ["gateway"])
    assert failures([line]) == ["typed: misses <= untyped + 60"]


def test_all_calls_of_the_demo_model_must_be_answered_however_many_there_were() -> None:
    for valid, met in ((100, True), (99, False)):
        taken = {("gateway", "demo"): [Sample({"valid": valid, "calls": 100, "demo_s": 3}, 0)]}
        (line,) = fill_in(["demo"], ["gateway", "nginx"], taken, Options())
        assert (line.figures["gateway"].median, line.met) == (valid, met)


def test_what_is_subtracted_takes_turns_with_what_it_is_subtracted_from() -> None:
    asked: list[str] = []

    def repetition(target: Any, scenario: Scenario, direct: Any) -> Sample:
        asked.append(scenario.ask)
        return Sample({}, foreign=0.5 if len(asked) == 2 else 0)

    bench: Any = SimpleNamespace(options=Options(reps=2), warm_up=lambda *_: None, repetition=repetition)
    target: Any = SimpleNamespace(peer=NGINX)
    repeat(bench, [(target, "typed"), (target, "untyped")], {})
    assert asked == ["typed", "untyped", "typed", "untyped", "untyped"]


def test_what_others_cannot_do_is_measured_of_the_gateway_only() -> None:
    keys = ["typed", "schema", "schemacached", "demo"]
    assert wanted_scenarios(keys, gateway("key", Path())) == ["typed", "untyped", "conversion", "demo"]
    assert wanted_scenarios(keys, NGINX) == []


def test_a_check_fails_on_misses_bad_answers_and_what_cannot_be_judged() -> None:
    taken = {
        ("gateway", "one"): samples(150),
        ("nginx", "one"): samples(20),
        ("gateway", "long"): samples(1, complaint="bad answers of 7: 7 status"),
        ("gateway", "stream"): samples(500),
    }
    assert failures(fill_in(["one", "long", "stream"], ["gateway", "nginx"], taken, Options())) == [
        "one: misses <= 5 x nginx",
        "long: gateway: bad answers of 7: 7 status",
        "stream: <= 0.9 x nginx cannot be judged without both figures",
    ]


def test_cpu_is_exact_by_threads_and_falls_back_to_ticks_when_one_has_ended() -> None:
    before = Usage({1: 1_000_000, 2: 5_000_000}, ticks=10)
    assert Usage({1: 3_000_000, 2: 5_000_000, 3: 500_000}, 10).since(before) == 0.0025
    assert Usage({1: 3_000_000}, ticks=12).since(before) == pytest.approx(0.02)


@pytest.mark.parametrize(
    ("scenario", "requests", "right", "wrong"),
    [
        (Scenario("one", 16), 100, 100, 101),
        (Scenario("three", 16), 100, 300, 100),
        (Scenario("hit", 16), 100, 0, 1),
        (Scenario("miss", 16), 100, 100, 99),
        (Scenario("same", 20, bursts=True), 100, 5, 6),
        (Scenario("fallback", 16), 10_000, 19_998, 10_000),
    ],
)
def test_how_often_the_provider_was_asked_is_a_part_of_the_answers_being_good(
    scenario: Scenario, requests: int, right: int, wrong: int
) -> None:
    assert calls_complaint(scenario, requests, right) == ""
    assert calls_complaint(scenario, requests, wrong).startswith("bad answers")


def test_two_figures_of_one_measurement_are_held_against_each_other() -> None:
    taken = {("gateway", "overload"): [Sample({"usual_p99_us": 10, "p99_us": 25}, 0)]}
    (line,) = fill_in(["overload"], ["gateway"], taken, Options())
    assert (line.ratio, line.met) == (2.5, False)


def test_what_is_measured_keeps_what_it_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    monkeypatch.setenv("GATEWAY_WORKERS", "9")
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    env = environment(NGINX, {})
    assert not env.keys() & {"PYTHONDONTWRITEBYTECODE", "GATEWAY_WORKERS", "HTTPS_PROXY"}
    assert env["PATH"]
