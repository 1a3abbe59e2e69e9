"""The client of a running gateway is a Control: whatever is done through it comes out as done directly."""

import asyncio
import socket
import ssl
import threading
from typing import Any

import pytest
import trustme

from gateway.caching.store import Held
from gateway.control.types import (
    Actor,
    ControlError,
    Drift,
    KeyChanges,
    LimitsChanges,
    TeamChanges,
    UsageQuery,
)
from gateway.limits.types import Limits
from gateway.upstream.control import RemoteControl, Unreachable
from tests.gateway.adminapi.memory import NOW, Memory
from tests.gateway.adminapi.plane import ADMIN, Plane
from tests.gateway.adminapi.test_routes import row

STEPS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("create_team", ("t",), {"models": ("a", "b/*"), "metadata": {"a": "b"}, "tags": ("x",)}),
    ("create_team", ("u-ü ?#%",), {"limits": LimitsChanges(rpm=5, usd_day=1, soft_usd_month=10**9)}),
    ("create_team", ("t",), {}),
    ("teams", (), {}),
    ("team", ("u-ü ?#%",), {}),
    ("team", ("..",), {}),
    ("team", ("no",), {}),
    ("change_team", ("t", TeamChanges(disabled=True, models=None)), {}),
    ("create_key", ("t",), {"name": "ci", "expires": NOW + 99, "limits": LimitsChanges(tpd=9)}),
    ("create_key", ("t",), {"expires": NOW - 1}),
    ("keys", (), {}),
    ("keys", ("t",), {}),
    ("key", ("key000000001",), {}),
    ("change_key", ("key000000001", KeyChanges(expires=None, name="x", tags=("a",))), {}),
    ("change_key", ("key000000001", KeyChanges(expires=NOW + 7)), {}),
    ("rotate_key", ("key000000001", 0), {}),
    ("rotate_key", ("key000000001", 86_400), {}),
    ("revoke_key", ("key000000001",), {}),
    ("revoke_key", ("no",), {}),
    ("create_admin", ("ann", "viewer"), {"expires": NOW + 5}),
    ("admins", (), {}),
    ("revoke_admin", ("adm000000001",), {}),
    ("set_limits", ("organisation", "", LimitsChanges(usd_month=1)), {}),
    ("set_limits", ("user", "t/a/..", LimitsChanges(rpm="unlimited", concurrent=3)), {}),
    ("set_limits", ("model", "x", LimitsChanges(rpm=0)), {}),
    ("limits", (), {}),
    ("clear_limits", ("organisation", ""), {}),
    ("clear_limits", ("organisation", ""), {}),
    ("cache", (), {}),
    ("cache", ("t", "m/=?"), {}),
    ("purge_cache", ("t",), {}),
    ("purge_cache", ("",), {}),
    ("purge_cache", (None, "m/=?"), {}),
    ("purge_cache", (), {}),
    ("usage", (UsageQuery(since=NOW - 5, until=NOW, by=("model", "day"), team="t", key="k", model="m/=?"),), {}),
    ("usage", (UsageQuery(since=0),), {}),
    ("log", (), {"since": NOW, "subject": "t", "last": 3}),
    ("log", (), {}),
    ("audit", (False,), {}),
    ("audit", (True,), {}),
]


async def outcome(control: Any, name: str, given: tuple[Any, ...], more: dict[str, Any]) -> Any:
    try:
        return await getattr(control, name)(*given, **more)
    except ControlError as error:
        return error.code, error.message, error.field


async def test_both_ways_come_to_the_same(plane: Plane, url: str) -> None:
    other = Memory()
    local = other.control(Actor("admin:owner"))
    for memory in (plane.memory, other):
        memory.rows = [row(model="a", day="2026-11-30", requests=1, cost_nano=3), row(requests=1, estimated=1)]
        memory.held = [Held(team=team, model="m/=?", entries=n, bytes=9) for n, team in enumerate(("t", "u", "v"))]
        memory.drifts = (Drift(what="x", subject="y", expected=2**62, found=-1),)
    async with RemoteControl(url, ADMIN["owner"]) as remote:
        for name, given, more in STEPS:
            assert await outcome(remote, name, given, more) == await outcome(local, name, given, more), name
    assert plane.memory.state() == other.state()
    assert plane.memory.queries == other.queries
    assert plane.memory.teams["u-ü ?#%"].limits == Limits(rpm=5, usd_day=1, soft_usd_month=10**9)


async def test_certificates_are_checked() -> None:
    authority = trustme.CA()
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    got: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.append(await reader.read(100))
        writer.close()

    for tls, why in ((context, "certificate is not trusted"), (None, "does not speak TLS")):
        server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        async with server, RemoteControl(f"https://127.0.0.1:{port}", ADMIN["owner"]) as remote:
            with pytest.raises(Unreachable, match=why):
                await remote.teams()
    assert all(b"ak-gw" not in data for data in got)


async def test_a_host_that_is_not_there() -> None:
    async with RemoteControl("http://gateway.invalid", ADMIN["owner"]) as remote:
        with pytest.raises(Unreachable, match="no such host"):
            await remote.teams()


ANSWERS = {
    "a page": b"HTTP/1.1 200 OK\r\ncontent-length: 15\r\n\r\n<html>hi</html>",
    "another's JSON": b'HTTP/1.1 200 OK\r\ncontent-length: 13\r\n\r\n[{"name": 5}]',
    "a redirect": b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:9/steal\r\ncontent-length: 0\r\n\r\n",
    "a proxy's refusal": b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 3\r\n\r\nno!",
    "no HTTP": b"SSH-2.0-OpenSSH\r\n",
    "nothing": b"",
}


@pytest.mark.parametrize("what", ANSWERS)
async def test_what_is_no_gateway(what: str) -> None:
    def answer() -> None:
        peer, _ = listener.accept()
        with peer:
            peer.recv(65_536)
            peer.sendall(ANSWERS[what])

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        async with RemoteControl(f"http://127.0.0.1:{listener.getsockname()[1]}", ADMIN["owner"]) as remote:
            with pytest.raises(Unreachable) as caught:
                await remote.teams()
        thread.join(10)
    assert ADMIN["owner"] not in str(caught.value) and "\n" not in str(caught.value)
