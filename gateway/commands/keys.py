"""``gateway keys``."""

from typing import Any

import click
from msgspec import UNSET

from gateway.commands.options import (
    about,
    changed,
    described,
    duration,
    later,
    limited,
    limits_of,
    redescribed,
    until,
)
from gateway.commands.session import Family, Plain, Session, command
from gateway.control.types import KeyChanges, KeyView, NewKey


@click.group(cls=Family)
def keys() -> None:
    """The keys with which teams call the gateway."""


@keys.command(cls=Plain)
@click.option("--team", required=True, help="Whose key it is.")
@click.option("--name", default="", help="What it is for.")
@click.option("--expires", metavar="WHEN", help="How long it is good, such as 90d, or until when [for ever].")
@described
@limited
@command
def create(
    session: Session,
    team: str,
    name: str,
    expires: str | None,
    models: str | None,
    tags: tuple[str, ...],
    meta: tuple[str, ...],
    **given: Any,
) -> None:
    """Make a key. It is shown this once."""
    limits, end, more = limits_of(given), later("expires", expires), about(models, tags, meta)
    made = session.run(lambda control: control.create_key(team, name=name, expires=end, limits=limits, **more))
    tell_secret(session, made)


@keys.command(cls=Plain)
@click.argument("id")
@click.option("--name", help="What it is for; '' for nothing.")
@click.option("--expires", metavar="WHEN", help="How long it is good from now, such as 90d, or until when, or never.")
@redescribed
@command
def update(
    session: Session,
    id: str,
    name: str | None,
    expires: str | None,
    models: str | None,
    tags: tuple[str, ...],
    meta: tuple[str, ...],
) -> None:
    """Change what is said of a key; what is not given stays. Limits are changed by `gateway limits set key ID`."""
    given = changed(models, tags, meta, name=UNSET if name is None else name, expires=until("expires", expires))
    tell(session, session.run(lambda control: control.change_key(id, KeyChanges(**given))))


@keys.command("list", cls=Plain)
@click.option("--team", help="Only this team's.")
@command
def list_(session: Session, team: str | None) -> None:
    """All keys, or a team's."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    found = session.ask(lambda control: control.keys(team))
    rows = [
        [key.id, key.team, key.name, key.state, show.at(key.expires), show.models(key.models), show.limits(key.limits)]
        for key in found
    ]
    columns = ("id", "team", "name", "state", "expires", "models", "limits")
    session.tell([told(key) for key in found], lambda: show.table(columns, rows) if rows else show.none("keys"))


@keys.command(cls=Plain)
@click.argument("id")
@command
def show(session: Session, id: str) -> None:
    """One key, without its secret."""
    tell(session, session.ask(lambda control: control.key(id)))


@keys.command(cls=Plain)
@click.argument("id")
@click.option("--grace", default="24h", show_default=True, metavar="TIME", help="How long the old secret stays good.")
@command
def rotate(session: Session, id: str, grace: str) -> None:
    """Give a key a new secret. It is shown this once."""
    seconds = duration("grace", grace)
    tell_secret(session, session.run(lambda control: control.rotate_key(id, seconds)))


@keys.command(cls=Plain)
@click.argument("id")
@command
def revoke(session: Session, id: str) -> None:
    """End a key for good."""
    tell(session, session.run(lambda control: control.revoke_key(id)))


@keys.command(cls=Plain)
@click.argument("id")
@command
def enable(session: Session, id: str) -> None:
    """Let a key in again."""
    tell(session, session.run(lambda control: control.change_key(id, KeyChanges(disabled=False))))


@keys.command(cls=Plain)
@click.argument("id")
@command
def disable(session: Session, id: str) -> None:
    """Refuse a key for now."""
    tell(session, session.run(lambda control: control.change_key(id, KeyChanges(disabled=True))))


def tell(session: Session, key: KeyView) -> None:
    from gateway.adminapi.told import told
    from gateway.commands import show

    said = (
        ("id", key.id),
        ("team", key.team),
        ("name", key.name),
        ("state", key.state),
        ("expires", show.at(key.expires)),
        ("old secret good until", show.at(key.grace)),
        ("revoked", show.at(key.revoked)),
        ("models", show.models(key.models)),
        ("limits", show.limits(key.limits)),
        ("tags", ", ".join(key.tags)),
        ("metadata", show.pairs(key.metadata)),
        ("created", show.at(key.created)),
    )
    session.tell(told(key), lambda: show.facts(said))


def tell_secret(session: Session, made: NewKey) -> None:
    from gateway.adminapi.told import told
    from gateway.commands import show

    def human() -> None:
        show.facts(
            (
                ("key", made.key),
                ("id", made.id),
                ("team", made.team),
                ("name", made.name),
                ("expires", show.at(made.expires)),
                ("old secret good until", show.at(made.grace)),
            )
        )
        click.echo(show.SECRET)

    session.tell(told(made), human)
