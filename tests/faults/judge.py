"""What a provider says it served against what the ledger says: every difference, by its kind.

Each call of the load has a ``user`` that no other has; both sides keep it, but for dialects that have no such word. A
call and a target together are the part of a leg that reached the provider, perhaps several times: repair rounds are
summed in one entry, and each further try of the target has an entry of its own.
"""

import asyncio
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Struct, field

from tests.faults.gateway import PRICE_IN, PRICE_OUT
from tests.faults.provider import Served

COLUMNS = (
    "id", "at", "user", "team", "model", "target", "outcome", "requests", "calls", "input", "output", "cost",
    "estimated",
)  # fmt: skip


class Line(Struct, frozen=True):
    """A row of the ledger."""

    id: str
    at: int
    user: str
    team: str
    model: str
    target: str
    outcome: str
    requests: int
    calls: int
    input: int
    output: int
    cost: int | None
    estimated: bool

    @property
    def asked(self) -> str:
        """The provider's model."""
        return self.target.partition("/")[2]


FAILED = frozenset({"failed", "cancelled", "lost"})
"""Outcomes of tries that may have ended before the provider had read the request."""

SELECT = "SELECT {} FROM ledger".format(", ".join([f'"{name}"' for name in COLUMNS]))


async def ledger(database: str | Path) -> list[Line]:
    """All rows. A path is the folder of state in which SQLite's file lies."""
    if isinstance(database, str):
        connection = await asyncpg.connect(database)
        try:
            rows: Iterable[Any] = await connection.fetch(SELECT)
        finally:
            await connection.close()
    else:
        rows = await asyncio.to_thread(_rows, database)
    return msgspec.convert([dict(zip(COLUMNS, row, strict=True)) for row in rows], list[Line], strict=False)


def _rows(state: Path) -> list[Any]:
    file = state / "record.sqlite3"
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True, timeout=30)) as connection:
        return connection.execute(SELECT).fetchall()


class Finding(Struct):
    """``missing``: served and not entered. ``twice``: entered more than once. ``wrong``: what was served whole and
    reported is entered with other figures. ``unfounded``: entered as answered, and never served. These four must be
    empty.

    ``interrupted`` were served or begun, and the gateway died before it knew how they ended; ``unsent`` never reached
    the provider: the gateway died, or the connection broke, between noting and sending. ``hits`` came from the cache.
    ``calls``, ``input`` and ``output`` are the ledger's sums."""

    served: int = 0
    entries: int = 0
    equal: int = 0
    estimated: int = 0
    interrupted: int = 0
    unsent: int = 0
    hits: int = 0
    missing: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unfounded: list[str] = field(default_factory=list)
    served_cost: int = 0
    ledger_cost: int = 0
    calls: int = 0
    input: int = 0
    output: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)

    @property
    def drift(self) -> list[str]:
        return [f"{kind}: {one}" for kind in ("missing", "twice", "wrong", "unfounded") for one in getattr(self, kind)]

    def brief(self, most: int = 12) -> str:
        found = self.drift
        return "\n".join([f"{len(found)} differences", *found[:most], str(self)[:400] if found else ""])


def judged(served: Iterable[Served], lines: Iterable[Line]) -> Finding:
    calls: dict[tuple[str, str], list[Served]] = defaultdict(list)
    for one in served:
        calls[one.user, one.model].append(one)
    entered: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        entered[line.user, line.asked].append(line)
    finding = Finding(served=sum(map(len, calls.values())), entries=sum(map(len, entered.values())))
    for where in calls.keys() | entered.keys():
        compare(finding, where, calls.get(where, []), entered.get(where, []))
    return finding


