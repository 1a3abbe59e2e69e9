"""What counters are held against: of those who have limits, and without a word of all the others."""

import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.accounting import Counters
from gateway.directory import Defaults, Directory
from gateway.limits.types import Limits
from gateway.store.sql.engine import Database, database_url
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.migrate import migrated
from gateway.types import Clock
from tests.gateway.store.test_sql_ledger import NOON, entry

ANY: Any = None


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[LedgerStore]:
    url = database_url(None, tmp_path)
    await migrated(url)
    database = Database(url)
    yield LedgerStore(database)
    await database.close()


async def test_users_without_limits_are_neither_read_nor_remembered(ledger: LedgerStore) -> None:
    """There may be millions of them, and one looks every few seconds."""
    await ledger.write([entry(str(number), user=f"u{number}") for number in range(300)])
    directory = Directory(Defaults({"organisation": Limits(usd_day=10)}, {("user", "t1/u7"): Limits(tpd=9)}))
    counters = Counters(ledger, ANY, ANY, directory, Clock(lambda: NOON, time.monotonic))
    found = {(one.subject.scope, one.subject.name): one.tokens_day for one in await counters.periods()}
    assert found == {("organisation", ""): 300 * 15, ("user", "t1/u7"): 15}
    assert len(directory._limited) == 2
