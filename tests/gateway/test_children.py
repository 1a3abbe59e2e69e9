"""Children that are kept alive, and go when they should: with real processes."""

import subprocess
import sys
import time
from pathlib import Path

from gateway.children import Child

READY = "import sys; print('{}', flush=True); "


def child(program: str) -> Child:
    return Child("the test's child", [sys.executable, "-c", program])


def until(condition: str, path: Path, seconds: float = 5) -> str:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if path.exists() and condition in (text := path.read_text()):
            return text
        time.sleep(0.02)
    raise AssertionError(f"{condition!r} did not come into {path.name}")


def test_ready_is_when_it_says_so_and_stop_ends_it() -> None:
    one = child(READY + "sys.stdin.read()")
    one.start()
    assert one.wait_ready(5)
    began = time.monotonic()
    one.stop()
    assert time.monotonic() - began < 4  # it was not killed, which is a second later


def test_one_that_dies_is_started_again(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    one = child(READY + f"open({str(lives)!r}, 'a').write('x'); sys.exit(3)")
    one.start()
    assert one.wait_ready(5)
    until("xxx", lives)
    one.stop()


def test_one_that_never_started_is_not_started_again(tmp_path: Path) -> None:
    lives = tmp_path / "lives"
    one = child(f"open({str(lives)!r}, 'a').write('x')")
    one.start()
    assert not one.wait_ready(5)
    time.sleep(0.5)
    assert lives.read_text() == "x"
    one.stop()


def test_one_that_will_not_listen_is_killed() -> None:
    one = child("import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + READY + "time.sleep(60)")
    one.start()
    assert one.wait_ready(5)
    one.stop(patience=0.2)


def test_it_goes_when_we_are_killed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    program = READY + f"sys.stdin.read(); open({str(gone)!r}, 'w').write('gone')"
    parent = (
        "import sys, time\n"
        "from gateway.children import Child\n"
        f"child = Child('x', [sys.executable, '-c', {program!r}])\n"
        "child.start()\n"
        "child.wait_ready(5)\n"
        "print('up', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        process.kill()
    until("gone", gone)
