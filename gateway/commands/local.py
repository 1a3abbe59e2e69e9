"""The record itself, for commands that ask no gateway. It is brought to its present form first."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import click

from gateway.commands.failed import Failed
from gateway.control.local import LocalControl
from gateway.control.types import Actor, Control, LimitsView
from gateway.settings import Settings
from gateway.store.sql.engine import Database, RecordDown, RecordError, database_url
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.migrate import migrated
from gateway.store.sql.record import Record


@asynccontextmanager
async def control(settings: Settings, actor: Actor) -> AsyncIterator[Control]:
    """Raises Failed where the database cannot be used."""
    try:
        url = database_url(settings.database_url, Path(settings.state_dir))
        await migrated(url)
        database = Database(url)
        try:
            record = Record(database, time.time)  # noqa: TID251 - this process is the composition root of its own
            yield LocalControl(record, LedgerStore(database), actor, configured=lambda: configured(settings.config))
        finally:
            await database.close()
    except (RecordDown, RecordError) as error:
        raise Failed(str(error), "record_unavailable") from None


def configured(path: str) -> tuple[LimitsView, ...]:
    """The limits that the routing file sets. Where it cannot be read, that is said, and the others are shown."""
    from gateway.config import ConfigError, load
    from gateway.config.rules import views_of

    try:
        return views_of(load(Path(path).read_bytes(), path).limits)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
    except ConfigError:
        why = "it has mistakes, which `gateway check` tells"
    click.echo(f"note: the limits that {path} sets are not shown: {why}", err=True)
    return ()
