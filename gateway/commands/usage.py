"""``gateway usage``."""

from typing import Any

import click

from gateway.commands.failed import Failed
from gateway.commands.options import now
from gateway.commands.session import Plain, Session, command


@click.command(cls=Plain)
@click.option("--team", help="Only this team's.")
@click.option("--key", help="Only this key's, by its id.")
@click.option("--model", help="Only of this model.")
@click.option("--since", default="30d", show_default=True, metavar="WHEN", help="Such as 30d, 24h, or a date.")
@click.option("--until", metavar="WHEN", help="The same [now].")
@click.option("--by", metavar="A,B", help="A row for each: team, key, model, target, day, hour.")
@click.option("--format", "form", type=click.Choice(["table", "csv", "json"]), default="table", help="[table]")
@command
def usage(session: Session, form: str, **given: Any) -> None:
    """What was used, and what it cost."""
    from gateway.adminapi import reports
    from gateway.adminapi.told import told
    from gateway.commands import show

    try:
        query = reports.query(now(), **given)
    except reports.Wrong as error:
        raise Failed(f"--{error}", "invalid", error.field) from None
    rows = session.ask(lambda control: control.usage(query))
    if form == "csv" and not session.as_json:
        click.echo(reports.csv(rows, query.by), nl=False)
        return
    if form == "json":
        session = Session(True, None, None, None)
    columns = (*query.by, *reports.COLUMNS)
    numbers = frozenset(reports.COLUMNS)
    # A sum may be unknown; a call made with a token has no key.
    missing = ["?" if name in numbers else "-" for name in columns]
    cells = [[cell or sign for cell, sign in zip(reports.cells(row, columns), missing, strict=True)] for row in rows]
    session.tell(
        [told(row) for row in rows],
        lambda: show.table(columns, cells, numbers) if rows else show.none("usage in this time"),
    )
