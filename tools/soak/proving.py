"""Runs proofs one after the other, and tells what came of each."""

import time
import traceback
from pathlib import Path

from msgspec import Struct
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from tools.soak.proofs import Proof


class Done(Struct):
    proof: Proof
    seconds: float
    told: str
    failed: bool


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
