"""What a soak judges by: each invariant is seen to break."""

from collections import Counter

from msgspec.structs import replace

from tests.faults.judge import Line
from tests.faults.proc import Held
from tools.soak.mixed import PIECES, POOLS, SEGMENTS, Told, left, shared
from tools.soak.sources import compared, counted, unchunked, valid
from tools.soak.vitals import Rest, Sample, growth, slope
from tools.soak.workload import KNOWN, MODELS, SHARES, Workload

LINE = Line("1.0", 1, "u", "red", "quick", "p/quick", "ok", 1, 1, 3, 5, 13_000, False)

EXPOSITION = """
# HELP gateway_tokens_total Tokens.
# TYPE gateway_tokens_total counter
gateway_tokens_total{team="red",model="quick",kind="input"} %d
gateway_tokens_total{team="red",model="quick",kind="output"} 5
gateway_tokens_total{team="red",model="quick",kind="reasoning"} 2
"""


def test_metrics_that_agree_with_the_ledger() -> None:
    told, wrong = compared([EXPOSITION % 3, EXPOSITION % 3], [LINE, LINE], died=False)
    assert told.startswith("16 tokens") and not wrong


def test_metrics_that_say_less_or_more() -> None:
    for said in (2, 4):
        assert compared([EXPOSITION % said], [LINE], died=False)[1] == [f"red/quick/input: ledger 3, /metrics {said}"]


def test_what_died_may_be_missing_from_the_metrics_and_never_too_much() -> None:
    lost = Line("2.0", 1, "v", "red", "quick", "p/quick", "interrupted", 1, 1, 4, 0, 4_000, True)
    assert compared([EXPOSITION % 3], [LINE, lost], died=True)[1] == []
    assert compared([EXPOSITION % 3], [LINE, lost], died=False)[1] != []
    assert compared([EXPOSITION % 2], [LINE, lost], died=True)[1] != []
    assert compared([EXPOSITION % 8], [LINE, lost], died=True)[1] != []


def test_dollars() -> None:
    paid = EXPOSITION % 3 + '# TYPE gateway_cost_usd_total counter\ngateway_cost_usd_total{team="red"} 0.000013\n'
    assert compared([paid], [LINE], died=False) == ("8 tokens, $0.000013", [])
    assert len(compared([paid.replace("13", "14")], [LINE], died=False)[1]) == 1


def test_legs_by_their_outcomes() -> None:
    def legs(ok: int, interrupted: int) -> str:
        lines = [f'gateway_legs_total{{outcome="{name}"}} {number}' for name, number in (
            ("ok", ok), ("interrupted", interrupted), ("unreached", 7)
        )]  # fmt: skip
        return EXPOSITION % 3 + "# TYPE gateway_legs_total counter\n" + "\n".join(lines) + "\n"

    lost = Line("2.0", 1, "v", "red", "quick", "p/quick", "interrupted", 1, 1, 0, 0, 0, True)
    assert compared([legs(1, 1)], [LINE, lost], died=False) == ("8 tokens, 2 legs", [])
    assert compared([legs(1, 0)], [LINE, lost], died=True)[1] == []
    for said, died in ((legs(1, 0), False), (legs(1, 2), True), (legs(0, 1), True), (legs(2, 1), True)):
        assert len(compared([said], [LINE, lost], died)[1]) == 1


def test_whether_the_routing_file_holds() -> None:
    said = "# TYPE gateway_config_valid gauge\ngateway_config_valid %d\n"
    assert valid([said % 1, said % 1]) and not valid([said % 1, said % 0]) and not valid([""])


def test_who_ask_the_same_at_once() -> None:
    def told(groups: int, answered: int) -> list[str]:
        users = [[f"{group}-{place}" for place in range(3)] for group in range(groups)]
        lines = [replace(LINE, user=user) for group in users for user in group[:answered]]
        found = Told(alike={"one": users})
        shared([*lines, replace(LINE, user="0-2", outcome="hit")], found)
        return found.broken

    assert told(20, 1) == told(20, 0) == [] and len(told(20, 2)) == 1


def test_a_gateway_without_such_metrics() -> None:
    assert compared([""], [LINE], died=False) == ("/metrics does not count tokens", [])
    assert counted([EXPOSITION % 3], "gateway_cost_usd_total", ()) is None


def test_an_exposition_in_chunks() -> None:
    assert unchunked(b"3\r\nabc\r\na\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"


def test_memory_that_grows() -> None:
    flat = [Sample(float(at), Held(1000 + at % 2, 1, 1)) for at in range(100)]
    steep = [Sample(float(at), Held(1000 + 7 * at, 1, 1)) for at in range(100)]
    assert abs(growth(flat)) < 2 and slope(steep) == 7 and growth(steep) == 7 * 99


def test_what_is_left_open() -> None:
    def rest(callers: int = 0, providers: int = 1, stores: int = 4, tasks: int = 5, **others: int) -> Rest:
        return Rest(callers, providers, stores, Counter(others), Counter(run=tasks), 5000)

    assert left(rest(), replace(rest(), blocks=5000 + PIECES)) == []
    assert len(left(rest(), replace(rest(), blocks=5001 + PIECES))) == 1

    assert left(rest(), rest()) == left(rest(), rest(providers=0, tasks=3, stores=4 + POOLS)) == []
    assert left(rest(), rest(**{"N.spool": SEGMENTS})) == []
    for more in (
        rest(callers=1),
        rest(providers=2),
        rest(stores=5 + POOLS),
        rest(tasks=6),
        rest(file=1),
        rest(**{"N.spool": SEGMENTS + 1}),
    ):
        assert len(left(rest(), more)) == 1


def test_calls_depend_on_the_seed_alone() -> None:
    def drawn(seed: int) -> list[object]:
        work = Workload(seed)
        return [call for _ in range(400) for call in work.next()]

    calls = drawn(5)
    assert calls == drawn(5) != drawn(6)
    assert len({call.user for call in calls}) == len(calls)  # type: ignore[attr-defined]
    assert abs(sum(share for share, _ in SHARES) - 1) < 1e-9 and KNOWN.keys() == MODELS.keys()
