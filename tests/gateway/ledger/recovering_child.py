"""A process that recovers what is left in a folder, and says which legs it has settled."""

import asyncio
import sys
import time
from pathlib import Path

from gateway.ledger.recovery import Recovery
from gateway.limits.types import SettledUse
from gateway.store.spool import Spool
from tests.gateway.ledger.legs import judge
from tests.gateway.ledger.stores import Table


async def main(state: Path) -> None:
    spool = Spool(state, time.monotonic)

    async def settle(uses: tuple[SettledUse, ...]) -> None:
        print("\n".join([use.id for use in uses]))

    await Recovery(spool.folder, spool.alive, Table(state / "sql"), settle, judge).once()
    spool.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
