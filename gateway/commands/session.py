"""How a command reaches what it works on, and how it says what came of it."""

import asyncio
import functools
import getpass
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from msgspec import Struct

from gateway.commands.failed import Failed
from gateway.control.types import Actor, Control, ControlError
from gateway.errors import GatewayError
from gateway.settings import Settings, SettingsError, dotenv, key, read

T = TypeVar("T")

Work = Callable[[Control], Awaitable[T]]
SHARED = ("as_json", "url", "state_dir", "database_url")


class Session(Struct, frozen=True):
    """One command's options of where and how."""

    as_json: bool
    url: str | None
    state_dir: str | None
    database_url: str | None

    def run(self, work: Work[T]) -> T:
        """What comes of this work on the Control, which makes a record where there is none. Raises ControlError, Failed
        and the like."""
        return asyncio.run(self._run(work, True))

    def ask(self, work: Work[T]) -> T:
        """As ``run``, of work that reads, or mends what is there: it makes no record, of which it would say that all
        is empty."""
        return asyncio.run(self._run(work, False))

    async def _run(self, work: Work[T], changes: bool) -> T:
        async with self._control(changes) as control:
            return await work(control)

    @asynccontextmanager
    async def _control(self, changes: bool) -> AsyncIterator[Control]:
        settings = self._settings()
        if self.url is None:
            from gateway.commands import local

            async with local.control(settings, Actor(f"cli:{user()}"), changes, self.as_json) as control:
                yield control
            return
        from gateway.upstream.control import RemoteControl, Unreachable

        if settings.admin_key is None:
            raise Failed("set GATEWAY_ADMIN_KEY to an admin key of that gateway (ak-gw-...)")
        try:
            remote = RemoteControl(self.url, settings.admin_key)
        except ValueError as error:
            raise Failed(f"--url {error}", field="url") from None
        async with remote as control:
            try:
                yield control
            except Unreachable as error:
                raise Failed(str(error), "unreachable") from None

    def _settings(self) -> Settings:
        if self.url is not None and (self.state_dir or self.database_url):
            raise Failed("--url works on a running gateway; leave out --state-dir and --database-url", field="url")
        given = {"GATEWAY_STATE_DIR": self.state_dir, "GATEWAY_DATABASE_URL": self.database_url}
        own: Mapping[str, str] = {name: value for name, value in given.items() if value is not None}
        environ = {**dotenv(Path(".env")), **os.environ, **own}
        if self.url is not None:
            check_key(environ.get("GATEWAY_ADMIN_KEY", ""))
        return read(environ)

    def tell(self, value: object, human: Callable[[], None]) -> None:
        """The value as JSON, or what people read."""
        if self.as_json:
            click.echo(msgspec.json.encode(value))
        else:
            human()


def check_key(given: str) -> None:
    """What no admin key can be is told here in other words than by a gateway, whose operator may choose one."""
    try:
        if given:
            key(given)
    except ValueError:
        wrong = "GATEWAY_ADMIN_KEY does not hold an admin key of that gateway (ak-gw-..., as it was shown once)"
        raise Failed(wrong, "invalid", "GATEWAY_ADMIN_KEY") from None


def user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # no such user in this container
        return str(os.getuid())


OPTIONS = (
    click.option("--json", "as_json", is_flag=True, help="Answer with JSON alone."),
    click.option("--url", help="A running gateway; its admin key is taken from GATEWAY_ADMIN_KEY."),
    click.option("--state-dir", help="Where the record is, if not in a database [GATEWAY_STATE_DIR, else var/]."),
    click.option("--database-url", help="The database of the record [GATEWAY_DATABASE_URL]."),
)


def command(function: Callable[..., None]) -> Callable[..., None]:
    """Adds the options that every command has, and gives the function a Session in their place. What goes wrong is one
    sentence on stderr, and exit status 1."""

    @functools.wraps(function)
    def run(**options: Any) -> None:
        shared = {name: options.pop(name) for name in SHARED}
        parent = click.get_current_context().parent
        for name in SHARED:  # `gateway audit --url X log` is `gateway audit log --url X`
            shared[name] = shared[name] or (parent.params.get(name) if parent else None)
        session = Session(**{**shared, "as_json": bool(shared["as_json"])})
        try:
            function(session, **options)
        except Exception as error:
            fail(told(error), session.as_json)

    for option in reversed(OPTIONS):
        run = option(run)
    return run


def told(error: Exception) -> Failed:
    """An error as it is told. Raises it again if nobody has foreseen it."""
    if isinstance(error, Failed):
        return error
    if isinstance(error, ControlError):
        from gateway.adminapi.told import worded

        return Failed(worded(error.message), error.code, worded(error.field))
    if isinstance(error, GatewayError):
        return Failed(error.message, error.code, error.param or "")
    if isinstance(error, SettingsError):
        return Failed("; ".join(error.problems), "invalid")
    if isinstance(error, BrokenPipeError):  # whoever read has read enough
        os._exit(1)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return Failed(f"{where}{(error.strerror or str(error)).lower()}")
    raise error


def fail(error: Failed, as_json: bool) -> None:
    if as_json:
        said = {"message": str(error), "code": error.code, "param": error.field or None}
        click.echo(msgspec.json.encode({"error": said}), err=True)
    else:
        click.echo(f"error: {visible(str(error))}", err=True)
    sys.exit(1)


def visible(text: str) -> str:
    """Without what would move a terminal's cursor or change its colours."""
    return "".join([mark if mark.isprintable() or mark == "\n" else "\N{REPLACEMENT CHARACTER}" for mark in text])


@contextmanager
def misuse(args: list[str]) -> Iterator[None]:
    """A command's misuse is told as JSON, too, where that was asked for."""
    as_json = "--json" in args
    try:
        yield
    except click.UsageError as error:
        if not as_json:
            raise
        fail(Failed(error.format_message(), "usage"), True)


class Plain(click.Command):
    def make_context(self, info_name: str | None, args: list[str], *rest: Any, **more: Any) -> click.Context:
        with misuse(args):
            return super().make_context(info_name, args, *rest, **more)
        raise AssertionError  # misuse that is told ends the process


class Family(click.Group, Plain):
    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        with misuse(args):
            return super().resolve_command(ctx, args)
        raise AssertionError
