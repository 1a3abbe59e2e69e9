"""Admin keys."""

import msgspec

from gateway.control import names
from gateway.control.desk import Desk, known_admin
from gateway.control.roles import RANK, require
from gateway.control.secrets import ADMIN, digest_of, new_public, new_secret
from gateway.control.types import AdminView, ControlError, NewAdmin, Role


class AdminControl(Desk):
    async def create_admin(self, name: str, role: Role, *, expires: int | None = None) -> NewAdmin:
        require(self._actor, "owner")
        now = self._record.now()
        if role not in RANK:
            raise names.invalid(f"role must be one of {', '.join(RANK)}, not {names.shown(role)}", "role")
        view = AdminView(
            id=new_public(), name=names.name(name), role=role, created=now, expires=names.expires(expires, now)
        )
        secret = new_secret(ADMIN, view.id)
        async with self._record.changing() as change:
            if any(works(known, now) and known.name == name for known in await change.admins()):
                raise ControlError("conflict", f"there is an admin key named {name!r} already", "name")
            await change.add_admin(view, digest_of(secret))
            await change.record(self._actor.name, "create", "admin", view.id, None, view)
        return NewAdmin(key=secret, id=view.id, name=name, role=role, expires=expires)

    async def admins(self) -> list[AdminView]:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            return await reader.admins()

    async def revoke_admin(self, id: str) -> AdminView:
        """For ever. The last owner's key stays, or nobody could make another one."""
        require(self._actor, "owner")
        async with self._record.changing() as change:
            before = await known_admin(change, id)
            if before.revoked is not None:
                return before
            owners = [known.id for known in await change.admins() if known.role == "owner" and works(known, change.now)]
            if owners == [id]:
                raise ControlError("conflict", f"{id} is the last admin key of an owner; make another one first", "id")
            after = msgspec.structs.replace(before, revoked=change.now)
            await change.set_admin(after)
            await change.record(self._actor.name, "revoke", "admin", id, before, after)
        return after


def works(view: AdminView, now: int) -> bool:
    return view.revoked is None and (view.expires is None or view.expires > now)
