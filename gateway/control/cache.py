"""Kept answers: how many there are, and letting go of them."""

from collections.abc import Callable

from gateway.caching.store import CacheStore, Held
from gateway.control import names
from gateway.control.desk import Desk, known_team
from gateway.control.roles import require
from gateway.control.types import ControlError, Purged

ELSEWHERE = (
    "without Redis, answers are kept in the gateway's own process, which has to be asked: set GATEWAY_ADMIN_KEY, and "
    "add --url with its address, such as --url http://127.0.0.1:8080"
)


class CacheControl(Desk):
    kept: Callable[[], CacheStore | None]

    async def cache(self, team: str | None = None, model: str | None = None) -> list[Held]:
        require(self._actor, "viewer")
        await self._check(team, model)
        return await self._kept().stats(team, model)

    async def purge_cache(self, team: str | None = None, model: str | None = None) -> Purged:
        require(self._actor, "operator")
        await self._check(team, model)
        entries = await self._kept().purge(team, model)
        purged = Purged(team=team, model=model, entries=entries)
        async with self._record.changing() as change:
            await change.record(self._actor.name, "purge", "cache", f"{team or '*'}/{model or '*'}", None, purged)
        return purged

    async def _check(self, team: str | None, model: str | None) -> None:
        """Models may be configured no more; teams are never taken out of the record."""
        if model is not None:
            names.model(model, "model")
        if team is not None:
            async with self._record.reading() as reader:
                await known_team(reader, team)

    def _kept(self) -> CacheStore:
        found = self.kept()
        if found is None:
            raise ControlError("conflict", ELSEWHERE)
        return found
