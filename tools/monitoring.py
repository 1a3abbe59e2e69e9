"""Makes what is checked in for those who look at the gateway: Grafana's dashboard, and the list of all metrics.

python -m tools.monitoring
"""

import json
from pathlib import Path
from typing import Any

from gateway.metrics.table import TABLE, Metric

ROOT = Path(__file__).parents[1]
DASHBOARD = ROOT / "deploy" / "grafana" / "gateway.json"
LIST = ROOT / "deploy" / "prometheus" / "metrics.md"

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
GATEWAY = 'instance=~"$instance"'
TEAM = f'{GATEWAY}, team=~"$team", model=~"$model"'
MODEL = f'{GATEWAY}, model=~"$model"'

Query = tuple[str, str]
"""An expression, and how its series are called in the legend."""


def rate(name: str, by: str, match: str = GATEWAY) -> str:
    return f"sum by ({by}) (rate({name}{{{match}}}[$__rate_interval]))"


def grown(name: str, by: str, match: str = GATEWAY) -> str:
    """Over the whole time that is shown."""
    return f"sum by ({by}) (increase({name}{{{match}}}[$__range]))"


def quantile(part: float, name: str, by: str = "") -> str:
    labels = f"{by}, le" if by else "le"
    return f"histogram_quantile({part}, {rate(f'{name}_bucket', labels)})"


def quantiles(name: str) -> list[Query]:
    return [(quantile(part, name), f"p{part * 100:g}") for part in (0.5, 0.9, 0.99)]


