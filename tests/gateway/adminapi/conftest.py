from collections.abc import AsyncIterator

import httpx
import pytest

from tests.gateway.adminapi.plane import Plane


@pytest.fixture
def plane() -> Plane:
    return Plane()


@pytest.fixture
async def owner(plane: Plane) -> AsyncIterator[httpx.AsyncClient]:
    async with plane.client() as client:
        yield client
