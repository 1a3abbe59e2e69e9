"""Limits, kept answers, usage and the audit: views."""

import asyncio
from collections.abc import Callable
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from gateway.adminapi import limits, reports
from gateway.adminapi.given import flag, or_null, text
from gateway.adminapi.guard import BREATH, answered, asked, body_of, listed, said
from gateway.adminapi.people import some
from gateway.adminapi.told import told
from gateway.control.types import Control, LimitsChanges, UsageRow
from gateway.errors import BadRequest
from gateway.limits.types import SCOPES, Scope
from gateway.wire.body import shown

MOST = 10_000
"""Lines of the log that one answer holds."""


class Limits:
    async def all(self, request: Request, control: Control) -> Response:
        asked(request)
        return await listed(await control.limits())

    async def set(self, request: Request, control: Control) -> Response:
        scope, subject = subject_of(request)
        changes = limits.changes(await body_of(request, limits.ONLY))
        return answered(told(await control.set_limits(scope, subject, some(changes or LimitsChanges()))))

    async def clear(self, request: Request, control: Control) -> Response:
        asked(request)
        scope, subject = subject_of(request)
        await control.clear_limits(scope, subject)
        return answered({"scope": scope, "subject": subject, "cleared": True})


def subject_of(request: Request) -> tuple[Scope, str]:
    """Whose limits the path names."""
    scope, subject = request.path_params["scope"], request.path_params.get("subject", "")
    if scope not in SCOPES:
        raise BadRequest(f"there is no scope {shown(scope)}; known: {', '.join(SCOPES)}", param="scope")
    if scope == "organisation" and subject:
        raise BadRequest("the organisation has no name: use /admin/limits/organisation", param="subject")
    if scope != "organisation" and not subject:
        raise BadRequest(f"whose limits? Use /admin/limits/{scope}/<subject>", param="subject")
    return cast(Scope, scope), subject


class Cache:
    async def stats(self, request: Request, control: Control) -> Response:
        return await listed(await control.cache(**asked(request, "team", "model")))

    async def purge(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"team": or_null(text), "model": or_null(text)})
        return answered(told(await control.purge_cache(**found)))


class Usage:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    async def rows(self, request: Request, control: Control) -> Response:
        given = asked(request, "team", "key", "model", "since", "until", "by", "format")
        form = given.pop("format", "json")
        if form not in ("json", "csv"):
            raise BadRequest(f"format: must be json or csv, not {shown(form)}", param="format")
        try:
            query = reports.query(int(self._now()), **given)
        except reports.Wrong as error:
            raise BadRequest(str(error), param=error.field) from None
        rows = await control.usage(query)
        if form == "csv":
            name = {"content-disposition": 'attachment; filename="usage.csv"'}
            return said(await lines_of(rows, query.by), headers=name, kind="text/csv")
        return await listed(rows)


async def lines_of(rows: list[UsageRow], by: tuple[str, ...]) -> str:
    """The table as CSV, written as ``listed`` writes lists."""
    parts = [reports.csv([], by)]
    for start in range(0, len(rows), BREATH):
        parts.append(reports.csv(rows[start : start + BREATH], by, head=False))
        await asyncio.sleep(0)
    return "".join(parts)


class Audit:
    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now

    async def log(self, request: Request, control: Control) -> Response:
        """The newest first."""
        given = asked(request, "since", "subject", "last")
        last = given.get("last", "100")
        if not (last.isascii() and last.isdigit() and len(last) < 7 and 1 <= int(last) <= MOST):
            raise BadRequest(f"last: must be a whole number from 1 to {MOST}, not {shown(last)}", param="last")
        since = None
        if "since" in given:
            try:
                since = reports.moment("since", given["since"], int(self._now()))
            except reports.Wrong as error:
                raise BadRequest(str(error), param="since") from None
        lines = await control.log(since=since, subject=given.get("subject"), last=int(last))
        return await listed(lines)

    async def check(self, request: Request, control: Control) -> Response:
        found = await body_of(request, {"repair": flag})
        return answered(told(await control.audit(found.get("repair", False))))
