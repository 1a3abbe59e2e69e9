"""Attacks on /admin/: by strangers, by admins who want more than they may, and by what bodies hold. Whatever is
refused, nothing of it is kept."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from gateway.adminapi.guard import MAX_BODY
from gateway.adminapi.routes import entries
from gateway.control.types import Role
from gateway.store.sql.engine import RecordDown
from tests.gateway.adminapi.memory import NOW
from tests.gateway.adminapi.plane import Plane

TEAM_KEY = "sk-gw-abcdefghijkl-0123456789012345678901234567890123456789012"
STRANGERS = {
    "no key": None,
    "a team's key": f"Bearer {TEAM_KEY}",
    "garbage": "Bearer \\x00'; DROP TABLE admins; --",
    "an admin key's public part": "Bearer ak-gw-owner_______",
    "another scheme": "Basic b3duZXI6b3duZXI=",
    "nothing": "Bearer ",
}
ENTRIES = [(entry.method, entry.path, entry.role) for entry in entries(lambda: NOW)]
PATHS = {path for _, path, _ in ENTRIES} | {"/admin", "/admin/", "/admin/nothing", "/admin/keys/a/b/c", "/admin//keys"}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO")


@pytest.fixture
async def kept(plane: Plane, owner: httpx.AsyncClient) -> AsyncIterator[httpx.AsyncClient]:
    """A plane with something in it, of which nothing may have changed in the end."""
    await owner.post("/admin/teams", json={"name": "t"})
    await owner.post("/admin/keys", json={"team": "t"})
    await owner.post("/admin/admins", json={"name": "ann", "role": "owner"})
    await owner.put("/admin/limits/team/t", json={"rpm": 5})
    before = plane.memory.state()
    yield owner
    assert plane.memory.state() == before


def filled(path: str) -> str:
    values = {"{name}": "t", "{id}": "key000000001", "{scope}": "team", "{subject:path}": "t"}
    if "/admins/" in path:
        values["{id}"] = "adm000000001"
    for name, value in values.items():
        path = path.replace(name, value)
    return path


def body_for(path: str) -> dict[str, Any] | None:
    """What the route would take."""
    bodies: dict[str, dict[str, Any]] = {
        "/admin/teams": {"name": "new"},
        "/admin/teams/{name}": {"disabled": True},
        "/admin/keys": {"team": "t"},
        "/admin/keys/{id}": {"disabled": True},
        "/admin/admins": {"name": "eve", "role": "owner"},
    }
    return bodies.get(path, {"rpm": 1} if path.startswith("/admin/limits") else None)


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_without_an_admin_key_nothing_is_told(plane: Plane, kept: httpx.AsyncClient, stranger: str) -> None:
    """Neither what there is, nor which methods it takes: every answer is the same."""
    given = STRANGERS[stranger]
    said = set()
    async with plane.client(None) as client:
        for path in PATHS:
            for method in METHODS:
                headers = {"authorization": given} if given is not None else {}
                answer = await client.request(method, filled(path), headers=headers, json=body_for(path))
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                if method != "HEAD":
                    said.add(answer.content)
    [body] = said
    assert b"takes admin keys (ak-gw-...), not a team's key" in body


async def test_two_keys_are_none(plane: Plane, owner: httpx.AsyncClient) -> None:
    own = owner.headers["authorization"]
    async with plane.client(None) as client:
        for lines in ([own, f"Bearer {TEAM_KEY}"], [f"Bearer {TEAM_KEY}", own]):
            answer = await client.get("/admin/teams", headers=[("authorization", line) for line in lines])
            assert answer.status_code == 401


RANK = {"viewer": 0, "operator": 1, "owner": 2}


@pytest.mark.parametrize("role", ["viewer", "operator"])
async def test_a_role_does_no_more_than_it_may(plane: Plane, kept: httpx.AsyncClient, role: Role) -> None:
    async with plane.client(role) as client:
        refused = 0
        for method, path, needed in ENTRIES:
            if RANK[role] >= RANK[needed]:
                continue
            answer = await client.request(method, filled(path), json=body_for(path))
            assert answer.status_code == 403, (method, path)
            assert answer.json()["error"]["code"] == "forbidden"
            assert f"role {needed}" in answer.json()["detail"] and f"role {role}" in answer.json()["detail"]
            refused += 1
        assert refused == {"viewer": 14, "operator": 2}[role]


async def test_the_control_is_told_who_asks(plane: Plane) -> None:
    """So that it can check again."""
    async with plane.client("operator") as client:
        await client.post("/admin/teams", json={"name": "t"})
    assert plane.memory.lines[0].actor == "admin:operator"


@pytest.mark.parametrize("path", ["/admin/keys", "/admin/teams/t", "/admin/usage", "/admin/audit/log"])
async def test_what_is_not_by_this_method(kept: httpx.AsyncClient, path: str) -> None:
    for method in ("DELETE", "OPTIONS", "TRACE", "FOO", "PUT"):
        answer = await kept.request(method, path)
        assert answer.status_code == 405, method
        assert "GET" in answer.headers["allow"] and answer.json()["error"]["code"] == "method_not_allowed"
    head = await kept.head(path)
    assert head.status_code == 200


@pytest.mark.parametrize(
    "target",
    [
        "/admin",
        "/admin/",
        "/admin//keys",
        "//admin/keys",
        "/admin/keys/",
        "/admin/teams/t/",
        "/admin/keys//revoke",
        "/admin/keys/../admins",
        "/admin/keys/..%2Fadmins",
        "/admin/keys/%2e%2e%2fadmins",
        "/admin/keys%2Fkey000000001",
        "/admin%2Fkeys",
        "/admin/./keys",
        "/admin/keys;role=owner",
        "/admin/keys%00",
        "/admin/keys%0A",
        "/admin/keys%0Akey000000001",
        "/ADMIN/keys",
        "/admin/keys/key000000001%2Frevoke",
        "/admin/teams/..%252Fkeys",
        "/admin/adm%69ns/../../v1/models",
    ],
)
async def test_tricks_with_paths(plane: Plane, kept: httpx.AsyncClient, target: str) -> None:
    """They lead nowhere, or where they would lead written plainly; and never past the key."""
    for authorization in ("", kept.headers["authorization"]):
        status, said = await raw(plane, "GET", target, authorization)
        if target in ("//admin/keys", "/ADMIN/keys"):
            assert status == 404  # not ours: the rest of the gateway says so
        elif not authorization:
            assert status == 401
        elif target in ("/admin/keys%2Fkey000000001", "/admin%2Fkeys"):
            assert status == 200
        elif target.endswith("%2Frevoke"):
            assert status == 405
        else:
            assert status == 404
    status, _ = await raw(plane, "POST", target, "")
    assert status in (401, 404)


async def raw(plane: Plane, method: str, target: str, authorization: str) -> tuple[int, bytes]:
    """A request whose path nobody tidies up on the way, as uvicorn hands it on."""
    from urllib.parse import unquote

    path, _, query = target.partition("?")
    headers = [(b"host", b"x"), *([(b"authorization", authorization.encode())] if authorization else [])]
    scope = {"type": "http", "http_version": "1.1", "method": method, "path": unquote(path), "headers": headers,
             "raw_path": path.encode(), "query_string": query.encode(), "scheme": "http", "root_path": "",
             "server": ("x", 80), "client": ("127.0.0.1", 1), "asgi": {"version": "3.0"}, "state": {}}  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await plane.app(scope, receive, send)
    return sent[0]["status"], b"".join([message.get("body", b"") for message in sent])


BAD_BODIES: dict[str, tuple[bytes, int, str]] = {
    "too large": (b'{"name":"' + b"x" * MAX_BODY + b'"}', 413, "larger than 262144 bytes"),
    "too deep": (b'{"metadata":' + b'{"a":' * 9 + b"1" + b"}" * 10, 400, "nested deeper than 8 levels"),
    "far too deep": (b'{"tags":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "nested"),
    "no object": (b'["name"]', 400, "must be a JSON object"),
    "no JSON": (b"name=x&role=owner", 400, "not valid JSON"),
    "a key twice": (b'{"name":"x","name":"y"}', 400, "name is given twice"),
    "a key twice within": (b'{"name":"x","limits":{"rpm":1,"rpm":2}}', 400, "rpm is given twice"),
    "an escaped key twice": (b'{"name":"x","n\\u0061me":"y"}', 400, "name is given twice"),
    "metadata twice": (b'{"name":"x","metadata":{"a":"1","a":"2"}}', 400, "a is given twice"),
    "unknown": (b'{"name":"x","rmp":1}', 400, "rmp is not a field here"),
    "unknown within": (b'{"name":"x","limits":{"rmp":1}}', 400, "limits.rmp is not a field here"),
    "proto": (b'{"name":"x","__proto__":{"role":"owner"}}', 400, "__proto__ is not a field here"),
    "no UTF-8": (b'{"name":"\xff"}', 400, "UTF-8"),
    "half a surrogate": (b'{"name":"\\ud800"}', 400, "surrogate"),
    "no name": (b"{}", 400, "name is missing"),
    "empty": (b"", 400, "name is missing"),
    "a number for a name": (b'{"name":1}', 400, "name: must be a text, not 1"),
    "null for a name": (b'{"name":null}', 400, "name: must be a text"),
    "a text for a list": (b'{"name":"x","models":"a"}', 400, "models: must be a list of texts"),
    "a list of numbers": (b'{"name":"x","tags":[1]}', 400, "tags: must be a list of texts"),
    "metadata of numbers": (b'{"name":"x","metadata":{"a":1}}', 400, "metadata.a: must be a text"),
    "nested metadata": (b'{"name":"x","metadata":{"a":{"b":"c"}}}', 400, "metadata.a: must be a text"),
    "limits of text": (b'{"name":"x","limits":"none"}', 400, "limits: must be an object"),
    "10,000 tags": (b'{"name":"x","tags":[' + b'"t",' * 9_999 + b'"t"]}', 400, "tags"),
    "a period alone": (b'{"name":"x","period":"day"}', 400, "period says for how long"),
    "an unknown period": (b'{"name":"x","budget_usd":1,"period":"year"}', 400, "period: must be day or month"),
    "a budget twice": (b'{"name":"x","budget_usd":1,"limits":{"usd_per_month":2}}', 400, "given in two ways"),
    "a limit twice": (b'{"name":"x","rpm":1,"limits":{"rpm":2}}', 400, "rpm is given in two ways"),
}


@pytest.mark.parametrize("what", BAD_BODIES)
async def test_bad_bodies(kept: httpx.AsyncClient, what: str) -> None:
    content, status, said = BAD_BODIES[what]
    answer = await kept.post("/admin/teams", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"] == answer.json()["error"]["message"]
    assert len(answer.content) < 1_000
    assert '{"model"' not in answer.json()["detail"]  # which is for calls of models


COUNTS = ("-1", "-0", "1.5", "1e3", "1e400", '"5"', "true", "[]", "{}", '""', str(2**63), "9" * 5_000)
MONEY = ("-1", "-0", "-0.0", '"-0"', "1e400", "1e999", "1e-10", "0.0000000001", '"NaN"', '"Infinity"', '"-Infinity"',
         '"1_000"', '" 5"', '"0x10"', '"\\u0665"', "true", "[]", "{}", '""', "9" * 5_000, "1000000001",
         '"1; DROP TABLE limits"')  # fmt: skip


@pytest.mark.parametrize("value", [*COUNTS, "0", "NaN", "Infinity"])
@pytest.mark.parametrize("field", ["rpm", "tpd", "concurrent"])
async def test_bad_counts(kept: httpx.AsyncClient, field: str, value: str) -> None:
    await refused_everywhere(kept, field, value)


@pytest.mark.parametrize("value", [*MONEY, "0", "NaN", "-Infinity"])
@pytest.mark.parametrize("field", ["budget_usd", "soft_budget_usd", "usd_per_day", "soft_usd_per_month"])
async def test_bad_money(kept: httpx.AsyncClient, field: str, value: str) -> None:
    await refused_everywhere(kept, field, value)


async def refused_everywhere(kept: httpx.AsyncClient, field: str, value: str) -> None:
    json = {"content-type": "application/json"}
    inside = f'{{"{field}": {value}}}'
    put = await kept.put("/admin/limits/team/t", content=inside, headers=json)
    assert put.status_code == 400, put.text
    assert value == "0" or field in put.json()["detail"] or "not valid JSON" in put.json()["detail"]
    beside = field if not field.count("usd_per") else f'limits":{{"{field}'
    end = "}}" if "limits" in beside else "}"
    for path, name in (("/admin/teams", "name"), ("/admin/keys", "team")):
        answer = await kept.post(path, content=f'{{"{name}": "t", "{beside}": {value}{end}', headers=json)
        assert answer.status_code in (400, 409), answer.text


INJECTIONS = [
    "x'; DROP TABLE teams; --",
    'x" OR "1"="1',
    "x\r\nset-cookie: a=b",
    "x\nx",
    "\x00",
    "<script>alert(1)</script>",
    "{{7*7}}",
    "../../etc/passwd",
    "..",
    "%00",
    "ann\u202eowner",
    "a" * 10_000,
    "=HYPERLINK(1)",
    "${jndi:ldap://x}",
]


@pytest.mark.parametrize("text", INJECTIONS)
async def test_injections(plane: Plane, owner: httpx.AsyncClient, text: str) -> None:
    """A name is taken as it is, or refused; it is never anything but a name, and no header has it."""
    from urllib.parse import quote

    await owner.post("/admin/teams", json={"name": "t"})
    path = quote(text, safe="").replace(".", "%2E")
    for answer in (
        await owner.post("/admin/teams", json={"name": text, "tags": [text], "metadata": {text: text}}),
        await owner.post("/admin/keys", json={"team": "t", "name": text}),
        await owner.get(f"/admin/teams/{path}"),
        await owner.get(f"/admin/keys/{path}"),
        await owner.put(f"/admin/limits/user/{path}", json={"rpm": 1}),
        await owner.get("/admin/keys", params={"team": text}),
        await owner.get("/admin/usage", params={"team": text, "model": text}),
        await owner.get("/admin/usage", params={"by": text}),
        await owner.get("/admin/usage", params={"since": text}),
        await owner.get("/admin/audit/log", params={"last": text}),
        await owner.post("/admin/admins", json={"name": text, "role": text}),
        await owner.get(f"/admin/{path}"),
    ):
        assert answer.status_code in (200, 400, 404)
        assert answer.headers["content-type"] == "application/json"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "set-cookie" not in answer.headers
        assert all(text not in value for value in answer.headers.values())
        answer.json()
    assert set(plane.memory.teams) <= {"t", text}


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/admin/usage?by=model,model", "by: names a column twice"),
        ("/admin/usage?by=secret", "by: 'secret' is none of team, key, model, target, day, hour"),
        ("/admin/usage?since=yesterday", "since: must be a duration such as 90d"),
        ("/admin/usage?since=1d&until=2d", "until: must be later than since"),
        ("/admin/usage?since=999999999w&until=1d&since=1d", "since is given twice"),
        ("/admin/usage?format=xml", "format: must be json or csv, not xml"),
        ("/admin/usage?teams=t", "teams is not a parameter here; known: team, key"),
        ("/admin/audit/log?last=0", "last: must be a whole number from 1 to 10000"),
        ("/admin/audit/log?last=-1", "last: must be"),
        ("/admin/audit/log?last=10001", "last: must be"),
        ("/admin/audit/log?last=%D9%A5", "last: must be"),
        ("/admin/audit/log?since=30000-01-01", "since: must be"),
        ("/admin/teams?limit=5", "limit is not a parameter here"),
    ],
)
async def test_bad_parameters(kept: httpx.AsyncClient, path: str, said: str) -> None:
    answer = await kept.get(path)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]


@pytest.mark.parametrize("grace", [5, "-1h", "1y", "", None, "1h30m", "24 h", "1e9s", "9" * 40 + "d"])
async def test_bad_grace(kept: httpx.AsyncClient, grace: object) -> None:
    answer = await kept.post("/admin/keys/key000000001/rotate", json={"grace": grace})
    assert answer.status_code == 400
    assert "grace: must be a duration such as 90d, 24h or 30m" in answer.json()["detail"]


@pytest.mark.parametrize("when", [5, "soon", "1969-01-01", "99999-01-01", "2027-02-30", "-1d", "9999999w", True])
async def test_bad_expiry(kept: httpx.AsyncClient, when: object) -> None:
    answer = await kept.post("/admin/keys", json={"team": "t", "expires": when})
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "expires"


async def test_other_media(kept: httpx.AsyncClient) -> None:
    """What a page of another site could send without asking first."""
    for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
        answer = await kept.post("/admin/teams", content=b'{"name":"x"}', headers={"content-type": kind})
        assert answer.status_code == 415


@pytest.mark.parametrize("scope", ["planet", "Team", "", "..", "organisation/t", "team/", "user"])
async def test_bad_scopes(kept: httpx.AsyncClient, scope: str) -> None:
    for method in ("PUT", "DELETE"):
        answer = await kept.request(method, f"/admin/limits/{scope}", json={"rpm": 1})
        assert answer.status_code in (400, 404, 405)


async def test_nothing_to_change(kept: httpx.AsyncClient) -> None:
    for method, path in (
        ("PATCH", "/admin/teams/t"),
        ("PATCH", "/admin/keys/key000000001"),
        ("PUT", "/admin/limits/team/t"),
    ):
        answer = await kept.request(method, path, json={})
        assert answer.status_code == 400
        assert "nothing to change: give one of" in answer.json()["detail"]


async def test_what_cannot_be_done(kept: httpx.AsyncClient) -> None:
    assert (await kept.post("/admin/teams", json={"name": "t"})).status_code == 409
    assert (await kept.post("/admin/keys", json={"team": "none"})).status_code == 404
    assert (await kept.get("/admin/keys/none")).json()["error"]["code"] == "not_found"
    assert (await kept.post("/admin/keys", json={"team": "t", "expires": "2020-01-01"})).status_code == 400


async def test_a_bug_is_not_told(plane: Plane, owner: httpx.AsyncClient, caplog: pytest.LogCaptureFixture) -> None:
    plane.memory.broken = RuntimeError("postgresql://gateway:secret@db/record")
    answer = await owner.get("/admin/teams")
    assert answer.status_code == 500
    assert "secret" not in answer.text and answer.json()["error"]["code"] == "internal_error"
    assert "failed by a bug" in caplog.text


async def test_a_path_writes_no_line_of_the_log(
    plane: Plane, owner: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    plane.memory.broken = RuntimeError("x")
    await owner.get("/admin/keys/a%0AERROR%20root%20owner%20logged%20in")
    assert "a\\nERROR root" in caplog.text and "\nERROR root" not in caplog.text.replace("\\n", "")


async def test_the_record_is_away(plane: Plane, owner: httpx.AsyncClient) -> None:
    plane.memory.broken = RecordDown("postgresql://gateway:***@db/record cannot be asked")
    answer = await owner.get("/admin/teams")
    assert answer.status_code == 503 and answer.headers["retry-after"] == "5"
    assert "postgresql" not in answer.text and answer.json()["error"]["code"] == "record_unavailable"


async def test_a_body_that_never_ends_is_not_read_before_the_key_is_known(plane: Plane) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b" " * 65_536

    async with plane.client(None, TEAM_KEY) as client:
        answer = await client.post("/admin/teams", content=endless(), headers={"content-type": "application/json"})
        assert answer.status_code == 401
    async with plane.client() as client:
        answer = await client.post("/admin/teams", content=endless(), headers={"content-type": "application/json"})
        assert answer.status_code == 413
