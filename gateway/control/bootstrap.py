"""The first start: a team, a key for it, and an admin key. And keys that the operator has chosen."""

import msgspec
from msgspec import Struct

from gateway.control.names import chosen_secret
from gateway.control.secrets import ADMIN, KEY, digest_of, new_public, new_secret
from gateway.control.types import Actor, AdminView, ControlError, KeyView, NewAdmin, NewKey, TeamView
from gateway.store.sql.change import Change
from gateway.store.sql.record import Record

TEAM = "default"
CHOSEN = "bootstrap"
"""The id of a key, and of an admin key, that the operator has chosen."""

START = Actor("start")


class Made(Struct, frozen=True):
    """What was made here, to be shown once."""

    key: NewKey | None = None
    admin: NewAdmin | None = None


async def bootstrap(record: Record, *, key: str | None = None, admin: str | None = None) -> Made:
    """Makes what is not there yet; of processes that start at once, one does. Keys that the operator has chosen take
    the place of those they chose before; one that was revoked stays revoked until they choose another. Raises
    ControlError where a chosen key cannot be one."""
    if key is not None:
        chosen_secret(key, "GATEWAY_BOOTSTRAP_KEY")
    if admin is not None:
        chosen_secret(admin, "GATEWAY_ADMIN_KEY")
    if key is not None and key == admin:
        message = "GATEWAY_BOOTSTRAP_KEY and GATEWAY_ADMIN_KEY must not be the same"
        raise ControlError("invalid", message, "GATEWAY_ADMIN_KEY")
    async with record.reading() as reader:
        there = await reader.team(TEAM) is not None and await reader.has_keys() and bool(await reader.admins())
    if there and key is None and admin is None:
        return Made()
    async with record.changing() as change:
        if await change.team(TEAM) is None:
            view = TeamView(name=TEAM, created=change.now)
            await change.add_team(view)
            await change.record(START.name, "create", "team", TEAM, None, view)
        if key is not None:
            await choose_key(change, key)
        if admin is not None:
            await choose_admin(change, admin)
        return Made(await first_key(change), await first_admin(change))


async def first_key(change: Change) -> NewKey | None:
    """Where there is none, not even a revoked one."""
    if await change.has_keys():
        return None
    view = KeyView(id=new_public(), team=TEAM, name="", created=change.now)
    secret = new_secret(KEY, view.id)
    await change.add_key(view, digest_of(secret))
    await change.record(START.name, "create", "key", view.id, None, view)
    return NewKey(key=secret, id=view.id, team=TEAM, name="")


async def first_admin(change: Change) -> NewAdmin | None:
    if await change.admins():
        return None
    view = AdminView(id=new_public(), name="first", role="owner", created=change.now)
    secret = new_secret(ADMIN, view.id)
    await change.add_admin(view, digest_of(secret))
    await change.record(START.name, "create", "admin", view.id, None, view)
    return NewAdmin(key=secret, id=view.id, name=view.name, role="owner")


async def choose_key(change: Change, secret: str) -> None:
    digest = digest_of(secret)
    owner = await change.owner_of(digest)
    if owner is not None and owner.id != CHOSEN:
        if owner.team == TEAM:
            return
        message = f"GATEWAY_BOOTSTRAP_KEY is a key of team {owner.team!r} already; choose another one"
        raise ControlError("conflict", message, "GATEWAY_BOOTSTRAP_KEY")
    before = await change.key(CHOSEN)
    if before is None:
        view = KeyView(id=CHOSEN, team=TEAM, name="", created=change.now)
        await change.add_key(view, digest)
        await change.record(START.name, "create", "key", CHOSEN, None, view)
    elif await change.secret(CHOSEN) != digest:
        await change.set_secret(CHOSEN, digest, change.now)
        await change.set_key(msgspec.structs.replace(before, revoked=None))
        await change.record(START.name, "rotate", "key", CHOSEN, before, await change.key(CHOSEN))


async def choose_admin(change: Change, secret: str) -> None:
    digest = digest_of(secret)
    known = await change.admin_of(digest)
    if known is not None:
        if known.role != "owner":
            message = f"GATEWAY_ADMIN_KEY is the {known.role}'s admin key {known.id} already; choose another one"
            raise ControlError("conflict", message, "GATEWAY_ADMIN_KEY")
        return
    before = await change.admin(CHOSEN)
    view = AdminView(id=CHOSEN, name=CHOSEN, role="owner", created=change.now)
    if before is None:
        await change.add_admin(view, digest)
    else:
        await change.set_admin(view, digest)
    await change.record(START.name, "create" if before is None else "rotate", "admin", CHOSEN, before, view)
