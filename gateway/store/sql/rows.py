"""What the gateway keeps in memory of the record, and how rows become what operators see."""

import msgspec
from msgspec import Struct
from sqlalchemy import RowMapping

from gateway.control.types import AdminView, KeyView, LogView, Role, TeamView
from gateway.limits.types import Limits, Scope

LIMIT_NAMES = Limits.__struct_fields__
NONE = Limits()

models_of = msgspec.json.Decoder(tuple[str, ...]).decode
tags_of = models_of
metadata_of = msgspec.json.Decoder(dict[str, str]).decode


class TeamRow(Struct, frozen=True):
    """A team as far as a request is concerned."""

    name: str
    disabled: bool
    models: tuple[str, ...] | None


class SecretRow(Struct, frozen=True, gc=False):
    """One secret of a key: ``digest`` is the SHA-256 of the whole key. ``expires``, in seconds since 1970, is the
    earlier of the key's and the secret's own; ``dead`` says that the key is disabled or revoked."""

    digest: bytes
    key: str
    team: str
    expires: int | None
    dead: bool
    models: tuple[str, ...] | None


class AdminRow(Struct, frozen=True):
    """An admin key: ``digest`` is the SHA-256 of the whole of it."""

    digest: bytes
    id: str
    name: str
    role: Role
    expires: int | None
    dead: bool


class LimitsRow(Struct, frozen=True):
    """One subject's own limits, -1 for what is lifted; None if it has none any more."""

    scope: Scope
    subject: str
    limits: Limits | None


def written(value: object) -> str:
    return msgspec.json.encode(value).decode()


def team_view(row: RowMapping, limits: Limits) -> TeamView:
    return TeamView(
        name=row["name"],
        created=row["created"],
        disabled=row["disabled"],
        models=None if row["models"] is None else models_of(row["models"]),
        metadata=metadata_of(row["metadata"]),
        tags=tags_of(row["tags"]),
        limits=limits,
    )


def key_view(row: RowMapping, limits: Limits, grace: int | None, now: int) -> KeyView:
    view = KeyView(
        id=row["id"],
        team=row["team"],
        name=row["name"],
        created=row["created"],
        expires=row["expires"],
        revoked=row["revoked"],
        disabled=row["disabled"],
        grace=grace,
        models=None if row["models"] is None else models_of(row["models"]),
        metadata=metadata_of(row["metadata"]),
        tags=tags_of(row["tags"]),
        limits=limits,
    )
    return with_state(view, now)


def with_state(view: KeyView, now: int) -> KeyView:
    """What holds first of these: revoked, expired, disabled."""
    if view.revoked is not None:
        return msgspec.structs.replace(view, state="revoked", grace=None)
    if view.expires is not None and view.expires <= now:
        return msgspec.structs.replace(view, state="expired", grace=None)
    return msgspec.structs.replace(view, state="disabled" if view.disabled else "active")


def admin_view(row: RowMapping) -> AdminView:
    names = AdminView.__struct_fields__
    return AdminView(**{name: row[name] for name in names})


def log_view(row: RowMapping) -> LogView:
    before, after = (None if row[name] is None else msgspec.json.decode(row[name]) for name in ("before", "after"))
    told = {name: row[name] for name in ("id", "at", "actor", "action", "kind", "subject")}
    return LogView(**told, before=before, after=after)


def limits_of(row: RowMapping) -> Limits:
    return Limits(*(row[name] for name in LIMIT_NAMES))
