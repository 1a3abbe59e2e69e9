"""Calls that are under way in other processes, through Redis: who leads a call holds a lease on it, and tells what
comes of it to each process that asks.

A process that falls silent has died: whoever heard it takes its place, if nobody has been told anything yet, and else
has heard the end. Without Redis each process leads its own.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol

from adapters.chat import weight
from adapters.errors import ProviderError, Unavailable
from adapters.types import Choice, Delta, Reply
from gateway.caching.entry import Kept
from gateway.caching.gathering import batches, whole
from gateway.limits.types import StoreDown
from gateway.sharing.flight import Batch, Flight
from gateway.sharing.messages import Kind, Message, error_of, failed_by, read, written
from gateway.sharing.share import Share, kept_of
from gateway.types import Clock, LegResult

log = logging.getLogger("gateway.sharing")

LEASE = 0.6
"""Seconds for which a process holds a call without saying that it is still at it."""

RENEWED = 0.2
"""Seconds between two times of saying so, to Redis and to those who hear."""

SILENCE = 0.6
"""Seconds after which a process that was heard is taken for dead; and one that heard, after twice as many."""

LINGERING = 0.2
"""Seconds that an answer has to reach the cache, before others may ask for it anew."""

PAUSE = 0.05
"""Seconds between two tries to take the place of one who has gone."""

MOST = 1 << 20
"""Characters that wait to be told to another process, before the provider has to wait."""


class Leases(Protocol):
    """Each raises StoreDown."""

    async def claim(self, what: str, seconds: float) -> str | None: ...
    async def renew(self, what: str, seconds: float) -> bool: ...
    async def release(self, what: str) -> None: ...


class Post(Protocol):
    async def publish(self, channel: str, message: bytes) -> int:
        """How many have heard it. Raises StoreDown."""

    def listen(self, channel: str, heard: Callable[[bytes], None]) -> None: ...


def channel(name: str) -> str:
    """On which a process hears."""
    return f"flights:{name}"


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
        self._leading: dict[str, Flight] = {}
        self._inboxes: dict[str, asyncio.Queue[tuple[Message, Kept | None]]] = {}
        self._telling: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._followers: dict[tuple[str, str], float] = {}  # when each was heard last
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        self._post.listen(channel(self._name), self._heard)
        self._begin(self._renew())

    async def close(self) -> None:
        tasks = [*self._tasks, *self._telling.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def fly(self, flight: Flight, share: Share, lead: Callable[[], Awaitable[None]]) -> None:
        """Hears a call that another process has begun, or else begins it, by ``lead``, so that others can hear it."""
        key = share.digest
        while True:
            try:
                holder = await self._leases.claim(key, LEASE)
            except StoreDown:
                await lead()
                return
            if holder is None:
                await self._lead(key, flight, lead)
                return
            if await self._hear(holder, key, flight, share):
                return
            if flight.batches:
                gone = Unavailable("another process of the gateway, which had asked for this answer, has gone")
                self._close(flight, gone)
                return
            kept = await self._kept(share)
            if kept is not None:
                self._tell_whole(flight, kept)
                return
            await asyncio.sleep(PAUSE)

    # ------------------------------------------------------------------ leading

    async def _lead(self, key: str, flight: Flight, lead: Callable[[], Awaitable[None]]) -> None:
        self._leading[key] = flight
        try:
            await lead()
        finally:
            if self._leading.get(key) is flight:
                del self._leading[key]
            self._begin(self._release(key, isinstance(flight.result.outcome, Reply)))

    async def _release(self, key: str, kept: bool) -> None:
        if kept:
            await asyncio.sleep(LINGERING)
        if key not in self._leading:
            with contextlib.suppress(StoreDown):
                await self._leases.release(key)

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEWED)
            for key in list(self._leading):
                with contextlib.suppress(StoreDown):
                    await self._leases.renew(key, LEASE)

    async def _tell(self, key: str, flight: Flight, to: str) -> None:
        """Tells another process what comes of a call, until its end."""
        waiting: list[Batch] = []
        news, own = asyncio.Event(), LegResult(flight.result.leg, 0.0)
        ready: asyncio.Future[None] | None = None
        size = place = 0

        def emit(result: LegResult, deltas: list[Delta], shift: int) -> asyncio.Future[None] | None:
            nonlocal ready, size
            waiting.append((shift, deltas))
            size += sum([len(delta.text) + 64 for delta in deltas])
            news.set()
            if size > MOST and ready is None:
                ready = asyncio.get_running_loop().create_future()
            return ready

        if flight.streamed:
            own.sent = [0] * flight.result.leg.call.choices
        hearing = asyncio.create_task(flight.hear(own, emit if flight.streamed else None))
        hearing.add_done_callback(lambda _: news.set())
        try:
            while not hearing.done() or waiting:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(RENEWED):
                        await news.wait()
                news.clear()
                told, waiting, size = waiting, [], 0
                if ready is not None:
                    ready.set_result(None)
                    ready = None
                flown = flight.result
                here = Kept(name_of(flown), 0.0, (), None, None, flown.path, tuple([(s, tuple(d)) for s, d in told]))
                await self._say(to, "pieces" if told else "alive", key, flown, here if told else None, place)
                place += len(told)
                if self._clock.steady() - self._followers[key, to] > 2 * SILENCE:
                    return
            hearing.result()
            await self._say_end(to, key, flight)
        except StoreDown:
            log.debug("another process does not hear a call any more")
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])

    async def _say_end(self, to: str, key: str, flight: Flight) -> None:
        flown, outcome = flight.result, flight.result.outcome
        if isinstance(outcome, Reply):
            await self._say(to, "answered", key, flown, kept_of(flown, outcome, [], 0.0))
        elif isinstance(outcome, ProviderError):
            await self._say(to, "failed", key, flown)

    async def _say(
        self,
        to: str,
        kind: Kind,
        key: str,
        flown: LegResult | None = None,
        kept: Kept | None = None,
        place: int = 0,
    ) -> None:
        """Raises StoreDown. Whether it was heard nobody knows."""
        message = Message(kind, key, self._name)
        if flown is not None:
            outcome = flown.outcome
            failed = failed_by(outcome) if kind == "failed" and isinstance(outcome, ProviderError) else None
            message = Message(kind, key, self._name, flown.attempts, name_of(flown), place, failed)
        await self._post.publish(channel(to), written(message, kept))

    # ------------------------------------------------------------------ hearing

    async def _hear(self, holder: str, key: str, flight: Flight, share: Share) -> bool:
        """Whether there is an outcome; else who was heard has gone, or knows of no such call."""
        inbox = self._inboxes[key] = asyncio.Queue()
        collected: list[Batch] = []
        ended = False
        heard = 0
        following = asyncio.create_task(self._follow(holder, key))
        try:
            while True:
                async with asyncio.timeout(SILENCE):
                    message, kept = await inbox.get()
                if message.sender != holder:
                    continue
                flight.result.cache = "coalesced"
                if message.kind == "alive":
                    continue
                if message.kind == "pieces" and (kept is None or message.place != heard):
                    return False  # something is missing
                flight.result.attempts, flight.result.served = message.attempts, message.target
                if message.kind == "pieces" and kept is not None:
                    heard += len(kept.batches)
                    await self._take(flight, kept, collected)
                    continue
                ended = True
                return self._finish(flight, message, kept, collected)
        except TimeoutError:
            return False
        finally:
            following.cancel()
            if self._inboxes.get(key) is inbox:
                del self._inboxes[key]
            if not ended:
                self._begin(self._leave(holder, key))

    async def _follow(self, holder: str, key: str) -> None:
        """Says again and again that somebody hears."""
        while True:
            with contextlib.suppress(StoreDown):
                await self._say(holder, "follow", key)
            await asyncio.sleep(2 * RENEWED)

    async def _leave(self, holder: str, key: str) -> None:
        with contextlib.suppress(StoreDown):
            await self._say(holder, "leave", key)

    async def _take(self, flight: Flight, kept: Kept, collected: list[Batch]) -> None:
        """Pieces have come."""
        result = flight.result
        result.path = kept.path
        for shift, pieces in kept.batches:
            deltas = list(pieces)
            if not flight.streamed:
                collected.append((shift, deltas))
                continue
            for delta in deltas:
                result.sent[shift + delta.index] += len(delta.text) or weight(delta)
            ready = flight.emit(result, deltas, shift)
            if ready is not None:
                await ready

    def _finish(self, flight: Flight, message: Message, kept: Kept | None, collected: list[Batch]) -> bool:
        if message.kind == "failed" and message.failed is not None:
            self._close(flight, error_of(message.failed))
            return True
        if message.kind != "answered" or kept is None:
            return False
        if flight.streamed and flight.batches:
            self._close(flight, Reply(kept.choices, kept.usage, kept.raw), kept)
        elif collected:
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
        for shift, deltas in batches(kept, result.leg.call.fields is not None):
            for delta in deltas:
                result.sent[shift + delta.index] += len(delta.text) or weight(delta)
            flight.emit(result, deltas, shift)
        bare = tuple([Choice(c.index, "", c.finish, c.usage) for c in kept.choices])
        self._close(flight, Reply(bare, kept.usage), kept)

    def _close(self, flight: Flight, outcome: Reply | ProviderError, kept: Kept | None = None) -> None:
        result = flight.result
        result.outcome, result.ended, result.created = outcome, self._clock.steady(), int(self._clock.wall())
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
        at = (message.key, message.sender)
        if message.kind == "follow":
            self._followed(message.key, message.sender)
        elif message.kind == "leave":
            if (task := self._telling.get(at)) is not None:
                task.cancel()
        elif (inbox := self._inboxes.get(message.key)) is not None:
            inbox.put_nowait((message, kept))

    def _followed(self, key: str, sender: str) -> None:
        at = (key, sender)
        self._followers[at] = self._clock.steady()
        if at in self._telling:
            return
        flight = self._leading.get(key)
        if flight is None or not flight.joinable:
            del self._followers[at]
            self._begin(self._say_unknown(sender, key))
            return
        task = self._telling[at] = asyncio.get_running_loop().create_task(self._tell(key, flight, sender))
        task.add_done_callback(lambda task: self._told(at, task))

    async def _say_unknown(self, to: str, key: str) -> None:
        with contextlib.suppress(StoreDown):
            await self._say(to, "unknown", key)

    def _told(self, at: tuple[str, str], task: asyncio.Task[None]) -> None:
        if self._telling.get(at) is task:
            del self._telling[at]
            del self._followers[at]
        self._note(task)

    def _begin(self, work: Coroutine[Any, Any, object]) -> None:
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[object]) -> None:
        self._tasks.discard(task)
        self._note(task)

    def _note(self, task: asyncio.Task[Any]) -> None:
        if not task.cancelled() and (bug := task.exception()):
            log.error("a call could not be shared with another process", exc_info=bug)


def name_of(flown: LegResult) -> str:
    return flown.served if flown.target is None else flown.target.name
