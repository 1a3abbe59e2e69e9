"""The Control of a running gateway, asked through its ``/admin/``: for operators who are elsewhere."""

import os
import socket
import ssl
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import httpx
import msgspec
from msgspec import UNSET, Raw, Struct

from gateway.adminapi.limits import body_of
from gateway.adminapi.refusals import STATUS
from gateway.adminapi.times import iso
from gateway.adminapi.told import retold
from gateway.caching.store import Held
from gateway.control.types import (
    AdminView,
    AuditReport,
    ControlError,
    KeyChanges,
    KeyView,
    LimitsChanges,
    LimitsView,
    LogView,
    Metadata,
    NewAdmin,
    NewKey,
    Purged,
    Role,
    TeamChanges,
    TeamView,
    UsageQuery,
    UsageRow,
)
from gateway.limits.types import Scope

S = TypeVar("S", bound=Struct)

CODES: dict[int, Any] = {status: code for code, status in STATUS.items()}
TIMEOUT = httpx.Timeout(10.0, read=300.0)
"""Seconds; an audit of a large ledger takes a while."""

HERE = ("localhost", "127.0.0.1", "::1")

read_object = msgspec.json.Decoder(dict[str, Raw]).decode
read_list = msgspec.json.Decoder(list[dict[str, Raw]]).decode
to_json = msgspec.json.Encoder().encode


class Unreachable(Exception):
    """The gateway was not reached, or what answered is none. The message says what to look at; it holds no secret."""


