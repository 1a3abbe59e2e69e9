"""Legs for tests: of each, what is recorded when it begins and when it ends."""

from gateway.ledger.entry import Begun, Ended, Entry
from gateway.ledger.recovery import Likely


def leg(place: int) -> str:
    return f"{1_790_000_000_000_000 + place:016x}"


def begun(place: int, target: str = "openai/gpt-4.1", user: str = "") -> Begun:
    at = 1_790_000_000_000_000 + place
    return Begun(leg(place), at, f"req-{place}", "team", "key", user, "gpt-4.1", target, 400, 50)


async def judge(begun: Begun) -> Likely:
    """As the ledger would, of a leg that has begun and not ended."""
    return Likely(begun.size // 4, 20, 5000 + int(begun.request.removeprefix("req-")))


def entry(place: int, target: str = "openai/gpt-4.1", user: str = "", nth: int = 0) -> Entry:
    return Entry(
        id=f"{leg(place)}.{nth}",
        at=1_790_000_000_000_000 + place,
        request=f"req-{place}",
        team="team",
        key="key",
        user=user,
        model="gpt-4.1",
        target=target,
        outcome="ok",
        requests=1,
        calls=1,
        input=90,
        output=place % 50,
        cached=10,
        cache_write=None,
        reasoning=5,
        cost=4000 + place,
        estimated=False,
        duration=1200,
        first_token=None,
    )


def ended(place: int, user: str = "") -> Ended:
    return Ended(leg(place), (entry(place, user=user),))
