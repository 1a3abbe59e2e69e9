"""Limits of subjects, over what ``routing.yaml`` says."""

from collections.abc import Callable, Sequence

from gateway.control import amounts, names
from gateway.control.desk import Desk, known_key, known_team
from gateway.control.roles import require
from gateway.control.types import ControlError, LimitsChanges, LimitsView
from gateway.limits.types import SCOPES, Limits, Scope
from gateway.store.sql.reader import Reader
from gateway.store.sql.record import subject_of


class LimitsControl(Desk):
    configured: Callable[[], Sequence[LimitsView]]

    async def limits(self) -> list[LimitsView]:
        require(self._actor, "viewer")
        async with self._record.reading() as reader:
            return [*self.configured(), *await reader.limits()]

    async def set_limits(self, scope: Scope, subject: str, changes: LimitsChanges) -> LimitsView:
        require(self._actor, "operator")
        async with self._record.changing() as change:
            await check_subject(change, scope, subject)
            before = await change.limits_of(scope, subject)
            after = amounts.changed(before or Limits(), changes)
            if after != (before or Limits()):
                await change.set_limits(scope, subject, after)
                await change.record(self._actor.name, "set", "limits", subject_of(scope, subject), before, after)
        return LimitsView(scope=scope, subject=subject, limits=after)

    async def clear_limits(self, scope: Scope, subject: str) -> None:
        require(self._actor, "operator")
        async with self._record.changing() as change:
            await check_subject(change, scope, subject)
            before = await change.limits_of(scope, subject)
            if before is None:
                raise ControlError(
                    "not_found", f"there are no limits of {subject_of(scope, subject)} to clear", "subject"
                )
            await change.set_limits(scope, subject, Limits())
            await change.record(self._actor.name, "clear", "limits", subject_of(scope, subject), before, None)


async def check_subject(reader: Reader, scope: Scope, subject: str) -> None:
    """Raises ControlError where there can be no such subject."""
    if scope == "organisation":
        if subject:
            raise names.invalid("the organisation has no name; leave subject empty", "subject")
    elif scope == "team":
        await known_team(reader, subject, "subject")
    elif scope == "key":
        await known_key(reader, subject, "subject")
    elif scope == "user":
        team, slash, user = subject.partition("/")
        if not slash:
            raise names.invalid(f"subject must be team/user, which {names.shown(subject)} is not", "subject")
        await known_team(reader, team, "subject")
        names.user(user)
    elif scope == "model":
        names.model(subject)
    else:
        raise names.invalid(f"scope must be one of {', '.join(SCOPES)}, not {names.shown(scope)}", "scope")
