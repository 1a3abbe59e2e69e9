"""The admin plane as the gateway mounts it, over a Control in memory, and clients of every role."""

from collections.abc import Callable
from hashlib import sha256

import httpx
from msgspec import Struct
from starlette.applications import Starlette
from starlette.exceptions import HTTPException

from gateway.admin import on_http_error
from gateway.adminapi.guard import ControlFor
from gateway.adminapi.routes import routes
from gateway.control.types import Role
from gateway.errors import Unauthenticated
from tests.gateway.adminapi.memory import NOW, Memory

ROLES: tuple[Role, ...] = ("viewer", "operator", "owner")
ADMIN = {role: f"ak-gw-{role:_<12}-0123456789-0123456789-0123456789" for role in ROLES}


class Principal(Struct, frozen=True):
    id: str
    role: Role


PEOPLE: dict[bytes, Principal] = {
    sha256(f"Bearer {key}".encode()).digest(): Principal(role, role) for role, key in ADMIN.items()
}


def authenticate(authorization: bytes | None) -> Principal:
    found = PEOPLE.get(sha256(authorization or b"").digest())
    if found is None:
        raise Unauthenticated("no API key" if authorization is None else "the API key is not known")
    return found


class Plane:
    def __init__(self, control_for: ControlFor | None = None, now: Callable[[], float] = lambda: NOW) -> None:
        self.memory = Memory()
        self.app = Starlette(
            routes=routes(authenticate, control_for or self.memory.control, now),
            exception_handlers={HTTPException: on_http_error},
        )
        self.app.router.redirect_slashes = False

    def client(self, role: Role | None = "owner", key: str | None = None) -> httpx.AsyncClient:
        key = ADMIN[role] if role else key
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app, raise_app_exceptions=True),
            base_url="http://gateway",
            headers={"authorization": f"Bearer {key}"} if key else {},
        )
