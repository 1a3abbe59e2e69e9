"""One look for an answer: whether it is kept, or another process makes it, or this one is to make it from now on."""

from asyncio import Future, get_running_loop
from collections.abc import Callable, Generator

from gateway.caching.store import Found, Wanted


class Look:
    """``found`` is what came of it, once it is ``known``. One may await it: the kept answer, or None. ``taken``: who
    asked has gone on to make the answer, and the look ends with that. ``over`` is told at the end for what it was,
    whether this process was to make it, and whether the cache has it, or gets it."""

    __slots__ = ("_over", "_waiter", "ended", "found", "known", "taken", "wanted")

    def __init__(self, wanted: Wanted, over: Callable[[Wanted, bool, bool], None]) -> None:
        self.wanted = wanted
        self._over = over
        self._waiter: Future[None] | None = None
        self.found: Found = None
        self.known = False
        self.taken = False
        self.ended = False

    def hear(self, found: Found) -> None:
        self.found = found
        self.known = True
        if found != "" or self.ended:  # nothing is to be made, or nobody is there any more
            self.ended = True
            self._over(self.wanted, found == "", isinstance(found, bytes))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, kept: bool = False) -> None:
        """Who asked has no use for it any more."""
        if not self.ended:
            self.ended = True
            if self.known:
                self._over(self.wanted, True, kept)

    def __await__(self) -> Generator[object, None, bytes | None]:
        if not self.known:
            self._waiter = get_running_loop().create_future()
            yield from self._waiter
        found = self.found
        return found if isinstance(found, bytes) else None
