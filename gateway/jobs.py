"""Work that its caller comes back for: many prompts, a few at a time, whose answers are kept until they are fetched.

A job lives in the worker that took it; what it has come to is in the store, where every worker finds it. Which API
asks, and what an output looks like, is not known here.
"""

import asyncio
import logging
import secrets
from collections.abc import Awaitable, Callable
from functools import partial
from weakref import WeakValueDictionary

from gateway.errors import GatewayError, Internal
from gateway.store.jobs import Failure, Job, JobStore, Output
from gateway.turns import give_up, in_turns
from gateway.types import Caller

log = logging.getLogger("gateway.jobs")

AT_ONCE = 8
"""Prompts of one team's jobs that a worker asks together."""

WAITING = 64 * 1024 * 1024
"""Bytes of one team's prompts that a worker holds in memory for its jobs."""

PAUSE = 0.2
"""Seconds between two writes of what a job has come to."""

Look = Callable[[], bytes]
"""Gives what there is so far of one prompt's output."""

Tell = Callable[[Look], None]
"""Hears that there is more of it. The look is taken when it is written: pieces come far more often."""

Work = Callable[[int, Tell], Awaitable[Output]]
"""Answers the prompt at this place. Raises GatewayError, by which the whole job fails."""

Render = Callable[[GatewayError], Failure]


class TooManyJobs(GatewayError):
    status = 429
    code = "too_many_jobs"


class NoSuchJob(GatewayError):
    status = 404
    code = "not_found"


class Jobs:
    """The jobs of this worker. ``render`` is how a job's failure will be answered."""

    def __init__(self, store: JobStore, render: Render, pause: float = PAUSE) -> None:
        self._store = store
        self._render = render
        self._bounds = store.bounds
        self._pause = pause
        self._tasks: set[asyncio.Task[None]] = set()
        self._waiting: dict[str, int] = {}
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._sweeping: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Forgets what has grown old while nobody was here."""
        await self._sweep()

    async def close(self) -> None:
        """Gives up what is not done; who asks for it later is told so."""
        if self._sweeping is not None:
            self._sweeping.cancel()
        await give_up(list(self._tasks))
        await self._store.close()

    async def submit(self, caller: Caller, kind: str, sizes: list[int], work: Work, pending: bytes) -> str:
        """Takes a job on; returns its name. ``sizes`` are the prompts' bytes, ``pending`` what stands in the place of
        an output that is not there yet. Raises TooManyJobs."""
        size = sum(sizes)
        self._reserve(caller.team, size)  # before the store is asked, which lets other submits pass
        id = secrets.token_hex(16)
        try:
            if not await self._store.add(id, caller.team, kind, len(sizes), pending):
                raise TooManyJobs(
                    f"{self._bounds.open} of your jobs have not ended; come back when some have", retry_after=5
                )
        except BaseException:
            self._release(caller.team, size)
            raise
        turn = self._turns.setdefault(caller.team, asyncio.Semaphore(AT_ONCE))
        task = asyncio.create_task(Run(self._store, id, turn, self._pause).run(len(sizes), work, self._render))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._ended(task, caller.team, size))
        return id

    async def find(self, caller: Caller, kind: str, id: str) -> Job:
        """The team's job. Raises NoSuchJob."""
        job = await self._store.find(id, caller.team, kind)
        if job is None:
            raise NoSuchJob(f"there is no such job, or it ended more than {self._bounds.seconds / 60:.0f} minutes ago")
        return job

    def _reserve(self, team: str, size: int) -> None:
        held = self._waiting.get(team, 0) + size
        if held > WAITING:
            raise TooManyJobs("your jobs hold too many prompts by now; come back when some have ended", retry_after=5)
        self._waiting[team] = held

    def _release(self, team: str, size: int) -> None:
        self._waiting[team] -= size
        if not self._waiting[team]:
            del self._waiting[team]

    def _ended(self, task: asyncio.Task[None], team: str, size: int) -> None:
        self._tasks.discard(task)
        self._release(team, size)
        if not task.cancelled() and (bug := task.exception()):
            log.error("a job could not be kept", exc_info=bug)
        if self._sweeping is None:
            self._sweep_later()

    def _sweep_later(self) -> None:
        loop = asyncio.get_running_loop()
        self._sweeping = loop.call_later(self._bounds.seconds + 1, lambda: self._sweep_now(loop))

    def _sweep_now(self, loop: asyncio.AbstractEventLoop) -> None:
        task = loop.create_task(self._sweep())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._sweep_later()

    async def _sweep(self) -> None:
        try:
            await self._store.sweep()
        except Exception:
            log.exception("old jobs could not be forgotten")


class Run:
    """One job while it is worked on. What has come of it is written now and then, for those who look."""

    def __init__(self, store: JobStore, id: str, turn: asyncio.Semaphore, pause: float) -> None:
        self._store = store
        self._id = id
        self._turn = turn
        self._pause = pause
        self._fresh: dict[int, Output] = {}
        self._growing: dict[int, Look] = {}
        self._news = asyncio.Event()

    async def run(self, prompts: int, work: Work, render: Render) -> None:
        writing = asyncio.create_task(self._write())
        failure: Failure | None = None
        try:
            await in_turns(prompts, AT_ONCE, partial(self._one, work))  # the first failure ends it
        except GatewayError as error:
            failure = render(error)
        except Exception:
            log.exception("job %s failed by a bug", self._id)
            failure = render(Internal(f"an internal error; the log has it under {self._id}"))
        finally:
            await give_up([writing])
        await self._store.end(self._id, self._fresh, failure)

    async def _one(self, work: Work, place: int) -> None:
        async with self._turn:
            self._news.set()
            self._fresh[place] = await work(place, partial(self._tell, place))
            self._growing.pop(place, None)
            self._news.set()

    def _tell(self, place: int, look: Look) -> None:
        self._growing[place] = look
        self._news.set()

    def _looked(self) -> dict[int, Output]:
        """What there is by now of the outputs that have grown since the last look."""
        growing, self._growing = self._growing, {}
        return {place: Output(look()) for place, look in growing.items()}

    async def _write(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            fresh, self._fresh = self._fresh | self._looked(), {}
            try:
                await self._store.write(self._id, fresh)
            except BaseException as exc:
                self._fresh = fresh | self._fresh  # the end writes it again, and says what is wrong
                if not isinstance(exc, Exception):
                    raise
            await asyncio.sleep(self._pause)
