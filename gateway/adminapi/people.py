"""Teams, their keys, and admins: views."""

from collections.abc import Callable
from typing import TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from gateway.adminapi import limits
from gateway.adminapi.given import Readers, flag, metadata, moment, one_of, or_null, text, texts
from gateway.adminapi.guard import answered, asked, body_of, listed
from gateway.adminapi.times import duration, later
from gateway.adminapi.told import told
from gateway.control.types import Control, KeyChanges, TeamChanges
from gateway.errors import BadRequest

ABOUT: Readers = {"models": or_null(texts), "metadata": metadata, "tags": texts}
T = TypeVar("T", bound=msgspec.Struct)

GRACE = 24 * 3_600
"""Seconds that a rotated key's secret stays good, where nothing else is said."""


class Teams:
    async def all(self, request: Request, control: Control) -> Response:
        asked(request)
        return await listed(await control.teams())

    async def create(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"name": text, **ABOUT, **limits.BESIDE}, "name")
        set_ = limits.changes(found)
        return answered(told(await control.create_team(found.pop("name"), limits=set_, **found)))

    async def one(self, request: Request, control: Control) -> Response:
        asked(request)
        return answered(told(await control.team(request.path_params["name"])))

    async def change(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"disabled": flag, **ABOUT})
        return answered(told(await control.change_team(request.path_params["name"], some(TeamChanges(**found)))))


class Keys:
    def __init__(self, now: Callable[[], float]) -> None:
        self._expires = or_null(moment(later, now))

    async def all(self, request: Request, control: Control) -> Response:
        return await listed(await control.keys(asked(request, "team").get("team")))

    async def create(self, request: Request, control: Control) -> Response:
        readers = {"team": text, "name": text, "expires": self._expires, **ABOUT, **limits.BESIDE}
        found = await body_of(request, readers, "team")
        set_ = limits.changes(found)
        return answered(told(await control.create_key(found.pop("team"), limits=set_, **found)))

    async def one(self, request: Request, control: Control) -> Response:
        asked(request)
        return answered(told(await control.key(request.path_params["id"])))

    async def change(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"name": text, "disabled": flag, "expires": self._expires, **ABOUT})
        return answered(told(await control.change_key(request.path_params["id"], some(KeyChanges(**found)))))

    async def rotate(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"grace": grace})
        return answered(told(await control.rotate_key(request.path_params["id"], found.get("grace", GRACE))))

    async def revoke(self, request: Request, control: Control) -> Response:
        await body_of(request, {})
        return answered(told(await control.revoke_key(request.path_params["id"])))


class Admins:
    def __init__(self, now: Callable[[], float]) -> None:
        self._expires = or_null(moment(later, now))

    async def all(self, request: Request, control: Control) -> Response:
        asked(request)
        return await listed(await control.admins())

    async def create(self, request: Request, control: Control) -> Response:
        readers = {"name": text, "role": one_of("viewer", "operator", "owner"), "expires": self._expires}
        found = await body_of(request, readers, "name", "role")
        made = await control.create_admin(found["name"], found["role"], expires=found.get("expires"))
        return answered(told(made))

    async def revoke(self, request: Request, control: Control) -> Response:
        await body_of(request, {})
        return answered(told(await control.revoke_admin(request.path_params["id"])))


def grace(raw: bytes) -> int:
    value = msgspec.json.decode(raw)
    return duration(value if isinstance(value, str) else "")


def some(changes: T) -> T:
    """The changes, if there are any."""
    names = changes.__struct_fields__
    if all(getattr(changes, name) is msgspec.UNSET for name in names):
        raise BadRequest(f"nothing to change: give one of {', '.join(names)}")
    return changes
