"""Every route of /admin/, as an operator uses it."""

import asyncio
from typing import Any

import httpx
import pytest

from gateway.caching.store import Held
from gateway.control.types import UsageQuery, UsageRow
from gateway.limits.types import Limits
from tests.gateway.adminapi.memory import NOW
from tests.gateway.adminapi.plane import Plane

DAY = 86_400


def row(**said: Any) -> UsageRow:
    sums = {name: 0 for name in UsageRow.__struct_fields__ if name not in ("team", "key", "model", "target", "day")}
    sums.pop("hour")
    return UsageRow(**{**sums, **said})


async def test_a_team(owner: httpx.AsyncClient, plane: Plane) -> None:
    made = await owner.post(
        "/admin/teams",
        json={"name": "search", "models": ["a", "b/*"], "tags": ["x"], "metadata": {"cc": "12"}, "rpm": 100,
              "limits": {"usd_per_day": "0.1", "soft_usd_per_month": 3}, "budget_usd": 12.5, "period": "month"},
    )  # fmt: skip
    assert made.status_code == 200
    assert made.json() == {
        "name": "search",
        "created": "2026-11-30T16:00:00Z",
        "disabled": False,
        "models": ["a", "b/*"],
        "metadata": {"cc": "12"},
        "tags": ["x"],
        "limits": {"rpm": 100, "usd_per_day": 0.1, "usd_per_month": 12.5, "soft_usd_per_month": 3},
    }
    limits = plane.memory.teams["search"].limits
    assert limits == Limits(rpm=100, usd_day=10**8, usd_month=12_500_000_000, soft_usd_month=3 * 10**9)
    assert (await owner.get("/admin/teams/search")).json() == made.json()
    assert (await owner.get("/admin/teams")).json() == [made.json()]

    changed = await owner.patch("/admin/teams/search", json={"disabled": True, "models": None})
    assert changed.json() == made.json() | {"disabled": True, "models": None}


async def test_a_key(owner: httpx.AsyncClient, plane: Plane) -> None:
    await owner.post("/admin/teams", json={"name": "t"})
    made = (await owner.post("/admin/keys", json={"team": "t", "name": "ci", "expires": "90d", "tpm": 5})).json()
    assert made["key"].startswith("sk-gw-") and made["expires"] == "2027-02-28T16:00:00Z"
    id = made["id"]
    shown = (await owner.get(f"/admin/keys/{id}")).json()
    assert shown["team"] == "t" and shown["limits"] == {"tpm": 5} and shown["state"] == "active"
    assert "key" not in shown
    assert (await owner.get("/admin/keys", params={"team": "t"})).json() == [shown]
    assert (await owner.get("/admin/keys", params={"team": "other"})).json() == []

    rotated = (await owner.post(f"/admin/keys/{id}/rotate", json={"grace": "1h"})).json()
    assert rotated["id"] == id and rotated["key"] != made["key"] and rotated["grace"] == "2026-11-30T17:00:00Z"
    assert (await owner.post(f"/admin/keys/{id}/rotate")).json()["grace"] == "2026-12-01T16:00:00Z"
    changed = (await owner.patch(f"/admin/keys/{id}", json={"disabled": True, "expires": None})).json()
    assert changed["state"] == "disabled" and changed["expires"] is None
    revoked = (await owner.post(f"/admin/keys/{id}/revoke")).json()
    assert revoked["state"] == "revoked" and revoked["revoked"] == "2026-11-30T16:00:00Z"


async def test_admins(owner: httpx.AsyncClient) -> None:
    made = (await owner.post("/admin/admins", json={"name": "ann", "role": "viewer", "expires": "2027-01-31"})).json()
    assert made["key"].startswith("ak-gw-") and made["role"] == "viewer" and made["expires"] == "2027-01-31T00:00:00Z"
    [shown] = (await owner.get("/admin/admins")).json()
    assert shown["name"] == "ann" and "key" not in shown
    assert (await owner.post(f"/admin/admins/{made['id']}/revoke")).json()["revoked"] == "2026-11-30T16:00:00Z"


@pytest.mark.parametrize(
    ("path", "scope", "subject"),
    [
        ("organisation", "organisation", ""),
        ("organisation/", "organisation", ""),
        ("team/t", "team", "t"),
        ("model/meta%2Fllama", "model", "meta/llama"),
        ("model/meta/llama", "model", "meta/llama"),
        ("user/t/ann%3Fx%20y", "user", "t/ann?x y"),
    ],
)
async def test_limits(owner: httpx.AsyncClient, path: str, scope: str, subject: str) -> None:
    put = await owner.put(f"/admin/limits/{path}", json={"rpm": 9, "usd_per_day": 0.000000001, "tpd": "unlimited"})
    limits = {"rpm": 9, "usd_per_day": 1e-9}
    assert put.json() == {"scope": scope, "subject": subject, "limits": limits, "source": "database"}
    assert (await owner.get("/admin/limits")).json() == [put.json()]
    again = await owner.put(f"/admin/limits/{path}", json={"rpm": None})
    assert again.json()["limits"] == {"usd_per_day": 1e-9}
    assert (await owner.delete(f"/admin/limits/{path}")).status_code == 200
    assert (await owner.get("/admin/limits")).json() == []
    assert (await owner.delete(f"/admin/limits/{path}")).status_code == 404


