"""Tokens of an identity provider in place of keys: whose they are, what holds for them, and what the ledger says."""

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.store.sql.engine import FILE
from tests.gateway.bearer.issuer import OTHER_RSA, RSA, claims, jwk, jwks, token
from tests.provider import Provider
from tests.serving import ADMIN_KEY, KEY, ROUTING, application, serving

KEYS = jwks(jwk(RSA, "r"))
JWT = """
jwt:
  issuer: https://id.example.org/
  audience: gateway
  jwks: "{jwks}"
  teams: {{{{reds: red, no: none}}}}
"""
LIMITS = "limits: {{users: {{red/ann: {{rpm: 2}}}}}}\n"
BODY = {"model": "a", "prompt": "x", "max_tokens": 4}


def signed(**more: Any) -> str:
    now = time.time()
    said = claims(**{"team": "reds", "sub": "ann", "iat": now, "exp": now + 60, **more})
    return token(said, kid="r").decode()


class Asking:
    """A gateway with a team red, asked with tokens."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client

    async def ask(self, bearer: str, path: str = "/v1/completion", **more: Any) -> httpx.Response:
        return await self.client.post(path, json=BODY | more, headers={"Authorization": f"Bearer {bearer}"})

    async def operate(self, method: str, path: str, body: dict[str, Any]) -> None:
        answer = await self.client.request(method, path, json=body, headers={"Authorization": f"Bearer {ADMIN_KEY}"})
        assert answer.status_code == 200, answer.text


@asynccontextmanager
async def gateway(state: Path, provider: Provider, keys: str, rest: str = LIMITS) -> AsyncIterator[Asking]:
    routing = ROUTING + JWT.format(jwks=keys) + rest
    async with (
        serving(application(state, provider.url, routing)) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as client,
    ):
        asking = Asking(client)
        await asking.operate("POST", "/admin/teams", {"name": "red"})
        yield asking


class KeyHost:
    """Serves an issuer's keys on a port of its own, or what else it is told to."""

    def __init__(self) -> None:
        self.answer = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (len(KEYS), KEYS)
        self.asked = 0

    async def __aenter__(self) -> "KeyHost":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/keys"
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.asked += 1
        writer.write(self.answer)
        writer.close()


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "keys.json"
    path.write_bytes(KEYS)
    return str(path)


def entries(state: Path) -> list[tuple[str, str, str, int]]:
    with closing(sqlite3.connect(state / FILE)) as database:
        return database.execute('SELECT team, "key", "user", input + output FROM ledger ORDER BY id').fetchall()


async def test_who_a_token_says_is_asking_is_in_the_ledger(provider: Provider, tmp_path: Path, file: str) -> None:
    state = tmp_path / "state"
    async with gateway(state, provider, file, rest="") as asking:
        for _ in range(2):  # verified, then known
            answer = await asking.ask(signed())
            assert answer.status_code == 200, answer.text
        chat = {"model": "b", "messages": [{"role": "user", "content": "hi"}], "user": "somebody-else"}
        headers = {"Authorization": f"Bearer {signed(sub='bob')}"}
        assert (await asking.client.post("/v1/chat/completions", json=chat, headers=headers)).status_code == 200
        models = await asking.client.get("/v1/models", headers=headers)
        assert "a" in [model["id"] for model in models.json()["data"]]
    assert entries(state) == [("red", "", "ann", 11), ("red", "", "ann", 11), ("red", "", "bob", 11)]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"team": "no"}, "the token names a team that is not known here, or that is disabled"),
        ({"team": "blues"}, "the token's claim team stands for no team here"),
        ({"exp": time.time() - 60}, "the token has expired"),
        ({"aud": "others"}, "the token is meant for others (claim aud)"),
    ],
)
async def test_whom_nobody_knows_is_refused(
    provider: Provider, tmp_path: Path, file: str, said: dict[str, Any], why: str
) -> None:
    async with gateway(tmp_path / "state", provider, file) as asking:
        for path in ("/v1/completion", "/v1/completions"):
            answer = await asking.ask(signed(**said), path)
            assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
            assert why in answer.text
        forged = token(claims(exp=time.time() + 60, iat=time.time(), team="reds"), OTHER_RSA, kid="r").decode()
        answer = await asking.ask(forged)
        assert (answer.status_code, answer.json()["error"]) == (401, "the token's signature is wrong")
    assert provider.seen == []


