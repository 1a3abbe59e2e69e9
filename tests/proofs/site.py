"""A whole installation for one proof: a provider that keeps books, servers, and gateways."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from tests.faults.gateway import ADMIN, KEY, Broken, Gateway, routing, running
from tests.faults.judge import Finding, judged, ledger
from tests.faults.load import Client, Dead
from tests.faults.processes import Provider, provider
from tests.faults.proxy import Proxy, proxied
from tests.faults.schedule import Schedule
from tests.servers.postgres import binaries, postgres

Tick = Callable[[int], None]
"""Told how far a proof has come, in steps of its own."""

PROMPT = "a prompt of some words, which the provider has its own opinion of"

__all__ = ["ADMIN", "KEY", "PROMPT", "Site", "Tick", "body", "no_tick", "site"]


def no_tick(_: int) -> None:
    pass


def body(model: str | list[str], user: str, **more: Any) -> dict[str, Any]:
    return {"model": model, "user": user, "messages": [{"role": "user", "content": PROMPT}], **more}


class Site(Struct):
    """``database`` is PostgreSQL's address, or the folder of SQLite's file."""

    provider: Provider
    gateways: list[Gateway]
    database: str | Path
    proxy: Proxy | None = None
    """Before the provider, where one was wanted."""

    @property
    def ports(self) -> list[int]:
        return [one.port for one in self.gateways]

    def client(self, key: str = KEY) -> Client:
        """Its calls go to the gateways in turn."""
        return Client(self.ports, key)

    async def settled(self, seconds: float = 30.0, free: bool = True) -> Any:
        """Waits until nothing is under way and all is in SQL; the report of an audit, which must find no drift.
        ``free``: nothing may stay reserved, which after the death of a gateway takes a minute."""
        wanted = ("spooled", "drifts", "in_flight_usd", "in_flight_tokens")[: None if free else 2]
        await self.provider.quiet(seconds)
        deadline = time.monotonic() + seconds
        for one in self.gateways:
            while True:
                report = await self._audited(one, deadline)
                if not any(report[what] for what in wanted):
                    break
                assert time.monotonic() < deadline, f"an audit goes on to find: {report}\n{one.tail(8)}"
                await asyncio.sleep(0.1)
        return report

    async def _audited(self, one: Gateway, deadline: float) -> Any:
        while True:
            try:
                return await one.audit()
            except (Broken, Dead):
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)

    async def judged(self) -> Finding:
        """The provider's books against the ledger."""
        lines = await ledger(self.database)
        return judged(self.provider.served(), lines)

    async def proved(self, seconds: float = 30.0, free: bool = True) -> Finding:
        """Settled, and without any difference. An audit tells of the spool of the worker that answers it: what others
        have not yet brought to SQL is waited for here."""
        deadline = time.monotonic() + seconds
        await self.settled(seconds, free)
        finding = await self.judged()
        while finding.drift and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            finding = await self.judged()
        assert not finding.drift, finding.brief()
        report = await self.settled(seconds, free)
        assert report["entries"] == finding.entries, (report, finding.entries)
        return finding

    async def reported(self, finding: Finding) -> None:
        """The command line says the same as the ledger, from roll-ups."""
        [row] = await self.gateways[0].command("usage", "--since", "1d")
        said = (row["calls"], round(row["cost_usd"] * 1e9), row["input_tokens"], row["output_tokens"])
        assert said == (finding.calls, finding.ledger_cost, finding.input, finding.output), (row, finding)
        report = await self.gateways[0].command("audit")
        assert report["drifts"] == [] and report["entries"] == finding.entries, (report, finding)


@asynccontextmanager
async def site(
    folder: Path,
    models: dict[str, str | tuple[str, ...]],
    *,
    gateways: int = 1,
    workers: int | Sequence[int] = 1,
    sql: bool = False,
    start: bool = True,
    limits: str = "{}",
    ledger: str = "{}",
    database: str | None = None,
    redis_url: str | None = None,
    state_dir: str | None = None,
    proxied_provider: bool = False,
    schedule: Schedule | None = None,
    provider_more: str = "",
    more: str = "",
    watched: bool = False,
) -> AsyncIterator[Site]:
    """``sql``: a new database of PostgreSQL where it is installed, else a file of SQLite, for all gateways.
    ``database`` is another way to PostgreSQL's, with ``{name}`` for its name. ``schedule`` is of the proxy before the
    provider; ``provider_more`` and ``more`` are words of the routing file. ``workers`` may be said for each gateway."""
    name = await postgres().create() if sql and binaries() else None
    direct = postgres().url(name) if name else None
    settings = {
        name: value for name, value in (("redis_url", redis_url), ("state_dir", state_dir)) if value is not None
    }
    if sql:
        file = f"sqlite:///{folder / 'record.sqlite3'}"
        settings["database_url"] = database.format(name=name) if database else direct or file
    os.makedirs(folder, exist_ok=True)
    try:
        async with provider(folder / "served.jsonl") as fake, AsyncExitStack() as stack:
            proxy = await stack.enter_async_context(proxied(fake.port, schedule)) if proxied_provider else None
            address = fake.url if proxy is None else f"http://127.0.0.1:{proxy.port}/v1"
            config = routing(address, models, limits, ledger, provider_more, more)
            made = [
                Gateway(folder / f"gateway{number}", config, workers=each, watched=watched, **settings)
                for number, each in enumerate([workers] * gateways if isinstance(workers, int) else workers)
            ]
            async with running(*(made if start else [])):
                yield Site(fake, made, direct or (folder if sql else made[0].state), proxy)
            for one in made:
                if one.process is not None and one.process.returncode is None:
                    await one.kill()
    finally:
        if name:
            await postgres().drop(name)
