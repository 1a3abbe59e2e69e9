"""Dashboard and alerts: in form, about metrics that there are, and each query answered by a real Prometheus that
scrapes a gateway under traffic."""

import asyncio
import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import yaml

from gateway.metrics.table import TABLE
from tests.faults.gateway import KEY, Gateway, running
from tests.provider import Provider, Script
from tests.servers.prometheus import Prometheus, needs_prometheus, prometheus, promtool
from tests.servers.redis import RedisServer
from tools import monitoring

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
FOLDER = DEPLOY / "prometheus"
DASHBOARD: dict[str, Any] = msgspec.json.decode((DEPLOY / "grafana" / "gateway.json").read_bytes())
RULES: dict[str, Any] = yaml.safe_load((FOLDER / "rules.yml").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
ALERTS = [rule for group in RULES["groups"] for rule in group["rules"]]
TESTS = yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]

SHAPES = {"counter": ("",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
SAMPLES = {metric.name + end for metric in TABLE for end in SHAPES[metric.kind]}


def names(expression: str) -> set[str]:
    """Of the series that an expression reads."""
    return set(re.findall(r"\b(?:gateway|gen_ai)_\w+(?=[\[{)\s]|$)", re.sub(r"by \([^)]*\)", "", expression)))


def filled_in(expression: str) -> str:
    """As Grafana would send it."""
    chosen = {"$instance": ".*", "$team": ".*", "$model": ".*", "$__rate_interval": "1m", "$__range": "1h"}
    for variable, value in chosen.items():
        expression = expression.replace(variable, value)
    assert "$" not in expression, expression
    return expression


def queries() -> dict[str, str]:
    """All expressions: of panels by their titles, of alerts by their names."""
    found = {
        f"{panel['title']}, {one['refId']}": filled_in(one["expr"]) for panel in PANELS for one in panel["targets"]
    }
    return found | {alert["alert"]: alert["expr"] for alert in ALERTS}


# ------------------------------------------------------------------ the form


def test_what_is_checked_in_is_what_the_tool_makes() -> None:
    """`make monitoring` writes both."""
    assert monitoring.DASHBOARD.read_text() == monitoring.dashboard()
    assert monitoring.LIST.read_text() == monitoring.list_of_metrics()


def test_panels_have_their_own_places() -> None:
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert sorted(ids) == sorted(set(ids)) and all(id > 0 for id in ids)
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        assert set(at) == {"x", "y", "w", "h"} and at["x"] >= 0 and at["x"] + at["w"] <= 24 and at["h"] > 0
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, f"{panel['title']} lies on {taken[x, y]}"
                taken[x, y] = panel["title"]


def test_panels_ask_the_source_that_is_chosen() -> None:
    variables = {variable["name"]: variable for variable in DASHBOARD["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and variables["datasource"]["query"] == "prometheus"
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in PANELS:
        assert panel["datasource"] == source and panel["title"] and panel["targets"]
        assert [target["datasource"] for target in panel["targets"]] == [source] * len(panel["targets"])
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs)
        for target in panel["targets"]:
            used = set(re.findall(r"\$(\w+)", target["expr"]))
            assert used <= variables.keys() | {"__rate_interval", "__range"}
            labels = set(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            by = re.search(r"by \(([^)]*)\)", target["expr"])
            assert labels <= set(by[1].split(", ") if by else ()), panel["title"]
    for name, variable in variables.items():
        if variable["type"] == "query":
            assert names(variable["definition"].partition("(")[2].partition(",")[0]) <= SAMPLES, name


@pytest.mark.parametrize(("title", "expression"), queries().items(), ids=list(queries()))
def test_queries_read_what_is_declared(title: str, expression: str) -> None:
    """Names of the table, and of each the labels that it has."""
    found = names(expression)
    assert found <= SAMPLES and (found or "up{" in expression)
    known = {"le", "instance", "job"} | {label for metric in TABLE for label in metric.labels}
    used = re.findall(r"[{,]\s*(\w+)(?:=~|!=|!~|=)", expression)
    for by in re.findall(r"by \(([^)]*)\)", expression):
        used += by.split(", ")
    assert set(used) <= known


def test_every_metric_is_looked_at() -> None:
    """By a panel or an alert: what nobody looks at need not be counted."""
    looked_at = {name for expression in queries().values() for name in names(expression)}
    unseen = {metric.name for metric in TABLE if not looked_at & {metric.name + end for end in SHAPES[metric.kind]}}
    assert unseen == set()


def test_every_metric_is_in_the_list() -> None:
    listed = re.findall(r"^\| `(\w+)` \|", (FOLDER / "metrics.md").read_text(), re.M)
    assert listed == [metric.name for metric in TABLE]


def test_documents_name_metrics_that_there_are() -> None:
    told = set(
        re.findall(r"`((?:gateway|gen_ai)_[a-z_]+_(?:total|seconds|bytes|up))\b", (ROOT / "README.md").read_text())
    )
    assert told <= {metric.name for metric in TABLE}


def test_every_alert_says_what_to_do() -> None:
    for alert in ALERTS:
        assert alert["alert"].startswith("Gateway") and alert["labels"]["severity"] in ("critical", "warning")
        assert set(alert["annotations"]) == {"summary", "description"}
        assert alert["annotations"]["description"].endswith(".")
    assert len({alert["alert"] for alert in ALERTS}) == len(ALERTS)


def test_every_alert_is_tested_both_ways() -> None:
    told = [one for test in TESTS for one in test["alert_rule_test"]]
    alerts = {alert["alert"] for alert in ALERTS}
    assert {one["alertname"] for one in told if one.get("exp_alerts")} == alerts
    assert {one["alertname"] for one in told if not one.get("exp_alerts")} == alerts


# ------------------------------------------------------------------ by the real programs


@needs_prometheus
def test_promtool_accepts_rules_and_configuration() -> None:
    promtool("check", "config", str(FOLDER / "prometheus.yml"))
    promtool("check", "rules", str(FOLDER / "rules.yml"))


@needs_prometheus
def test_alerts_come_when_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    assert "SUCCESS" in promtool("test", "rules", "rules_test.yml")


@needs_prometheus
def test_promtool_accepts_every_panel(tmp_path: Path) -> None:
    rules = [
        {"record": f"panel:{panel['id']}:{target['refId'].lower()}", "expr": filled_in(target["expr"])}
        for panel in PANELS
        for target in panel["targets"]
    ]
    file = tmp_path / "panels.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    assert f"{len(rules)} rules found" in promtool("check", "rules", str(file))


RIGHTLY_EMPTY = {
    "Memory, B",  # there are no children
    "Processors, B",
    "Children, A",
    "Children, B",
    "GatewayChildDown",
    "GatewayNoTraffic",  # nothing is known of yesterday
    "GatewayStreamsBreakOff",  # which takes a mistake of ours: what a provider breaks off is completed with an error
    "GatewayUnrecorded",  # Redis is there, and the disk has room
}
"""What these gateways have no figures for, under this traffic."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with RedisServer(tmp_path / "redis") as server:
        yield server


LIMITED = """
limits:
  models: {{b: {{rpm: 3}}}}
  teams: {{default: {{soft_usd_per_day: 0.000001}}}}
breaker: {{failures: 4, pause: 300, most_pause: 300}}
retry: {{base: 0.01, floor: 100}}
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY, concurrency: 8}}
models:
  a: {{targets: [{{provider: p, model: a, price: {{input: 100, output: 200}}}}]}}
  b: {{targets: [{{provider: p, model: b, price: {{input: 1, output: 2}}}}]}}
  c: {{targets: [{{provider: p, model: c}}]}}
  free: {{targets: [{{provider: p, model: free}}]}}
  saved: {{targets: [{{provider: p, model: ill}}, {{provider: p, model: a, fallback: true}}]}}
  slow: {{targets: [{{provider: p, model: slow}}]}}
  torn: {{targets: [{{provider: p, model: torn}}]}}
"""

NARROW = """
server: {{concurrency: 1, queue: 0}}
providers:
  p: {{adapter: gpt, base_url: "{url}", key_env: P_KEY}}
models:
  slow: {{targets: [{{provider: p, model: slow}}]}}
"""
"""Of a gateway that keeps answers in its own memory, and has room for one call."""


async def traffic(client: httpx.AsyncClient, rounds: int) -> None:
    """Of all kinds, again and again."""
    for _ in range(rounds):
        for model in ("a", "b", "free", "saved", "nobody"):
            await client.post("/v1/completion", json={"model": model, "prompt": "hi"})
            chat = {"model": model, "messages": [{"role": "user", "content": "x"}]}
            await client.post("/v1/chat/completions", json=chat)
        streamed = {"prompt": "x", "stream": True}
        for model in ("a", "torn"):
            async with client.stream("POST", "/v1/completion", json={"model": model, **streamed}) as answer:
                with contextlib.suppress(httpx.RemoteProtocolError):
                    await answer.aread()
        async with client.stream("POST", "/v1/completion", json={"model": "c", **streamed}) as answer:
            await anext(answer.aiter_bytes(), None)  # and leaves
        await client.get("/health")


async def alike(client: httpx.AsyncClient, prompt: str) -> list[str]:
    """Three ask the same at once, and one more later: what came of each."""
    body = {"model": "slow", "prompt": prompt, "temperature": 0}
    answers = await asyncio.gather(*[client.post("/v1/completion", json=body) for _ in range(3)])
    await asyncio.sleep(0.1)  # another worker has it from Redis
    answers.append(await client.post("/v1/completion", json=body))
    return [answer.headers.get("x-gateway-cache") or str(answer.status_code) for answer in answers]


def asked(server: Prometheus) -> set[str]:
    """The queries that find nothing: of alerts, without what makes them alerts."""
    empty = set()
    for title, expression in queries().items():
        expression = re.sub(r"(>|==) [\d.]+", "", expression)
        if not server.query(expression):
            empty.add(title)
    return empty


@needs_prometheus
@pytest.mark.timeout(180)
async def test_every_query_finds_something(provider: Provider, tmp_path: Path, redis: RedisServer) -> None:
    provider.scripts["free"] = Script(status=500)
    provider.scripts["c"] = Script(chunks=("word ",) * 20, pause=0.02)
    provider.scripts["slow"] = Script(pause=0.3)
    provider.scripts["torn"] = Script(cut_after=2)
    gateway = Gateway(tmp_path / "gateway", LIMITED.format(url=provider.url), workers=2, redis_url=redis.url)
    narrow = Gateway(tmp_path / "narrow", NARROW.format(url=provider.url))
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        running(gateway, narrow),
        httpx.AsyncClient(base_url=gateway.url, headers=headers, timeout=10) as client,
        httpx.AsyncClient(base_url=narrow.url, headers=headers, timeout=10) as other,
    ):
        config = (FOLDER / "prometheus.yml").read_text()
        both = f'"127.0.0.1:{gateway.port}", "127.0.0.1:{narrow.port}"'
        assert '"127.0.0.1:8080"' in config
        config = config.replace('"127.0.0.1:8080"', both).replace("15s", "500ms")
        config = config.replace("rules.yml", str(FOLDER / "rules.yml"))
        with prometheus(tmp_path / "prometheus", config) as server:
            for number in range(3):  # figures must have been seen to grow
                provider.turns["ill"] = [Script(status=500), Script()] * 2  # not as ill as to be left alone
                await traffic(client, 2)
                assert sorted(await alike(client, f"p{number}")) == ["coalesced", "coalesced", "hit", "miss"]
                assert sorted(await alike(other, f"p{number}")) == ["503", "503", "hit", "miss"]
                before = await asyncio.to_thread(server.scrapes)
                async with asyncio.timeout(20):
                    while await asyncio.to_thread(server.scrapes) < before + 3:  # noqa: ASYNC110
                        await asyncio.sleep(0.05)
            assert await asyncio.to_thread(asked, server) == RIGHTLY_EMPTY
            firing = await asyncio.to_thread(server.get, "api/v1/alerts")
            assert "GatewayDown" not in {alert["labels"]["alertname"] for alert in firing["data"]["alerts"]}
