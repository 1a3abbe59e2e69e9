"""What was used in the last 60 seconds, whenever one looks.

A window is a row of buckets of 100 milliseconds. A bucket counts until 60 seconds after its *last* entry: so what
counts is never less than what was used in the last 60 seconds, and at most a tenth of a second's worth more. The moment
at which a bucket stops counting is known exactly, and with it how long anybody has to wait.
"""

from collections import deque

SPAN = 60_000
"""Milliseconds."""
WIDTH = 100


class Bucket:
    """``window`` is None when it no longer counts."""

    __slots__ = ("index", "last", "requests", "tokens", "window")

    def __init__(self, index: int, window: "Window") -> None:
        self.index = index
        self.last = 0
        self.requests = 0
        self.tokens = 0
        self.window: Window | None = window

    def change(self, tokens: int) -> None:
        """Corrects its tokens, if it still counts."""
        if self.window is not None:
            self.tokens += tokens
            self.window.tokens += tokens


class Window:
    """``requests`` and ``tokens`` are the sums over the buckets that counted when it was last told the time."""

    __slots__ = ("buckets", "requests", "tokens")

    def __init__(self) -> None:
        self.buckets: deque[Bucket] = deque()
        self.requests = 0
        self.tokens = 0

    def forget(self, now: int) -> None:
        """Lets go of the buckets that no longer count."""
        buckets = self.buckets
        while buckets and buckets[0].last + SPAN <= now:
            bucket = buckets.popleft()
            bucket.window = None
            self.requests -= bucket.requests
            self.tokens -= bucket.tokens

    def add(self, now: int, requests: int, tokens: int) -> Bucket:
        """The bucket that it was entered in: the last one, should the clock have gone back."""
        index = now // WIDTH
        buckets = self.buckets
        if buckets and buckets[-1].index >= index:
            bucket = buckets[-1]
        else:
            bucket = Bucket(index, self)
            buckets.append(bucket)
        if now > bucket.last:
            bucket.last = now
        bucket.requests += requests
        bucket.tokens += tokens
        self.requests += requests
        self.tokens += tokens
        return bucket

    def until_requests(self, now: int, fewer: int) -> int:
        """Milliseconds until so many requests no longer count; there must be as many."""
        for bucket in self.buckets:
            fewer -= bucket.requests
            if fewer <= 0:
                return bucket.last + SPAN - now
        raise ValueError("there are not so many requests")

    def until_tokens(self, now: int, fewer: int) -> int:
        for bucket in self.buckets:
            fewer -= bucket.tokens
            if fewer <= 0:
                return bucket.last + SPAN - now
        raise ValueError("there are not so many tokens")

    def until_empty(self, now: int) -> int:
        return self.buckets[-1].last + SPAN - now if self.buckets else 0
