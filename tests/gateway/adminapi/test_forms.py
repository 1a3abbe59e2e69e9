"""Money, times and tables, as people write and read them."""

from datetime import UTC, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.adminapi import reports, times
from gateway.adminapi.given import read_object
from gateway.adminapi.limits import ONLY, body_of, changes
from gateway.adminapi.numbers import MOST, dollar_text, dollars, nano
from gateway.adminapi.told import retold, told
from gateway.control import amounts
from gateway.control.types import KeyView, LimitsChanges, LimitsView, UsageRow
from gateway.limits.types import Limits
from tests.gateway.adminapi.memory import NOW
from tests.gateway.adminapi.test_routes import row

NANOS = st.integers(0, MOST)


@given(NANOS)
def test_money_is_exact(nanos: int) -> None:
    text = dollar_text(nanos)
    assert Decimal(text) * 10**9 == nanos and nano(text) == nanos
    assert bytes(dollars(nanos)).decode() == text
    assert not text.endswith(".") and not (("." in text) and text.endswith("0"))


@pytest.mark.parametrize(
    ("text", "nanos"),
    [("5", 5 * 10**9), ("0.1", 10**8), ("1e-9", 1), ("1.5E+2", 150 * 10**9), ("0.10000000000", 10**8), ("0e99", 0),
     ("9223372036.854775807", MOST)],
)  # fmt: skip
def test_money_as_json_writes_it(text: str, nanos: int) -> None:
    assert nano(text) == nanos


@pytest.mark.parametrize("text", ["9223372036.854775808", "1e11", "1e999", "0.0000000001", "-1", "-0", "+1", "", "٥",
                                  "1 ", "Infinity", "nan", "1_0", "0x1", ".5", "5.", "1e9999", "9" * 100])  # fmt: skip
def test_what_is_no_money(text: str) -> None:
    with pytest.raises(ValueError, match="must"):
        nano(text)


@given(st.integers(0, times.LAST))
def test_times_come_back(at: int) -> None:
    assert times.named(times.iso(at)) == at


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("90d", NOW + 90 * 86_400),
        (" 24h ", NOW + 86_400),
        ("2w", NOW + 14 * 86_400),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC).timestamp()),
        ("2027-01-31T12:00", datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()),
        ("2027-01-31T12:00:00+02:00", datetime(2027, 1, 31, 10, tzinfo=UTC).timestamp()),
        ("2027-01-31T12:00:00.5Z", datetime(2027, 1, 31, 12, tzinfo=UTC).timestamp()),
    ],
)
def test_moments(text: str, at: float) -> None:
    assert times.later(text, NOW) == at


def test_what_lies_before_1970_began_then() -> None:
    assert times.earlier("9999w", NOW) == 0
    assert times.earlier("1d", NOW) == NOW - 86_400


@given(st.text())
def test_no_text_breaks_a_time(text: str) -> None:
    for read in (times.later, times.earlier):
        try:
            assert 0 <= read(text, NOW) <= times.LAST
        except ValueError as error:
            assert str(error).startswith("must be")


LIMITS = st.builds(Limits, *[st.none() | NANOS] * 8)
SET = st.one_of(st.just(msgspec.UNSET), st.none(), st.just("unlimited"))
CHANGES = st.builds(LimitsChanges, **{name: SET | st.integers(0, most) for name, most in amounts.MOST.items()})


@given(LIMITS, st.text(), st.none() | st.integers(0, times.LAST))
def test_what_is_told_can_be_read_again(limits: Limits, name: str, at: int | None) -> None:
    key = KeyView(id="k", team="unlimited", name=name, created=NOW, expires=at, grace=at, limits=limits, tags=(name,))
    view = LimitsView(scope="model", subject=name, limits=limits)
    for value in (key, view):
        assert (
            retold(type(value), msgspec.json.decode(msgspec.json.encode(told(value)), type=dict[str, msgspec.Raw]))
            == value
        )


def test_a_lifted_limit_is_told_and_read_again() -> None:
    view = LimitsView(scope="team", subject="t", limits=Limits(rpm=-1, usd_day=-1, tpm=5))
    sent = msgspec.json.encode(told(view))
    assert msgspec.json.decode(sent)["limits"] == {"rpm": "unlimited", "tpm": 5, "usd_per_day": "unlimited"}
    assert retold(LimitsView, msgspec.json.decode(sent, type=dict[str, msgspec.Raw])) == view


@given(CHANGES)
def test_limits_can_be_sent(limits: LimitsChanges) -> None:
    sent = msgspec.json.encode(body_of(limits))
    assert (changes(read_object(sent, ONLY)) or LimitsChanges()) == limits


@pytest.mark.parametrize(
    ("sums", "cost"),
    [
        ({"requests": 2, "unpriced": 2}, None),
        ({"requests": 2, "unpriced": 1}, b"0"),
        ({"requests": 2, "unpriced": 2, "cost_nano": 5}, b"0.000000005"),
        ({"requests": 2}, b"0"),
        ({}, b"0"),
    ],
)
def test_what_is_unknown_is_not_zero(sums: dict[str, int], cost: bytes | None) -> None:
    found = told(row(**sums))["cost_usd"]
    assert found is None if cost is None else bytes(found) == cost


@given(st.text(), st.text())
def test_csv_runs_nothing_and_loses_nothing(model: str, team: str) -> None:
    import csv
    from io import StringIO

    [head, line] = csv.reader(StringIO(reports.csv([row(model=model, team=team)], ("model", "team")), newline=""))
    assert head[:2] == ["model", "team"] and len(line) == len(head) == 2 + len(reports.COLUMNS)
    for cell, text in zip(line, (model, team), strict=False):
        assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
        assert cell.removeprefix("'") == text.removeprefix("'") or cell == text


def test_the_sums_are_all_there() -> None:
    assert set(UsageRow.__struct_fields__) - set(reports.SUMS) == {"team", "key", "model", "target", "day", "hour"}
