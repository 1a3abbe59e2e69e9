"""The description of /admin/ against what serves it."""

from typing import Any

import httpx
import jsonschema_rs
import pytest

from gateway.adminapi.routes import entries
from gateway.caching.store import Held
from gateway.control.types import Drift, UsageRow
from gateway.openapi import admin
from gateway.openapi.admin import EXAMPLES, OPERATIONS, AdminOperation
from gateway.openapi.answers import HAND_WRITTEN
from tests.gateway.adminapi.memory import NOW
from tests.gateway.adminapi.plane import Plane
from tests.gateway.adminapi.test_attacks import filled
from tests.gateway.adminapi.test_routes import row

COMPONENTS = {
    **{name: HAND_WRITTEN[name] for name in ("OpenAIError", "AnyError", "ModelFailure")},
    **admin.components(),
}


def check(schema: dict[str, Any], value: Any) -> None:
    jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": COMPONENTS}}).validate(value)


def test_every_route_is_described() -> None:
    served = {(entry.method.lower(), entry.path.replace(":path", "")) for entry in entries(lambda: NOW)}
    assert {(operation.method, operation.path) for operation in OPERATIONS} == served
    assert len(OPERATIONS) == len(served)


def test_names_are_free() -> None:
    """Two components of one name would be one."""
    from gateway.openapi import answers, requests

    assert not admin.components().keys() & (requests.components().keys() | answers.components().keys())


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: f"{operation.method} {operation.path}")
async def test_answers_are_as_described(owner: httpx.AsyncClient, plane: Plane, operation: AdminOperation) -> None:
    await owner.post("/admin/teams", json={"name": "t", "rpm": 1, "budget_usd": 5})
    await owner.post("/admin/teams", json={"name": "search"})
    await owner.post("/admin/keys", json={"team": "t", "tpm": 1})
    await owner.post("/admin/admins", json={"name": "ann", "role": "owner"})
    await owner.put("/admin/limits/team/t", json={"rpm": 5})
    plane.memory.rows = [row(requests=1, unpriced=1), row(model="a", requests=1, cost_nano=3)]
    plane.memory.held = [Held(team="t", model="a", entries=2, bytes=900)]
    plane.memory.drifts = (Drift(what="usd_day", subject="team t", expected=5, found=4),)
    del plane.memory.teams["search"]
    path = filled(operation.path).replace("{subject}", "t")
    if path == "/admin/limits/team":
        path = "/admin/limits/organisation"
        await owner.put(path, json={"rpm": 1})
    body = EXAMPLES[operation.asks] if operation.asks else None
    if body is not None and operation.path == "/admin/keys":
        body = body | {"team": "t"}
    document = operation.document()
    answer = await owner.request(operation.method, path, json=body)
    assert answer.status_code == 200, answer.text
    check(document["responses"]["200"]["content"]["application/json"]["schema"], answer.json())
    if body is not None:
        check(document["requestBody"]["content"]["application/json"]["schema"], body)
    stranger = await httpx.AsyncClient(transport=httpx.ASGITransport(plane.app), base_url="http://x").get(path)
    check(document["responses"]["401"]["content"]["application/json"]["schema"], stranger.json())
    assert document["security"] == [{"admin": []}]


def test_every_sum_of_a_report_is_described() -> None:
    names = {"cost_usd" if name == "cost_nano" else name for name in UsageRow.__struct_fields__}
    assert set(admin.USAGE) == names


PROVOKED = [(operation, status) for operation in OPERATIONS for status in operation.refuses if status != 503]


@pytest.mark.parametrize(
    ("operation", "status"), PROVOKED, ids=lambda one: one if isinstance(one, int) else f"{one.method} {one.path}"
)
async def test_every_refusal_occurs_and_is_as_described(record: Plane, operation: AdminOperation, status: int) -> None:
    """But for a record that is away."""
    async with record.client("viewer" if status == 403 else None if status == 401 else "owner") as client:
        path, sent = await provoking(record, operation, status)
        answer = await client.request(operation.method, path, **sent)
    assert answer.status_code == status, answer.text
    check(operation.document()["responses"][str(status)]["content"]["application/json"]["schema"], answer.json())
    assert answer.json()["error"]["message"] == answer.json()["detail"]


async def provoking(record: Plane, operation: AdminOperation, status: int) -> tuple[str, dict[str, Any]]:
    """A path, and what is sent there, that is refused in this way; on a record that is made so that it is."""
    ids = {"{name}": "t", "{scope}": "team", "{subject}": "t"}
    if operation.path == "/admin/limits/{scope}":
        ids = {"{scope}": "organisation"}
    async with record.client() as owner:
        await owner.post("/admin/teams", json={"name": "t"})
        made = await owner.post("/admin/keys", json={"team": "t", "name": "ci"})
        admin = await owner.post("/admin/admins", json={"name": "ann", "role": "owner"})
        ids["{id}"] = (admin if "admins" in operation.path else made).json()["id"]
        if status == 409 and operation.path.startswith("/admin/keys/"):
            await owner.post(f"/admin/keys/{ids['{id}']}/revoke")
    if status == 404:
        ids = {"{name}": "no", "{id}": "no", "{scope}": ids.get("{scope}", ""), "{subject}": "no"}
    path = operation.path
    for name, value in ids.items():
        path = path.replace(name, value)
    return path, sent_to(operation, status)


def sent_to(operation: AdminOperation, status: int) -> dict[str, Any]:
    if status in (413, 415):
        kind = "application/json" if status == 413 else "text/plain"
        return {"content": b" " * 300_000, "headers": {"content-type": kind}}
    if operation.method == "get":
        return {
            "params": {"team": "no"}
            if status == 404 and operation.path in ("/admin/keys", "/admin/cache")
            else {"nope": "1"}
            if status == 400
            else {}
        }
    if operation.method == "delete":
        return {"params": {"nope": "1"} if status == 400 else {}}
    if status == 400:
        return {"json": {"nope": 1}}
    bodies: dict[str, dict[str, Any]] = {
        "NewTeam": {"name": "t"},
        "NewKey": {"team": "no" if status == 404 else "t", "name": "ci"},
        "NewAdmin": {"name": "ann", "role": "owner"},
        "Purge": {"team": "no" if status == 404 else "t"},
    }
    return {"json": bodies.get(operation.asks or "", EXAMPLES[operation.asks or ""])}
