import subprocess

import pytest


@pytest.mark.timeout(150)
def test_who_waits_as_long_as_told_is_let_in(stopwatch: "subprocess.Popen[str]") -> None:
    said, _ = stopwatch.communicate(timeout=140)
    assert stopwatch.returncode == 0, said
    assert said.count('"problem":""') == 4, said