# Each row, and its panels: the title, the unit, how it is drawn, and what it shows.
ROWS: dict[str, list[tuple[str, str, str, list[Query]]]] = {
    "Now": [
        ("Requests", "reqps", "stat", [(f"sum(rate(gateway_requests_total{{{GATEWAY}}}[$__rate_interval]))", "")]),
        (
            "Failed",
            "percentunit",
            "stat",
            [
                (
                    f'(sum(rate(gateway_requests_total{{{GATEWAY}, status=~"5.."}}[$__rate_interval])) or vector(0))'
                    f" / sum(rate(gateway_requests_total{{{GATEWAY}}}[$__rate_interval]))",
                    "",
                )
            ],
        ),
        ("Under way", "short", "stat", [(f"sum(gateway_in_flight{{{GATEWAY}}})", "")]),
        ("Overhead, p50", "s", "stat", [(quantile(0.5, "gateway_overhead_seconds"), "")]),
        ("Spent", "currencyUSD", "stat", [(f"sum(increase(gateway_cost_usd_total{{{TEAM}}}[$__range]))", "")]),
        ("Workers", "short", "stat", [(f"sum(gateway_workers{{{GATEWAY}}})", "")]),
    ],
    "Requests": [
        ("By status", "reqps", "lines", [(rate("gateway_requests_total", "status"), "{{status}}")]),
        ("By route", "reqps", "lines", [(rate("gateway_requests_total", "route"), "{{route}}")]),
        (
            "By team",
            "reqps",
            "lines",
            [(rate("gateway_requests_total", "team", f'{GATEWAY}, team=~"$team"'), "{{team}}")],
        ),
        (
            "Why there was no answer",
            "reqps",
            "lines",
            [
                (
                    rate("gen_ai_server_request_duration_seconds_count", "error_type", f'{GATEWAY}, error_type!=""'),
                    "{{error_type}}",
                )
            ],
        ),
        (
            "Streams that were broken off",
            "reqps",
            "lines",
            [(rate("gateway_streams_broken_total", "reason"), "{{reason}}")],
        ),
        (
            "Turned away",
            "reqps",
            "lines",
            [(rate("gateway_rejected_total", "reason"), "{{reason}}")],
        ),
    ],
    "Time": [
        ("Requests", "s", "lines", quantiles("gateway_request_duration_seconds")),
        ("First byte of a stream", "s", "lines", quantiles("gateway_first_byte_seconds")),
        ("What the gateway adds", "s", "lines", quantiles("gateway_overhead_seconds")),
        (
            "Providers' models, p90",
            "s",
            "lines",
            [
                (
                    quantile(
                        0.9, "gen_ai_client_operation_duration_seconds", "gen_ai_provider_name, gen_ai_request_model"
                    ),
                    "{{gen_ai_provider_name}}/{{gen_ai_request_model}}",
                )
            ],
        ),
        (
            "Their first token, p90",
            "s",
            "lines",
            [
                (
                    quantile(
                        0.9, "gen_ai_server_time_to_first_token_seconds", "gen_ai_provider_name, gen_ai_request_model"
                    ),
                    "{{gen_ai_provider_name}}/{{gen_ai_request_model}}",
                )
            ],
        ),
        (
            "Tokens of an answer, p50 and p99",
            "short",
            "lines",
            [
                (
                    f"histogram_quantile({part}, "
                    + rate("gen_ai_client_token_usage_bucket", "le", f'{GATEWAY}, gen_ai_token_type="output"')
                    + ")",
                    f"p{part * 100:g}",
                )
                for part in (0.5, 0.99)
            ],
        ),
    ],
    "Tokens and money": [
        ("Tokens by kind", "short", "lines", [(rate("gateway_tokens_total", "kind", TEAM), "{{kind}}")]),
        (
            "Tokens by model",
            "short",
            "lines",
            [(rate("gateway_tokens_total", "model", f'{TEAM}, kind=~"input|output"'), "{{model}}")],
        ),
        (
            "Money by model",
            "currencyUSD",
            "lines",
            [(rate("gateway_cost_usd_total", "model", TEAM) + " * 3600", "{{model}} per hour")],
        ),
        (
            "Money by team",
            "currencyUSD",
            "table",
            [(f"topk(20, {grown('gateway_cost_usd_total', 'team', TEAM)})", "{{team}}")],
        ),
        (
            "Tokens by team",
            "short",
            "table",
            [(f"topk(20, {grown('gateway_tokens_total', 'team', TEAM)})", "{{team}}")],
        ),
        (
            "Legs without a price, or with estimated tokens",
            "short",
            "lines",
            [
                (rate("gateway_legs_unpriced_total", "target"), "{{target}}: no price"),
                (rate("gateway_legs_estimated_total", "target"), "{{target}}: estimated"),
            ],
        ),
    ],
    "Providers": [
        ("Legs by target", "reqps", "lines", [(rate("gateway_legs_total", "target", MODEL), "{{target}}")]),
        (
            "Legs that did not end well",
            "reqps",
            "lines",
            [(rate("gateway_legs_total", "target, outcome", f'{MODEL}, outcome!="ok"'), "{{target}}: {{outcome}}")],
        ),
        ("Retries", "reqps", "lines", [(rate("gateway_retries_total", "target, reason"), "{{target}}: {{reason}}")]),
        (
            "Fallbacks",
            "reqps",
            "lines",
            [(rate("gateway_fallbacks_total", "from, to, reason", MODEL), "{{from}} to {{to}}: {{reason}}")],
        ),
        (
            "Breakers that are not closed",
            "short",
            "lines",
            [
                (
                    f'sum by (target, credential, state) (gateway_breaker_state{{{GATEWAY}, state!="closed"}})',
                    "{{target}} {{credential}}: {{state}}",
                )
            ],
        ),
        (
            "Bounded providers",
            "short",
            "lines",
            [
                (f"sum by (provider) (gateway_provider_busy{{{GATEWAY}}})", "{{provider}}: busy"),
                (f"sum by (provider) (gateway_provider_waiting{{{GATEWAY}}})", "{{provider}}: waiting"),
            ],
        ),
    ],
    "Cache": [
        ("By result", "reqps", "lines", [(rate("gateway_cache_total", "result", MODEL), "{{result}}")]),
        (
            "Of answers that could be shared, the part that was",
            "percentunit",
            "lines",
            [
                (
                    rate("gateway_cache_total", "model", f'{MODEL}, result=~"hit|coalesced"')
                    + " / "
                    + rate("gateway_cache_total", "model", MODEL),
                    "{{model}}",
                )
            ],
        ),
        (
            "What is kept",
            "bytes",
            "lines",
            [(f"sum by (instance) (gateway_cache_bytes{{{GATEWAY}}})", "{{instance}}")],
        ),
        (
            "Answers that are kept",
            "short",
            "lines",
            [(f"sum by (instance) (gateway_cache_entries{{{GATEWAY}}})", "{{instance}}")],
        ),
        (
            "Calls that others may join",
            "short",
            "lines",
            [(f"sum by (instance) (gateway_shared_calls{{{GATEWAY}}})", "{{instance}}")],
        ),
    ],
    "Limits": [
        ("Calls by decision", "reqps", "lines", [(rate("gateway_admissions_total", "decision"), "{{decision}}")]),
        (
            "Limits that bind",
            "reqps",
            "lines",
            [
                (
                    rate("gateway_admissions_total", "scope, limit", f'{GATEWAY}, decision="refused"'),
                    "{{scope}}: {{limit}}",
                )
            ],
        ),
        (
            "Soft budgets that are passed",
            "short",
            "lines",
            [(rate("gateway_soft_budget_passed_total", "scope, subject, limit"), "{{scope}} {{subject}}: {{limit}}")],
        ),
        ("Decided without Redis", "reqps", "lines", [(rate("gateway_degraded_total", "instance"), "{{instance}}")]),
        (
            "Uses that wait for Redis",
            "short",
            "lines",
            [
                (f"sum by (instance) (gateway_unsettled{{{GATEWAY}}})", "{{instance}}: waiting"),
                (f"sum by (instance) (gateway_unsettled_lost_total{{{GATEWAY}}})", "{{instance}}: lost"),
            ],
        ),
        (
            "Redis and SQL",
            "short",
            "lines",
            [
                (f"min by (instance) (gateway_redis_up{{{GATEWAY}}})", "{{instance}}: Redis"),
                (f"min by (instance) (gateway_sql_up{{{GATEWAY}}})", "{{instance}}: SQL"),
            ],
        ),
    ],
    "Record and processes": [
        (
            "Ledger behind",
            "s",
            "lines",
            [(f"max by (instance) (gateway_ledger_lag_seconds{{{GATEWAY}}})", "{{instance}}")],
        ),
        (
            "Entries",
            "short",
            "lines",
            [
                (rate("gateway_ledger_written_total", "instance"), "{{instance}}: written per second"),
                (f"sum by (instance) (gateway_ledger_pending{{{GATEWAY}}})", "{{instance}}: waiting"),
            ],
        ),
        (
            "Spool",
            "bytes",
            "lines",
            [
                (f"sum by (instance) (gateway_spool_bytes{{{GATEWAY}}})", "{{instance}}"),
                (f"sum by (instance) (gateway_spool_capacity_bytes{{{GATEWAY}}})", "{{instance}}: at most"),
            ],
        ),
        (
            "Fullest spool",
            "percentunit",
            "lines",
            [(f"max by (instance) (gateway_spool_full_ratio{{{GATEWAY}}})", "{{instance}}")],
        ),
        (
            "Memory",
            "bytes",
            "lines",
            [
                (f"sum by (instance) (gateway_resident_memory_bytes{{{GATEWAY}}})", "{{instance}}"),
                (
                    f"sum by (instance, child) (gateway_child_resident_memory_bytes{{{GATEWAY}}})",
                    "{{instance}}: {{child}}",
                ),
            ],
        ),
        (
            "Processors",
            "short",
            "lines",
            [
                (rate("gateway_cpu_seconds_total", "instance"), "{{instance}}"),
                (rate("gateway_child_cpu_seconds_total", "instance, child"), "{{instance}}: {{child}}"),
            ],
        ),
        (
            "Children",
            "short",
            "lines",
            [
                (f"min by (instance, child) (gateway_child_up{{{GATEWAY}}})", "{{instance}}: {{child}} runs"),
                (
                    f"sum by (instance, child) (gateway_child_restarts_total{{{GATEWAY}}})",
                    "{{instance}}: {{child}} restarts",
                ),
            ],
        ),
        ("Other requests", "reqps", "lines", [(rate("gateway_other_requests_total", "status"), "{{status}}")]),
        (
            "The routing.yaml that is there holds",
            "short",
            "lines",
            [(f"min by (instance) (gateway_config_valid{{{GATEWAY}}})", "{{instance}}")],
        ),
        (
            "Age of the routing that holds",
            "s",
            "lines",
            [(f"time() - min by (instance) (gateway_config_loaded_timestamp_seconds{{{GATEWAY}}})", "{{instance}}")],
        ),
        ("Versions", "short", "table", [(f"count by (version) (gateway_build_info{{{GATEWAY}}})", "{{version}}")]),
    ],
}

