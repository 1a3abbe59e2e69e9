"""``gateway teams``."""

from typing import Any

import click

from gateway.commands.options import about, changed, described, limited, limits_of, redescribed
from gateway.commands.session import Family, Plain, Session, command
from gateway.control.types import TeamChanges, TeamView


@click.group(cls=Family)
def teams() -> None:
    """Teams: they own keys, and have limits and budgets."""


@teams.command(cls=Plain)
@click.argument("name")
@described
@limited
@command
def create(
    session: Session, name: str, models: str | None, tags: tuple[str, ...], meta: tuple[str, ...], **given: Any
) -> None:
    """Make a team."""
    limits, more = limits_of(given), about(models, tags, meta)
    tell(session, session.run(lambda control: control.create_team(name, limits=limits, **more)))


@teams.command(cls=Plain)
@click.argument("name")
@redescribed
@command
def update(session: Session, name: str, models: str | None, tags: tuple[str, ...], meta: tuple[str, ...]) -> None:
    """Change what is said of a team; what is not given stays. Limits are changed by `gateway limits set team NAME`."""
    changes = TeamChanges(**changed(models, tags, meta))
    tell(session, session.run(lambda control: control.change_team(name, changes)))


@teams.command("list", cls=Plain)
@command
def list_(session: Session) -> None:
    """All teams."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    found = session.ask(lambda control: control.teams())
    rows = [[team.name, state(team), show.models(team.models), show.limits(team.limits)] for team in found]
    columns = ("team", "state", "models", "limits")
    session.tell([told(team) for team in found], lambda: show.table(columns, rows) if rows else show.none("teams"))


@teams.command(cls=Plain)
@click.argument("name")
@command
def show(session: Session, name: str) -> None:
    """One team."""
    tell(session, session.ask(lambda control: control.team(name)))


@teams.command(cls=Plain)
@click.argument("name")
@command
def enable(session: Session, name: str) -> None:
    """Let a team's keys in again."""
    tell(session, session.run(lambda control: control.change_team(name, TeamChanges(disabled=False))))


@teams.command(cls=Plain)
@click.argument("name")
@command
def disable(session: Session, name: str) -> None:
    """Refuse a team's keys for now."""
    tell(session, session.run(lambda control: control.change_team(name, TeamChanges(disabled=True))))


def state(team: TeamView) -> str:
    return "disabled" if team.disabled else "active"


def tell(session: Session, team: TeamView) -> None:
    from gateway.adminapi.told import told
    from gateway.commands import show

    said = (
        ("team", team.name),
        ("state", state(team)),
        ("models", show.models(team.models)),
        ("limits", show.limits(team.limits)),
        ("tags", ", ".join(team.tags)),
        ("metadata", show.pairs(team.metadata)),
        ("created", show.at(team.created)),
    )
    session.tell(told(team), lambda: show.facts(said))
