"""``python -m tools.soak``: the whole proofs that limits are exact and that nothing is lost. They take half an hour."""

import argparse
import asyncio
import sys
import tempfile
import time
import traceback
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tests.servers.postgres import binaries, postgres
from tools.soak.plan import Proof, Sizes, proofs

QUICK = Sizes(kills=20, outage=4.0, calls=1000, gateways=4, rounds=1)
WIDTH = 150


class Done(Struct):
    proof: Proof
    seconds: float
    told: str
    failed: bool


def read_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes: some minutes in all")
    parser.add_argument("--only", default="", metavar="WORD", help="only proofs whose name has this in it")
    parser.add_argument("--kills", type=int, help=f"times that a gateway is killed ({Sizes().kills})")
    parser.add_argument("--outage", type=float, help=f"seconds for which a server is away ({Sizes().outage:g})")
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


async def prove(proof: Proof, folder: Path, progress: Progress, bar: TaskID) -> Done:
    """One proof. Whatever stops it is a failure, told with where it happened."""
    began = time.monotonic()
    progress.start_task(bar)
    try:
        told = await proof.run(folder, lambda step: progress.update(bar, completed=step))
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__} at {where.name}:{where.lineno}: {str(error)[:1500]}"
        return Done(proof, time.monotonic() - began, told, failed=True)
    return Done(proof, time.monotonic() - began, told, failed=False)


async def run(chosen: list[Proof], folder: Path, console: Console) -> list[Done]:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    done = []
    with Progress(*columns, console=console) as progress:
        bars = [progress.add_task(proof.name, total=proof.steps, start=False) for proof in chosen]
        for number, (proof, bar) in enumerate(zip(chosen, bars, strict=True)):
            one = await prove(proof, folder / f"{number:02}", progress, bar)
            done.append(one)
            progress.update(bar, description=f"{proof.name}: {'FAILED' if one.failed else 'holds'}")
            progress.stop_task(bar)
    return done


def table(done: list[Done]) -> Table:
    found = Table(title="proofs", show_lines=True)
    for name, more in (("proof", "left"), ("holds", "left"), ("seconds", "right"), ("", "left")):
        found.add_column(name, justify=more)  # type: ignore[arg-type]
    for one in done:
        found.add_row(one.proof.name, "no" if one.failed else "yes", f"{one.seconds:.0f}", one.told)
    return found


def main() -> int:
    console, given = Console(highlight=False, markup=False), read_arguments()
    if not console.is_terminal:
        console.width = WIDTH
    if binaries():
        postgres()  # by the main thread, with which it ends
    else:
        console.print("PostgreSQL is not installed: proofs that need it are left out")
    chosen = [proof for proof in proofs(sizes_of(given)) if given.only in proof.name]
    if not chosen:
        console.print(f"no proof has {given.only!r} in its name")
        return 2
    with tempfile.TemporaryDirectory(prefix="soak") as temporary:
        folder = given.keep or Path(temporary)
        done = asyncio.run(run(chosen, folder, console))
    console.print(table(done))
    return int(any(one.failed for one in done))


if __name__ == "__main__":
    sys.exit(main())
