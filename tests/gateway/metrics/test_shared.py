"""One file for each worker: nothing is lost with a worker, nothing is counted twice, and there is no end of room."""

import errno
import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from gateway.metrics import shared, table
from gateway.metrics.rendering import gathered
from gateway.metrics.shared import NOWHERE, SUFFIX, Figures, of_all, read
from gateway.metrics.table import OTHER, Metric


def totals(folder: Path) -> dict[str, dict[tuple[str, ...], list[float]]]:
    return {metric.name: series for metric, series in gathered(of_all(folder)).items()}


def count(figures: Figures, metric: Metric, *labels: str, by: float = 1) -> None:
    figures.values[figures.place(metric, labels)] += by


def dying(folder: str, ready: Any) -> None:
    """A worker that is killed while it has counted, and has told a gauge."""
    figures = Figures(Path(folder), os.getpid())
    for _ in range(1000):
        count(figures, table.RETRIES, "p/a", "throttled")
    count(figures, table.IN_FLIGHT, by=3)
    ready.send(b"counted")
    signal.pause()


def test_all_workers_are_added_up(tmp_path: Path) -> None:
    one, two = Figures(tmp_path, 1), Figures(tmp_path, 2)
    for figures, by in ((one, 1), (two, 10)):
        count(figures, table.COST, "red", "a", by=by)
        count(figures, table.IN_FLIGHT, by=by)
        count(figures, table.LEDGER_LAG, by=by)
        count(figures, table.REDIS_UP, by=by % 2)
    count(two, table.COST, "red", "b", by=5)
    assert totals(tmp_path) == {
        "gateway_cost_usd_total": {("red", "a"): [11.0], ("red", "b"): [5.0]},
        "gateway_in_flight": {(): [11.0]},
        "gateway_ledger_lag_seconds": {(): [10.0]},  # the most of all
        "gateway_redis_up": {(): [0.0]},  # the least
    }


def test_a_killed_worker_has_lost_nothing_and_its_successor_goes_on(tmp_path: Path) -> None:
    here, there = multiprocessing.Pipe()
    worker = multiprocessing.get_context("spawn").Process(target=dying, args=(str(tmp_path), there))
    worker.start()
    assert here.recv() == b"counted"
    assert totals(tmp_path)["gateway_in_flight"] == {(): [3.0]}
    worker.kill()
    worker.join()
    assert totals(tmp_path) == {"gateway_retries_total": {("p/a", "throttled"): [1000.0]}}  # no gauges of the dead

    other = Figures(tmp_path, 1)
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == 1
    count(other, table.RETRIES, "p/a", "throttled")
    count(other, table.RETRIES, "p/b", "throttled")
    assert totals(tmp_path) == {"gateway_retries_total": {("p/a", "throttled"): [1001.0], ("p/b", "throttled"): [1.0]}}
    count(Figures(tmp_path, 2), table.RETRIES, "p/a", "throttled")  # the other lives: it has a file of its own
    assert len(list(tmp_path.glob(f"*{SUFFIX}"))) == 2


def test_a_gauge_of_the_dead_is_told_again_only_when_it_is_known(tmp_path: Path) -> None:
    before = Figures(tmp_path, 1)
    count(before, table.REDIS_UP, by=1)
    before.close()
    after = Figures(tmp_path, 2)
    assert totals(tmp_path) == {}
    after.values[after.place(table.REDIS_UP)] = 1
    assert totals(tmp_path) == {"gateway_redis_up": {(): [1.0]}}


def test_files_made_by_another_table_are_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shared, "MARK", shared.MARK + 2)
        count(Figures(tmp_path, 1), table.RETRIES, "p/a", "throttled")
    assert totals(tmp_path) == {}
    count(Figures(tmp_path, 2), table.RETRIES, "p/a", "throttled")
    assert totals(tmp_path) == {"gateway_retries_total": {("p/a", "throttled"): [1.0]}}


def test_series_are_bounded_and_their_sum_is_not() -> None:
    """Names beyond the most are told as others; what has a handful of values stays apart."""
    figures = Figures()
    for number in range(table.MANY + 50):
        count(figures, table.TOKENS_USED, f"team-{number}", "a", "input")
    count(figures, table.TOKENS_USED, "team-x", "a", "output")
    count(figures, table.TOKENS_USED, "team-7", "a", "input")
    found = gathered([(figures.raw(), True)])[table.TOKENS_USED]
    assert len(found) == table.MANY + 2
    assert found[OTHER, OTHER, "input"] == [50.0] and found[OTHER, OTHER, "output"] == [1.0]
    assert found["team-7", "a", "input"] == [2.0]


def test_a_file_grows_as_it_is_used_and_a_full_disk_is_survived(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    figures = Figures(tmp_path, 1)
    [path] = tmp_path.glob(f"*{SUFFIX}")
    assert path.stat().st_blocks * 512 <= 2 * shared.STEP
    names = [f"p/{number:0100}" for number in range(900)]
    for name in names:
        count(figures, table.LEGS, "a", name, "ok")
    assert 900 * 120 < path.stat().st_blocks * 512 < 900 * 130 + 3 * shared.STEP

    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    for number in range(5000):
        count(figures, table.LEGS, "b", f"p/{number:0100}", "ok")
    assert figures.place(table.LEGS, ("b", f"p/{4999:0100}", "ok")) == NOWHERE
    assert sum("no room" in record.message for record in caplog.records) == 1
    for name in names:
        count(figures, table.LEGS, "a", name, "ok")
    found = totals(tmp_path)["gateway_legs_total"]
    assert [found["a", name, "ok"] for name in names] == [[2.0]] * 900


def test_what_is_read_while_a_series_is_made_is_whole(tmp_path: Path) -> None:
    """Each prefix that a reader can see is a list of whole series."""
    figures, seen = Figures(tmp_path, 1), []
    for number in range(20):
        seen.append(figures.raw())
        count(figures, table.REQUEST_SECONDS, f"/{number}")
    assert [len(list(read(raw))) for raw in seen] == list(range(20))