class RemoteControl:
    """A Control. To be closed, or used as an asynchronous context manager. Besides ControlError every method may raise
    Unreachable."""

    def __init__(self, url: str, key: str) -> None:
        """``url`` is where the gateway listens. Raises ValueError for what is no address."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
            raise ValueError("must be the gateway's address, such as http://127.0.0.1:8080")
        if parts.username is not None or parts.password is not None:
            raise ValueError("must not hold a user name or a password: the admin key says who you are")
        self._url = url.rstrip("/")
        self._client = httpx.AsyncClient(
            headers={"authorization": f"Bearer {key}", "accept": "application/json"},
            timeout=TIMEOUT,
            trust_env=parts.hostname not in HERE,
        )

    async def __aenter__(self) -> "RemoteControl":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def close(self) -> None:
        await self._client.aclose()

    # ------------------------------------------------------------------ teams and keys

    async def create_team(
        self,
        name: str,
        *,
        models: tuple[str, ...] | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> TeamView:
        body = {"name": name, **about(models, metadata, tags, limits)}
        return await self._one(TeamView, "POST", "teams", body=body)

    async def teams(self) -> list[TeamView]:
        return await self._list(TeamView, "teams")

    async def team(self, name: str) -> TeamView:
        return await self._one(TeamView, "GET", "teams", name)

    async def change_team(self, name: str, changes: TeamChanges) -> TeamView:
        return await self._one(TeamView, "PATCH", "teams", name, body=said(changes))

    async def create_key(
        self,
        team: str,
        *,
        name: str = "",
        models: tuple[str, ...] | None = None,
        expires: int | None = None,
        metadata: Metadata | None = None,
        tags: tuple[str, ...] = (),
        limits: LimitsChanges | None = None,
    ) -> NewKey:
        body = {"team": team, "name": name, **until(expires), **about(models, metadata, tags, limits)}
        return await self._one(NewKey, "POST", "keys", body=body)

    async def keys(self, team: str | None = None) -> list[KeyView]:
        return await self._list(KeyView, "keys", {"team": team})

    async def key(self, id: str) -> KeyView:
        return await self._one(KeyView, "GET", "keys", id)

    async def change_key(self, id: str, changes: KeyChanges) -> KeyView:
        body = said(changes)
        if isinstance(changes.expires, int):
            body["expires"] = iso(changes.expires)
        return await self._one(KeyView, "PATCH", "keys", id, body=body)

    async def rotate_key(self, id: str, grace: int) -> NewKey:
        return await self._one(NewKey, "POST", "keys", id, "rotate", body={"grace": f"{grace}s"})

    async def revoke_key(self, id: str) -> KeyView:
        return await self._one(KeyView, "POST", "keys", id, "revoke")

    # ------------------------------------------------------------------ admins and limits

    async def create_admin(self, name: str, role: Role, *, expires: int | None = None) -> NewAdmin:
        return await self._one(NewAdmin, "POST", "admins", body={"name": name, "role": role, **until(expires)})

    async def admins(self) -> list[AdminView]:
        return await self._list(AdminView, "admins")

    async def revoke_admin(self, id: str) -> AdminView:
        return await self._one(AdminView, "POST", "admins", id, "revoke")

    async def limits(self) -> list[LimitsView]:
        return await self._list(LimitsView, "limits")

    async def set_limits(self, scope: Scope, subject: str, changes: LimitsChanges) -> LimitsView:
        return await self._one(LimitsView, "PUT", "limits", scope, *filter(None, [subject]), body=body_of(changes))

    async def clear_limits(self, scope: Scope, subject: str) -> None:
        await self._ask("DELETE", ("limits", scope, *filter(None, [subject])))

    # ------------------------------------------------------------------ kept answers

    async def cache(self, team: str | None = None, model: str | None = None) -> list[Held]:
        return await self._list(Held, "cache", {"team": team, "model": model})

    async def purge_cache(self, team: str | None = None, model: str | None = None) -> Purged:
        return await self._one(Purged, "POST", "cache", "purge", body={"team": team, "model": model})

    # ------------------------------------------------------------------ what happened

    async def usage(self, query: UsageQuery) -> list[UsageRow]:
        parameters = {
            "since": iso(query.since),
            "until": None if query.until is None else iso(query.until),
            "by": ",".join(query.by),
            "team": query.team,
            "key": query.key,
            "model": query.model,
        }
        return await self._list(UsageRow, "usage", parameters)

    async def log(self, *, since: int | None = None, subject: str | None = None, last: int = 100) -> list[LogView]:
        start = None if since is None else iso(since)
        return await self._list(LogView, "audit/log", {"since": start, "subject": subject, "last": str(last)})

    async def audit(self, repair: bool) -> AuditReport:
        return await self._one(AuditReport, "POST", "audit", body={"repair": repair})

    # ------------------------------------------------------------------ how

    async def _one(self, kind: type[S], method: str, *path: str, body: dict[str, Any] | None = None) -> S:
        answer = await self._ask(method, path, body=body)
        try:
            return retold(kind, read_object(answer))
        except (msgspec.MsgspecError, ValueError):
            raise self._stranger() from None

    async def _list(self, kind: type[S], path: str, parameters: dict[str, str | None] | None = None) -> list[S]:
        answer = await self._ask("GET", tuple(path.split("/")), parameters or {})
        try:
            return [retold(kind, found) for found in read_list(answer)]
        except (msgspec.MsgspecError, ValueError):
            raise self._stranger() from None

    async def _ask(
        self,
        method: str,
        path: tuple[str, ...],
        parameters: dict[str, str | None] | None = None,
        body: dict[str, Any] | None = None,
    ) -> bytes:
        url = "/".join([self._url, "admin", *map(segment, path)])
        given = {name: value for name, value in (parameters or {}).items() if value}
        sent: dict[str, Any] = {}
        if body is not None:
            sent = {"content": to_json(body), "headers": {"content-type": "application/json"}}
        try:
            answer = await self._client.request(method, url, params=given or None, **sent)
        except httpx.ConnectError as error:
            raise Unreachable(f"cannot reach a gateway at {self._url} ({why(error)}); is it running?") from None
        except httpx.TimeoutException:
            raise Unreachable(f"the gateway at {self._url} does not answer in time") from None
        except httpx.HTTPError as error:
            raise Unreachable(f"the connection to {self._url} broke ({type(error).__name__})") from None
        if answer.status_code == 200:
            return answer.content
        raise self._refusal(answer)

    def _refusal(self, answer: httpx.Response) -> Exception:
        try:
            error = msgspec.json.decode(answer.content, type=Told).error
        except msgspec.MsgspecError:
            return self._stranger(answer.status_code)
        if answer.status_code in CODES:
            return ControlError(CODES[answer.status_code], error.message, error.param or "")
        if answer.status_code == 401:
            return Unreachable(f"the gateway refuses the key in GATEWAY_ADMIN_KEY: {error.message}")
        return Unreachable(f"the gateway answers {answer.status_code}: {error.message}")

    def _stranger(self, status: int = 200) -> Unreachable:
        return Unreachable(
            f"what answers at {self._url} is not a gateway's admin plane (status {status}); check the URL"
        )


class Error(Struct):
    message: str
    param: str | None = None


class Told(Struct):
    error: Error


def about(
    models: tuple[str, ...] | None, metadata: Metadata | None, tags: tuple[str, ...], limits: LimitsChanges | None
) -> dict[str, Any]:
    """What is said of a team as of a key."""
    found: dict[str, Any] = {"models": models, "metadata": metadata or {}, "tags": tags}
    if limits is not None:
        found |= {"limits": body_of(limits)}
    return found


def until(expires: int | None) -> dict[str, str]:
    return {} if expires is None else {"expires": iso(expires)}


def said(changes: Struct) -> dict[str, Any]:
    values = {name: getattr(changes, name) for name in changes.__struct_fields__}
    return {name: value for name, value in values.items() if value is not UNSET}


def segment(text: str) -> str:
    """A name as one segment of a path: also one of dots alone, which would lead elsewhere."""
    return quote(text, safe="").replace(".", "%2E") if set(text) <= {"."} else quote(text, safe="")


def why(error: BaseException) -> str:
    """What the operating system said, below the layers of wrapping."""
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted: {below.verify_message}"
        if isinstance(below, ssl.SSLError):
            return "what answers there does not speak TLS"
        if isinstance(below, socket.gaierror):
            return "no such host"
        if isinstance(below, OSError) and below.errno:
            return os.strerror(below.errno).lower()
        below = below.__cause__ or below.__context__
    return str(error) or "no connection"
