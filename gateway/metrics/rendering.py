"""All workers' figures as one exposition, in the format that the scraper prefers."""

import math
import operator
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from gateway.metrics import table
from gateway.metrics.shared import Figures, Labels, of_all, read

Encode = Callable[[Collector], bytes]
Numbers = list[float]
Gathered = dict[table.Metric, dict[Labels, Numbers]]

END = b"# EOF\n"
"""How a text of OpenMetrics ends."""

SERIES = 100
LINES = 64
"""Series that are read, and lines that are written, in one go."""

MERGES: dict[table.Merge, Callable[[float, float], float]] = {"sum": operator.add, "max": max, "min": min}


class One(Collector):
    """What the library's encoders take."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        yield self._family


def chunks(own: Figures, folder: Path | None, encode: Encode) -> Iterator[bytes]:
    """What all workers have counted, in pieces that take about a millisecond each, some of them empty: others can have
    their turn in between. ``folder`` holds the workers' files; without one it is what this worker has."""
    found: Gathered = {}
    files = [(own.raw(), True)] if folder is None or own.path is None else of_all(folder)
    for raw, alive in files:
        for number, _ in enumerate(added(found, raw, alive)):
            if not number % SERIES:
                yield b""
    for metric in table.TABLE:
        if metric.reckoned:
            continue
        series, step = sorted(found.get(metric, {}).items()), max(1, LINES // metric.width)
        for start in range(0, len(series) or 1, step):
            text = encode(One(family(metric, dict(series[start : start + step])))).removesuffix(END)
            yield text if not start else without_head(text)


def gathered(files: Iterable[tuple[bytes, bool]]) -> Gathered:
    """The series of all workers, added up."""
    found: Gathered = {}
    for raw, alive in files:
        for _ in added(found, raw, alive):
            pass
    return found


def added(found: Gathered, raw: bytes, alive: bool) -> Iterator[None]:
    """Adds one worker's series, one at a time, as the table says. Gauges count only of those that live."""
    numbers = memoryview(raw)[: len(raw) // 8 * 8].cast("d")
    for series in read(raw):
        yield
        metric = series.metric
        if metric.kind == "gauge" and not alive:
            continue
        mine = [float(number) for number in numbers[series.at // 8 : series.at // 8 + metric.width]]
        if mine[0] != mine[0]:
            continue  # a gauge that is not told
        of = found.setdefault(metric, {})
        before = of.get(series.labels)
        of[series.labels] = mine if before is None else merged(metric, before, mine)


def without_head(text: bytes) -> bytes:
    """The samples alone: the lines that describe them come once."""
    while text.startswith(b"#"):
        text = text.partition(b"\n")[2]
    return text


def merged(metric: table.Metric, before: Numbers, more: Numbers) -> Numbers:
    combine = MERGES[metric.merge]
    return [combine(one, other) for one, other in zip(before, more, strict=True)]


def family(metric: table.Metric, series: dict[Labels, Numbers]) -> Metric:
    """In the library's form, in the order of the labels."""
    name, help, labels, unit = metric.name, metric.help, metric.labels, metric.unit
    if metric.kind == "histogram":
        histogram = HistogramMetricFamily(name, help, labels=labels, unit=unit)
        bounds = [str(floatToGoString(bound)) for bound in (*metric.buckets, math.inf)]  # type: ignore[no-untyped-call]
        for values, numbers in sorted(series.items()):
            counts = running(numbers[:-1])
            histogram.add_metric(values, list(zip(bounds, counts, strict=True)), numbers[-1])
        return histogram
    made = (CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily)(
        name, help, labels=labels, unit=unit
    )
    for values, numbers in sorted(series.items()):
        made.add_metric(values, numbers[0] / metric.scale)
    return made


def running(counts: Numbers) -> Numbers:
    """How many fell into each bucket or one before it."""
    total, found = 0.0, []
    for count in counts:
        total += count
        found.append(total)
    return found
