"""Jobs: what is kept of them, for whom and how long, and what becomes of them when something dies."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.errors import BadRequest, GatewayError
from gateway.jobs import AT_ONCE, Jobs, NoSuchJob, Tell, TooManyJobs, Work
from gateway.store.alive import Alive, held
from gateway.store.jobs import Bounds, Failure, Job, JobStore, Output
from gateway.types import Caller

ROOT = Path(__file__).parents[2]
US, THEM = Caller("us", "k"), Caller("them", "k")
LOST = Failure(503, b"lost")
PENDING = b'""'


class Time:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def render(error: GatewayError) -> Failure:
    return Failure(error.status, error.message.encode())


def made(state: Path, wall: Time | None = None, bounds: Bounds | None = None) -> Jobs:
    return Jobs(JobStore(state, wall or Time(), LOST, bounds), render, pause=0.001)


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    found = made(tmp_path)
    await found.start()
    yield found
    await found.close()


async def done(jobs: Jobs, id: str, team: Caller = US, kind: str = "k") -> Job:
    async with asyncio.timeout(5):
        while not (job := await jobs.find(team, kind, id)).ended:  # noqa: ASYNC110 - as callers do
            await asyncio.sleep(0.001)
    return job


async def numbers(place: int, tell: Tell) -> Output:
    await asyncio.sleep(0)
    return Output(b"%d" % place, "stop")


async def never(place: int, tell: Tell) -> Output:
    await asyncio.Event().wait()
    raise AssertionError


async def test_outputs_stand_in_the_places_of_their_prompts(jobs: Jobs) -> None:
    id = await jobs.submit(US, "k", [1] * 40, numbers, PENDING)
    expected = {place: Output(b"%d" % place, "stop") for place in range(40)}
    assert await done(jobs, id) == Job(40, PENDING, True, True, None, expected)


async def test_what_there_is_can_be_watched(jobs: Jobs) -> None:
    go = asyncio.Event()

    async def growing(place: int, tell: Tell) -> Output:
        tell(lambda: b"a")
        await go.wait()
        return Output(b"ab", "stop")

    id = await jobs.submit(US, "k", [1], growing, PENDING)
    async with asyncio.timeout(5):
        while not (job := await jobs.find(US, "k", id)).outputs:  # noqa: ASYNC110 - as callers do
            await asyncio.sleep(0.001)
    assert job == Job(1, PENDING, True, False, None, {0: Output(b"a")})
    go.set()
    assert (await done(jobs, id)).outputs == {0: Output(b"ab", "stop")}


async def test_a_team_asks_a_few_at_a_time_and_none_waits_for_another_team(jobs: Jobs) -> None:
    running: dict[str, int] = {"us": 0, "them": 0}
    go = asyncio.Event()

    def counting(team: str) -> Work:
        async def work(place: int, tell: Tell) -> Output:
            running[team] += 1
            await go.wait()
            return Output(b"", "stop")

        return work

    first = await jobs.submit(US, "k", [1] * 20, counting("us"), PENDING)
    second = await jobs.submit(US, "k", [1] * 20, counting("us"), PENDING)
    other = await jobs.submit(THEM, "k", [1] * 2, counting("them"), PENDING)
    await asyncio.sleep(0.02)
    assert running == {"us": AT_ONCE, "them": 2}
    assert not (await jobs.find(US, "k", second)).started
    go.set()
    await done(jobs, first)
    await done(jobs, second)
    await done(jobs, other, THEM)
    assert running == {"us": 40, "them": 2}


async def test_a_job_is_its_teams_and_its_routes(jobs: Jobs) -> None:
    id = await jobs.submit(US, "k", [1], numbers, PENDING)
    for team, kind, name in ((THEM, "k", id), (US, "other", id), (US, "k", "0" * 32)):
        with pytest.raises(NoSuchJob):
            await jobs.find(team, kind, name)


async def test_one_failure_fails_the_job_and_stops_the_rest(jobs: Jobs) -> None:
    begun: list[int] = []

    async def failing(place: int, tell: Tell) -> Output:
        begun.append(place)
        await asyncio.sleep(0.002)
        if place == 1:
            raise BadRequest("too long")
        return Output(b"x", "stop")

    job = await done(jobs, await jobs.submit(US, "k", [1] * 500, failing, PENDING))
    assert (job.failure, job.outputs) == (Failure(400, b"too long"), {})
    assert len(begun) < 500


async def test_a_bug_is_an_internal_error(jobs: Jobs, caplog: pytest.LogCaptureFixture) -> None:
    async def broken(place: int, tell: Tell) -> Output:
        raise KeyError("secret")

    job = await done(jobs, await jobs.submit(US, "k", [1], broken, PENDING))
    assert job.failure is not None and job.failure.status == 500
    assert b"secret" not in job.failure.body


async def test_open_jobs_are_bounded_by_team(tmp_path: Path) -> None:
    jobs = made(tmp_path, bounds=Bounds(open=2))
    for _ in range(2):
        await jobs.submit(US, "k", [1], never, PENDING)
    with pytest.raises(TooManyJobs, match="2 of your jobs have not ended"):
        await jobs.submit(US, "k", [1], never, PENDING)
    await jobs.submit(THEM, "k", [1], never, PENDING)
    await jobs.close()


async def test_prompts_in_memory_are_bounded(jobs: Jobs) -> None:
    await jobs.submit(US, "k", [40 << 20], never, PENDING)
    with pytest.raises(TooManyJobs, match="too many prompts"):
        await jobs.submit(US, "k", [40 << 20], never, PENDING)
    await jobs.submit(THEM, "k", [40 << 20], never, PENDING)


async def test_prompts_that_come_together_are_bounded_together(jobs: Jobs) -> None:
    submits = [jobs.submit(US, "k", [20 << 20], never, PENDING) for _ in range(8)]
    taken = await asyncio.gather(*submits, return_exceptions=True)
    assert [isinstance(one, str) for one in taken] == [True] * 3 + [False] * 5


@pytest.mark.parametrize("full", [True, False])
async def test_a_job_that_was_not_taken_leaves_its_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full: bool
) -> None:
    jobs = made(tmp_path, bounds=Bounds(open=0 if full else 1))

    async def broken(*job: object) -> bool:
        raise OSError("no space is left")

    with monkeypatch.context() as patched:
        if not full:
            patched.setattr(JobStore, "add", broken)
        for _ in range(3):
            with pytest.raises(TooManyJobs if full else OSError, match="0 of your jobs" if full else "no space"):
                await jobs.submit(US, "k", [40 << 20], never, PENDING)
    if not full:
        await jobs.submit(US, "k", [40 << 20], never, PENDING)
    await jobs.close()


async def test_what_there_is_is_looked_at_when_it_is_written_and_not_at_each_piece(tmp_path: Path) -> None:
    looked: list[int] = []

    async def talking(place: int, tell: Tell) -> Output:
        said = 0

        def look() -> bytes:
            looked.append(said)
            return b"%d" % said

        for _ in range(1000):
            said += 1
            tell(look)
        await asyncio.sleep(0.01)
        return Output(b"all", "stop")

    jobs = Jobs(JobStore(tmp_path, Time(), LOST), render, pause=60)
    id = await jobs.submit(US, "k", [1], talking, PENDING)
    assert (await done(jobs, id)).outputs == {0: Output(b"all", "stop")}
    assert len(looked) <= 1
    await jobs.close()


async def test_a_whole_answer_is_not_written_over_by_a_look_at_it(jobs: Jobs) -> None:
    go = asyncio.Event()

    async def talking(place: int, tell: Tell) -> Output:
        if place == 1:
            await go.wait()
        tell(lambda: b"some")
        return Output(b"all", "stop")

    id = await jobs.submit(US, "k", [1] * 2, talking, PENDING)
    async with asyncio.timeout(5):
        while not (job := await jobs.find(US, "k", id)).outputs:  # noqa: ASYNC110 - as callers do
            await asyncio.sleep(0.001)
    assert job.outputs == {0: Output(b"all", "stop")}
    go.set()
    assert (await done(jobs, id)).outputs == {place: Output(b"all", "stop") for place in range(2)}


@pytest.mark.parametrize("bounds", [Bounds(kept=2), Bounds(size=2)])
async def test_the_last_jobs_are_kept(tmp_path: Path, bounds: Bounds) -> None:
    wall = Time()
    jobs = made(tmp_path, wall, bounds)
    ids = []
    for _ in range(4):
        wall.now += 1
        ids.append(await jobs.submit(US, "k", [1], numbers, PENDING))
        await done(jobs, ids[-1])
    for id in ids[:2]:
        with pytest.raises(NoSuchJob):
            await jobs.find(US, "k", id)
    assert [(await jobs.find(US, "k", id)).ended for id in ids[2:]] == [True, True]
    await jobs.close()


async def test_an_hour_after_its_end_a_job_is_forgotten(tmp_path: Path) -> None:
    wall = Time()
    jobs = made(tmp_path, wall)
    id = await jobs.submit(US, "k", [1], numbers, PENDING)
    await done(jobs, id)
    wall.now += 3599
    assert (await jobs.find(US, "k", id)).ended
    wall.now += 2
    with pytest.raises(NoSuchJob, match="60 minutes"):
        await jobs.find(US, "k", id)
    await jobs.close()


async def test_answers_are_gone_from_the_disk_once_they_are_forgotten(tmp_path: Path) -> None:
    async def telling(place: int, tell: Tell) -> Output:
        return Output(b"a very telling answer", "stop")

    def on_disk() -> bool:
        return any(b"telling" in path.read_bytes() for path in (tmp_path / "jobs").iterdir())

    wall = Time()
    jobs = made(tmp_path, wall)
    await done(jobs, await jobs.submit(US, "k", [1], telling, PENDING))
    await jobs.close()
    assert on_disk()
    wall.now += 3601
    later = made(tmp_path, wall)
    await later.start()  # what happens when a gateway starts
    await later.close()
    assert not on_disk()


async def test_answers_survive_a_restart_and_other_workers_find_them(tmp_path: Path) -> None:
    one, other = made(tmp_path), made(tmp_path)
    id = await one.submit(US, "k", [1] * 3, numbers, PENDING)
    assert len((await done(other, id)).outputs) == 3
    await one.close()
    assert len((await other.find(US, "k", id)).outputs) == 3
    await other.close()
    again = made(tmp_path)
    assert len((await again.find(US, "k", id)).outputs) == 3
    await again.close()


async def test_jobs_of_a_worker_that_stopped_are_lost_and_say_so(tmp_path: Path) -> None:
    one, other = made(tmp_path, bounds=Bounds(open=1)), made(tmp_path, bounds=Bounds(open=1))
    id = await one.submit(US, "k", [1], never, PENDING)
    assert not (await other.find(US, "k", id)).ended
    await one.close()
    assert (await other.find(US, "k", id)).failure == LOST
    await other.submit(US, "k", [1], never, PENDING)  # the lost one no longer counts
    await other.close()


KILLED = """
import asyncio, os, pathlib, signal
from gateway.store.jobs import Bounds, Failure, JobStore, Output

