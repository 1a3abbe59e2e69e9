"""The routes of ``/admin/``, and what they take and answer. They have a key of their own kind."""

from typing import Any

from msgspec import Struct, field

from gateway.openapi.answers import TEXT, TEXT_OR_NULL, WHOLE, an_object, list_of
from gateway.openapi.operation import HEADERS, JSON, WHY, Operation, Schema, headers_of, ref, response

SECURITY: Schema = {"type": "http", "scheme": "bearer", "description": "An admin's key: ak-gw-..."}
"""The security scheme ``admin``."""

REFUSALS: dict[int, str] = {
    **WHY,
    400: "The request is wrong; the message says where, and what would be right.",
    401: "No admin key, or one that is not known.",
    403: "The key's role does not allow this.",
    409: "There is something of this name already, or its state does not allow this.",
    503: "The record cannot be asked for now.",
}
CSV = "text/csv"


class Parameter(Struct, frozen=True):
    """What can stand behind the question mark."""

    name: str
    said: str
    schema: Schema = field(default_factory=lambda: dict(TEXT))


class AdminOperation(Operation, frozen=True, kw_only=True):
    """An Operation of ``/admin/``. ``optional`` is one whose body may be left out."""

    asking: tuple[Parameter, ...] = ()
    optional: bool = False
    csv: bool = False

    def document(self) -> dict[str, Any]:
        said = super().document() | {"security": [{"admin": []}]}
        said["parameters"] = [
            *said.get("parameters", []),
            *[
                {"name": one.name, "in": "query", "required": False, "description": one.said, "schema": one.schema}
                for one in self.asking
            ],
        ]
        if self.optional:
            said["requestBody"]["required"] = False
        if self.csv:
            said["responses"]["200"]["content"][CSV] = {"schema": TEXT}
        return {name: value for name, value in said.items() if value != []}

    def _refusals(self) -> dict[str, Any]:
        return {
            str(status): response(
                REFUSALS[status],
                {JSON: {"schema": ref(self.error)}},
                headers_of(HEADERS.get(status, {}), required=status == 401),
            )
            for status in sorted(self.refuses)
        }


def reading(path: str, summary: str, answers: str, *refuses: int, **more: Any) -> AdminOperation:
    statuses = (400, 401, 503, *refuses)
    return AdminOperation(
        path=path, summary=summary, tag="Admin", method="get", answers=answers, refuses=statuses, **more
    )


def writing(
    method: str, path: str, summary: str, asks: str, answers: str, *refuses: int, **more: Any
) -> AdminOperation:
    statuses = (400, 401, 403, 413, 415, 503, *refuses)
    return AdminOperation(
        path=path, summary=summary, tag="Admin", method=method, asks=asks, answers=answers, refuses=statuses, **more
    )


def clearing(path: str, summary: str) -> AdminOperation:
    statuses = (400, 401, 403, 404, 503)
    return AdminOperation(
        path=path, summary=summary, tag="Admin", method="delete", answers="LimitsCleared", refuses=statuses
    )


SINCE = Parameter("since", "A duration such as 30d, a date, or a time.")
REPORT = (
    Parameter("team", "Only this team's."),
    Parameter("key", "Only this key's, by its id."),
    Parameter("model", "Only of this model."),
    SINCE,
    Parameter("until", "The same; without it, now."),
    Parameter("by", "A row for each of these, with commas between: team, key, model, target, day, hour."),
    Parameter("format", "json or csv.", {"enum": ["json", "csv"]}),
)
KEPT = (Parameter("team", "Only this team's."), Parameter("model", "Only of this model."))
LOG = (
    SINCE,
    Parameter("subject", "Only changes of this one."),
    Parameter("last", "How many.", {"type": "integer", "minimum": 1, "maximum": 10_000, "default": 100}),
)

