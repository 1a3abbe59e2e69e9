"""Who makes which answer, of all replicas: one at a time, for as long as it says that it is still at it."""

from collections.abc import Callable
from typing import Any, Protocol

from gateway.caching.store import Found, Wanted
from gateway.store.redis.cache import prefix_of
from gateway.store.redis.client import SECONDS, Client
from gateway.store.redis.lanes import Lane, Row
from gateway.store.redis.script import Script

FAILURES = 3
"""In a row, after which the connection is given up."""


class Hears(Protocol):
    def hear(self, found: Found) -> None:
        """Called once, at once or later."""


class Leases:
    """``name`` is this replica's. ``up`` says whether Redis is likely to answer; while it is not, it is not asked.
    A lease ends after ``seconds`` if it is not renewed. Nobody waits longer than 0.2 s."""

    def __init__(self, client: Client, name: str, seconds: float, up: Callable[[], bool]) -> None:
        self._client = client
        self._up = up
        self._failures = 0
        script, ms = Script("leases.lua"), int(seconds * 1000)

        def lane(verb: str) -> Lane:
            head = (verb, name, ms)
            # no claim of this process comes before what it has left, which would end the new one
            return Lane(client, script, lambda: head, SECONDS, spread, self._heard, verb == "release")

        self._take, self._claim, self._renew, self._release = map(lane, ("take", "claim", "renew", "release"))

    def take(self, wanted: Wanted, whose: Hears) -> None:
        """Looks for a kept answer, and claims to make it if there is none."""
        if self._up():
            team, model, digest = wanted
            self._take.add(prefix_of(team), (f"{digest}:{model}",), whose)
        else:
            whose.hear(None)

    def claim(self, wanted: Wanted, whose: Hears) -> None:
        """The same without looking."""
        self._add(self._claim, wanted, whose)

    def renew(self, wanted: Wanted) -> None:
        self._add(self._renew, wanted, None)

    def release(self, wanted: Wanted) -> None:
        """It is made no more, or kept."""
        self._add(self._release, wanted, None)

    async def close(self) -> None:
        for lane in (self._take, self._claim, self._renew, self._release):
            await lane.close()

    def _add(self, lane: Lane, wanted: Wanted, whose: Hears | None) -> None:
        team, model, digest = wanted
        if self._up():
            lane.add(prefix_of(team), (f"{digest}:{model}",), whose)
        elif whose is not None:
            whose.hear(None)

    def _heard(self, error: BaseException | None) -> None:
        """A single late answer may be our own loop's fault, so the connection stays."""
        self._failures = self._failures + 1 if isinstance(error, TimeoutError) else 0
        if self._failures >= FAILURES:
            self._failures = 0
            self._client.hang_up()


def spread(rows: list[Row], answer: Any) -> None:
    for i, (_, _, whose) in enumerate(rows):
        if whose is None:
            return  # nobody waits for any of them
        found = None if answer is None else answer[i]
        if answer is None or type(found) is bytes:
            whose.hear(found)
        else:
            whose.hear("" if found is None else found[0].decode())
