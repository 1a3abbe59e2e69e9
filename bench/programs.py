"""The two C programs, compiled when their source is newer, and the load generator's words as values."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import Problem
from bench.machine import pinned

HERE = Path(__file__).parent
BUILD = HERE / "build"


def build(name: str) -> Path:
    """The compiled `bench/NAME.c`."""
    source, binary = HERE / f"{name}.c", BUILD / name
    if binary.exists() and binary.stat().st_mtime > source.stat().st_mtime:
        return binary
    compiler = shutil.which(os.environ.get("CC", "cc")) or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise Problem("the benchmark needs a C compiler (cc, gcc or clang): apt install gcc libc6-dev")
    BUILD.mkdir(exist_ok=True)
    made = BUILD / f"{name}.{os.getpid()}"  # a run beside this one must never see half a program
    command = [compiler, "-std=gnu11", "-O2", "-Wall", "-Wextra", "-o", str(made), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"{source.name} does not compile with {compiler}:\n{done.stderr.strip()}")
    made.replace(binary)
    return binary


@dataclass(frozen=True)
class Load:
    """What one run of the load generator asked for."""

    port: int
    path: str
    body: Path
    headers: tuple[str, ...] = ()
    clients: int = 1
    seconds: float = 0  # 0: until `requests` are done
    requests: int = 0  # 0: until `seconds` are over
    rate: float = 0  # requests a second whatever the answers do; 0: each client as fast as it is answered
    text: str = ""  # every answer holds it ...
    times: int = 1  # ... this often at least
    events: int | None = None  # every answer is a stream of exactly so many events; None: a whole answer
    overload: bool = False  # refusals with status 503 are counted by themselves
    mark: str = ""  # what each request has a number of its own in the place of
    bursts: bool = False  # all clients send the same number at once, and the next when all are answered
    other_port: int = 0  # to which every other client sends

    def arguments(self) -> list[str]:
        given = ["-p", str(self.port), "-u", self.path, "-d", str(self.body), "-c", str(self.clients)]
        given += [part for header in self.headers for part in ("-H", header)]
        if self.seconds:
            given += ["-t", f"{self.seconds}"]
        if self.requests:
            given += ["-n", f"{self.requests}"]
        if self.rate:
            given += ["-r", f"{self.rate}"]
        if self.text:
            given += ["-w", self.text, "-k", f"{self.times}"]
        if self.events is not None:
            given += ["-s", "-e", f"{self.events}"]
        if self.overload:
            given += ["-o"]
        if self.mark:
            given += ["-i", self.mark]
        if self.bursts:
            given += ["-b"]
        if self.other_port:
            given += ["-q", str(self.other_port)]
        return given


@dataclass(frozen=True)
class Quantiles:
    """Of a latency, in microseconds."""

    p50: float
    p90: float
    p99: float
    max: float


@dataclass(frozen=True)
class Outcome:
    """What came of a load: field names are the load generator's own."""

    requests: int
    seconds: float
    rate: float
    latency_us: Quantiles
    first_byte_us: Quantiles
    event_delay_us: Quantiles
    refusal_us: Quantiles
    refused: int
    events: int
    bytes: int
    reconnects: int
    bad: dict[str, int]
    bad_status: int
    bad_sample: str
    cpu_s: float

    def complaint(self) -> str:
        """What was wrong with the answers, in one line; empty when all were good."""
        kinds = [f"{n} {kind}" for kind, n in self.bad.items() if n]
        if not kinds:
            return ""
        last = f"last HTTP {self.bad_status} {self.bad_sample}"
        return f"bad answers of {self.requests}: {', '.join(kinds)}; {last}"


def generate(load: Load, core: int) -> Outcome:
    """Run the load generator on this core until the load is done."""
    with pinned(core):
        command: Sequence[str] = [str(build("loadgen")), *load.arguments()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Problem(f"the load generator gave up on port {load.port}: {done.stderr.strip()}")
    return decode(done.stdout)


def decode(text: str) -> Outcome:
    fields: dict[str, Any] = json.loads(text)
    for name in ("latency_us", "first_byte_us", "event_delay_us", "refusal_us"):
        fields[name] = Quantiles(**fields[name])
    return Outcome(**fields)