OPERATIONS: tuple[AdminOperation, ...] = (
    reading("/admin/teams", "All teams.", "Teams"),
    writing("post", "/admin/teams", "Make a team.", "NewTeam", "Team", 409),
    reading("/admin/teams/{name}", "One team.", "Team", 404),
    writing("patch", "/admin/teams/{name}", "Change a team; what is not named stays.", "TeamChanges", "Team", 404),
    reading("/admin/keys", "All keys, or a team's.", "Keys", 404, asking=(Parameter("team", "Only this team's."),)),
    writing("post", "/admin/keys", "Make a key, which is told this once.", "NewKey", "KeySecret", 404, 409),
    reading("/admin/keys/{id}", "One key, without its secret.", "Key", 404),
    writing("patch", "/admin/keys/{id}", "Change a key; what is not named stays.", "KeyChanges", "Key", 404, 409),
    writing(
        "post",
        "/admin/keys/{id}/rotate",
        "Give a key a new secret, which is told this once; the old one stays good for a while.",
        "Rotation",
        "KeySecret",
        404,
        409,
        optional=True,
    ),
    writing("post", "/admin/keys/{id}/revoke", "End a key for good.", "Nothing", "Key", 404, optional=True),
    reading("/admin/admins", "All admin keys.", "Admins"),
    writing("post", "/admin/admins", "Make an admin key, which is told this once.", "NewAdmin", "AdminSecret", 409),
    writing("post", "/admin/admins/{id}/revoke", "End an admin key.", "Nothing", "Admin", 404, 409, optional=True),
    reading("/admin/limits", "All limits, and where each is set.", "AllLimits"),
    writing("put", "/admin/limits/{scope}", "Set limits of the organisation.", "LimitsChanges", "LimitsSet"),
    clearing("/admin/limits/{scope}", "Take the organisation's limits back."),
    writing("put", "/admin/limits/{scope}/{subject}", "Set limits of a subject.", "LimitsChanges", "LimitsSet", 404),
    clearing("/admin/limits/{scope}/{subject}", "Take a subject's limits back, so that routing.yaml's hold."),
    reading("/admin/cache", "The answers that are kept, by team and model.", "Kept", 404, asking=KEPT),
    writing(
        "post",
        "/admin/cache/purge",
        "Let go of kept answers: of a team, of a model, or of all.",
        "Purge",
        "Purged",
        404,
        optional=True,
    ),
    reading("/admin/usage", "What was used, and what it cost.", "Usages", asking=REPORT, csv=True),
    reading("/admin/audit/log", "Who changed what, the newest first.", "AuditLog", asking=LOG),
    writing("post", "/admin/audit", "Check that nothing is lost.", "Audit", "AuditReport", optional=True),
)


def closed(properties: dict[str, Schema], *required: str) -> Schema:
    """An object that a route takes: it refuses other fields."""
    return {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": list(required)} if required else {}),
    }


def said(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


TEXTS = list_of(TEXT)
MODELS = said({"type": ["array", "null"], "items": TEXT}, "the models that may be asked; * is anything, null is all")
NOTES: Schema = {"type": "object", "additionalProperties": TEXT}
TIME: Schema = {"type": "string", "format": "date-time"}
TIME_OR_NULL: Schema = {"type": ["string", "null"], "format": "date-time"}
FLAG: Schema = {"type": "boolean"}
NUMBER: Schema = {"type": "number", "minimum": 0}
WHEN = said(TEXT_OR_NULL, "a duration such as 90d, a date, or a time; null is never")

COUNTS = ("rpm", "tpm", "tpd", "concurrent")
DOLLARS = ("usd_per_day", "usd_per_month", "soft_usd_per_day", "soft_usd_per_month")
LIFTED: Schema = {"enum": ["unlimited", None]}
COUNT: Schema = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 2**63 - 1}, LIFTED]}
MONEY: Schema = {
    "anyOf": [{"type": "number", "minimum": 0}, {"type": "string", "pattern": r"^[0-9]+(\.[0-9]{1,9})?$"}, LIFTED]
}

TAKEN = dict.fromkeys(COUNTS, COUNT) | dict.fromkeys(DOLLARS, MONEY)
SHORT: dict[str, Schema] = {"budget_usd": MONEY, "soft_budget_usd": MONEY, "period": {"enum": ["day", "month"]}}
BESIDE: dict[str, Schema] = {**dict.fromkeys(COUNTS, COUNT), **SHORT, "limits": closed(TAKEN)}
ABOUT: dict[str, Schema] = {"models": MODELS, "metadata": NOTES, "tags": TEXTS}
ROLE: Schema = {"enum": ["viewer", "operator", "owner"]}
SCOPE: Schema = {"enum": ["organisation", "team", "key", "user", "model"]}

