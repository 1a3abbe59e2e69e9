"""``gateway limits``."""

from typing import Any

import click

from gateway.commands.failed import Failed
from gateway.commands.options import limited, limits_of
from gateway.commands.session import Family, Plain, Session, command
from gateway.limits.types import SCOPES, Scope

SCOPE = click.argument("scope", type=click.Choice(SCOPES))
SUBJECT = click.argument("subject", default="")


@click.group(cls=Family)
def limits() -> None:
    """What the organisation, teams, keys, users and models may use."""


@limits.command("list", cls=Plain)
@command
def list_(session: Session) -> None:
    """All limits, and where each is set."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    found = session.ask(lambda control: control.limits())
    rows = [[one.scope, one.subject, show.limits(one.limits), one.source] for one in found]
    columns = ("scope", "subject", "limits", "source")
    session.tell([told(one) for one in found], lambda: show.table(columns, rows) if rows else show.none("limits"))


@limits.command("set", cls=Plain)
@SCOPE
@SUBJECT
@limited
@command
def set_(session: Session, scope: Scope, subject: str, **given: Any) -> None:
    """Set limits of a subject: a team's name, a key's id, TEAM/USER, or a model. The organisation has none.

    A limit can also be `unlimited`, whatever routing.yaml says, or `none`, to go by routing.yaml again.
    """
    from gateway.adminapi.told import told
    from gateway.commands import show

    check(scope, subject)
    changes = limits_of(given)
    if changes is None:
        raise Failed("nothing to set: give --rpm, --tpm, --tpd, --concurrent, --budget-usd or --soft-budget-usd")
    view = session.run(lambda control: control.set_limits(scope, subject, changes))
    said = (("scope", view.scope), ("subject", view.subject), ("limits", show.limits(view.limits) or "none"))
    session.tell(told(view), lambda: show.facts(said))


@limits.command(cls=Plain)
@SCOPE
@SUBJECT
@command
def clear(session: Session, scope: Scope, subject: str) -> None:
    """Take all limits of a subject back that were set here; those of routing.yaml stay."""
    check(scope, subject)
    session.run(lambda control: control.clear_limits(scope, subject))
    said = {"scope": scope, "subject": subject, "cleared": True}
    session.tell(said, lambda: click.echo(f"the limits of {f'{scope} {subject}'.strip()} go by routing.yaml again"))


def check(scope: Scope, subject: str) -> None:
    if scope == "organisation" and subject:
        raise Failed("the organisation has no SUBJECT", "invalid", "subject")
    if scope != "organisation" and not subject:
        raise Failed(f"name the SUBJECT: whose limits of scope {scope}?", "invalid", "subject")
