"""The record itself, for commands that ask no gateway. It is brought to its present form first."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from gateway.commands.failed import Failed
from gateway.control.local import LocalControl
from gateway.control.types import Actor, Control
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
            yield LocalControl(record, LedgerStore(database), actor)
        finally:
            await database.close()
    except (RecordDown, RecordError) as error:
        raise Failed(str(error), "record_unavailable") from None
