"""Outcomes to one answer, or to one error that says what can be done."""

import pytest

from adapters.errors import Filtered, ProviderError, Rejected, Throttled, TimedOut, Unavailable
from adapters.types import Call, Choice, Params, Reply, Usage
from gateway.errors import LegFailure, Unanswered
from gateway.gate import Overloaded
from gateway.merge import merge
from gateway.types import CompletionResponse, Fanout, Leg, LegResult, Part

ALL = Fanout()


def result(i: int, outcome: Reply | ProviderError | None, n: int = 1, **more: object) -> LegResult:
    name = "abcdef"[i]
    leg = Leg(name, Call(name, "hi", Params(n=n)), (), i * n, ())
    return LegResult(leg, 10.0, outcome, ended=10.25, created=1700 + i, **more)  # type: ignore[arg-type]


def says(text: str, into: int = 5, out: int = 3) -> Reply:
    return Reply((Choice(0, text, "stop"),), Usage(into, out))


def merged(*results: LegResult, fanout: Fanout = ALL) -> CompletionResponse:
    return merge(list(results), fanout, id="id", created=1800, elapsed=0.5)


def test_choices_stand_in_order_with_their_own_usage_and_time() -> None:
    assert merged(result(0, says("A")), result(1, says("B", 7, 2))) == CompletionResponse(
        "id",
        1800,
        (
            Part(0, "a", "A", "stop", Usage(5, 3), 1700, 250),
            Part(1, "b", "B", "stop", Usage(7, 2), 1701, 250),
        ),
        Usage(12, 5),
        500,
        legs=2,
    )


def test_a_failed_leg_stays_in_its_place() -> None:
    down = Unavailable("down")
    answer = merged(result(0, down, n=2), result(1, Reply((Choice(0, "x", "stop"), Choice(1, "y", "stop"))), n=2))
    assert [(part.index, part.text, part.error) for part in answer.parts] == [
        (0, "", down), (1, "", down), (2, "x", None), (3, "y", None),
    ]  # fmt: skip


def test_the_choices_of_one_call_add_up_to_its_usage() -> None:
    reply = Reply(tuple(Choice(i, text, "stop") for i, text in enumerate(("aaaa", "bb", ""))), Usage(10, 8))
    answer = merged(result(0, reply, n=3))
    assert [(part.usage.input, part.usage.output) for part in answer.parts] == [(10, 6), (0, 2), (0, 0)]
    assert answer.usage == Usage(10, 8)


def test_streamed_choices_share_by_what_was_sent() -> None:
    reply = Reply((Choice(0, "", "stop"), Choice(1, "", "stop")), Usage(10, 8))
    answer = merged(result(0, reply, n=2, sent=[30, 10]))
    assert [part.usage.output for part in answer.parts] == [6, 2]


def test_a_race_speaks_of_its_winner_only() -> None:
    answer = merged(result(0, Unavailable("down")), result(1, says("B")), result(2, None), fanout=Fanout("first"))
    assert [part.model for part in answer.parts] == ["b"]


def test_legs_that_were_given_up_are_left_out() -> None:
    answer = merged(result(0, says("A")), result(1, None), result(2, says("C")), fanout=Fanout("quorum", 2))
    assert [part.model for part in answer.parts] == ["a", "c"]


@pytest.mark.parametrize(
    ("outcomes", "status", "retry_after"),
    [
        ([Unavailable("x"), TimedOut("y")], 502, None),
        ([TimedOut("x"), TimedOut("y")], 504, None),
        ([Throttled("x", retry_after=9), Throttled("y", retry_after=4)], 429, 4),
        ([Throttled("x"), Throttled("y")], 429, 1),
        ([Throttled("x"), Unavailable("y")], 502, None),
        ([Overloaded("x", retry_after=2), Overloaded("y")], 503, 2),
        ([Rejected("x"), Filtered("y")], 400, None),
        ([Rejected("x"), Unavailable("y")], 502, None),
    ],
)
def test_when_all_fail_the_status_says_what_helps(
    outcomes: list[ProviderError], status: int, retry_after: float | None
) -> None:
    with pytest.raises(Unanswered) as caught:
        merged(*(result(i, outcome) for i, outcome in enumerate(outcomes)))
    assert (caught.value.status, caught.value.retry_after) == (status, retry_after)


def test_an_error_names_each_leg() -> None:
    with pytest.raises(Unanswered) as caught:
        merged(result(0, says("A")), result(1, Unavailable("down")), fanout=Fanout(strict=True))
    assert caught.value.message == "1 of 2 models did not answer (b: down)"
    assert caught.value.legs == (LegFailure(1, "b", "unavailable", "down"),)


def test_an_error_names_those_that_were_given_up_for_it() -> None:
    with pytest.raises(Unanswered) as caught:
        merged(result(0, None), result(1, Unavailable("down")), result(2, says("C")), fanout=Fanout(strict=True))
    assert [(leg.model, leg.code) for leg in caught.value.legs] == [("a", "cancelled"), ("b", "unavailable")]
    assert caught.value.status == 502 and caught.value.message.startswith("2 of 3 models did not answer (a: given up")


def test_too_few_answers_are_none() -> None:
    results = [result(0, says("A")), result(1, Unavailable("down")), result(2, says("C"))]
    assert len(merged(*results, fanout=Fanout(min_success=2)).parts) == 3
    with pytest.raises(Unanswered):
        merged(*results, fanout=Fanout(min_success=3))