def compare(finding: Finding, where: tuple[str, str], calls: list[Served], lines: list[Line]) -> None:
    name = " at ".join(where)
    finding.served_cost += sum([cost_of(one.input, one.output) for one in calls])
    finding.ledger_cost += sum([line.cost or 0 for line in lines])
    finding.calls += sum([line.calls for line in lines])
    finding.input += sum([line.input for line in lines])
    finding.output += sum([line.output for line in lines])
    finding.outcomes.update([line.outcome for line in lines])
    if not where[0]:
        together(finding, name, calls, lines)
        return
    if len(lines) > 1:
        tries(finding, name, calls, lines)
        return
    if not lines:
        finding.missing.append(f"{name}: {calls[0]}")
        return
    line = lines[0]
    if line.outcome == "interrupted":
        finding.interrupted += 1
        finding.unsent += not calls
        if not line.estimated:
            finding.wrong.append(f"{name}: interrupted and not marked as estimated: {line}")
        return
    if not calls:
        # A connection that broke before the provider had read the request: nothing was answered.
        if line.outcome == "hit" and not line.cost:
            finding.hits += 1
        elif line.outcome in ("ok", "hit", "invalid") or line.output:
            finding.unfounded.append(f"{name}: {line}")
        else:
            finding.unsent += 1
        return
    whole = all(map(certain, calls))
    if not whole or line.estimated:
        finding.estimated += 1
        if not line.estimated:
            finding.wrong.append(f"{name}: an estimate that is not marked: {line}; served {calls}")
        if len(calls) > line.calls:
            finding.missing.append(f"{name}: {len(calls)} served, {line.calls} entered: {line}")
        return
    said = (line.calls, line.input, line.output, line.cost)
    input, output = sum([one.input for one in calls]), sum([one.output for one in calls])
    real = (len(calls), input, output, cost_of(input, output))
    if said != real:
        finding.wrong.append(f"{name}: ledger {said}, served {real}: {line}")
    else:
        finding.equal += 1


def tries(finding: Finding, name: str, calls: list[Served], lines: list[Line]) -> None:
    """Several entries for one call and target. Those that the provider served whole, and of which the gateway had all,
    have the same figures; of the others only their number is known. One that failed may not have been sent at all, nor
    the one in whose midst the gateway died, if none was answered."""
    entered, failed = sum([line.calls for line in lines]), sum([line.calls for line in lines if line.outcome in FAILED])
    died = any(line.outcome == "interrupted" for line in lines)
    if all(line.outcome in FAILED or line.outcome == "interrupted" for line in lines):
        failed = entered
    real: Counter[tuple[int, int, int | None]] = Counter()
    real.update([(one.input, one.output, cost_of(one.input, one.output)) for one in calls if certain(one)])
    said = Counter([(line.input, line.output, line.cost) for line in lines if line.calls == 1 and not line.estimated])
    del said[0, 0, 0]
    if len(calls) > entered and not died:
        finding.missing.append(f"{name}: {len(calls)} served, {entered} entered: {lines}")
    elif entered - len(calls) > failed:
        finding.twice.append(f"{name}: {len(calls)} served, {entered} entered: {lines}")
    elif said - real:
        finding.wrong.append(f"{name}: entered {dict(said - real)} and not served; served {calls}")
    else:
        finding.unsent += max(0, entered - len(calls))
        finding.interrupted += died
        unsure = died or any(line.estimated for line in lines) or not all(map(certain, calls))
        finding.estimated += unsure
        finding.equal += not unsure


def certain(one: Served) -> bool:
    """Whether the provider has said all there is to say of it."""
    return one.whole and (one.reported or one.status != 200)


def together(finding: Finding, name: str, calls: list[Served], lines: list[Line]) -> None:
    """Calls of a dialect that does not say who asks: only as many together."""
    noted = sum([line.calls for line in lines])
    if len(calls) > noted:
        finding.missing.append(f"{name}: {len(calls)} served, {noted} entered")
    answered = sum([line.outcome in ("ok", "invalid") for line in lines])
    if answered > len(calls):
        finding.unfounded.append(f"{name}: {answered} entered as answered, {len(calls)} served")
    uncertain = sum([line.estimated for line in lines])
    finding.estimated += uncertain
    finding.unsent += noted - len(calls)
    if uncertain or noted != len(calls) or not all(one.whole and one.reported for one in calls):
        return
    entered = sum([line.input for line in lines]), sum([line.output for line in lines])
    served = sum([one.input for one in calls]), sum([one.output for one in calls])
    if entered != served:
        finding.wrong.append(f"{name}: ledger {entered}, served {served}")
    else:
        finding.equal += len(calls)


def cost_of(input: int, output: int) -> int:
    return input * PRICE_IN + output * PRICE_OUT
