"""One row of the table of routes, and what it becomes in the document."""

from typing import Any

from msgspec import Struct, field

Schema = dict[str, Any]

REF = "#/components/schemas/{name}"

JSON = "application/json"
EVENTS = "text/event-stream"
TEXT = "text/plain"

WHY: dict[int, str] = {
    400: "The request is wrong; the message says where, and what would be right. Or the provider refuses it.",
    401: "No key or token, or one that is not known or has expired.",
    402: "A budget has no room for this call, or the price of a model is not known under one.",
    403: "The key may not ask this model.",
    404: "There is nothing of this name.",
    413: "The body is larger than the gateway takes.",
    415: "The body is not said to be JSON.",
    422: "The answer does not keep what it was to be like.",
    429: "A limit is reached, which the message names, or every provider that was asked refuses more. To OpenAI's "
    "clients also that a budget has no room for this call: code insufficient_quota.",
    502: "No provider answered.",
    503: "The model is not offered for now, or every queue is full, or what the call uses could not be counted or "
    "noted, or the issuer of the token cannot be asked for its keys.",
    504: "No provider answered in time.",
    524: "No provider answered in time.",
    594: "No model of this name.",
}

LIMITS = {
    f"X-RateLimit-{what}-{of}": f"{said} of the {of} that the tightest limit allows in a {span}."
    for of, span in (("Requests", "minute"), ("Tokens", "minute or day"))
    for what, said in (("Limit", "How many"), ("Remaining", "How many are left"), ("Reset", "When all are free again"))
}
"""Where limits hold for the caller."""

BINDING = {
    "X-RateLimit-Scope": "Whose limit binds: organisation, team, key, user or model.",
    "X-Gateway-Limit": "Which: requests/min, tokens/min, tokens/day, concurrent, USD/day or USD/month.",
    "X-Should-Retry": "false where trying again soon does not help.",
    **LIMITS,
}

HEADERS: dict[int, dict[str, str]] = {
    401: {"WWW-Authenticate": "How to authenticate: Bearer."},
    402: BINDING,
    429: {
        "Retry-After": "Whole seconds after which to try again, 60 at most, where that helps.",
        "Retry-After-Ms": "The same in milliseconds: who comes back exactly then is let in, if nobody else came.",
        **BINDING,
    },
    503: {"Retry-After": "Seconds after which to try again, where that may help."},
}

ASKED = {
    "X-Gateway-Target": "The providers and models that answered.",
    "X-Gateway-Attempts": "How many were asked in all.",
    "X-Gateway-Cache": "How the answers are shared, of each model that answered: hit, miss, coalesced or bypass.",
    "Age": "Seconds since the oldest of the kept answers was given, where there is one.",
    "X-Gateway-Cost-Usd": "Dollars that the call has cost, where all prices are known; not at the head of a stream.",
    "X-Gateway-Budget-Warning": "The soft budgets that are passed.",
    "X-Gateway-Degraded": "limits: they were kept without the store that all replicas share.",
    **LIMITS,
}


class Operation(Struct, frozen=True, kw_only=True):
    """A route. ``asks`` and ``answers`` name components; ``refuses`` are the statuses of its errors, whose body is
    ``error``. ``exchange`` is one that asks models: its answers have an id, and its body a limit."""

    path: str
    summary: str
    tag: str
    answers: str
    method: str = "post"
    asks: str | None = None
    refuses: tuple[int, ...] = ()
    error: str = "AnyError"
    streams: str | None = None
    media: str = JSON
    open: bool = False
    exchange: bool = False
    also: dict[int, tuple[str, str]] = field(default_factory=dict)

    @property
    def parameters(self) -> list[str]:
        return [part.split("}")[0] for part in self.path.split("{")[1:]]

    def document(self) -> dict[str, Any]:
        """The operation as OpenAPI has it."""
        said: dict[str, Any] = {
            "operationId": f"{self.method}{self.path.translate(DASHES)}",
            "summary": self.summary,
            "tags": [self.tag],
            "responses": {"200": self._success()} | self._others() | self._refusals(),
        }
        if self.open:
            said["security"] = []
        parameters: list[Schema] = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in self.parameters
        ]
        if self.exchange:
            parameters += SAID
        if parameters:
            said["parameters"] = parameters
        if self.asks:
            said["requestBody"] = {"required": True, "content": {JSON: {"schema": ref(self.asks)}}}
        return said

    def _success(self) -> dict[str, Any]:
        content: dict[str, Any] = {self.media: {"schema": ref(self.answers)}}
        if self.streams:
            content[EVENTS] = {"schema": {"type": "string", "description": self.streams}}
        headers = {**ID, **headers_of(ASKED, required=False)} if self.exchange else {}
        return response("The answer.", content, headers)

    def _others(self) -> dict[str, Any]:
        return {
            str(status): response(why, {JSON: {"schema": ref(name)}}, {}) for status, (name, why) in self.also.items()
        }

    def _refusals(self) -> dict[str, Any]:
        return {
            str(status): response(
                WHY[status],
                {JSON: {"schema": ref(self.error)}},
                {**(ID if self.exchange else {}), **headers_of(HEADERS.get(status, {}), required=status == 401)},
            )
            for status in sorted(self.refuses)
        }


SAID: list[Schema] = [
    {
        "name": "Cache-Control",
        "in": "header",
        "description": "What is wanted of kept answers: no-cache, no-store, max-age, min-fresh, only-if-cached.",
        "schema": {"type": "string"},
    },
    {
        "name": "X-Gateway-Timeout-Ms",
        "in": "header",
        "description": "Milliseconds after which the caller does not wait any longer.",
        "schema": {"type": "integer", "minimum": 1, "maximum": 86_400_000},
    },
]
"""Headers of requests that ask models."""

DASHES = str.maketrans({"/": "_", "{": "", "}": ""})


def ref(name: str) -> Schema:
    return {"$ref": REF.format(name=name)}


def headers_of(said: dict[str, str], *, required: bool) -> dict[str, Any]:
    return {
        name: {"description": why, "required": required, "schema": {"type": "string"}} for name, why in said.items()
    }


ID = headers_of({"X-Request-Id": "The name of this request, for whoever reads the log."}, required=True)


def response(why: str, content: dict[str, Any], headers: dict[str, Any]) -> dict[str, Any]:
    return {"description": why, "content": content} | ({"headers": headers} if headers else {})
