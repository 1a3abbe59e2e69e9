"""All that can be asked under ``/admin/``, and by whom."""

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.adminapi.guard import Authenticate, ControlFor, Guard, View
from gateway.adminapi.people import Admins, Keys, Teams
from gateway.adminapi.records import Audit, Cache, Limits, Usage
from gateway.control.types import Control, Role
from gateway.errors import GatewayError, MethodNotAllowed, NoSuchRoute
from gateway.wire.body import shown


class Entry(Struct, frozen=True):
    """A route: what serves it, and the least role that it takes."""

    method: str
    path: str
    role: Role
    view: View


def entries(now: Callable[[], float]) -> tuple[Entry, ...]:
    teams, keys, admins = Teams(), Keys(now), Admins(now)
    limits, cache, usage, audit = Limits(), Cache(), Usage(now), Audit(now)
    return (
        Entry("GET", "/admin/teams", "viewer", teams.all),
        Entry("POST", "/admin/teams", "operator", teams.create),
        Entry("GET", "/admin/teams/{name}", "viewer", teams.one),
        Entry("PATCH", "/admin/teams/{name}", "operator", teams.change),
        Entry("GET", "/admin/keys", "viewer", keys.all),
        Entry("POST", "/admin/keys", "operator", keys.create),
        Entry("GET", "/admin/keys/{id}", "viewer", keys.one),
        Entry("PATCH", "/admin/keys/{id}", "operator", keys.change),
        Entry("POST", "/admin/keys/{id}/rotate", "operator", keys.rotate),
        Entry("POST", "/admin/keys/{id}/revoke", "operator", keys.revoke),
        Entry("GET", "/admin/admins", "viewer", admins.all),
        Entry("POST", "/admin/admins", "owner", admins.create),
        Entry("POST", "/admin/admins/{id}/revoke", "owner", admins.revoke),
        Entry("GET", "/admin/limits", "viewer", limits.all),
        Entry("PUT", "/admin/limits/{scope}", "operator", limits.set),
        Entry("DELETE", "/admin/limits/{scope}", "operator", limits.clear),
        Entry("PUT", "/admin/limits/{scope}/{subject:path}", "operator", limits.set),
        Entry("DELETE", "/admin/limits/{scope}/{subject:path}", "operator", limits.clear),
        Entry("GET", "/admin/cache", "viewer", cache.stats),
        Entry("POST", "/admin/cache/purge", "operator", cache.purge),
        Entry("GET", "/admin/usage", "viewer", usage.rows),
        Entry("GET", "/admin/audit/log", "viewer", audit.log),
        Entry("POST", "/admin/audit", "operator", audit.check),
    )


def routes(authenticate: Authenticate, control_for: ControlFor, now: Callable[[], float]) -> list[Route]:
    """The routes, the last of which takes whatever else begins with ``/admin``, by any method: who has no key is told
    so, whatever they ask. ``now`` is the time in seconds since 1970."""
    guard = Guard(authenticate, control_for)
    table = entries(now)
    known = [Exact(entry.path, guard.admits(entry.role, entry.view), methods=[entry.method]) for entry in table]
    other = Anything(guard.admits("viewer", Otherwise(known)))
    return [*known, Exact("/admin", other), Exact("/admin/{rest:path}", other)]


class Exact(Route):
    """A route whose path is matched to its end, line breaks and all: Starlette's own lets one stand behind it, and
    finds no path with one inside."""

    def __init__(self, path: str, endpoint: Any, methods: list[str] | None = None) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z", re.DOTALL)


class Otherwise:
    """The view of what is not there, or not by this method."""

    def __init__(self, known: list[Exact]) -> None:
        self._known = known

    async def __call__(self, request: Request, control: Control) -> Response:
        path = request.scope["path"]
        allowed = sorted(
            {method for route in self._known if route.path_regex.match(path) for method in route.methods or ()}
        )
        error: GatewayError = NoSuchRoute(f"there is no {shown(path)}; /openapi.json lists what there is")
        if allowed:
            error = MethodNotAllowed(f"{shown(request.method)} is not allowed here; use {', '.join(allowed)}")
            error.headers.append((b"allow", ", ".join(allowed).encode()))
        raise error


class Anything:
    """An endpoint of every method; Starlette gives a function only those that are named."""

    def __init__(self, endpoint: Any) -> None:
        self._endpoint = endpoint

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        response = await self._endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