async def main():
    store = JobStore(pathlib.Path({state!r}), lambda: 1000.0, Failure(503, b"lost"), Bounds())
    await store.add("x", "us", "k", 2, b"")
    await store.write("x", {{0: Output(b"half")}})
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def test_jobs_of_a_process_that_was_killed_are_lost_and_say_so(tmp_path: Path) -> None:
    program = KILLED.format(state=str(tmp_path))
    ended = await asyncio.create_subprocess_exec(sys.executable, "-c", program, cwd=ROOT)
    assert await ended.wait() == -9
    jobs = made(tmp_path)
    assert await jobs.find(US, "k", "x") == Job(2, b"", True, True, LOST, {})
    await jobs.close()


async def test_only_the_owner_may_read_the_files_and_they_are_made_when_needed(tmp_path: Path) -> None:
    idle = made(tmp_path)
    await idle.start()
    await idle.close()
    assert os.listdir(tmp_path) == []
    jobs = made(tmp_path)
    await jobs.submit(US, "k", [1], numbers, PENDING)
    files = list((tmp_path / "jobs").iterdir())
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "jobs").stat().st_mode & 0o777 == 0o700
    assert len(files) >= 2
    await jobs.close()


def test_marks_of_the_dead_are_taken_away(tmp_path: Path) -> None:
    one = Alive(tmp_path)
    (tmp_path / "dead.alive").touch()
    other = Alive(tmp_path)
    assert sorted(path.stem for path in tmp_path.iterdir()) == sorted([one.name, other.name])
    assert other.is_alive(one.name) and not other.is_alive("dead")
    one.close()
    assert not other.is_alive(one.name)
    other.close()
    assert not held(tmp_path / f"{other.name}.alive")
