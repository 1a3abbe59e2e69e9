"""A record with a clock that stands, and what the tests of operators' requests share."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.control.local import LocalControl
from gateway.control.types import Actor, ControlError, Role
from gateway.store.sql.engine import Database
from gateway.store.sql.ledger import LedgerStore
from gateway.store.sql.record import Record

NOW = 1_800_000_000


class Office:
    """One record; ``now`` is its clock."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.now = NOW
        self.record = Record(database, lambda: self.now)
        self.ledger = LedgerStore(database)
        self.control = self.of()

    def of(self, role: Role = "owner", name: str = "cli:test") -> LocalControl:
        return LocalControl(self.record, self.ledger, Actor(name, role))

    @asynccontextmanager
    async def refused(self, code: str, message: str, field: str | None = None) -> AsyncIterator[None]:
        """What is done within is refused in these words, and changes nothing."""
        before = await self.everything()
        with pytest.raises(ControlError, match=message) as caught:
            yield
        assert caught.value.code == code
        if field is not None:
            assert caught.value.field == field
        assert caught.value.message.isprintable() and len(caught.value.message) < 400
        assert await self.everything() == before

    async def everything(self) -> object:
        owner = self.of()
        return (
            await owner.teams(),
            await owner.keys(),
            await owner.admins(),
            await owner.limits(),
            await owner.log(last=10_000),
        )
