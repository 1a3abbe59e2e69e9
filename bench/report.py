"""The report: medians with their spread, ratios, targets; as a table to read and as JSON to keep."""

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from bench.measure import Options, Sample
from bench.scenarios import ROWS, Row, Unit

GATEWAY = "gateway"
BASELINE = "nginx"
FORMATS: dict[Unit, str] = {"us": ",.0f", "/s": ",.0f", "MB": ".0f", "s": ".2f", "calls": ",.0f"}

Samples = Mapping[tuple[str, str], Sequence[Sample]]  # by (peer, scenario)


@dataclass(frozen=True)
class Figure:
    """The median of the repetitions that count, their spread, and what speaks against it."""

    median: float
    low: float
    high: float
    reps: int
    disturbed: bool  # too few repetitions were undisturbed, so all count
    complaint: str  # of the first repetition with bad answers; such a figure means nothing

    def text(self, unit: Unit) -> str:
        if self.complaint:
            return "bad answers"
        form = FORMATS[unit]
        if unit == "us" and self.median < 100:
            form = ".1f"
        median, low, high = (format(value, form) for value in (self.median, self.low, self.high))
        return ("~" if self.disturbed else "") + (f"{median} ({low}-{high})" if self.reps > 1 else median)


@dataclass(frozen=True)
class Line:
    """A row of the table, filled in."""

    key: str
    row: Row
    figures: Mapping[str, Figure]  # by peer
    ratio: float | None  # of the gateway's figure to the other's; None when one is missing or means nothing
    met: bool | None  # None: no target, or it cannot be judged

    @property
    def bad(self) -> bool:
        return any(figure.complaint for figure in self.figures.values())


def summarise(samples: Sequence[Sample], name: str, limit: float, wanted: int) -> Figure | None:
    """One figure of several repetitions; undisturbed ones alone if at least half of those wanted were so."""
    known = [sample for sample in samples if name in sample.figures]
    if not known:
        return None
    quiet = [sample for sample in known if sample.foreign <= limit]
    disturbed = len(quiet) < (min(wanted, len(known)) + 1) // 2
    values = [sample.figures[name] for sample in (known if disturbed else quiet)]
    complaint = next((sample.complaint for sample in known if sample.complaint), "")
    return Figure(statistics.median(values), min(values), max(values), len(values), disturbed, complaint)


def fill_in(keys: Sequence[str], peers: Sequence[str], samples: Samples, options: Options) -> list[Line]:
    """The rows asked for, in the table's order."""
    lines = []
    for key in (key for key in ROWS if key in keys):
        row, figures = ROWS[key], {}
        for peer in peers:
            taken = samples.get((peer, row.scenario)) or samples.get((peer, row.against), ())
            figure = summarise(taken, row.figure, options.foreign, options.reps)
            if figure is not None:
                figures[peer] = figure
        lines.append(judge(key, row, figures, baseline(row, figures, samples, options)))
    return lines


def baseline(row: Row, figures: Mapping[str, Figure], samples: Samples, options: Options) -> Figure | None:
    """What the gateway's figure is held against: nginx's of the same row, its own of another, or another of it."""
    if row.other is not None:
        theirs = samples.get((GATEWAY, row.other.scenario), ())
        return summarise(theirs, row.other.figure, options.foreign, options.reps)
    if row.target is not None and row.target.bound == "all":
        return summarise(samples.get((GATEWAY, row.scenario), ()), row.target.of, options.foreign, options.reps)
    return figures.get(BASELINE)


def judge(key: str, row: Row, figures: Mapping[str, Figure], theirs: Figure | None) -> Line:
    """Compare the gateway's figure with the other and with the target."""
    ours = figures.get(GATEWAY)
    other = theirs.median if theirs is not None and not theirs.complaint and theirs.median > 0 else None
    ratio = met = None
    if ours is not None and not ours.complaint:
        ratio = None if other is None else ours.median / other
        met = None if row.target is None else row.target.met(ours.median, other)
    return Line(key, row, figures, ratio, met)


def failures(lines: Sequence[Line]) -> list[str]:
    """Why `--check` fails; empty when every target is met by figures that mean something."""
    found = []
    for line in lines:
        for peer, figure in line.figures.items():
            if figure.complaint:
                found.append(f"{line.key}: {peer}: {figure.complaint}")
        if line.row.target is None or line.bad:
            continue
        if line.met is None:
            found.append(f"{line.key}: {line.row.target} cannot be judged without both figures")
        elif not line.met:
            found.append(f"{line.key}: misses {line.row.target}")
    return found


def print_table(console: Console, lines: Sequence[Line], peers: Sequence[str], options: Options) -> None:
    """One line for each figure, in a form that a README can hold."""
    table = Table(box=box.MARKDOWN)
    table.add_column("figure")
    table.add_column("unit")
    for peer in peers:
        table.add_column(peer, justify="right")
    table.add_column("ratio", justify="right")
    table.add_column("target")
    for line in lines:
        title = line.row.title.format(requests=options.memory_requests, calls=options.calls)
        cells = [title, _unit(line.row)]
        cells += [line.figures[peer].text(line.row.unit) if peer in line.figures else "-" for peer in peers]
        cells.append("-" if line.ratio is None else f"{line.ratio:.2f}")
        table.add_row(*cells, _verdict(line), style="red" if line.bad or line.met is False else None)
    console.print(table)


def print_notes(console: Console, lines: Sequence[Line], samples: Samples, options: Options) -> None:
    """What the table has no room for."""
    for (peer, scenario), taken in samples.items():
        delay = [summarise(taken, f"event_delay_{q}_us", options.foreign, options.reps) for q in ("p50", "p99")]
        if scenario.startswith("paced") and delay[0] and delay[1]:
            p50, p99 = (figure.median for figure in delay if figure)
            console.print(f"event delay, {scenario}, {peer}: p50 {p50:,.0f} us, p99 {p99:,.0f} us")
    for (peer, scenario), taken in samples.items():
        if scenario == "memory":
            known = taken[0].figures
            console.print(
                f"RSS, {peer}: {known['rss_idle_mb']:.0f} MB at start, "
                f"{known['rss_tenth_mb']:.0f} MB after {options.memory_requests // 10:,} requests, "
                f"{known['rss_mb']:.0f} MB after {options.memory_requests:,}"
            )
    for taken in samples.values():
        for note in (note for sample in taken for note in sample.notes):
            console.print(note, markup=False)
    if any(figure.disturbed for line in lines for figure in line.figures.values()):
        console.print(
            f"~ other processes used more than {options.foreign:g} cores during most repetitions (--realtime)"
        )


def write_json(file: Path, about: Mapping[str, object], lines: Sequence[Line], samples: Samples) -> None:
    """Everything that was measured."""
    rows = {
        line.key: {
            "title": line.row.title,
            "unit": _unit(line.row),
            "figures": {peer: asdict(figure) for peer, figure in line.figures.items()},
            "ratio": line.ratio,
            "target": str(line.row.target) if line.row.target else None,
            "met": line.met,
        }
        for line in lines
    }
    taken = [
        {"peer": peer, "scenario": scenario, **asdict(sample)}
        for (peer, scenario), some in samples.items()
        for sample in some
    ]
    file.write_text(json.dumps({**about, "rows": rows, "samples": taken}, indent=1) + "\n")


def _unit(row: Row) -> str:
    return "CPU us" if row.figure.endswith("cpu_us") else row.unit


def _verdict(line: Line) -> str:
    if line.row.target is None:
        return "-"
    return f"{line.row.target}{ {True: ' ok', False: ' MISSED', None: ''}[line.met] }"
