"""A ledger's table in real SQLite, which can be told to be away."""

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import msgspec

from gateway.ledger.entry import Entry


class Away(Exception):
    """``postgresql://gateway:a-password@host/`` stands in what it says, as in some drivers' errors."""


class Table:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.away = False
        self.attempts = 0
        self.sizes: list[int] = []
        with sqlite3.connect(path, timeout=10) as database:
            database.execute("CREATE TABLE IF NOT EXISTS ledger (id TEXT PRIMARY KEY, entry BLOB)")
        database.close()

    async def write(self, entries: Sequence[Entry]) -> None:
        self.attempts += 1
        await asyncio.sleep(0)
        if self.away:
            raise Away(Away.__doc__)
        rows = [(entry.id, msgspec.msgpack.encode(entry)) for entry in entries]
        with sqlite3.connect(self.path, timeout=10) as database:
            database.executemany("INSERT OR IGNORE INTO ledger VALUES (?, ?)", rows)
        database.close()
        self.sizes.append(len(entries))

    def entries(self) -> list[Entry]:
        database = sqlite3.connect(self.path, timeout=10)
        rows = database.execute("SELECT entry FROM ledger ORDER BY id").fetchall()
        database.close()
        return [msgspec.msgpack.decode(row, type=Entry) for [row] in rows]
