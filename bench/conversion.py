"""Asking the gateway's own code, in a process beside: what a TypeScript text costs, and what schemas it makes."""

import json
import os
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench import Problem
from bench.machine import pinned
from bench.measure import Bench, Bystanders, Sample
from bench.peers import Peer
from bench.schemas import LONG_PART, LONG_TEXT, LONG_TYPE, Asked

INSIDE = Path(__file__).with_name("inside.py")
RUNS = 2_000


def conversion(bench: Bench, peer: Peer) -> Sample:
    """CPU of a text of 2 kB, seen for the first time and known."""
    bystanders, before = Bystanders(bench.mock), children_seconds()
    with pinned(bench.cores.gateway):
        figures = ask_inside(peer.cwd, "cost", [LONG_TEXT, LONG_TYPE, LONG_PART, RUNS])
    return Sample(figures, bystanders.cores(children_seconds() - before))


def schemas(peer: Peer, asked: Sequence[Asked]) -> list[Any]:
    """The JSON Schema of each of these types."""
    found: list[Any] = ask_inside(peer.cwd, "schemas", [(one.text, one.type_name) for one in asked])
    return found


def ask_inside(root: Path | None, what: str, given: Sequence[Any]) -> Any:
    """The answer of `inside.py` about the checkout at `root`."""
    command = [sys.executable, "-P", str(INSIDE), what]
    environment = os.environ | {"PYTHONPATH": str(root or INSIDE.parents[1])}
    done = subprocess.run(
        command, input=json.dumps(given), env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise Problem(f"the gateway's own code does not convert: {done.stderr.strip().rpartition(chr(10))[2]}")
    return json.loads(done.stdout)


def children_seconds() -> float:
    """CPU seconds of those of our children that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
