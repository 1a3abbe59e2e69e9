"""Calls that are under way in other processes, through Redis: who leads a call holds a lease on it, and tells what
comes of it to each process that asks.

A process that falls silent has died: whoever heard it takes its place, if nobody has been told anything yet, and else
has heard the end. Without Redis each process leads its own.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from itertools import count
from typing import Any, Literal, Protocol, TypeVar

from msgspec import Struct

from adapters.errors import Invalid, ProviderError
from adapters.types import Choice, Delta, Reply
from gateway.caching.entry import Kept
from gateway.caching.gathering import batches, whole
from gateway.caching.store import Wanted
from gateway.limits.types import StoreDown
from gateway.sharing.flight import Batch, Flight, Stopped, size
from gateway.sharing.look import Look
from gateway.sharing.messages import Kind, Message, error_of, failed_by, read, written
from gateway.sharing.share import Gone, Share, kept_of, note_told
from gateway.types import Clock, LegResult

log = logging.getLogger("gateway.sharing")

T = TypeVar("T")

LEASE = 0.6
"""Seconds for which a process holds a call without saying that it is still at it."""

RENEWED = 0.2
"""Seconds between two times of saying so, to Redis and to those who hear."""

SILENCE = 0.6
"""Seconds after which a process that was heard is taken for dead; and one that heard, after twice as many."""

LATE = 0.2
"""Seconds by which the clock is beyond that when this process has been away itself, and may find that it was told."""

PAUSE = 0.05
"""Seconds between two tries to take the place of one who has gone."""

TRIES = 2
"""Times that one who holds a call may know of no such call, or be misheard, before it is asked for all the same."""

MOST = 1 << 20
"""Bytes that another process may be behind, and that wait to be told to it, before the provider has to wait."""

FAREWELL = 0.3
"""Seconds to say that this process stops."""

Heard = Literal["ended", "silent", "missed", "unknown", "alone"]


class Leases(Protocol):
    """Who makes what. Nothing waits."""

    def take(self, wanted: Wanted, whose: Look) -> None:
        """Looks for a kept answer, and claims to make it if there is none."""

    def claim(self, wanted: Wanted, whose: Look) -> None: ...
    def renew(self, wanted: Wanted) -> None: ...
    def release(self, wanted: Wanted) -> None: ...


class Post(Protocol):
    async def publish(self, channel: str, message: bytes) -> int:
        """How many have heard it. Raises StoreDown."""

    def listen(self, channel: str, heard: Callable[[bytes], None]) -> None: ...


def channel(name: str) -> str:
    """On which a process hears."""
    return f"flights:{name}"


class Telling(Struct, eq=False):
    """What another process is told of a call. ``heard`` is when it last said that it hears, by the steady clock,
    ``taken`` how many reads it has taken by then."""

    key: str
    to: str
    ear: int
    news: asyncio.Event
    heard: float
    taken: int = 0
    task: asyncio.Task[None] | None = None


class Elsewhere:
    """``name`` is this process's among all. ``kept`` asks the cache."""

    def __init__(
        self,
        name: str,
        leases: Leases,
        post: Post,
        clock: Clock,
        kept: Callable[[Share], Awaitable[Kept | None]],
    ) -> None:
        self._name = name
        self._leases = leases
        self._post = post
        self._clock = clock
        self._kept = kept
        self._leading: dict[str, tuple[Flight, Wanted]] = {}
        self._looks: dict[Wanted, int] = {}  # how many there are that have not ended ...
        self._found: set[Wanted] = set()  # ... of which one has found or kept something ...
        self._left: set[Wanted] = set()  # ... and one was to make it, and has not
        self._ears = count(1)
        self._inboxes: dict[int, asyncio.Queue[tuple[Message, Kept | None]]] = {}
        self._tellings: dict[tuple[str, int], Telling] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._renewing: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._post.listen(channel(self._name), self._heard)
        self._renewing = asyncio.get_running_loop().create_task(self._renew())

    async def close(self) -> None:
        """Those who hear are told, as far as there is time."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=FAREWELL)
        rest = [*self._tasks, *([] if self._renewing is None else [self._renewing])]
        for task in rest:
            task.cancel()
        if rest:
            await asyncio.wait(rest)

    async def fly(self, flight: Flight, share: Share, lead: Callable[[], Awaitable[None]]) -> None:
        """Hears a call that another process has begun, or else begins it, by ``lead``, so that others can hear it."""
        key = share.digest
        unknown = 0
        silent, until = "", 0.0  # whoever is dead holds the call until then at most
        look = share.look
        if look is None or isinstance(look.found, bytes) or (look.ended and not look.found):
            look = self._claimed(share)
        while unknown < TRIES:
            look.taken = True
            if not look.known:
                await look
            holder = look.found
            if not isinstance(holder, str) or not holder:  # it is ours, or nobody can say
                if holder is not None and (unknown or silent) and (kept := await self._kept(share)) is not None:
                    self._tell_whole(flight, kept)  # whoever held it has kept it meanwhile, and holds it no more
                    return
                break
            if holder == silent:
                if self._clock.steady() > until:
                    break  # it lives, and cannot be heard
                await asyncio.sleep(PAUSE)
                look = self._claimed(share)
                continue
            heard = await self._hear(holder, key, flight)
            if heard == "ended":
                return
            if flight.spoken:
                self._close(flight, Gone("another process of the gateway, which had asked for this answer, has gone"))
                return
            flight.result.attempts, flight.result.served = 0, ""
            if heard == "alone":
                await lead()
                return
            if heard == "silent":
                silent, until = holder, self._clock.steady() + LEASE
            else:
                unknown += 1
            kept = await self._kept(share)
            if kept is not None:
                self._tell_whole(flight, kept)
                return
            await asyncio.sleep(PAUSE)
            look = self._claimed(share)
        look.taken = True  # also of who is asked no more
        led = self._leading[key] = flight, (share.team, share.leg.name, key)
        try:
            await lead()
        finally:
            if self._leading.get(key) is led:
                del self._leading[key]

    def look(self, share: Share) -> Look:
        """Asks for what is kept; where there is nothing, and nobody else makes it, this process is to do so until the
        look ends."""
        look = self._begun(share)
        self._leases.take(look.wanted, look)
        return look

    # ------------------------------------------------------------------ leading

    def _claimed(self, share: Share) -> Look:
        look = share.look = self._begun(share)
        self._leases.claim(look.wanted, look)
        return look

    def _begun(self, share: Share) -> Look:
        wanted = (share.team, share.leg.name, share.digest)
        looks = self._looks
        looks[wanted] = looks.get(wanted, 0) + 1
        return Look(wanted, self._ended)

    def _ended(self, wanted: Wanted, ours: bool, kept: bool) -> None:
        """A look is over. The last one that there is leaves what this process has not made after all to others; what
        has been kept is theirs once the cache has it, and no sooner."""
        others = self._looks.pop(wanted) - 1
        if not (others or self._found or self._left):  # as mostly: it is the only one
            if ours and not kept:
                self._leases.release(wanted)
            return
        if kept:
            self._found.add(wanted)
        elif ours:
            self._left.add(wanted)
        if others:
            self._looks[wanted] = others
            return
        if wanted in self._left and wanted not in self._found:
            self._leases.release(wanted)
        self._left.discard(wanted)
        self._found.discard(wanted)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED)
            for _, wanted in self._leading.values():
                self._leases.renew(wanted)

    async def _tell(self, flight: Flight, telling: Telling) -> None:
        """Tells another process what comes of a call, until its end."""
        waiting: list[Batch] = []
        ahead: deque[tuple[int, int]] = deque()  # the places and sizes of what it may not have taken yet
        own = LegResult(flight.result.leg, 0.0)
        ready: asyncio.Future[None] | None = None
        tries = waits = place = 0

        def emit(result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
            nonlocal ready, tries, waits
            if result.attempts != tries:  # what an earlier target has said before it failed is void
                tries, waits = result.attempts, 0
                waiting.clear()
            waiting.append((shift, deltas))
            waits += size(deltas)
            telling.news.set()
            if waits > MOST and ready is None:
                ready = asyncio.get_running_loop().create_future()
            return ready

        if flight.streamed:
            own.sent = [0] * flight.result.leg.call.choices
        hearing = asyncio.create_task(flight.hear(own, emit if flight.streamed else None))
        hearing.add_done_callback(lambda _: telling.news.set())
        flown = flight.result
        try:
            while not hearing.done() or waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RENEWED):
                        await telling.news.wait()
                telling.news.clear()
                if self._has_gone(telling):
                    return
                while ahead and ahead[0][0] <= telling.taken:
                    ahead.popleft()
                if sum([behind for _, behind in ahead]) > MOST:
                    await self._say_surely(telling, Message("alive", telling.key, self._name, telling.ear))
                    continue
                told, behind = tuple([(shift, tuple(deltas)) for shift, deltas in waiting]), waits
                waiting.clear()
                waits = 0
                if ready is not None:
                    ready.set_result(None)
                    ready = None
                here = Kept(flown.answered_by, 0.0, (), None, None, flown.path, told) if told else None
                await self._say_surely(telling, self._of("pieces" if told else "alive", telling, flown, place), here)
                place += len(told)
                if told:
                    ahead.append((place, behind))
            hearing.result()
            outcome = flown.outcome
            if isinstance(outcome, Reply):
                kept = kept_of(flown, outcome, [], 0.0)
                await self._say_surely(telling, self._of("answered", telling, flown, place), kept)
            elif isinstance(outcome, ProviderError):
                await self._say_surely(telling, self._of("failed", telling, flown, place))
        except Stopped:
            await self._say(telling.to, Message("unknown", telling.key, self._name, telling.ear))
        finally:
            if not hearing.done():
                hearing.cancel()
                await asyncio.wait([hearing])

    def _has_gone(self, telling: Telling) -> bool:
        return self._clock.steady() - telling.heard > 2 * SILENCE

    async def _say_surely(self, telling: Telling, message: Message, kept: Kept | None = None) -> None:
        """Again and again, as long as there may be somebody who hears it. It may be heard twice."""
        while not self._has_gone(telling):
            try:
                await self._say(telling.to, message, kept)
                return
            except StoreDown:
                await asyncio.sleep(PAUSE)

    def _of(self, kind: Kind, telling: Telling, flown: LegResult, place: int) -> Message:
        outcome = flown.outcome
        failed = failed_by(outcome) if kind == "failed" and isinstance(outcome, ProviderError) else None
        broken = {index: failed_by(problem) for index, problem in flown.broken.items()} if kind == "answered" else {}
        return Message(
            kind, telling.key, self._name, telling.ear, place, flown.attempts, flown.answered_by, flown.whole, failed,
            broken,
        )  # fmt: skip

    async def _say(self, to: str, message: Message, kept: Kept | None = None) -> None:
        """Raises StoreDown. Whether it was heard nobody knows. Who is cancelled meanwhile leaves it to be said: a
        command that is given up costs all others the connection."""
        await asyncio.shield(self._begin(self._post.publish(channel(to), written(message, kept))))

    # ------------------------------------------------------------------ hearing

    async def _hear(self, holder: str, key: str, flight: Flight) -> Heard:
        """Whether there is an outcome; else who was heard has gone, was misheard, or knows of no such call."""
        ear = next(self._ears)
        inbox = self._inboxes[ear] = asyncio.Queue()
        hearing = Hearing(flight)
        following = asyncio.create_task(self._follow(holder, key, ear, hearing))
        ended = False
        try:
            while (found := await self._next(inbox)) is not None:
                message, kept = found
                if message.sender != holder:
                    continue
                if message.kind == "alone" or message.kind == "unknown":
                    ended = True
                    return message.kind
                flight.result.cache = "coalesced"
                if message.kind == "alive":
                    continue
                if hearing.misses(message, kept):
                    return "missed"
                flight.result.attempts, flight.result.served = message.attempts, message.target
                if message.kind == "pieces" and kept is not None:
                    await hearing.take(message, kept)
                    if hearing.unsaid > MOST // 4:
                        hearing.unsaid = 0
                        self._begin(self._say(holder, Message("follow", key, self._name, ear, hearing.heard)))
                    continue
                ended = True
                return "ended" if self._finish(hearing, message, kept) else "missed"
            return "silent"
        finally:
            following.cancel()
            del self._inboxes[ear]
            if not ended:
                self._begin(self._say(holder, Message("leave", key, self._name, ear)))

    async def _next(self, inbox: "asyncio.Queue[tuple[Message, Kept | None]]") -> tuple[Message, Kept | None] | None:
        """None after a silence."""
        while True:
            began = self._clock.steady()
            try:
                async with asyncio.timeout(SILENCE):
                    return await inbox.get()
            except TimeoutError:
                if self._clock.steady() - began < SILENCE + LATE:
                    return None

    async def _follow(self, holder: str, key: str, ear: int, hearing: "Hearing") -> None:
        """Says again and again that somebody hears."""
        while True:
            with contextlib.suppress(StoreDown):
                await self._say(holder, Message("follow", key, self._name, ear, hearing.heard))
            await asyncio.sleep(2 * RENEWED)

    def _finish(self, hearing: "Hearing", message: Message, kept: Kept | None) -> bool:
        flight, collected = hearing.flight, hearing.collected
        if message.kind == "failed" and message.failed is not None:
            self._close(flight, error_of(message.failed))
            return True
        if message.kind != "answered" or kept is None:
            return False
        result = flight.result
        result.whole = message.whole
        for index, failed in message.broken.items():
            problem = error_of(failed)
            if isinstance(problem, Invalid):
                result.broken = {**result.broken, index: problem}
        if flight.spoken:
            self._close(flight, Reply(kept.choices, kept.usage, kept.raw), kept)
        elif collected and not message.whole:
            told = tuple([(shift, tuple(deltas)) for shift, deltas in collected])
            heard = Kept(kept.target, 0.0, kept.choices, kept.usage, kept.raw, kept.path, told)
            self._close(flight, whole(heard), kept)
        else:
            self._tell_whole(flight, kept)
        return True

    def _tell_whole(self, flight: Flight, kept: Kept) -> None:
        """A whole answer, to those who hear a stream as well."""
        result = flight.result
        result.cache, result.served = "coalesced", kept.target
        if not flight.streamed:
            self._close(flight, whole(kept), kept)
            return
        result.whole = False
        for shift, deltas in batches(kept, result.leg.call.fields is not None):
            note_told(result, shift, deltas)
            flight.emit(result, deltas, shift)
        bare = tuple([Choice(c.index, "", c.finish, c.usage) for c in kept.choices])
        self._close(flight, Reply(bare, kept.usage), kept)

    def _close(self, flight: Flight, outcome: Reply | ProviderError, kept: Kept | None = None) -> None:
        result = flight.result
        result.outcome, result.ended, result.created = outcome, self._clock.steady(), int(self._clock.wall())
        if isinstance(outcome, Reply) and result.leg.keeping is not None:
            result.kept = {choice.index: choice for choice in outcome.choices if choice.index not in result.broken}
        if kept is not None:
            result.path = kept.path
            if result.meter is not None:
                result.meter.hit(kept.target, result.started)
        if result.meter is not None:
            result.meter.end(result)

    # ------------------------------------------------------------------ the post

    def _heard(self, data: bytes) -> None:
        found = read(data)
        if found is None:
            return
        message, kept = found
        if message.kind == "follow":
            self._followed(message)
        elif message.kind == "leave":
            telling = self._tellings.pop((message.sender, message.ear), None)
            if telling is not None and telling.task is not None:
                telling.task.cancel()
        elif (inbox := self._inboxes.get(message.ear)) is not None:
            inbox.put_nowait((message, kept))

    def _followed(self, message: Message) -> None:
        at = (message.sender, message.ear)
        now = self._clock.steady()
        telling = self._tellings.get(at)
        if telling is not None:
            telling.heard = now
            if message.place > telling.taken:
                telling.taken = message.place
                telling.news.set()
            return
        flight, _ = self._leading.get(message.key, (None, None))
        if flight is None or not flight.joinable:
            kind: Kind = "unknown" if flight is None else "alone"
            self._begin(self._say(message.sender, Message(kind, message.key, self._name, message.ear)))
            return
        telling = self._tellings[at] = Telling(message.key, message.sender, message.ear, asyncio.Event(), now)
        telling.task = self._begin(self._tell(flight, telling))
        telling.task.add_done_callback(lambda _: self._tellings.pop(at, None))

    def _begin(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)
        return task

    def _over(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (bug := task.exception()) and not isinstance(bug, StoreDown):
            log.error("a call could not be shared with another process", exc_info=bug)


class Hearing:
    """What has been heard of a call: how many reads, and the pieces, where they are not told to anybody yet.
    ``unsaid`` are bytes of which the other side does not know yet that they are taken."""

    def __init__(self, flight: Flight) -> None:
        self.flight = flight
        self.collected: list[Batch] = []
        self.heard = 0
        self.unsaid = 0
        self._tries = 0

    def misses(self, message: Message, kept: Kept | None) -> bool:
        """Whether something was said before that has not arrived."""
        return message.place > self.heard or (message.kind == "pieces" and kept is None)

    async def take(self, message: Message, kept: Kept) -> None:
        """Pieces have come. Those that came before are passed over."""
        result = self.flight.result
        result.path = kept.path
        if message.attempts != self._tries:  # what an earlier target has said before it failed is void
            self._tries = message.attempts
            self.collected.clear()
        for shift, pieces in kept.batches[self.heard - message.place :]:
            self.heard += 1
            deltas = list(pieces)
            self.unsaid += size(deltas)
            if not self.flight.streamed:
                self.collected.append((shift, deltas))
                continue
            note_told(result, shift, deltas)
            ready = self.flight.emit(result, deltas, shift)
            if ready is not None:
                await ready
