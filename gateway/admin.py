"""Everything that is not a generating route: ordinary Starlette views, where microseconds do not count."""

from collections.abc import Awaitable, Callable
from functools import cached_property

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway import openapi
from gateway.errors import GatewayError, MethodNotAllowed, NoSuchRoute, UnknownModel
from gateway.keys import Keys
from gateway.routing import Router
from gateway.types import Caller
from gateway.wire.body import shown
from gateway.wire.superset import superset

to_json = msgspec.json.Encoder().encode


class Admin:
    """The views. ``router`` is asked for at each request, since a reload replaces it. ``metrics`` renders them in the
    format that a scraper accepts, and names its content type."""

    def __init__(
        self,
        router: Callable[[], Router],
        keys: Keys,
        created: int,
        metrics: Callable[[str | None], Awaitable[tuple[bytes, str]]],
    ) -> None:
        self._metrics = metrics
        self._router = router
        self._keys = keys
        self._created = created
        self.ready = False
        self.stopping: Callable[[], bool] = lambda: False

    def app(self) -> Starlette:
        routes = [
            Route("/health", self.health, methods=["GET"]),
            Route("/ready", self.is_ready, methods=["GET"]),
            Route("/metrics", self.metrics, methods=["GET"]),
            Route("/v1/models", self.models, methods=["GET"]),
            Route("/v1/models/{id:path}", self.model, methods=["GET"]),
            Route("/openapi.json", self.openapi, methods=["GET"]),
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
        if self.stopping():
            return answer({"status": "stopping"}, 503)
        return answer({"status": "ready"}) if self.ready else answer({"status": "starting"}, 503)

    async def metrics(self, request: Request) -> Response:
        """What is measured, in Prometheus' form. Open like the two above: it names teams, models and targets, but
        no key, user or prompt."""
        body, kind = await self._metrics(request.headers.get("accept"))
        return Response(body, headers={"content-type": kind})

    async def models(self, request: Request) -> Response:
        """The models that the caller can ask, in OpenAI's form."""
        caller, router = await self._keys.asking(authorization(request)), self._router()
        return answer({"object": "list", "data": [self._told(name) for name in askable(router, caller)]})

    async def model(self, request: Request) -> Response:
        """One of them. Its name may hold slashes, be they written so or as %2F."""
        name = request.path_params["id"].removesuffix("/")
        if not name:
            return await self.models(request)
        caller = await self._keys.asking(authorization(request))
        if name not in askable(self._router(), caller):
            raise UnknownModel(f"there is no model '{shown(name)}'; GET /v1/models lists them", param="model")
        return answer(self._told(name))

    async def openapi(self, request: Request) -> Response:
        """What all routes take and answer. Nobody's secret, so no key is needed."""
        return rendered(self._document)

    @cached_property
    def _document(self) -> bytes:
        """Made when it is asked for: it is 8 ms of a start, and few ask."""
        return openapi.document()

    def _told(self, name: str) -> dict[str, object]:
        return {"id": name, "object": "model", "created": self._created, "owned_by": "gateway"}


def askable(router: Router, caller: Caller) -> list[str]:
    """The models that a caller can ask, by all their names."""
    may = caller.may
    return [name for name in router.offered() if may is None or may(name) or may(router.own_name(name))]


def authorization(request: Request) -> bytes | None:
    """The header, as it is read on the generating routes: said twice, it is nobody's key."""
    given = request.headers.getlist("authorization")
    return ", ".join(given).encode("latin-1") if given else None


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
