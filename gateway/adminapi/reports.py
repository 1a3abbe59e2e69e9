"""What is asked of the ledger, and its answer as a table of text: CSV, and cells for people."""

from typing import Any, cast, get_args

import msgspec
from msgspec import Raw

from gateway.adminapi.times import earlier
from gateway.adminapi.told import told
from gateway.control.types import DIMENSIONS, Dimension, UsageQuery, UsageRow
from gateway.wire.body import shown

SINCE = "30d"
SUMS = tuple(name for name in UsageRow.__struct_fields__ if name not in DIMENSIONS)
COLUMNS = tuple("cost_usd" if name == "cost_nano" else name for name in SUMS)
"""The sums of every row, in the order in which they are told."""

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or passes over in front of one."""


class Wrong(ValueError):
    """``field`` of the question cannot be understood."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field


def query(
    now: int,
    *,
    since: str | None = None,
    until: str | None = None,
    by: str | None = None,
    team: str | None = None,
    key: str | None = None,
    model: str | None = None,
) -> UsageQuery:
    """The question as people write it. Raises Wrong."""
    start = moment("since", since or SINCE, now)
    end = moment("until", until, now) if until else None
    if end is not None and end <= start:
        raise Wrong("until", "must be later than since")
    return UsageQuery(since=start, until=end, by=dimensions(by or ""), team=team, key=key, model=model)


def moment(field: str, text: str, now: int) -> int:
    try:
        return earlier(text, now)
    except ValueError as error:
        raise Wrong(field, f"{error}, not {shown(text)}") from None


def dimensions(text: str) -> tuple[Dimension, ...]:
    """``model,day`` and the like."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in get_args(Dimension):
            raise Wrong("by", f"'{name[:40]}' is none of {', '.join(DIMENSIONS)}")
    if len(set(names)) < len(names):
        raise Wrong("by", "names a column twice")
    return cast("tuple[Dimension, ...]", tuple(names))


def cells(row: UsageRow, columns: tuple[str, ...]) -> list[str]:
    """Texts; empty where nothing is known."""
    said = told(row)
    return [cell(said.get(name)) for name in columns]


def cell(value: Any) -> str:
    if isinstance(value, Raw):
        return bytes(value).decode()
    return "" if value is None or value is msgspec.UNSET else str(value)


def csv(rows: list[UsageRow], by: tuple[str, ...], *, head: bool = True) -> str:
    """RFC 4180, with a line of names. What a spreadsheet would run begins with an apostrophe."""
    columns = (*by, *COLUMNS)
    lines = [*([columns] if head else []), *([*map(inert, cells(row, columns))] for row in rows)]
    return "".join([",".join(map(quoted, line)) + "\r\n" for line in lines])


def inert(text: str) -> str:
    return f"'{text}" if text.startswith(FORMULA) else text


def quoted(text: str) -> str:
    if any(mark in text for mark in '",\r\n') or text != text.strip():
        doubled = text.replace('"', '""')
        return f'"{doubled}"'
    return text
