"""What the service tells, as it is then read: each figure in its series, exact, and cheap."""

import time
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from gateway.ledger.entry import Entry
from gateway.limits.types import Granted, Standing, Subject
from gateway.metrics import Metrics
from gateway.metrics.recording import LEFT_BEHIND
from gateway.metrics.table import OTHER
from tests.gateway.metrics.exposition import Told

ENTRY = Entry(
    "leg.0.0", 1, "r", "red", "k", "ann", "a", "p/gpt", "ok", 1, 1, 7, 4, None, None, None, 15_001, False, 320, None
)
CLIENT = {"gen_ai_provider_name": "p", "gen_ai_request_model": "gpt"}


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


@pytest.fixture
def metrics(clock: Time) -> Iterator[Metrics]:
    yield Metrics(None, clock)


def told(metrics: Metrics) -> Told:
    return Told(metrics.render(None)[0].decode())


def entry(**changes: Any) -> Entry:
    return msgspec.structs.replace(ENTRY, **changes)


def test_a_request_and_its_leg(metrics: Metrics, clock: Time) -> None:
    metrics.begun("r", "/v1/chat/completions")
    assert told(metrics).total("gateway_in_flight") == 1
    metrics.granted()
    clock.now += 0.0003  # what we did before
    began = clock.now
    clock.now += 0.32
    metrics.observe((ENTRY,), began)
    clock.now += 0.0001
    metrics.answered("r", 200, "red")
    found = told(metrics)
    assert found.by("gateway_requests_total", "route", "status", "team") == {("/v1/chat/completions", "200", "red"): 1}
    assert found.by("gateway_legs_total", "model", "target", "outcome") == {("a", "p/gpt", "ok"): 1}
    assert found.by("gateway_tokens_total", "team", "model", "kind") == {
        ("red", "a", "input"): 7,
        ("red", "a", "output"): 4,
    }
    assert found.total("gateway_cost_usd_total", team="red", model="a") == 0.000015001
    assert found.total("gateway_in_flight") == 0
    assert found.total("gateway_overhead_seconds_bucket", le="0.0005") == 1
    assert found.total("gateway_overhead_seconds_bucket", le="0.00025") == 0
    assert found.total("gateway_overhead_seconds_sum") == pytest.approx(0.0004)
    assert found.total("gateway_request_duration_seconds_sum") == pytest.approx(0.3204)
    chat = {"gen_ai_operation_name": "chat", **CLIENT}
    assert found.total("gen_ai_client_token_usage_sum", gen_ai_token_type="input", **chat) == 7
    assert found.total("gen_ai_client_token_usage_bucket", gen_ai_token_type="output", le="4.0", **chat) == 1
    assert found.total("gen_ai_client_token_usage_bucket", gen_ai_token_type="output", le="1.0", **chat) == 0
    assert found.total("gen_ai_client_operation_duration_seconds_sum", error_type="", **chat) == 0.32
    assert found.total("gen_ai_client_operation_duration_seconds_bucket", le="0.32", **chat) == 1  # bounds are in
    assert found.total("gen_ai_client_operation_duration_seconds_bucket", le="0.16", **chat) == 0
    assert found.total("gen_ai_server_time_to_first_token_seconds_count") == 0
    assert found.total("gen_ai_server_request_duration_seconds_count", gen_ai_operation_name="chat", error_type="") == 1


def test_the_span_of_several_legs_is_one(metrics: Metrics, clock: Time) -> None:
    metrics.begun("r", "/v1/completion")
    clock.now += 1
    first = clock.now
    clock.now += 2
    metrics.observe((entry(id="leg.0.0"),), first + 0.5)
    clock.now += 3
    metrics.observe((entry(id="leg.1.0", outcome="failed"),), first)
    clock.now += 4
    metrics.answered("r", 200, "red")
    assert told(metrics).total("gateway_overhead_seconds_sum") == 5


def test_what_reaches_no_model_is_all_overhead(metrics: Metrics, clock: Time) -> None:
    metrics.begun("r", "/v1/embeddings")
    clock.now += 0.002
    metrics.answered("r", 401, "", "invalid_api_key")
    found = told(metrics)
    assert found.total("gateway_overhead_seconds_sum") == pytest.approx(0.002)
    assert found.by("gen_ai_server_request_duration_seconds_count", "gen_ai_operation_name", "error_type") == {
        ("embeddings", "invalid_api_key"): 1
    }


