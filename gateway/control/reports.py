"""Usage, the audit log, and whether all accounts agree."""

import msgspec

from gateway.control import names
from gateway.control.conservation import Running, audit
from gateway.control.desk import Desk, known_key, known_team
from gateway.control.roles import require
from gateway.control.types import DIMENSIONS, AuditReport, LogView, UsageQuery, UsageRow

MOST_LINES = 10_000


class ReportControl(Desk):
    running: Running | None = None
    """The counters and the spool of this process, where a gateway runs in it."""

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        require(self._actor, "viewer")
        check_query(query)
        return await self._ledger.report(await self._meant(query))

    async def _meant(self, query: UsageQuery) -> UsageQuery:
        """The query, if there are that team and that key, which are never taken out of the record; models and targets
        may be configured no more. A key's usage is found faster within its team. Raises ControlError."""
        async with self._record.reading() as reader:
            if query.team is not None:
                await known_team(reader, query.team)
            if query.key:  # calls made with a token have an empty one
                key = await known_key(reader, query.key, "key")
                return msgspec.structs.replace(query, team=query.team or key.team)
        return query

    async def log(self, *, since: int | None = None, subject: str | None = None, last: int = 100) -> list[LogView]:
        require(self._actor, "viewer")
        if not names.is_whole(last) or not 1 <= last <= MOST_LINES:
            raise names.invalid(f"last must be 1 to {MOST_LINES}, not {names.shown(last)}", "last")
        check_time(since, "since")
        check_text(subject, "subject")
        async with self._record.reading() as reader:
            return await reader.log(since, subject, last)

    async def audit(self, repair: bool) -> AuditReport:
        require(self._actor, "operator" if repair else "viewer")
        return await audit(self._ledger, self.running, self._record.now(), repair)


def check_query(query: UsageQuery) -> None:
    """Raises ControlError."""
    check_time(query.since, "since")
    check_time(query.until, "until")
    if query.until is not None and query.until <= query.since:
        raise names.invalid("until must be after since", "until")
    for dimension in query.by:
        if dimension not in DIMENSIONS:
            raise names.invalid(f"by must be of {', '.join(DIMENSIONS)}, not {names.shown(dimension)}", "by")
    for field in ("team", "key", "model"):
        check_text(getattr(query, field), field)


def check_time(given: int | None, field: str) -> None:
    if given is not None and (not names.is_whole(given) or not 0 <= given <= names.LAST):
        raise names.invalid(f"{field} must be whole seconds since 1970, up to the year 9999", field)


def check_text(given: str | None, field: str) -> None:
    if given is not None and not names.is_text(given, 512):
        raise names.invalid(f"{field} must be at most 512 printable characters", field)