TYPES = {"lines": "timeseries", "stat": "stat", "table": "table"}
WIDTH = 24
"""Columns of Grafana's grid."""


def panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for title, row in ROWS.items():
        made.append(
            {"id": len(made) + 1, "type": "row", "title": title, "collapsed": False, "panels": [],
             "gridPos": {"x": 0, "y": y, "w": WIDTH, "h": 1}}
        )  # fmt: skip
        y += 1
        small = all(kind == "stat" for _, _, kind, _ in row)
        wide, high = (WIDTH // len(row), 4) if small else (8, 8)
        for number, (name, unit, kind, queries) in enumerate(row):
            column = number * wide % WIDTH
            if number and not column:
                y += high
            at = {"x": column, "y": y, "w": wide, "h": high}
            made.append(panel(len(made) + 1, name, unit, kind, queries, at))
        y += high
    return made


def panel(id: int, title: str, unit: str, kind: str, queries: list[Query], at: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + number), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
        | ({"instant": True, "range": False, "format": "table"} if kind == "table" else {"range": True})
        for number, (expression, legend) in enumerate(queries)
    ]
    made: dict[str, Any] = {
        "id": id,
        "type": TYPES[kind],
        "title": title,
        "datasource": SOURCE,
        "gridPos": at,
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": targets,
    }
    if kind == "lines":
        made["options"] = {
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    elif kind == "stat":
        made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}}
    else:
        hidden = {"Time": True}
        made["transformations"] = [{"id": "organize", "options": {"excludeByName": hidden}}]
    return made


