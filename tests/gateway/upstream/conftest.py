"""Everything here runs on both event loops: they differ where clients live, in when sockets are read and written."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop

from gateway.upstream import LeanClient, Limits


def pytest_asyncio_loop_factories() -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> str:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(path)
    return str(path)


@pytest.fixture
def server_tls(authority: trustme.CA) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["http/1.1"])
    authority.issue_cert("localhost").configure_cert(context)
    return context


@pytest.fixture
async def lean(ca_file: str) -> AsyncIterator[LeanClient]:
    client = LeanClient(Limits(head=4096, body=100_000, connections=4, keep_alive=2.0), ca_file=ca_file)
    yield client
    await client.close()


@pytest.fixture(autouse=True)
def nothing_lost(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Event loops log what nobody retrieves or catches."""
    yield
    assert not [record.getMessage() for record in caplog.get_records("call") if record.name == "asyncio"]
