"""The gateway, but nothing of a call is counted for /metrics: `unmetered.py ARGUMENTS OF gateway`. The checkout to
measure comes first on the path of imports."""

from typing import Any

from gateway.cli import main
from gateway.metrics.recording import Recording

OF_EACH_CALL = ("begun", "answered", "observe", "granted", "cache")


def nothing(*_: Any) -> None:
    pass


for name in OF_EACH_CALL:
    getattr(Recording, name)  # it must still be there
    setattr(Recording, name, nothing)
main(prog_name="gateway")
