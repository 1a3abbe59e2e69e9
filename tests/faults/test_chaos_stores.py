"""Redis and SQL behind a way on which things go wrong: calls are answered nevertheless, and in time, since no request
waits long for the one and none for the other; and the record is whole when it is over.
"""

import random
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Struct

from tests.faults.kinds import (
    Drip,
    Fault,
    Garbage,
    HalfClosed,
    Jitter,
    Latency,
    Refused,
    Reset,
    Silence,
    Truncated,
)
from tests.faults.processes import until
from tests.faults.proxy import Proxy, proxied
from tests.faults.schedule import Schedule, Share, anywhere
from tests.faults.test_chaos import MODELS, asked, told
from tests.proofs.deaths import LIMITS
from tests.proofs.site import Site, site
from tests.servers.postgres import PASSWORD, binaries, postgres
from tests.servers.redis import RedisServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

KINDS: dict[str, Callable[[random.Random], Fault]] = {
    "latency": lambda rng: Latency(rng.uniform(0, 0.4)),
    "jitter": lambda rng: Jitter(rng, 0.1),
    "refused": lambda rng: Refused(),
    "reset": lambda rng: Reset(anywhere(rng)),
    "silence": lambda rng: Silence(heard=rng.random() < 0.5),
    "half-closed": lambda rng: HalfClosed(anywhere(rng)),
    "drip": lambda rng: Drip(5, 0.02),
    "truncated": lambda rng: Truncated(anywhere(rng)),
    "garbage": Garbage,
}
STORES = ("redis", "sql") if binaries() else ("redis",)


class Begun(Struct):
    place: Site
    proxy: Proxy


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=STORES)
async def begun(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Begun]:
    folder = tmp_path_factory.mktemp(request.param)
    async with AsyncExitStack() as stack:
        settings: dict[str, Any] = {}
        if request.param == "redis":
            server = stack.enter_context(RedisServer(folder / "redis"))
            proxy = await stack.enter_async_context(proxied(server.port))
            settings["redis_url"] = f"redis://127.0.0.1:{proxy.port}"
        else:
            proxy = await stack.enter_async_context(proxied(postgres().port))
            settings["database"] = f"postgresql://gateway:{PASSWORD}@127.0.0.1:{proxy.port}/{{name}}"
        place = await stack.enter_async_context(
            site(folder / "site", MODELS, limits=LIMITS, sql=request.param == "sql", **settings)
        )
        yield Begun(place, proxy)


@pytest.mark.parametrize("kind", KINDS)
async def test_on_the_way_to_a_store(kind: str, begun: Begun) -> None:
    """A third of what is asked on it meets the fault."""
    place, proxy = begun.place, begun.proxy
    proxy.injected.clear()
    proxy.schedule = Schedule(7, [Share(0.33, KINDS[kind])])
    name = f"{kind}-{time.monotonic_ns()}"
    came = [*await asked(place, f"{name}-1", 20), *await asked(place, f"{name}-2", 20)]

    async def met() -> bool:
        return proxy.injected[kind] > 0

    await until(met, 10, f"no {kind}: {proxy.injected}, {proxy.exchanges} exchanges", pause=0.05)
    proxy.schedule = None
    proxy.reset()  # of a connection to SQL that is silent for ever a long command is not told apart for minutes
    wrong = [one for one in came if one.wrong]
    assert not wrong, told(wrong)
    assert all(one.end == "answered" and not one.codes for one in came)
    await place.proved(20, free=False)  # what was reserved by an order whose answer was lost is free after a minute
