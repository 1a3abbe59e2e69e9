"""What a caller says of kept answers: the Cache-Control of a request.

https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1. Directives that are not known are passed over, and where two
contradict each other the stricter holds (section 4.2.1).
"""

import re
from typing import Literal

from msgspec import Struct

from adapters.errors import TimedOut
from adapters.types import Call

Mode = Literal["auto", "always", "never"]

LONGEST = 2**31
"""Seconds; whoever says more means it for ever (section 1.2.2)."""

QUOTED = re.compile(rb'(?:[^,"]|"[^"]*")+')
"""What stands between commas, of which a quoted text may hold some."""


class NotCached(TimedOut):
    """Answered with 504: https://www.rfc-editor.org/rfc/rfc9111#section-5.2.1.7. Asked again at once, it would be the
    same."""

    code = "not_cached"
    fall_back = False


class Directives(Struct, frozen=True):
    """``no_cache``: no kept answer will do, but the new one is kept. ``no_store``: this call and its answer are nobody
    else's: nothing is looked up, and nothing kept. ``max_age``: seconds that a kept answer may be old; 0 is the same as
    ``no_cache``. ``min_fresh``: seconds that it must still have. ``only_if_cached``: a kept answer or none.
    ``max_stale`` is understood as asking for one: no answer is told after its time."""

    no_cache: bool = False
    no_store: bool = False
    max_age: int | None = None
    min_fresh: int | None = None
    only_if_cached: bool = False
    max_stale: bool = False

    @property
    def asks(self) -> bool:
        """Whether the caller would have a kept answer of a call whose answers need not be alike."""
        return not self.no_cache and (self.max_age is not None or self.only_if_cached or self.max_stale)


NONE = Directives()


def read(header: bytes | None) -> Directives:
    """The directives of a request; several headers are joined by commas. Nothing is refused: a time that is none is
    taken for the strictest (section 4.2.1 has invalid freshness stale)."""
    if not header:
        return NONE
    flags = {b"no-cache": False, b"no-store": False, b"only-if-cached": False, b"max-stale": False}
    max_age: int | None = None
    min_fresh: int | None = None
    for part in parts_of(header):
        said, _, value = part.partition(b"=")
        name, *rest = said.lower().split() or [b""]
        if name in flags:
            flags[name] = True
        elif name == b"max-age":
            given = None if rest else seconds(value)
            max_age = min(0 if given is None else given, LONGEST if max_age is None else max_age)
        elif name == b"min-fresh":
            given = None if rest else seconds(value)
            min_fresh = max(LONGEST if given is None else given, min_fresh or 0)
    no_cache = flags[b"no-cache"] or max_age == 0
    return Directives(no_cache, flags[b"no-store"], max_age, min_fresh, flags[b"only-if-cached"], flags[b"max-stale"])


def parts_of(header: bytes) -> list[bytes]:
    """Where quotes are not closed, they are no quotes: nothing is hidden behind them."""
    quotes = header.count(b'"')
    if not quotes or quotes % 2:
        return header.split(b",")
    return QUOTED.findall(header)


def seconds(value: bytes) -> int | None:
    """None if it is no whole number of seconds."""
    digits = value.strip()
    if len(digits) > 1 and digits.startswith(b'"') and digits.endswith(b'"'):
        digits = digits[1:-1].strip()
    if not digits.isdigit():
        return None
    return min(int(digits), LONGEST) if len(digits) < 20 else LONGEST


def wanted(mode: Mode, call: Call, directives: Directives) -> bool:
    """Whether a call's answer is looked for and kept. ``auto``: those of calls whose answers are meant to be alike, at
    temperature 0 or with a seed, and of those that ask for it. ``no-store`` goes before all, ``never`` before what the
    caller asks."""
    if mode == "never" or directives.no_store:
        return False
    if mode == "always":
        return True
    params = call.params
    return params.temperature == 0 or params.seed is not None or (directives is not NONE and directives.asks)


def looks(directives: Directives) -> bool:
    """Whether a kept answer of a wanted call is looked for at all; if not, the new one is kept nevertheless."""
    return not directives.no_cache


def fresh(directives: Directives, age: float, left: float) -> bool:
    """Whether a kept answer will do: it is ``age`` seconds old and will be kept for ``left`` more."""
    if directives.no_cache or left <= 0:
        return False
    if directives.max_age is not None and age > directives.max_age:
        return False
    return directives.min_fresh is None or left >= directives.min_fresh