TOLD: Schema = {
    "type": "object",
    "properties": dict.fromkeys(COUNTS, {"anyOf": [WHOLE, {"const": "unlimited"}]})
    | dict.fromkeys(DOLLARS, {"anyOf": [NUMBER, {"const": "unlimited"}]}),
    "additionalProperties": False,
}
TEAM = {"name": TEXT, "created": TIME, "disabled": FLAG, **ABOUT, "limits": TOLD}
KEY = {
    "id": TEXT, "team": TEXT, "name": TEXT, "created": TIME, "expires": TIME_OR_NULL, "revoked": TIME_OR_NULL,
    "disabled": FLAG, "grace": TIME_OR_NULL, **ABOUT, "limits": TOLD,
    "state": {"enum": ["active", "disabled", "expired", "revoked"]},
}  # fmt: skip
SECRET = {"key": said(TEXT, "the whole key; it is told this once"), "id": TEXT, "name": TEXT, "expires": TIME_OR_NULL}
ADMIN = {"id": TEXT, "name": TEXT, "role": ROLE, "created": TIME, "expires": TIME_OR_NULL, "revoked": TIME_OR_NULL}
LINE = {
    "id": WHOLE,
    "at": TIME,
    "actor": TEXT,
    "action": TEXT,
    "kind": TEXT,
    "subject": TEXT,
    "before": {},
    "after": {},
}
DIMENSIONS = ("team", "key", "model", "target", "day", "hour")
SUMS = (
    "requests", "calls", "failed", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens",
    "reasoning_tokens", "unpriced", "estimated",
)  # fmt: skip
COST = said({"type": ["number", "null"]}, "null where no request has a known price")
USAGE = dict.fromkeys(DIMENSIONS, TEXT) | dict.fromkeys(SUMS, WHOLE) | {"cost_usd": COST}
DRIFTED = said(WHOLE, "money in nano-dollars")
DRIFT = {"what": TEXT, "subject": TEXT, "expected": DRIFTED, "found": DRIFTED, "repaired": FLAG}
REPORTED = {
    "at": TIME, "entries": WHOLE, "cost_usd": NUMBER, "in_flight_usd": NUMBER, "in_flight_tokens": WHOLE,
    "spooled": WHOLE, "counters": WHOLE, "drifts": list_of(an_object(DRIFT)),
}  # fmt: skip

COMPONENTS: dict[str, Schema] = {
    "NewTeam": closed({"name": TEXT, **ABOUT, **BESIDE}, "name"),
    "TeamChanges": closed({"disabled": FLAG, **ABOUT}),
    "NewKey": closed({"team": TEXT, "name": TEXT, "expires": WHEN, **ABOUT, **BESIDE}, "team"),
    "KeyChanges": closed({"name": TEXT, "disabled": FLAG, "expires": WHEN, **ABOUT}),
    "Rotation": closed({"grace": said(TEXT, "how long the old secret stays good: 24h, 30m, 0s")}),
    "Nothing": closed({}),
    "NewAdmin": closed({"name": TEXT, "role": ROLE, "expires": WHEN}, "name", "role"),
    "LimitsChanges": said(closed({**TAKEN, **SHORT}), "null takes an override back; unlimited lifts routing.yaml's"),
    "Purge": closed({"team": TEXT_OR_NULL, "model": TEXT_OR_NULL}),
    "Audit": closed({"repair": FLAG}),
    "Team": an_object(TEAM),
    "Teams": list_of(ref("Team")),
    "Key": an_object(KEY),
    "Keys": list_of(ref("Key")),
    "KeySecret": an_object({**SECRET, "team": TEXT, "grace": TIME_OR_NULL}),
    "Admin": an_object(ADMIN),
    "Admins": list_of(ref("Admin")),
    "AdminSecret": an_object({**SECRET, "role": ROLE}),
    "LimitsSet": an_object(
        {"scope": SCOPE, "subject": TEXT, "limits": TOLD, "source": {"enum": ["database", "routing.yaml"]}}
    ),
    "AllLimits": list_of(ref("LimitsSet")),
    "LimitsCleared": an_object({"scope": SCOPE, "subject": TEXT, "cleared": {"const": True}}),
    "Kept": list_of(an_object({"team": TEXT, "model": TEXT, "entries": WHOLE, "bytes": WHOLE})),
    "Purged": an_object({"team": TEXT_OR_NULL, "model": TEXT_OR_NULL, "entries": WHOLE}),
    "Usages": list_of(an_object(USAGE, *DIMENSIONS)),
    "AuditLog": list_of(an_object(LINE)),
    "AuditReport": an_object(REPORTED),
}


def components() -> dict[str, Schema]:
    return dict(COMPONENTS)


EXAMPLES: dict[str, dict[str, Any]] = {
    "NewTeam": {"name": "search", "models": ["demo", "llama/*"], "tags": ["prod"], "rpm": 600, "budget_usd": 500},
    "TeamChanges": {"disabled": True},
    "NewKey": {"team": "search", "name": "ci", "expires": "90d", "limits": {"tpm": 10_000, "usd_per_day": "2.50"}},
    "KeyChanges": {"models": None},
    "Rotation": {"grace": "24h"},
    "Nothing": {},
    "NewAdmin": {"name": "ann", "role": "viewer"},
    "LimitsChanges": {"rpm": 100, "usd_per_month": "1000", "tpd": "unlimited", "concurrent": None},
    "Purge": {"model": "demo"},
    "Audit": {"repair": False},
}
"""A body for each component that a route takes."""