async def test_a_team_that_is_disabled_lets_nobody_in(provider: Provider, tmp_path: Path, file: str) -> None:
    async with gateway(tmp_path / "state", provider, file) as asking:
        bearer = signed()
        assert (await asking.ask(bearer)).status_code == 200
        await asking.operate("PATCH", "/admin/teams/red", {"disabled": True})
        assert (await asking.ask(bearer)).status_code == 401  # also whose token is known already
        await asking.operate("PATCH", "/admin/teams/red", {"disabled": False, "models": ["b"]})
        assert (await asking.ask(bearer)).status_code == 403
        assert (await asking.ask(bearer, model="b")).status_code == 200


async def test_a_users_limits_hold_whatever_the_body_says(provider: Provider, tmp_path: Path, file: str) -> None:
    async with gateway(tmp_path / "state", provider, file) as asking:
        statuses = [(await asking.ask(signed(), user=user)).status_code for user in ("", "bob", "eve")]
        assert statuses == [200, 200, 429]
        refused = await asking.ask(signed(), user="bob")
        assert refused.headers["x-ratelimit-scope"] == "user"
        assert "user 'ann' of team 'red'" in refused.json()["error"]
        assert (await asking.ask(signed(sub="bob"), user="ann")).status_code == 200  # whose own has room


async def test_a_teams_limits_hold(provider: Provider, tmp_path: Path, file: str) -> None:
    async with gateway(tmp_path / "state", provider, file) as asking:
        await asking.operate("PUT", "/admin/limits/team/red", {"rpm": 2})
        assert [(await asking.ask(signed(sub=sub))).status_code for sub in "abc"] == [200, 200, 429]


async def test_keys_are_fetched_from_an_address(provider: Provider, tmp_path: Path) -> None:
    async with KeyHost() as host, gateway(tmp_path / "state", provider, host.url) as asking:
        assert (await asking.ask(signed())).status_code == 200
        assert (await asking.ask(signed(sub="bob"))).status_code == 200
        assert host.asked == 1


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"HTTP/1.1 503 No\r\nconnection: close\r\ncontent-length: 0\r\n\r\n", "the answer is 503, not 200"),
        (b"HTTP/1.1 302 No\r\nconnection: close\r\nlocation: /other\r\ncontent-length: 0\r\n\r\n", "302, not 200"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + b" " * (2 << 20), "larger than 1 MB"),
        (b"", "no answer (RemoteProtocolError)"),
    ],
)
async def test_an_issuer_that_is_away_is_not_the_callers_fault(
    provider: Provider, tmp_path: Path, answer: bytes, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with KeyHost() as host:
        host.answer = answer
        async with gateway(tmp_path / "state", provider, host.url) as asking:
            refused = await asking.ask(signed())
            assert refused.status_code == 503
            assert refused.json()["error"] == (
                "the issuer's keys cannot be had at the moment, so no token can be verified"
            )
            assert 25 <= int(refused.headers["retry-after"]) <= 30
            assert host.asked == 1  # however many tokens come
            again = await asking.ask(signed(), "/v1/chat/completions")
            assert (again.status_code, again.json()["error"]["code"]) == (503, "issuer_unavailable")
            assert host.asked == 1
    assert [why in record.getMessage() for record in caplog.records if record.name == "gateway.issuer"] == [True]


async def test_who_has_a_key_is_served_while_the_issuer_is_silent(provider: Provider, tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    began = time.monotonic()
    async with gateway(tmp_path / "state", provider, f"http://127.0.0.1:{port}/keys") as asking:
        assert (await asking.ask(KEY)).status_code == 200
    assert time.monotonic() - began < 5
    server.close()


def test_what_verifies_signatures_is_loaded_only_where_it_is_needed() -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import sys, gateway.app; print('jwt' in sys.modules, 'gateway.issuer' in sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout == "False False\n"
