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

Numbers = list[float]
Gathered = dict[table.Metric, dict[Labels, Numbers]]

MERGES: dict[table.Merge, Callable[[float, float], float]] = {"sum": operator.add, "max": max, "min": min}


class Counted(Collector):
    """What all workers have counted. ``folder`` holds their files; without one it is what this worker has."""

    def __init__(self, own: Figures, folder: Path | None) -> None:
        self._own = own
        self._folder = folder

    def describe(self) -> Iterator[Metric]:
        """Nothing: so that nobody reads the files before they are asked for."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        alone = self._folder is None or self._own.path is None
        found = gathered([(self._own.raw(), True)] if alone or self._folder is None else of_all(self._folder))
        for metric in table.TABLE:
            if not metric.reckoned:
                yield family(metric, found.get(metric, {}))


def gathered(files: Iterable[tuple[bytes, bool]]) -> Gathered:
    """The series of all workers, added up as the table says. Gauges count only of those that live."""
    found: Gathered = {}
    for raw, alive in files:
        numbers = memoryview(raw)[: len(raw) // 8 * 8].cast("d")
        for series in read(raw):
            metric = series.metric
            if metric.kind == "gauge" and not alive:
                continue
            mine = [float(number) for number in numbers[series.at // 8 : series.at // 8 + metric.width]]
            if mine[0] != mine[0]:
                continue  # a gauge that is not told
            of = found.setdefault(metric, {})
            before = of.get(series.labels)
            of[series.labels] = mine if before is None else merged(metric, before, mine)
    return found


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
