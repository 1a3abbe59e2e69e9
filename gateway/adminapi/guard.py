"""The door of ``/admin/``: nothing behind it is done, or told, without an admin key whose role is enough."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from gateway.adminapi.given import Readers, read_object
from gateway.adminapi.refusals import CountersAway, RecordAway, Refusal
from gateway.adminapi.told import told
from gateway.api import check_head
from gateway.control.types import Actor, Control, ControlError, Role
from gateway.errors import BadRequest, Forbidden, GatewayError, Internal, Unauthenticated
from gateway.exchange import too_large
from gateway.limits.types import StoreDown
from gateway.store.sql.engine import RecordDown
from gateway.wire.body import shown
from gateway.wire.superset import superset

log = logging.getLogger("gateway.adminapi")

BREATH = 200
"""Entries of a list that are told before others have their turn; each takes some ten microseconds."""

MAX_BODY = 256 * 1024
RANK: dict[Role, int] = {"viewer": 0, "operator": 1, "owner": 2}
NEEDED = "/admin/ takes admin keys (ak-gw-...), not a team's key; an owner makes one with `gateway admins create`"
SAFE = {"cache-control": "no-store", "x-content-type-options": "nosniff"}

to_json = msgspec.json.Encoder().encode


class AdminPrincipal(Protocol):
    """Whose admin key it is: its public id, and what it may do."""

    @property
    def id(self) -> str: ...
    @property
    def role(self) -> Role: ...


Authenticate = Callable[[bytes | None], AdminPrincipal]
ControlFor = Callable[[Actor], Control]
View = Callable[[Request, Control], Awaitable[Response]]


class Guard:
    """Makes endpoints of views. ``authenticate`` reads the Authorization header and raises Unauthenticated."""

    def __init__(self, authenticate: Authenticate, control_for: ControlFor) -> None:
        self._authenticate = authenticate
        self._control_for = control_for

    def admits(self, role: Role, view: View) -> Callable[[Request], Awaitable[Response]]:
        """The view, for admins of this role or a higher one. Every error is answered here."""

        async def endpoint(request: Request) -> Response:
            try:
                return await view(request, self._enter(request, role))
            except GatewayError as error:
                return refused(error)
            except ControlError as error:
                return refused(Refusal(error))
            except RecordDown as error:
                log.warning("%s could not be done: %s", named(request), error)
                return refused(RecordAway())
            except StoreDown as error:
                log.warning("%s could not be done: %s", named(request), error)
                return refused(CountersAway())
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception:
                log.exception("%s failed by a bug", named(request))
                return refused(Internal("an internal error; the gateway's log has it"))

        return endpoint

    def _enter(self, request: Request, role: Role) -> Control:
        principal = self._principal(request)
        if RANK[principal.role] < RANK[role]:
            raise Forbidden(f"this takes an admin key of role {role}; this one is of role {principal.role}")
        return self._control_for(Actor(f"admin:{principal.id}", principal.role))

    def _principal(self, request: Request) -> AdminPrincipal:
        given = request.headers.getlist("authorization")
        try:
            return self._authenticate(", ".join(given).encode("latin-1") if given else None)
        except Unauthenticated as error:
            raise Unauthenticated(f"{error.message}; {NEEDED}") from None


def named(request: Request) -> str:
    """A request on one line of the log, whatever is in its path."""
    return ascii(f"{request.method} {shown(request.scope['path'])}")


def refused(error: GatewayError) -> Response:
    headers = {name.decode(): value.decode() for name, value in error.headers}
    if error.status == 401:
        headers["www-authenticate"] = "Bearer"
    if error.retry_after is not None:
        headers["retry-after"] = f"{error.retry_after:.0f}"
    return said(superset(error), error.status, headers)


def answered(value: object) -> Response:
    return said(to_json(value))


async def listed(values: Sequence[Struct]) -> Response:
    """A list, of which there may be very much: calls of models have their turn meanwhile."""
    parts: list[bytes] = []
    for start in range(0, len(values), BREATH):
        parts.append(to_json([told(value) for value in values[start : start + BREATH]])[1:-1])
        await asyncio.sleep(0)
    return said(b"[%b]" % b",".join(parts))


def said(body: bytes | str, status: int = 200, headers: dict[str, str] | None = None, kind: str = "") -> Response:
    return Response(body, status, {**SAFE, **(headers or {})}, kind or "application/json")


async def body_of(request: Request, readers: Readers, *required: str) -> dict[str, Any]:
    """The fields of the request's body, read. Raises BadRequest, TooLarge or UnsupportedMedia."""
    given = request.headers.get("content-type")
    check_head("POST", given.encode("latin-1") if given else None)
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise too_large(MAX_BODY)
        parts.append(part)
    return read_object(b"".join(parts), readers, required)


def asked(request: Request, *known: str) -> dict[str, str]:
    """The parameters behind the question mark; those that are empty count as not given. Raises BadRequest."""
    found: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if name not in known:
            what = f"; known: {', '.join(known)}" if known else ""
            raise BadRequest(f"{shown(name)} is not a parameter here{what}", param=shown(name))
        if name in found:
            raise BadRequest(f"{name} is given twice", param=name)
        found[name] = value
    return {name: value for name, value in found.items() if value}
