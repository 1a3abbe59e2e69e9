"""Asking several models: failures are values, losers are cancelled, nothing is said twice."""

import asyncio
from typing import Any

import pytest

from adapters.errors import ProviderError
from adapters.types import Delta, Reply, Usage
from gateway.fanout import ask_all, begun
from gateway.gate import Gate
from gateway.types import Fanout, LegResult, Plan
from tests.gateway.playing import CLOCK, Playing, breaks_after, fails, hangs, plan, says, streaming, target
from tests.gateway.playing import leg as leg_of

Heard = list[tuple[str, int, str]]


async def ask(legs: Plan, heard: Heard | None = None, ends: list[str] | None = None, **fanout: Any) -> list[LegResult]:
    def emit(result: LegResult, deltas: list[Delta], shift: int) -> None:
        assert heard is not None
        heard.extend((result.leg.model, shift + d.index, d.text) for d in deltas if d.text)

    def ended(result: LegResult) -> None:
        if ends is not None:
            ends.append(result.leg.model)

    results = begun(legs if heard is None else streaming(legs), CLOCK, heard is not None)
    await ask_all(results, Fanout(**fanout), CLOCK, emit if heard is not None else None, ended)
    return results


def told(results: list[LegResult]) -> list[str]:
    return [tell(result) for result in results]


def tell(result: LegResult) -> str:
    outcome = result.outcome
    if isinstance(outcome, Reply):
        return "".join(choice.text for choice in outcome.choices) or "streamed"
    return outcome.code if isinstance(outcome, ProviderError) else "given up"


async def test_one_failure_does_not_disturb_the_others() -> None:
    up = Playing(a=says("A"), b=fails(500), c=says("C"))
    assert told(await ask(plan(up, "a", "b", "c"))) == ["A", "unavailable", "C"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "rejected"), (401, "provider_unauthorized"), (404, "not_found_at_provider"), (429, "throttled"),
        (500, "unavailable"), (504, "timed_out"), (204, "unavailable"), (302, "unavailable"),
    ],
)  # fmt: skip
async def test_a_status_has_its_class_whole_and_streamed(status: int, code: str) -> None:
    up = Playing(a=fails(status))
    assert told(await ask(plan(up, "a"))) == [code]
    assert told(await ask(plan(up, "a"), heard=[])) == [code]


async def test_the_next_target_is_asked_after_a_failure_that_may_be_local() -> None:
    up = Playing(a=fails(500), b=says("B"))
    [result] = await ask(plan(up, ("a", "b")))
    assert (tell(result), result.attempts, up.asked) == ("B", 2, ["a", "b"])
    assert result.target is not None and result.target.model == "b"


async def test_a_request_that_is_wrong_is_not_repeated_elsewhere() -> None:
    up = Playing(a=fails(400), b=says("B"))
    assert told(await ask(plan(up, ("a", "b")))) == ["rejected"]
    assert up.asked == ["a"]


async def test_no_fallback_once_something_was_heard() -> None:
    up = Playing(a=breaks_after("half"), b=says("B"))
    heard: Heard = []
    assert told(await ask(plan(up, ("a", "b")), heard)) == ["garbled"]
    assert (heard, up.asked) == ([("a", 0, "half")], ["a"])


async def test_fallback_before_anything_was_heard() -> None:
    up = Playing(a=fails(503), b=says("B", "!"))
    heard: Heard = []
    assert told(await ask(plan(up, ("a", "b")), heard)) == ["streamed"]
    assert heard == [("a", 0, "B"), ("a", 0, "!")]


async def test_streams_interleave() -> None:
    up = Playing(a=says("1", "2", "3", pause=0.01), b=says("x", "y", "z", pause=0.01))
    heard: Heard = []
    ends: list[str] = []
    await ask(plan(up, "a", "b"), heard, ends)
    assert [h[0] for h in heard] != ["a"] * 3 + ["b"] * 3
    assert "".join(h[2] for h in heard if h[0] == "b") == "xyz"
    assert sorted(ends) == ["a", "b"]


async def test_a_broken_stream_leaves_the_other_leg_alone() -> None:
    up = Playing(a=breaks_after("half"), b=says("x", "y", pause=0.01))
    heard: Heard = []
    assert told(await ask(plan(up, "a", "b"), heard)) == ["garbled", "streamed"]
    assert "".join(h[2] for h in heard if h[0] == "b") == "xy"


