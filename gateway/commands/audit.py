"""``gateway audit``."""

import sys
from collections.abc import Callable

import click
import msgspec

from gateway.commands.options import earlier
from gateway.commands.session import Family, Plain, Session, command
from gateway.control.types import AuditReport, LogView

EMPTY: tuple[object, ...] = (None, False, "", [], {})


@click.group(cls=Family, invoke_without_command=True)
@click.option("--repair", is_flag=True, help="Set counters to what the ledger says.")
@command
def audit(session: Session, repair: bool) -> None:
    """Check that nothing is lost.

    Ledger, roll-ups and counters must agree. Exit status 1 says that they do not. `audit log` tells who changed what.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return
    from gateway.adminapi.told import told

    report = session.ask(lambda control: control.audit(repair))
    session.tell(told(report), lambda: tell(report))
    if not all(drift.repaired for drift in report.drifts):
        sys.exit(1)


def tell(report: AuditReport) -> None:
    from gateway.adminapi.numbers import dollar_text
    from gateway.commands import show

    tokens = report.in_flight_tokens
    show.facts(
        (
            ("at", show.at(report.at)),
            ("entries", str(report.entries)),
            ("cost", f"${dollar_text(report.cost_nano)}"),
            ("in flight", known(report.in_flight_nano, lambda nano: f"${dollar_text(nano)}, {tokens} tokens")),
            ("waiting for SQL", known(report.spooled, lambda entries: f"{entries} entries")),
            ("counters", known(report.counters, str)),
            ("drift", str(len(report.drifts))),
        )
    )
    rows = [
        [one.what, one.subject, str(one.expected), str(one.found), "yes" if one.repaired else "no"]
        for one in report.drifts
    ]
    if rows:
        show.table(("what", "subject", "expected", "found", "repaired"), rows, frozenset({"expected", "found"}))


def known(amount: int | None, said: Callable[[int], str]) -> str:
    """What only a running gateway knows is not said to be zero by a command that asked none."""
    return "not looked at: a running gateway knows it (--url)" if amount is None else said(amount)


@audit.command(cls=Plain)
@click.option("--since", metavar="WHEN", help="Such as 7d, or a date [the beginning].")
@click.option("--subject", help="Only changes of this one.")
@click.option("--last", type=click.IntRange(1, 10_000), default=100, show_default=True, help="How many.")
@command
def log(session: Session, since: str | None, subject: str | None, last: int) -> None:
    """Who changed what, the newest first."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    start = earlier("since", since)
    lines = session.ask(lambda control: control.log(since=start, subject=subject, last=last))
    rows = [[show.at(line.at), line.actor, f"{line.action} {line.kind}", line.subject, change(line)] for line in lines]
    columns = ("at", "actor", "action", "subject", "change")
    session.tell([told(line) for line in lines], lambda: show.table(columns, rows) if rows else show.none("changes"))


def change(line: LogView) -> str:
    """What is different afterwards; of what was made, all that was said of it."""
    from gateway.adminapi.told import once

    before, after = [once(view) if isinstance(view, dict) else {} for view in (line.before, line.after)]
    if not before:
        return ", ".join([f"{name}: {text(value)}" for name, value in after.items() if value not in EMPTY])
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    return ", ".join([f"{name}: {text(before.get(name))} -> {text(after.get(name))}" for name in names])


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()
