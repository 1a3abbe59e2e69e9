"""``gateway admins``."""

import click

from gateway.commands.options import later
from gateway.commands.session import Family, Plain, Session, command
from gateway.control.types import AdminView, NewAdmin, Role


@click.group(cls=Family)
def admins() -> None:
    """The admin keys, which open /admin/ and nothing else."""


@admins.command(cls=Plain)
@click.argument("name")
@click.option(
    "--role",
    required=True,
    type=click.Choice(["viewer", "operator", "owner"]),
    help="A viewer reads; an operator changes teams, keys and limits; an owner makes admins, too.",
)
@click.option("--expires", metavar="WHEN", help="How long it is good, such as 90d, or until when [for ever].")
@command
def create(session: Session, name: str, role: Role, expires: str | None) -> None:
    """Make an admin key. It is shown this once."""
    until = later("expires", expires)
    tell_secret(session, session.run(lambda control: control.create_admin(name, role, expires=until)))


@admins.command("list", cls=Plain)
@command
def list_(session: Session) -> None:
    """All admin keys."""
    from gateway.adminapi.told import told
    from gateway.commands import show

    found = session.ask(lambda control: control.admins())
    columns = ("id", "name", "role", "created", "expires", "revoked")
    rows = [
        [one.id, one.name, one.role, show.at(one.created), show.at(one.expires), show.at(one.revoked)] for one in found
    ]
    session.tell([told(one) for one in found], lambda: show.table(columns, rows) if rows else show.none("admin keys"))


@admins.command(cls=Plain)
@click.argument("id")
@command
def revoke(session: Session, id: str) -> None:
    """End an admin key for good."""
    tell(session, session.run(lambda control: control.revoke_admin(id)))


def tell(session: Session, admin: AdminView) -> None:
    from gateway.adminapi.told import told
    from gateway.commands import show

    said = (
        ("id", admin.id),
        ("name", admin.name),
        ("role", admin.role),
        ("expires", show.at(admin.expires)),
        ("revoked", show.at(admin.revoked)),
        ("created", show.at(admin.created)),
    )
    session.tell(told(admin), lambda: show.facts(said))


def tell_secret(session: Session, made: NewAdmin) -> None:
    from gateway.adminapi.told import told
    from gateway.commands import show

    def human() -> None:
        show.facts(
            (
                ("key", made.key),
                ("id", made.id),
                ("name", made.name),
                ("role", made.role),
                ("expires", show.at(made.expires)),
            )
        )
        click.echo(show.SECRET)

    session.tell(told(made), human)