async def test_first_takes_the_fastest_and_cancels_the_rest() -> None:
    up = Playing(a=hangs(), b=says("B"), c=hangs())
    assert told(await ask(plan(up, "a", "b", "c"), mode="first")) == ["given up", "B", "given up"]
    assert sorted(up.cancelled) == ["a", "c"]


async def test_first_is_not_won_by_a_failure() -> None:
    up = Playing(a=fails(500), b=says("B", pause=0.01))
    assert told(await ask(plan(up, "a", "b"), mode="first")) == ["unavailable", "B"]


async def test_first_to_speak_wins_a_streamed_race_and_the_others_are_never_heard() -> None:
    up = Playing(a=says("slow", pause=0.05), b=says("f", "ast", pause=0.01), c=fails(500))
    heard: Heard = []
    results = await ask(plan(up, "a", "b", "c"), heard, mode="first")
    assert {h[0] for h in heard} == {"b"}
    assert told(results)[1] == "streamed" and up.cancelled == ["a"]


@pytest.mark.parametrize("mode", ["first", "quorum"])
async def test_nothing_is_said_after_the_end(mode: str) -> None:
    """Models that answer in the same moment: each is told of before the call is over, or never."""
    for second in (says("B"), fails(500)):
        up = Playing(a=says("A"), b=second, c=says("C"))
        heard: Heard = []
        ends: list[str] = []
        results = await ask(plan(up, "a", "b", "c"), heard, ends, mode=mode, min_success=1)
        told_at_the_end = list(ends)
        for _ in range(5):
            await asyncio.sleep(0)
        assert ends == told_at_the_end
        answered = [r.leg.model for r in results if isinstance(r.outcome, Reply)]
        assert answered and set(answered) <= set(ends)


async def test_quorum_ends_with_enough_answers() -> None:
    up = Playing(a=says("A"), b=hangs(), c=says("C"))
    assert told(await ask(plan(up, "a", "b", "c"), mode="quorum", min_success=2)) == ["A", "given up", "C"]
    assert up.cancelled == ["b"]


async def test_a_quorum_out_of_reach_is_given_up_at_once() -> None:
    up = Playing(a=fails(500), b=fails(500), c=hangs())
    results = await ask(plan(up, "a", "b", "c"), mode="quorum", min_success=2)
    assert told(results) == ["unavailable", "unavailable", "given up"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_at_the_deadline_open_legs_have_failed(streamed: bool) -> None:
    up = Playing(a=says("A"), b=hangs())
    ends: list[str] = []
    results = await ask(plan(up, "a", "b"), [] if streamed else None, ends, deadline=0.05)
    assert told(results) == ["streamed" if streamed else "A", "deadline"]
    assert (up.cancelled, sorted(ends)) == (["b"], ["a", "b"])


async def test_a_deadline_holds_for_a_single_model() -> None:
    assert told(await ask(plan(Playing(a=hangs()), "a"), deadline=0.02)) == ["deadline"]


async def test_more_choices_than_a_provider_gives_at_once_are_asked_for_again() -> None:
    up = Playing(a=says("A", n=2))
    [result] = await ask(plan(up, "a", n=4, max_n=2))
    assert isinstance(result.outcome, Reply)
    assert [choice.index for choice in result.outcome.choices] == [0, 1, 2, 3]
    assert (result.outcome.usage and (result.outcome.usage.input, result.outcome.usage.output)) == (10, 6)
    assert len(up.asked) == 2


async def test_repeated_choices_stream_at_their_own_places() -> None:
    heard: Heard = []
    [result] = await ask(plan(Playing(a=says("A")), "a", n=3, max_n=1), heard)
    assert sorted(heard) == [("a", 0, "A"), ("a", 1, "A"), ("a", 2, "A")]
    assert isinstance(result.outcome, Reply) and [c.usage for c in result.outcome.choices] == [Usage(5, 3)] * 3


async def test_a_caller_who_leaves_while_repetitions_fail_asks_nobody_else() -> None:
    async def clings(request: object, feed: object) -> Any:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0.05)
            raise

    turns = iter([fails(500, pause=0.01), clings, clings])

    async def by_turns(request: Any, feed: Any) -> Any:
        return await next(turns)(request, feed)

    up = Playing(a=by_turns, b=says("B"))
    task = asyncio.create_task(ask(plan(up, ("a", "b"), n=3, max_n=1)))
    await asyncio.sleep(0.03)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "b" not in up.asked