async def test_usage(owner: httpx.AsyncClient, plane: Plane) -> None:
    plane.memory.rows = [
        row(model="a", day="2026-11-30", requests=2, cost_nano=1_000_000_001),
        row(model="=cmd()", day="2026-11-30", requests=1, unpriced=1),
        row(model='q"u,o', day="2026-11-30", requests=3, unpriced=1, cost_nano=10),
    ]
    answer = await owner.get("/admin/usage", params={"team": "t", "since": "1d", "by": "model,day"})
    told = answer.json()
    assert plane.memory.queries == [UsageQuery(since=NOW - DAY, by=("model", "day"), team="t")]
    assert b'"cost_usd":1.000000001' in answer.content
    assert [one["cost_usd"] for one in told] == [1.000000001, None, 1e-8]
    assert list(told[0]) == ["model", "day", "requests", "calls", "failed", "input_tokens", "output_tokens",
                             "cached_tokens", "cache_write_tokens", "reasoning_tokens", "cost_usd", "unpriced",
                             "estimated"]  # fmt: skip
    csv = await owner.get("/admin/usage", params={"by": "model,day", "format": "csv", "until": "2026-11-30"})
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert plane.memory.queries[-1].until == NOW - 16 * 3600
    lines = csv.text.split("\r\n")
    assert lines[0].startswith("model,day,requests,calls,failed,input_tokens,")
    assert lines[1:] == [
        "a,2026-11-30,2,0,0,0,0,0,0,0,1.000000001,0,0",
        "'=cmd(),2026-11-30,1,0,0,0,0,0,0,0,,1,0",
        '"q""u,o",2026-11-30,3,0,0,0,0,0,0,0,0.00000001,1,0',
        "",
    ]


async def test_kept_answers(owner: httpx.AsyncClient, plane: Plane) -> None:
    rows = [{"team": team, "model": model, "entries": 2, "bytes": 900} for team in ("t", "u") for model in ("a", "b/c")]
    plane.memory.held = [Held(**row) for row in rows]  # type: ignore[arg-type]
    assert (await owner.get("/admin/cache")).json() == rows
    assert (await owner.get("/admin/cache", params={"team": "u", "model": "b/c"})).json() == rows[3:]
    purged = await owner.post("/admin/cache/purge", json={"team": "t", "model": None})
    assert purged.json() == {"team": "t", "model": None, "entries": 4}
    assert (await owner.get("/admin/cache")).json() == rows[2:]
    assert (await owner.post("/admin/cache/purge", json={"teams": "u"})).status_code == 400
    assert (await owner.post("/admin/cache/purge", json={"team": 5})).status_code == 400
    assert (await owner.post("/admin/cache/purge")).json() == {"team": None, "model": None, "entries": 4}
    assert (await owner.get("/admin/cache")).json() == []


async def test_audit(owner: httpx.AsyncClient) -> None:
    await owner.post("/admin/teams", json={"name": "t"})
    await owner.post("/admin/teams", json={"name": "u"})
    lines = (await owner.get("/admin/audit/log", params={"last": "1", "since": "1h"})).json()
    assert [(line["subject"], line["actor"], line["at"]) for line in lines] == [
        ("u", "admin:owner", "2026-11-30T16:00:00Z")
    ]
    assert len((await owner.get("/admin/audit/log", params={"subject": "t"})).json()) == 1
    report = (await owner.post("/admin/audit", json={"repair": False})).json()
    assert report["cost_usd"] == 1.500000001 and report["drifts"] == []
    assert (await owner.post("/admin/audit")).status_code == 200


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_long_lists_hold_nobody_up(owner: httpx.AsyncClient, plane: Plane, form: str) -> None:
    """Others have their turn again and again while one is written."""
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async def asked() -> tuple[httpx.Response, int]:
        before = turns
        return await owner.get("/admin/usage", params={"by": "model", "format": form}), turns - before

    other = asyncio.create_task(take_turns())
    _, few = await asked()
    plane.memory.rows = [row(model=f"m{number}", requests=number) for number in range(20_001)]
    answer, many = await asked()
    other.cancel()
    assert many - few >= 100
    if form == "json":
        assert [one["requests"] for one in answer.json()] == list(range(20_001))
    else:
        assert answer.text.count("\r\n") == 20_002 and answer.text.count("model") == 1


async def test_answers_are_not_kept(owner: httpx.AsyncClient) -> None:
    for answer in (await owner.get("/admin/teams"), await owner.get("/admin/teams/x"), await owner.put("/admin/x")):
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
