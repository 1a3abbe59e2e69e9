"""``gateway serve`` and ``gateway check``, beside the commands of operators."""

import os
import signal
import sys
from collections.abc import Callable, Iterable, Sized
from pathlib import Path
from typing import Any, NoReturn

import click

from gateway import __version__
from gateway import config as configuration
from gateway.checking import Wrong, keyless, uncounted
from gateway.commands import COMMANDS
from gateway.config import Config, ConfigError
from gateway.memory import staying
from gateway.settings import Settings, SettingsError

Beyond = Callable[[Config], Iterable[Wrong]]


@click.group()
@click.version_option(__version__, prog_name="gateway", message="%(prog)s %(version)s")
def main() -> None:
    """One endpoint for all of an organisation's language models."""


@main.command()
@click.option("--config", help="The routing file [GATEWAY_CONFIG, else routing.yaml].")
@click.option("--host", help="The address to listen on [GATEWAY_HOST, else 127.0.0.1].")
@click.option("--port", type=click.IntRange(1, 65535), help="The port [GATEWAY_PORT, else 8080].")
@click.option("--workers", type=click.IntRange(1, 1024), help="Processes [GATEWAY_WORKERS, else 1].")
def serve(**options: Any) -> None:
    """Start the gateway and serve until told to stop."""
    leave_in_order()
    settings = settle(**options)
    if settings.workers > 1 and settings.redis_url is None:
        fail(
            f"{settings.workers} workers must share the counters of limits and budgets, for each by itself would let "
            "in as much as all may: set GATEWAY_REDIS_URL, or run 1 worker"
        )
    config = read(settings.config)
    for warning in settings.warnings:
        click.echo(f"note: {warning}", err=True)
    with staying():  # here, since all this is the server, which `check` does not need
        from gateway.control.types import ControlError
        from gateway.serve import serve as run
        from gateway.store.redis.address import BadAddress
        from gateway.store.spool import SpoolFull
        from gateway.store.sql.engine import RecordError

    try:
        run(config, settings)
    except (RecordError, BadAddress, ControlError, SpoolFull) as error:
        fail(str(error))
    except OSError as error:
        if error.filename is not None:
            fail(f"cannot use {error.filename}: {error.strerror}; set GATEWAY_STATE_DIR to another directory")
        fail(f"cannot listen on {settings.host}:{settings.port}: {error.strerror}; choose another --host or --port")


@main.command()
@click.argument("config", required=False)
def check(config: str | None) -> None:
    """Check a routing file and say what is wrong with it, each mistake with its line."""
    settings = settle(config=config)
    found = read(settings.config, lambda config: (*uncounted(config, tokenizer), *keyless(config)))
    for warning in (*settings.warnings, *configuration.warnings(found, settings.environ)):
        click.echo(f"note: {warning}")
    click.echo(
        f"{settings.config}: correct; {several(found.providers, 'provider')}, {several(found.models, 'model')}, "
        f"{several(found.aliases, 'alias', 'es')}"
    )


def leave_in_order() -> None:
    """To be told to stop is no failure, also before there is a server that hears it."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(0))
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # what is read only now need not be read again


def several(things: Sized, name: str, ending: str = "s") -> str:
    return f"{len(things)} {name}{ending if len(things) != 1 else ''}"


for command in COMMANDS:
    main.add_command(command)


def settle(**options: Any) -> Settings:
    """The settings, the command line's over the environment's, and the environment made to agree: workers read it."""
    try:
        return Settings.load({name: value for name, value in options.items() if value is not None})
    except SettingsError as error:
        fail(str(error))


def read(path: str, beyond: Beyond | None = None) -> Config:
    try:
        return configuration.load(
            Path(path).read_bytes(), path, beyond or (lambda config: uncounted(config, tokenizer))
        )
    except ConfigError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{path}: {error.strerror or error}; name another with --config or GATEWAY_CONFIG")


def tokenizer(spec: str) -> object:
    from gateway.estimates import load  # few need it, and it takes a while

    return load(spec, os.environ)


def fail(message: str) -> NoReturn:
    click.echo(message, err=True)
    sys.exit(1)
