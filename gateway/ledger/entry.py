"""One line of the ledger."""

from typing import Literal

from msgspec import Struct

Outcome = Literal["ok", "failed", "invalid", "cancelled", "lost", "interrupted", "hit"]
"""``ok``: answered. ``failed``: the provider failed or refused. ``invalid``: what it answered did not keep its
constraint. ``cancelled``: the caller left, or the deadline passed. ``lost``: another model had won, or enough had
answered. ``interrupted``: the gateway died meanwhile; what the leg came to is an estimate. ``hit``: from the cache."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """What one leg came to at one target.

    ``at`` is when the leg was admitted, in microseconds since 1970; days, months and hours are those of this moment,
    in UTC. ``id`` begins with it, so that ids grow with time. ``request`` is the call's ``x-request-id``. ``requests``
    is 1 at a leg's last target and 0 at those before it, so that legs can be counted; ``calls`` is how many HTTP
    requests the target got. Tokens are as in ``adapters.types.Usage``: None is not reported. ``cost`` is nano-dollars,
    None where the price is not known. ``estimated``: the tokens are ours, since the provider did not say. ``duration``
    and ``first_token`` are milliseconds; the latter None where nothing was streamed.
    """

    id: str
    at: int
    request: str
    team: str
    key: str
    user: str
    model: str
    target: str
    outcome: Outcome
    requests: int
    calls: int
    input: int
    output: int
    cached: int | None
    cache_write: int | None
    reasoning: int | None
    cost: int | None
    estimated: bool
    duration: int
    first_token: int | None


class Spent(Struct, frozen=True, array_like=True, gc=False):
    """What a target came to of which the leg has gone on to another; ``cost`` as in Entry."""

    calls: int
    input: int
    output: int
    cost: int | None


class Begun(Struct, frozen=True, array_like=True, gc=False):
    """A leg that is about to ask its target: what is known if nobody comes to say how it ended. ``leg`` is the id of
    its hold, and the beginning of its entries' ids; ``size`` is about how many bytes it says, ``most`` how many tokens
    its answers may have (0 where nobody has bounded them). There is one for each target that the leg asks, and the
    names are those of its entry; ``before`` is what the one before it came to, ``place`` which try of the leg it is:
    two that are equal are copies of one. The ids of entries made from these end in ``.i0``, ``.i1``: no others may."""

    leg: str
    at: int
    request: str
    team: str
    key: str
    user: str
    model: str
    target: str
    size: int
    most: int
    before: Spent | None = None
    place: int = 0


class Ended(Struct, frozen=True, array_like=True, gc=False):
    """A leg that has ended, with its entries: one for each target that it reached."""

    leg: str
    entries: tuple[Entry, ...]
