"""Keys: made, changed, rotated and revoked. A secret is told once, to whoever makes it."""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import UNSET

from gateway.control import amounts, names
from gateway.control.desk import Desk, known_key, known_team
from gateway.control.roles import require
from gateway.control.secrets import KEY, digest_of, new_public, new_secret
from gateway.control.types import ControlError, KeyChanges, KeyView, LimitsChanges, Metadata, NewKey
from gateway.limits.types import Limits
from gateway.store.sql.reader import Reader
from gateway.store.sql.rows import with_state

DAY = 86_400
MOST_GRACE = 366 * DAY


class KeyControl(Desk):
    async def create_key(
        self,
        team: str,
        *,
        name: str = "",
        models: tuple[str, ...] | None = None,
        expires: int | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> NewKey:
        require(self._actor, "operator")
        now = self._record.now()
        view = KeyView(
            id=new_public(),
            team=team,
            name=key_name(name),
            created=now,
            expires=names.expires(expires, now),
            models=names.models(models),
            metadata=names.metadata(metadata),
            tags=names.tags(tags),
            limits=amounts.changed(Limits(), limits),
        )
        secret = new_secret(KEY, view.id)
        async with self._record.changing() as change:
            await known_team(change, team)
            await check_namesake(change, view)
            await change.add_key(view, digest_of(secret))
            await change.record(self._actor.name, "create", "key", view.id, None, view)
        return NewKey(key=secret, id=view.id, team=team, name=name, expires=expires)

    async def keys(self, team: str | None = None) -> list[KeyView]:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            if team is not None:
                await known_team(reader, team)
            return await reader.keys(team)

    async def key(self, id: str) -> KeyView:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            return await known_key(reader, id)

    async def change_key(self, id: str, changes: KeyChanges) -> KeyView:
        require(self._actor, "operator")
        given = checked(changes, self._record.now())
        async with self._record.changing() as change:
            before = await living_key(change, id)
            after = with_state(msgspec.structs.replace(before, **given), change.now)
            if after.name != before.name:
                await check_namesake(change, after)
            if after != before:
                await change.set_key(after)
                await change.record(self._actor.name, "change", "key", id, before, after)
        return after

    async def rotate_key(self, id: str, grace: int) -> NewKey:
        require(self._actor, "operator")
        if not names.is_whole(grace) or not 0 <= grace <= MOST_GRACE:
            rule = f"0 to {MOST_GRACE // DAY} days, for which the present secret stays good"
            raise names.invalid(f"grace must be {rule}, not {span(grace)}", "grace")
        secret = new_secret(KEY, id)
        async with self._record.changing() as change:
            before = await living_key(change, id)
            if before.state == "expired":
                raise ControlError("conflict", f"the key {id} has expired; set another expiry first", "id")
            until = change.now + grace
            await change.set_secret(id, digest_of(secret), until)
            after = await known_key(change, id)
            await change.record(self._actor.name, "rotate", "key", id, before, after)
        return NewKey(
            key=secret, id=id, team=after.team, name=after.name, expires=after.expires, grace=until if grace else None
        )

    async def revoke_key(self, id: str) -> KeyView:
        """For ever. A key that is revoked already stays as it is."""
        require(self._actor, "operator")
        async with self._record.changing() as change:
            before = await known_key(change, id)
            if before.revoked is not None:
                return before
            after = with_state(msgspec.structs.replace(before, revoked=change.now), change.now)
            await change.set_key(after)
            await change.record(self._actor.name, "revoke", "key", id, before, after)
        return after


def span(seconds: int) -> str:
    """In days where they are whole ones, as most people say it."""
    days = names.is_whole(seconds) and seconds and seconds % DAY == 0
    return f"{names.shown(seconds // DAY)} days" if days else f"{names.shown(seconds)} seconds"


def key_name(given: str) -> str:
    """A key may go without a name."""
    return names.name(given) if given != "" else ""


def checked(changes: KeyChanges, now: int) -> dict[str, Any]:
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
    checks: dict[str, Callable[[Any], Any]] = {
        "name": key_name,
        "models": names.models,
        "metadata": names.metadata,
        "tags": names.tags,
        "expires": lambda expires: names.expires(expires, now),
    }
    return {name: checks[name](value) if name in checks else value for name, value in given.items()}


async def living_key(reader: Reader, id: str) -> KeyView:
    """Raises ControlError."""
    found = await known_key(reader, id)
    if found.revoked is not None:
        raise ControlError("conflict", f"the key {id} is revoked, which is for ever; make another one", "id")
    return found


async def check_namesake(reader: Reader, view: KeyView) -> None:
    """Raises ControlError."""
    if view.name and await reader.namesake(view.team, view.name) not in (None, view.id):
        raise ControlError("conflict", f"team {view.team!r} has a key named {view.name!r} already", "name")
