"""Everything that is not a generating route: ordinary Starlette views, where microseconds do not count."""

from collections.abc import Callable

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.errors import GatewayError, MethodNotAllowed, NoSuchRoute
from gateway.keys import Keys
from gateway.routing import Router
from gateway.wire.superset import superset

to_json = msgspec.json.Encoder().encode


class Admin:
    """The views. ``router`` is asked for at each request, since a reload replaces it."""

    def __init__(self, router: Callable[[], Router], keys: Keys, created: int) -> None:
        self._router = router
        self._keys = keys
        self._created = created
        self.ready = False

    def app(self) -> Starlette:
        routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/ready", self.is_ready, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
        ]
        app = Starlette(
            routes=routes, exception_handlers={HTTPException: on_http_error, GatewayError: on_gateway_error}
        )
        app.router.redirect_slashes = False  # a POST that is redirected comes back as a GET
        return app

    async def health(self, request: Request) -> Response:
        """Alive: the process answers."""
        return answer({"status": "ok"})

    async def is_ready(self, request: Request) -> Response:
        """Ready: requests can be served."""
        return answer({"status": "ready"}) if self.ready else answer({"status": "starting"}, 503)

    async def models(self, request: Request) -> Response:
        """The models that the caller can ask, in OpenAI's form."""
        given = request.headers.getlist("authorization")
        self._keys.team(", ".join(given).encode("latin-1") if given else None)
        data = [
            {"id": name, "object": "model", "created": self._created, "owned_by": "gateway"}
            for name in self._router().offered()
        ]
        return answer({"object": "list", "data": data})


def answer(value: object, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return rendered(to_json(value), status, headers)


def rendered(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(body, status, headers, "application/json")


async def on_gateway_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, GatewayError)
    headers = {"www-authenticate": "Bearer"} if error.status == 401 else None
    return rendered(superset(error), error.status, headers)


async def on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    path, method = request.scope["path"], request.method
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET")
        refusal: GatewayError = MethodNotAllowed(f"{method} is not allowed here; use {allowed}")
        return rendered(superset(refusal), 405, {"allow": allowed})
    return rendered(superset(NoSuchRoute(f"there is no {method} {path[:100]}")), 404)
