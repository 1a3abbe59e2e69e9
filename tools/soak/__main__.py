"""``python -m tools.soak``: a gateway under everything that goes wrong on ordinary days, for ten minutes; or, with
``--proofs``, the whole proofs that limits are exact and that nothing is lost, for half an hour."""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from tests.servers.postgres import binaries, postgres
from tools.soak import mixed, proving
from tools.soak.proofs import Sizes, proofs
from tools.soak.report import tables

QUICK = Sizes(kills=20, outage=4.0, calls=1000, gateways=4, rounds=1)
MINUTES, QUICK_MINUTES = 10.0, 0.6
WIDTH = 150


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute in all; of proofs, smaller sizes")
    parser.add_argument("--minutes", type=float, help=f"how long calls are made ({MINUTES:g})")
    parser.add_argument("--seed", type=int, help="of all that is left to chance (another each time)")
    parser.add_argument("--callers", type=int, default=24, help="how many ask at the same time (24)")
    parser.add_argument("--proofs", action="store_true", help="prove limits and accounts instead")
    parser.add_argument("--only", default="", metavar="WORD", help="only proofs whose name has this in it")
    parser.add_argument("--kills", type=int, help=f"of proofs, times that a gateway is killed ({Sizes().kills})")
    parser.add_argument("--outage", type=float, help=f"of proofs, seconds that a server is away ({Sizes().outage:g})")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="keep states, logs and books here")
    return parser.parse_args()


def sizes_of(given: argparse.Namespace) -> Sizes:
    base = QUICK if given.quick else Sizes()
    return Sizes(
        kills=given.kills or base.kills,
        outage=given.outage or base.outage,
        calls=base.calls,
        gateways=base.gateways,
        rounds=base.rounds,
    )


def prove(given: argparse.Namespace, folder: Path, console: Console) -> int:
    chosen = [proof for proof in proofs(sizes_of(given)) if given.only in proof.name]
    if not chosen:
        console.print(f"no proof has {given.only!r} in its name")
        return 2
    done = asyncio.run(proving.run(chosen, folder, console))
    console.print(proving.table(done))
    return int(any(one.failed for one in done))


def mix(given: argparse.Namespace, folder: Path, console: Console) -> int:
    minutes = given.minutes or (QUICK_MINUTES if given.quick else MINUTES)
    seed = given.seed if given.seed is not None else time.time_ns() % 1_000_000
    console.print(f"seed {seed}, {minutes:g} minutes, {given.callers} callers")
    told = asyncio.run(mixed.run(folder, minutes * 60, seed, given.callers, console))
    for table in tables(told):
        console.print(table)
    for broken in told.broken:
        console.print(f"BROKEN: {broken}")
    console.print("all invariants hold" if not told.broken else f"run again with --seed {seed}; --keep shows the logs")
    return int(bool(told.broken))


def main() -> int:
    console, given = Console(highlight=False, markup=False), read_arguments()
    if not console.is_terminal:
        console.width = WIDTH
    if binaries():
        postgres()  # by the main thread, with which it ends
    else:
        console.print("PostgreSQL is not installed: what needs it is left out")
    with tempfile.TemporaryDirectory(prefix="soak") as temporary:
        folder = given.keep or Path(temporary)
        return (prove if given.proofs or given.only else mix)(given, folder, console)


if __name__ == "__main__":
    sys.exit(main())
