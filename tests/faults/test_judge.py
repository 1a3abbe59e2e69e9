"""A judge who never finds anything looks just like a house in order: each difference is shown to be found."""

from msgspec.structs import replace

from tests.faults.judge import Finding, Line, judged
from tests.faults.provider import Served

SERVED = Served("u", "m+p3", False, 3, 5, True, 200, True, 0, 0.0, 1.0)
LINE = Line("1.0", 1, "u", "t", "m", "p/m+p3", "ok", 1, 1, 3, 5, 3 * 1000 + 5 * 2000, False)


def kinds(found: Finding) -> list[str]:
    return [one.partition(":")[0] for one in found.drift]


def test_what_is_equal_is_no_difference() -> None:
    found = judged([SERVED], [LINE])
    assert found.drift == [] and found.equal == 1 and found.served_cost == found.ledger_cost == 13_000


def test_a_call_that_is_not_entered() -> None:
    assert kinds(judged([SERVED], [])) == ["missing"]
    assert kinds(judged([SERVED], [replace(LINE, user="other")])) != []
    assert kinds(judged([SERVED], [replace(LINE, target="p/other")])) != []


def test_a_call_that_is_entered_twice() -> None:
    assert kinds(judged([SERVED], [LINE, replace(LINE, id="1.i0")])) == ["twice"]


FAILED = replace(LINE, id="1.0", outcome="failed", requests=0, input=3, output=0, estimated=True)
AGAIN = replace(LINE, id="1.1")


def test_each_try_of_a_target_is_an_entry() -> None:
    cut = replace(SERVED, whole=False, reported=False, output=2)
    assert judged([cut, SERVED], [FAILED, AGAIN]).drift == []
    assert judged([SERVED], [FAILED, AGAIN]).unsent == 1  # the first was not sent
    refused = replace(SERVED, status=500, input=0, output=0, reported=False)
    none = replace(FAILED, input=0, output=0, cost=0, estimated=False)
    found = judged([refused, SERVED], [none, AGAIN])
    assert found.drift == [] and found.equal == 1
    died = replace(LINE, id="1.2", outcome="interrupted", estimated=True)
    assert judged([refused, cut], [none, died]).interrupted == 1
    neither = judged([], [none, died])
    assert neither.drift == [] and (neither.interrupted, neither.unsent) == (1, 2)


def test_tries_that_do_not_add_up() -> None:
    cut = replace(SERVED, whole=False, reported=False, output=2)
    assert kinds(judged([cut, cut, SERVED], [FAILED, AGAIN])) == ["missing"]
    assert kinds(judged([SERVED], [LINE, AGAIN])) == ["twice"]
    assert kinds(judged([cut, SERVED], [FAILED, replace(AGAIN, output=6)])) == ["wrong"]
    assert kinds(judged([SERVED], [LINE, replace(AGAIN, outcome="interrupted", estimated=True)])) == ["twice"]
    estimated = replace(LINE, estimated=True, outcome="failed")
    assert kinds(judged([cut, cut], [estimated])) == ["missing"]


def test_other_figures() -> None:
    for wrong in (
        replace(LINE, output=6),
        replace(LINE, input=2),
        replace(LINE, cost=12_999),
        replace(LINE, cost=None),
        replace(LINE, calls=2),
    ):
        assert kinds(judged([SERVED], [wrong])) == ["wrong"]


def test_repair_rounds_are_one_entry() -> None:
    line = replace(LINE, calls=2, input=6, output=10, cost=26_000)
    assert judged([SERVED, SERVED], [line]).drift == []
    assert kinds(judged([SERVED, SERVED], [LINE])) == ["wrong"]


def test_an_entry_of_nothing() -> None:
    assert kinds(judged([], [LINE])) == ["unfounded"]
    failed = replace(LINE, outcome="failed", input=0, output=0, cost=0)
    assert judged([], [failed]).drift == [] and judged([], [failed]).unsent == 1


def test_what_was_interrupted_is_an_estimate_and_counted() -> None:
    line = replace(LINE, outcome="interrupted", input=4, output=9, estimated=True)
    assert judged([SERVED], [line]).interrupted == 1
    assert judged([], [line]).unsent == 1
    assert kinds(judged([SERVED], [replace(line, estimated=False)])) == ["wrong"]


def test_an_estimate_is_marked() -> None:
    cut = replace(SERVED, whole=False, reported=False, output=2)
    assert judged([cut], [replace(LINE, outcome="cancelled", output=2, estimated=True)]).estimated == 1
    assert kinds(judged([cut], [replace(LINE, outcome="cancelled", output=2)])) == ["wrong"]


def test_calls_of_nobody_are_counted_together() -> None:
    served, line = replace(SERVED, user=""), replace(LINE, user="")
    assert judged([served, served], [line, line]).drift == []
    assert kinds(judged([served, served], [line])) == ["missing"]
    assert kinds(judged([served], [line, line])) == ["unfounded"]
    assert kinds(judged([served, served], [line, replace(line, output=6)])) == ["wrong"]
    assert judged([served], [line, replace(line, outcome="failed", output=0, input=0)]).drift == []


def test_a_hit_is_served_by_nobody_and_costs_nothing() -> None:
    assert judged([], [replace(LINE, outcome="hit", cost=0, calls=0)]).hits == 1
    assert kinds(judged([], [replace(LINE, outcome="hit")])) == ["unfounded"]
