"""Every test of the record runs on every kind of database that this machine has."""

import pytest

from gateway.store.sql.engine import Database
from tests.gateway.control.desk import Office
from tests.servers.records import database, kind, record_url

__all__ = ["database", "kind", "office", "record_url"]


@pytest.fixture
def office(database: Database) -> Office:
    return Office(database)
