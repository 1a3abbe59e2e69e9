"""Every test of the record runs on every kind of database that this machine has."""

from tests.servers.records import database, empty_url, kind, record_url

__all__ = ["database", "empty_url", "kind", "record_url"]
