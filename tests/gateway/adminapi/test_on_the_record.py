"""The admin plane on the record in SQL: what is refused leaves no trace there, what is done is all there."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.gateway.adminapi.plane import Plane
from tests.gateway.adminapi.test_attacks import BAD_BODIES, COUNTS, ENTRIES, INJECTIONS, MONEY, body_for

Contents = Callable[[], list[str]]


@pytest.fixture
async def asking(record: Plane) -> AsyncIterator[httpx.AsyncClient]:
    async with record.client() as client:
        yield client


@pytest.fixture
def contents(tmp_path: Path, record: Plane) -> Contents:
    def dump() -> list[str]:
        connection = sqlite3.connect(tmp_path / "record.sqlite3")
        lines = list(connection.iterdump())
        connection.close()
        return lines

    return dump


async def test_everything_once(asking: httpx.AsyncClient) -> None:
    team = await asking.post("/admin/teams", json={"name": "t", "limits": {"usd_per_day": "0.000000001"}})
    assert team.json()["limits"] == {"usd_per_day": 1e-9}
    made = (await asking.post("/admin/keys", json={"team": "t", "rpm": "unlimited", "expires": "1h"})).json()
    assert (await asking.get(f"/admin/keys/{made['id']}")).json()["limits"] == {"rpm": "unlimited"}
    assert (await asking.post(f"/admin/keys/{made['id']}/rotate", json={"grace": "0s"})).status_code == 200
    assert (await asking.patch(f"/admin/keys/{made['id']}", json={"tags": ["x"]})).json()["tags"] == ["x"]
    assert (await asking.patch("/admin/teams/t", json={"metadata": {"a": "b"}})).json()["metadata"] == {"a": "b"}
    put = await asking.put("/admin/limits/user/t/ann%3F", json={"budget_usd": 3, "period": "day"})
    assert put.json()["limits"] == {"usd_per_day": 3}
    assert (await asking.delete("/admin/limits/user/t/ann%3F")).status_code == 200
    assert (await asking.post(f"/admin/keys/{made['id']}/revoke")).json()["state"] == "revoked"
    admin = (await asking.post("/admin/admins", json={"name": "ann", "role": "owner"})).json()
    last = await asking.post(f"/admin/admins/{admin['id']}/revoke")
    assert last.status_code == 409 and "last admin key of an owner" in last.json()["detail"]
    assert (await asking.get("/admin/usage?by=team,model")).json() == []
    assert (await asking.post("/admin/audit")).json()["drifts"] == []
    log = (await asking.get("/admin/audit/log")).json()
    assert len(log) == 9 and {line["actor"] for line in log} == {"admin:owner"}
    [cleared] = [line for line in log if line["action"] == "clear"]
    assert cleared["before"] == {"usd_per_day": 3} and cleared["after"] is None
    assert made["key"] not in (await asking.get("/admin/audit/log")).text


async def test_nothing_is_half_written(asking: httpx.AsyncClient, contents: Contents) -> None:
    await asking.post("/admin/teams", json={"name": "t", "budget_usd": 5})
    before = contents()
    json = {"content-type": "application/json"}
    for content, status, _ in BAD_BODIES.values():
        answer = await asking.post("/admin/teams", content=content, headers=json)
        assert answer.status_code == status
    fields = [(name, value) for name in ("rpm", "concurrent") for value in (*COUNTS, "0")]
    fields += [(name, value) for name in ("usd_per_day", "soft_usd_per_month") for value in (*MONEY, "0")]
    for field, value in fields:
        for path, start in (("/admin/teams", '"name":"u"'), ("/admin/keys", '"team":"t"')):
            text = f'{{{start},"limits":{{"tpm":5,"{field}":{value}}}}}'
            answer = await asking.post(path, content=text, headers=json)
            assert answer.status_code == 400, (text, answer.text)
    bodies: list[tuple[str, dict[str, Any]]] = [
        ("/admin/teams", {"name": "u", "rpm": 5, "tags": [str(number) for number in range(10_000)]}),
        ("/admin/teams", {"name": "u", "metadata": {str(number): "" for number in range(10_000)}}),
        ("/admin/teams", {"name": "u", "budget_usd": 1, "soft_budget_usd": 2}),
        ("/admin/keys", {"team": "t", "models": ["a\nb"], "rpm": 5}),
        ("/admin/keys", {"team": "t", "expires": "2020-01-01", "rpm": 5}),
        ("/admin/keys", {"team": "nope", "rpm": 5}),
    ]
    for path, body in bodies:
        assert (await asking.post(path, json=body)).status_code in (400, 404)
    assert contents() == before


@pytest.mark.parametrize("text", INJECTIONS)
async def test_injections(asking: httpx.AsyncClient, contents: Contents, text: str) -> None:
    await asking.post("/admin/teams", json={"name": "t"})
    before = contents()
    path = quote(text, safe="").replace(".", "%2E")
    for answer in (
        await asking.post("/admin/teams", json={"name": text}),
        await asking.post("/admin/admins", json={"name": text, "role": "owner"}),
        await asking.post("/admin/keys", json={"team": text}),
        await asking.get(f"/admin/teams/{path}"),
        await asking.patch(f"/admin/keys/{path}", json={"disabled": False}),
        await asking.put(f"/admin/limits/team/{path}", json={"rpm": 1}),
        await asking.put(f"/admin/limits/user/{path}", json={"rpm": 1}),
        await asking.post(f"/admin/admins/{path}/revoke"),
    ):
        assert answer.status_code in (400, 404), answer.text
        assert all(text not in value for value in answer.headers.values())
    for name in ("team", "key", "model"):
        assert (await asking.get("/admin/usage", params={name: text})).status_code in (200, 400, 404)
    assert (await asking.get("/admin/audit/log", params={"subject": text})).status_code in (200, 400)
    assert contents() == before


async def test_roles_are_checked_twice(record: Plane, contents: Contents) -> None:
    async with record.client("owner") as owner:
        await owner.post("/admin/teams", json={"name": "t"})
    before = contents()
    async with record.client("viewer") as viewer:
        for method, path, needed in ENTRIES:
            if needed != "viewer":
                answer = await viewer.request(method, path.replace("{name}", "t"), json=body_for(path))
                assert answer.status_code == 403
    assert contents() == before


async def test_the_database_goes_away(asking: httpx.AsyncClient, tmp_path: Path) -> None:
    await asking.post("/admin/teams", json={"name": "t"})
    connection = sqlite3.connect(tmp_path / "record.sqlite3")
    connection.execute("ALTER TABLE teams RENAME TO gone")
    connection.close()
    answer = await asking.get("/admin/teams")
    assert answer.status_code in (500, 503)
    assert "teams" not in answer.text and "sqlite" not in answer.text
