"""The table: names as Prometheus and OpenTelemetry want them, and room in a worker's file for all that it promises."""

import re

import pytest

from gateway.metrics import table
from gateway.metrics.shared import ENTRY, SIZE, START
from gateway.metrics.table import TABLE, Metric

UNITS = ("_seconds", "_bytes", "_ratio", "_info", "_usd", "_tokens")


@pytest.mark.parametrize("metric", TABLE, ids=lambda metric: metric.name)
def test_each_line_is_well_formed(metric: Metric) -> None:
    """https://prometheus.io/docs/practices/naming/: base units, _total for what only grows, a help text for each."""
    assert re.fullmatch(r"(gateway|gen_ai_(client|server))_[a-z_]+", metric.name)
    assert (metric.kind == "counter") == metric.name.endswith("_total")
    assert metric.help.endswith(".") and metric.help[0].isupper() or metric.help.startswith("1,")
    assert metric.name.removesuffix("_total").endswith(metric.unit)
    assert (metric.kind == "histogram") == bool(metric.buckets)
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert all(re.fullmatch(r"[a-z_]+", label) and label != "le" for label in metric.labels)
    if metric.kind == "histogram":
        assert metric.merge == "sum" and metric.scale == 1


def test_names_are_told_apart() -> None:
    assert len({metric.name for metric in TABLE}) == len(TABLE)


def test_open_labels_are_labels() -> None:
    assert table.OPEN.issubset(label for metric in TABLE for label in metric.labels)


def test_the_conventions_buckets() -> None:
    """https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-metrics/ lists them."""
    assert table.TOKEN_USAGE.buckets == (
        1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864,
    )  # fmt: skip
    assert table.OPERATION_SECONDS.buckets == table.SERVER_SECONDS.buckets
    assert table.FIRST_TOKEN_SECONDS.buckets[0] == 0.001 and table.FIRST_TOKEN_SECONDS.buckets[-1] == 10.0


def test_there_is_room_for_all_series() -> None:
    """With names of 40 characters for each label, as many as there may be."""
    needed = START + sum(
        metric.most * (ENTRY.size + 43 * len(metric.labels) + 16 + 8 * metric.width)
        for metric in TABLE
        if metric.labels and not metric.reckoned
    )
    assert needed < SIZE