def test_waiting_for_what_others_are_given_is_no_overhead(metrics: Metrics, clock: Time) -> None:
    metrics.begun("r", "/v1/completion")
    began = clock.now
    clock.now += 30
    metrics.waited("r", began)
    clock.now += 0.0002
    metrics.answered("r", 502, "red", "unavailable")
    assert told(metrics).total("gateway_overhead_seconds_sum") == pytest.approx(0.0002)
    metrics.waited("gone", began)


def test_what_comes_of_a_call_whose_caller_left(metrics: Metrics, clock: Time) -> None:
    """It is still what they asked for."""
    metrics.begun("r", "/v1/chat/completions")
    metrics.left("r")
    metrics.answered("r", 0, "red", "caller_left")
    metrics.observe((ENTRY,), clock.now)
    for number in range(2000):
        metrics.begun(str(number), "/v1/chat/completions")
        metrics.left(str(number))
        metrics.answered(str(number), 0, "red", "caller_left")
    assert len(metrics._left) == LEFT_BEHIND
    found = told(metrics).by("gen_ai_client_operation_duration_seconds_count", "gen_ai_operation_name")
    assert found == {("chat",): 1}


def test_who_left_before_there_was_a_status(metrics: Metrics) -> None:
    metrics.begun("r", "/v1/completion")
    metrics.answered("r", 0, "red", "caller_left")
    metrics.broken("/v1/completion", "caller_left")
    found = told(metrics)
    assert found.by("gateway_requests_total", "status") == {("499",): 1}
    assert found.by("gateway_streams_broken_total", "reason") == {("caller_left",): 1}


def test_a_stream(metrics: Metrics, clock: Time) -> None:
    metrics.begun("r", "/v1/completion")
    clock.now += 0.5
    first = clock.now
    metrics.observe((entry(first_token=400),), 100.0)
    clock.now += 1
    metrics.answered("r", 200, "red", first_byte=first)
    found = told(metrics)
    assert found.total("gateway_first_byte_seconds_sum", route="/v1/completion") == 0.5
    assert found.total("gen_ai_server_time_to_first_token_seconds_sum", **CLIENT) == 0.4


def test_kinds_of_tokens_that_few_have(metrics: Metrics) -> None:
    metrics.observe((entry(cached=3, cache_write=2, reasoning=1, cost=None, estimated=True, outcome="failed"),), 0.0)
    found = told(metrics)
    assert found.by("gateway_tokens_total", "kind") == {
        ("input",): 7, ("output",): 4, ("cached",): 3, ("cache_write",): 2, ("reasoning",): 1,
    }  # fmt: skip
    assert found.total("gateway_legs_unpriced_total", target="p/gpt") == 1
    assert found.total("gateway_legs_estimated_total", target="p/gpt") == 1
    assert found.total("gateway_cost_usd_total") == 0
    assert found.total("gen_ai_client_operation_duration_seconds_count", error_type="failed") == 1


def test_money_is_exact(metrics: Metrics) -> None:
    """Floats of dollars would have lost the last digits: the nano-dollars are added up as whole numbers."""
    for _ in range(3):
        metrics.observe((entry(cost=1_000_000_000_000_001),), 0.0)
    for _ in range(1000):
        metrics.observe((entry(cost=1),), 0.0)
    nano = 3 * 1_000_000_000_000_001 + 1000
    assert told(metrics).total("gateway_cost_usd_total") == nano / 10**9


def test_what_a_dead_process_had_begun(metrics: Metrics) -> None:
    metrics.recovered(entry(outcome="interrupted", estimated=True, duration=0))
    found = told(metrics)
    assert found.total("gateway_legs_total", outcome="interrupted") == 1
    assert found.total("gateway_tokens_total") == 11
    assert found.total("gen_ai_client_operation_duration_seconds_count") == 0


def test_decisions(metrics: Metrics) -> None:
    team = Subject("team", "red")
    soft = Standing(team, "USD/day", 10, 0, 60)
    metrics.granted()
    metrics.granted(Granted(1))
    metrics.granted(Granted(1, soft=(soft, Standing(Subject("key", "k1"), "USD/month", 1, 0, 1)), degraded=True))
    metrics.refused(Standing(Subject("user", "red/ann"), "tokens/min", 10, 0, 60), degraded=True)
    metrics.unpriced(team)
    metrics.unrecorded()
    found = told(metrics)
    assert found.by("gateway_admissions_total", "decision", "scope", "limit") == {
        ("granted", "", ""): 3,
        ("refused", "user", "tokens/min"): 1,
        ("refused", "team", "price_unknown"): 1,
        ("unrecorded", "", ""): 1,
    }
    assert found.by("gateway_soft_budget_passed_total", "scope", "subject", "limit") == {
        ("team", "red", "USD/day"): 1,
        ("key", "", "USD/month"): 1,  # keys are not named: they come and go
    }
    assert found.total("gateway_degraded_total") == 2