async def test_a_bug_in_the_listener_is_raised() -> None:
    def ended(result: LegResult) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await ask_all(
            begun(plan(Playing(a=says("A"), b=says("B")), "a", "b"), CLOCK, False), Fanout(), CLOCK, None, ended
        )


async def test_strict_gives_up_at_the_first_failure() -> None:
    up = Playing(a=fails(500), b=hangs())
    assert told(await ask(plan(up, "a", "b"), strict=True)) == ["unavailable", "given up"]


async def test_one_failed_repetition_fails_the_leg() -> None:
    assert told(await ask(plan(Playing(a=fails(500)), "a", n=3, max_n=1))) == ["unavailable"]


@pytest.mark.parametrize(("gives", "asks"), [(1, 2), (3, 2)])
async def test_other_choices_than_were_asked_for_are_garbled(gives: int, asks: int) -> None:
    up = Playing(a=says("A", n=gives))
    assert told(await ask(plan(up, "a", n=asks))) == ["garbled"]
    assert told(await ask(plan(up, "a", n=asks), heard=[])) == ["garbled"]


async def test_usage_that_is_not_reported_is_estimated_and_marked() -> None:
    up = Playing(a=says("abcdefgh", usage=None))
    hearing: list[Heard | None] = [None, []]
    for heard in hearing:
        [result] = await ask(plan(up, "a"), heard)
        assert isinstance(result.outcome, Reply) and result.outcome.usage is not None
        assert (result.outcome.usage.output, result.outcome.usage.estimated) == (2, True)


async def test_a_bug_is_raised_and_cancels_the_rest() -> None:
    async def bug(request: object, feed: object) -> Any:
        raise ZeroDivisionError

    up = Playing(a=bug, b=hangs())
    with pytest.raises(ZeroDivisionError):
        await ask(plan(up, "a", "b"))
    assert up.cancelled == ["b"]


@pytest.mark.parametrize("models", [("a",), ("a", "b")])
async def test_a_caller_who_leaves_cancels_every_leg(models: tuple[str, ...]) -> None:
    up = Playing(a=hangs(), b=hangs())
    task = asyncio.create_task(ask(plan(up, *models)))
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert sorted(up.cancelled) == sorted(models)


async def test_a_gate_bounds_calls_and_its_queue() -> None:
    up = Playing(a=says("A", pause=0.02))
    gated = target(up, "a", gate=Gate(1, 1))
    legs = tuple(leg_of((gated,), 1, i) for i in range(3))
    assert sorted(told(await ask(legs))) == ["A", "A", "overloaded"]


async def test_a_gate_that_all_leave_at_once_stays_whole() -> None:
    gate = Gate(1, 5)
    up = Playing(a=hangs(), b=says("B"))
    calls = [asyncio.create_task(ask((leg_of((target(up, "a", gate=gate),), 1, 0),))) for _ in range(3)]
    await asyncio.sleep(0.01)
    for call in calls:
        call.cancel()
    assert {type(e) for e in await asyncio.gather(*calls, return_exceptions=True)} == {asyncio.CancelledError}
    assert told(await ask((leg_of((target(up, "b", gate=gate),), 1, 0),))) == ["B"]


async def test_many_choices_pass_a_narrow_gate() -> None:
    gated = target(Playing(a=says("A")), "a", gate=Gate(1, 0), max_n=1)
    [result] = await ask((leg_of((gated,), 9, 0),))
    assert isinstance(result.outcome, Reply) and len(result.outcome.choices) == 9


async def test_a_gate_is_free_again_after_its_waiters_left() -> None:
    gate = Gate(1, 5)
    up = Playing(a=hangs(), b=says("B"))
    slow = asyncio.create_task(ask((leg_of((target(up, "a", gate=gate),), 1, 0),)))
    await asyncio.sleep(0)
    waiting = asyncio.create_task(ask((leg_of((target(up, "b", gate=gate),), 1, 0),)))
    await asyncio.sleep(0.01)
    for task in (waiting, slow):
        task.cancel()
    await asyncio.gather(slow, waiting, return_exceptions=True)
    assert told(await ask((leg_of((target(up, "b", gate=gate),), 1, 0),))) == ["B"]
