"""A look for an answer: who waits for it, and when it is over."""

import asyncio

import pytest

from gateway.caching.store import Found, Wanted
from gateway.sharing.look import Look

WANTED = ("t", "m", "d")
Over = list[tuple[Wanted, bool, bool]]


def look() -> tuple[Look, Over]:
    over: Over = []
    return Look(WANTED, lambda *told: over.append(told)), over


@pytest.mark.parametrize(("found", "value"), [(b"kept", b"kept"), ("", None), ("other", None), (None, None)])
async def test_one_waits_or_comes_later(found: Found, value: bytes | None) -> None:
    early, _ = look()
    waits = asyncio.ensure_future(early)
    await asyncio.sleep(0)
    early.hear(found)
    late, _ = look()
    late.hear(found)
    assert await waits == await late == value and early.found == late.found == found


@pytest.mark.parametrize("found", [b"kept", "other", None])
async def test_where_nothing_is_to_be_made_it_is_over_at_once(found: Found) -> None:
    one, over = look()
    one.hear(found)
    assert over == [(WANTED, False, found == b"kept")]
    one.end()
    assert len(over) == 1


@pytest.mark.parametrize("kept", [False, True])
async def test_what_was_to_be_made_is_told_once(kept: bool) -> None:
    one, over = look()
    one.hear("")
    assert over == []
    one.end(kept)
    one.end()
    assert over == [(WANTED, True, kept)]


@pytest.mark.parametrize("found", [b"kept", "other", "", None])
async def test_who_leaves_before_the_answer(found: Found) -> None:
    one, over = look()
    waits = asyncio.ensure_future(one)
    await asyncio.sleep(0)
    waits.cancel()
    await asyncio.gather(waits, return_exceptions=True)
    one.end()
    assert over == []
    one.hear(found)
    assert over == [(WANTED, found == "", found == b"kept")]