def test_failures_and_what_is_done_about_them(metrics: Metrics) -> None:
    metrics.cache("a", "hit")
    metrics.retried("p/gpt", "throttled")
    metrics.fell_back("a", "p/gpt", "q/claude", "unavailable")
    metrics.unreached("a", "p/gpt")
    metrics.shed("queue_full")
    metrics.answered_otherwise(404)
    for state in ("closed", "open", "half_open", "open"):
        metrics.breaker("p/gpt", "KEY_1", state)
    found = told(metrics)
    assert found.by("gateway_cache_total", "model", "result") == {("a", "hit"): 1}
    assert found.by("gateway_retries_total", "target", "reason") == {("p/gpt", "throttled"): 1}
    assert found.by("gateway_fallbacks_total", "model", "from", "to", "reason") == {
        ("a", "p/gpt", "q/claude", "unavailable"): 1
    }
    assert found.by("gateway_legs_total", "outcome") == {("unreached",): 1}
    assert found.by("gateway_rejected_total", "reason") == {("queue_full",): 1}
    assert found.by("gateway_other_requests_total", "status") == {("4xx",): 1}
    assert found.by("gateway_breaker_state", "target", "credential", "state") == {("p/gpt", "KEY_1", "open"): 1}


def test_what_is_watched(metrics: Metrics) -> None:
    waiting, lost = [5.0], [2.0]
    queues: dict[tuple[str, ...], float] = {("p",): 1.0, ("q",): 4.0}
    metrics.watch("gateway_ledger_pending", lambda: waiting[0])
    metrics.watch("gateway_unsettled_lost_total", lambda: lost[0])
    metrics.watch_each("gateway_provider_waiting", lambda: queues)
    metrics.look()
    waiting[0], lost[0] = 3, 7
    del queues["q",]
    metrics.look()
    metrics.look()
    found = told(metrics)
    assert found.total("gateway_ledger_pending") == 3
    assert found.total("gateway_unsettled_lost_total") == 7
    assert found.by("gateway_provider_waiting", "provider") == {("p",): 1}
    with pytest.raises(ValueError, match="gateway_nothing"):
        metrics.watch("gateway_nothing", lambda: 1)


def test_a_successor_goes_on_counting_what_is_watched(tmp_path: Any, clock: Time) -> None:
    file = str(tmp_path / "census.json")
    for lost in (2, 3):
        worker = Metrics(file, clock)
        worker.watch("gateway_unsettled_lost_total", lambda lost=lost: lost)  # type: ignore[misc]
        worker.look()
        found = told(worker)
        worker._own.close()
    assert found.total("gateway_unsettled_lost_total") == 5
    assert found.total("gateway_workers") == 1


def test_any_number_of_names(metrics: Metrics) -> None:
    """Nobody's choice of names can fill the memory: the sets of places at hand are bounded, and so are the series."""
    for number in range(30_000):
        metrics.observe((entry(team=f"team-{number}"),), 0.0)
    found = told(metrics)
    assert found.total("gateway_tokens_total", kind="input") == 7 * 30_000
    assert len(found.by("gateway_tokens_total", "team", "kind")) <= 10_002
    assert found.total("gateway_tokens_total", team=OTHER, model=OTHER, kind="input") == 7 * 25_000
    assert found.total("gateway_legs_total") == 30_000


def test_openmetrics_for_those_who_ask(metrics: Metrics) -> None:
    body, kind = metrics.render("application/openmetrics-text; version=1.0.0")
    assert kind.startswith("application/openmetrics-text") and body.endswith(b"# EOF\n")
    body, kind = metrics.render("text/plain")
    assert kind.startswith("text/plain; version=")
    body, kind = metrics.render(None)
    assert kind.startswith("text/plain; version=")


def test_what_it_takes(metrics: Metrics) -> None:
    """All that is told of a request for one model: some 3 microseconds where nothing else runs."""
    metrics = Metrics(None, time.monotonic)
    verdict, entries = Granted(1), (ENTRY,)

    def request() -> None:
        metrics.begun("r", "/v1/chat/completions")
        metrics.granted(verdict)
        metrics.observe(entries, 1.0)
        metrics.answered("r", 200, "red")

    def round() -> float:
        began = time.thread_time()
        for _ in range(1000):
            request()
        return (time.thread_time() - began) / 1000

    assert min(round() for _ in range(30)) < 12e-6
