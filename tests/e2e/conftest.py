"""The gateway on a socket, both ways to it, over a provider that plays."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.protocol import Protocol
from tests.provider import Provider
from tests.serving import AUTH, application, serving


@pytest.fixture
async def http(provider: Provider, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a key."""
    async with (
        serving(application(tmp_path, provider.url), Protocol) as url,
        httpx.AsyncClient(base_url=url, headers=AUTH, timeout=10) as client,
    ):
        yield client
