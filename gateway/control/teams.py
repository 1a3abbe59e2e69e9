"""Teams."""

import msgspec
from msgspec import UNSET

from gateway.control import amounts, names
from gateway.control.desk import Desk, known_team
from gateway.control.roles import require
from gateway.control.types import ControlError, LimitsChanges, Metadata, TeamChanges, TeamView
from gateway.limits.types import Limits


class TeamControl(Desk):
    async def create_team(
        self,
        name: str,
        *,
        models: tuple[str, ...] | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> TeamView:
        require(self._actor, "operator")
        view = TeamView(
            name=names.name(name),
            created=self._record.now(),
            models=names.models(models),
            metadata=names.metadata(metadata),
            tags=names.tags(tags),
            limits=amounts.changed(Limits(), limits),
        )
        async with self._record.changing() as change:
            if await change.team(name) is not None:
                raise ControlError("conflict", f"there is a team {name!r} already", "name")
            await change.add_team(view)
            await change.record(self._actor.name, "create", "team", name, None, view)
        return view

    async def teams(self) -> list[TeamView]:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            return await reader.teams()

    async def team(self, name: str) -> TeamView:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            return await known_team(reader, name)

    async def change_team(self, name: str, changes: TeamChanges) -> TeamView:
        require(self._actor, "operator")
        given = checked(changes)
        async with self._record.changing() as change:
            before = await known_team(change, name)
            after = msgspec.structs.replace(before, **given)
            if after != before:
                await change.set_team(after)
                await change.record(self._actor.name, "change", "team", name, before, after)
        return after


def checked(changes: TeamChanges) -> dict[str, object]:
    given = {name: value for name, value in msgspec.structs.asdict(changes).items() if value is not UNSET}
    for name, check in (("models", names.models), ("metadata", names.metadata), ("tags", names.tags)):
        if name in given:
            given[name] = check(given[name])
    return given
