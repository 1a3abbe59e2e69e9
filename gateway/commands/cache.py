"""``gateway cache``."""

import click

from gateway.commands.session import Family, Plain, Session, command

TEAM = click.option("--team", help="Only this team's.")
MODEL = click.option("--model", help="Only of this model, by its name under models.")


@click.group(cls=Family)
def cache() -> None:
    """Answers that are kept for the next who asks the same."""


@cache.command(cls=Plain)
@TEAM
@MODEL
@command
def stats(session: Session, team: str | None, model: str | None) -> None:
    """How many answers are kept, and what they take, by team and model."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    found = session.ask(lambda control: control.cache(team, model))
    rows = [[one.team, one.model, str(one.entries), size(one.bytes)] for one in found]
    if len(rows) > 1:
        entries, taken = sum([one.entries for one in found]), sum([one.bytes for one in found])
        rows.append(["all", "", str(entries), size(taken)])
    columns, numbers = ("team", "model", "answers", "size"), frozenset({"answers", "size"})
    human = lambda: show.table(columns, rows, numbers) if rows else show.none("kept answers")  # noqa: E731
    session.tell([told(one) for one in found], human)


@cache.command(cls=Plain)
@TEAM
@MODEL
@command
def purge(session: Session, team: str | None, model: str | None) -> None:
    """Let go of kept answers: of a team, of a model, or without both of all."""
    from gateway.adminapi.told import told

    purged = session.ask(lambda control: control.purge_cache(team, model))
    answers = "1 kept answer is" if purged.entries == 1 else f"{purged.entries} kept answers are"
    session.tell(told(purged), lambda: click.echo(f"{answers} gone"))


def size(bytes: int) -> str:
    """12.3 kB, as people count."""
    if bytes < 1000:
        return f"{bytes} B"
    amount, unit = bytes / 1000, "kB"
    for larger in ("MB", "GB", "TB"):
        if amount < 999.95:
            break
        amount, unit = amount / 1000, larger
    return f"{amount:.1f} {unit}"
