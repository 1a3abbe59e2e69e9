"""What the gateway and its children take of the machine, read of real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import census
from gateway.census import VARIABLE, Census, Member, Tally
from gateway.metrics.processes import Processes, taken

BUSY = "x = bytearray(50_000_000)\nfor i in range(2_000_000): pass\nprint('up', flush=True)\ninput()"


@pytest.fixture
def busy() -> Iterator[subprocess.Popen[bytes]]:
    """A process of more than 50 MB that has worked for a while."""
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", BUSY], stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        yield process
        process.kill()


def samples() -> dict[str, float]:
    found = Processes(os.environ.get(VARIABLE)).collect()
    return {
        sample.name + (f"[{sample.labels['child']}]" if sample.labels else ""): sample.value
        for family in found
        for sample in family.samples
    }


def test_a_child_and_the_gateway_are_told_apart(busy: subprocess.Popen[bytes]) -> None:
    with Census() as kept:
        before = samples()
        kept.member("litellm")(busy.pid, 2)
        found = samples()
    assert found["gateway_child_up[litellm]"] == 1
    assert found["gateway_child_restarts_total[litellm]"] == 2
    assert 50e6 < found["gateway_child_resident_memory_bytes[litellm]"] < 500e6
    assert 0.01 < found["gateway_child_cpu_seconds_total[litellm]"] < 60
    # Until it is called a child, what it takes counts as the gateway's own.
    assert before["gateway_resident_memory_bytes"] - found["gateway_resident_memory_bytes"] > 45e6
    assert found["gateway_cpu_seconds_total"] > 0


def test_a_child_that_is_down_takes_nothing(busy: subprocess.Popen[bytes]) -> None:
    with Census() as kept:
        kept.member("litellm")(None, 3)
        kept.member("demo")(busy.pid, 0)
        busy.kill()  # and nobody has noticed yet
        os.waitid(os.P_PID, busy.pid, os.WEXITED | os.WNOWAIT)
        found = samples()
    assert {name: value for name, value in found.items() if "child" in name} == {
        "gateway_child_up[litellm]": 0,
        "gateway_child_restarts_total[litellm]": 3,
        "gateway_child_up[demo]": 0,
        "gateway_child_restarts_total[demo]": 0,
    }


def test_every_worker_sees_the_same_state() -> None:
    """And one that outlives the parent's file still answers, for itself."""
    with Census() as kept:
        path = os.environ[VARIABLE]
        kept.member("demo")(7, 0)
        kept.member("litellm")(8, 0)
        kept.member("demo")(9, 1)
        assert census.read(path) == Tally(os.getpid(), (Member("demo", 9, 1), Member("litellm", 8, 0)))
    assert VARIABLE not in os.environ
    assert not Path(path).parent.exists()
    assert census.read(path) == census.read(None) == Tally(os.getpid())
    kept.member("demo")(10, 2)  # a child's end may be noticed late


def test_no_process_takes_nothing() -> None:
    assert taken(2**22 + 1) is None
