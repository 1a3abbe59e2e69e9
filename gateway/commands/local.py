"""The record itself, for commands that ask no gateway. It is brought to its present form first."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import click

from gateway.caching.store import CacheStore
from gateway.commands.failed import Failed
from gateway.control.local import LocalControl
from gateway.control.types import Actor, Control, LimitsView
from gateway.limits.types import StoreDown
from gateway.settings import Settings
from gateway.store.sql.engine import Database, RecordDown, RecordError, database_url, record_file
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.migrate import migrated
from gateway.store.sql.record import Record


@asynccontextmanager
async def control(settings: Settings, actor: Actor, changes: bool, quiet: bool) -> AsyncIterator[Control]:
    """Raises Failed where the database cannot be used, and, unless the command ``changes`` something, where there is no
    record. One that is made is told of, unless ``quiet``."""
    file = missing(settings)
    if file is not None and not changes:
        where = "name the right one with GATEWAY_STATE_DIR or --state-dir, or ask a running gateway with --url"
        raise Failed(f"there is no record at {file}; {where}", "no_record")
    try:
        url = database_url(settings.database_url, Path(settings.state_dir))
        await migrated(url)
        if file is not None and not quiet:
            click.echo(f"note: made a new record at {file}", err=True)
        database = Database(url)
        try:
            record = Record(database, time.time)  # noqa: TID251 - this process is the composition root of its own
            async with AsyncExitStack() as opened:
                yield LocalControl(
                    record,
                    LedgerStore(database),
                    actor,
                    configured=lambda: configured(settings.config),
                    kept=kept(settings.redis_url, opened),
                )
        finally:
            await database.close()
    except (RecordDown, RecordError) as error:
        raise Failed(str(error), "record_unavailable") from None
    except StoreDown as error:
        raise Failed(f"{error}: look at GATEWAY_REDIS_URL", "store_unavailable") from None


def kept(url: str | None, opened: AsyncExitStack) -> Callable[[], CacheStore | None]:
    """The answers in Redis; few commands ask for them. Those in a gateway's own process are out of reach."""

    def find() -> CacheStore | None:
        if url is None:
            return None
        from gateway.store.redis.address import BadAddress, parse
        from gateway.store.redis.cache import RedisCache
        from gateway.store.redis.opening import open_client

        try:
            client = open_client(parse(url))
        except BadAddress as error:
            raise Failed(str(error), "invalid") from None
        opened.push_async_callback(client.aclose)
        return RedisCache(client, 0, lambda: True)

    return find


def missing(settings: Settings) -> Path | None:
    """The file of the record, if there is none yet. Where there can be none, opening it says why."""
    file = record_file(settings.database_url, Path(settings.state_dir))
    try:
        if file is not None:
            file.stat()
    except FileNotFoundError:
        return file
    except OSError:
        return None
    return None


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
