"""The tables at the end of a run."""

from collections.abc import Iterator

from rich.table import Table

from tools.soak.mixed import WARM, Told
from tools.soak.vitals import MEGABYTE, growth, slope


def pairs(title: str, rows: list[tuple[str, str]]) -> Table:
    table = Table(title=title, title_justify="left", show_header=False)
    table.add_column()
    table.add_column(justify="right", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def tables(told: Told) -> Iterator[Table]:
    rate = told.sent / told.seconds if told.seconds else 0
    yield pairs(
        "calls",
        [
            ("sent", f"{told.sent:,} ({rate:,.0f} a second)"),
            *[(end, f"{number:,}") for end, number in told.ends.most_common()],
            *[(f"failed: {code}", f"{number:,}") for code, number in told.failures.most_common()],
            *[(f"cache: {kind}", f"{number:,}") for kind, number in told.caches.most_common()],
            ("the slowest", f"{told.slowest:.1f} s"),
            ("wrong", f"{len(told.wrong):,}"),
        ],
    )
    rows = [
        (f"{place}: {kind}", f"{number:,}")
        for place, counts in told.injected.items()
        for kind, number in counts.most_common()
    ]
    yield pairs("what went wrong", [*rows, *[(kind, f"{number:,}") for kind, number in told.done.most_common()]])
    found = told.finding
    yield pairs(
        "accounts",
        [
            ("the provider served", f"{found.served:,} requests"),
            ("the ledger has", f"{found.entries:,} entries, {found.input + found.output:,} tokens"),
            ("/metrics", told.metrics),
            ("equal to what was served", f"{found.equal:,}"),
            ("estimated, since the answer was cut", f"{found.estimated:,}"),
            ("interrupted by a death", f"{found.interrupted:,}"),
            ("never reached the provider", f"{found.unsent:,}"),
            ("answered without asking, at no cost", f"{found.hits:,}"),
            ("the same at once", told.shared),
            ("different", f"{len(found.drift):,}"),
        ],
    )
    yield of_machine(told)
    yield at_rest(told)


def of_machine(told: Told) -> Table:
    """Memory and files of the gateway that lives all the time, at tenths of it."""
    table = Table(title="the machine", title_justify="left")
    for name in ("seconds", "memory, MB", "files", "sockets"):
        table.add_column(name, justify="right")
    samples = told.samples
    for number in range(0, len(samples), max(1, len(samples) // 10)):
        one = samples[number]
        passed, memory = one.at - samples[0].at, one.held.memory / MEGABYTE
        table.add_row(f"{passed:.0f}", f"{memory:.1f}", f"{one.held.files}", f"{one.held.sockets}")
    if samples:
        later = [one for one in samples if one.at >= samples[0].at + WARM * told.seconds]
        more = f"{slope(later) * 60 / MEGABYTE:+.2f} MB a minute, {growth(later) / MEGABYTE:+.1f} MB in all, once warm"
        table.title = f"the machine: {more}"
    return table


def at_rest(told: Told) -> Table:
    """The same gateway before the first call and after the last."""
    table = Table(title="at rest", title_justify="left")
    for name in ("", "before", "after"):
        table.add_column(name, justify="right" if name else "left")
    if told.before and told.after:
        for name in ("callers", "providers", "stores"):
            table.add_row(f"connections: {name}", str(getattr(told.before, name)), str(getattr(told.after, name)))
        table.add_row("other files", str(told.before.others.total()), str(told.after.others.total()))
        table.add_row("pieces of memory", f"{told.before.blocks:,}", f"{told.after.blocks:,}")
        table.add_row("tasks", str(told.before.tasks.total()), str(told.after.tasks.total()))
    return table