def variable(name: str, of: str) -> dict[str, Any]:
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": f"label_values({of}, {name})", "refId": name},
        "definition": f"label_values({of}, {name})",
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
    }


def dashboard() -> str:
    made = {
        "uid": "llm-gateway",
        "title": "LLM gateway",
        "description": "Made by tools/monitoring.py.",
        "tags": ["llm", "gateway"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Prometheus"},
                variable("instance", "gateway_workers"),
                variable("team", "gateway_tokens_total"),
                variable("model", "gateway_tokens_total"),
            ]
        },
        "panels": panels(),
    }
    return json.dumps(made, indent=1) + "\n"


def list_of_metrics() -> str:
    lines = [
        "# What `GET /metrics` tells",
        "",
        "Made by `make monitoring` from `gateway/metrics/table.py`. Figures are of all workers of a replica together.",
        "",
        "| name | kind | labels | what it is |",
        "|---|---|---|---|",
    ]
    return "\n".join([*lines, *[line(metric) for metric in TABLE]]) + "\n"


def line(metric: Metric) -> str:
    labels = ", ".join([f"`{label}`" for label in metric.labels])
    return f"| `{metric.name}` | {metric.kind} | {labels} | {metric.help} |"


if __name__ == "__main__":
    DASHBOARD.write_text(dashboard())
    LIST.write_text(list_of_metrics())
