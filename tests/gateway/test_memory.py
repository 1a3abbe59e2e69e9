"""Freed memory stays with the process: a large body after another costs no page faults. And no cycle is looked for
among what stays anyway."""

import gc
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from gateway.memory import staying

PROGRAM = """
import resource, sys
if sys.argv[1] == "kept":
    from gateway.memory import keep_freed
    assert keep_freed()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def bodies():
    for _ in range(300):
        parts = [b"x" * 100_000 for _ in range(4)]
        whole = b"".join(parts)
        del parts, whole
bodies()
before = faults()
bodies()
print(faults() - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc gives memory back so eagerly")
def test_large_bodies_cost_no_page_faults() -> None:
    def run(how: str) -> int:
        command = [sys.executable, "-c", PROGRAM, how]
        return int(subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, check=True).stdout)

    assert run("kept") * 10 < run("given back")


def test_what_stays_is_not_looked_through() -> None:
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ZeroDivisionError), staying():
            assert not gc.isenabled()
            raise ZeroDivisionError
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
