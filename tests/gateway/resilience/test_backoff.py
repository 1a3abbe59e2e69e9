"""How long one waits before asking again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.resilience.backoff import wait

CHANCE = st.floats(0, 1)
SECONDS = st.floats(0, 1000)


@pytest.mark.parametrize(
    ("round", "chance", "advice", "seconds"),
    [
        (0, 0.0, None, 0.0),
        (0, 1.0, None, 0.2),
        (0, 0.5, None, 0.1),
        (1, 1.0, None, 0.4),
        (3, 0.25, None, 0.4),
        (5, 1.0, None, 5.0),
        (10_000, 1.0, None, 5.0),
        (0, 0.0, 2.0, 2.0),
        (0, 0.5, 2.0, 2.1),
        (4, 1.0, 2.0, 5.0),
        (0, 1.0, 5.0, 5.0),
        (0, 0.0, 5.1, None),
        (0, 1.0, 0.0, 0.2),
    ],
)
def test_waits(round: int, chance: float, advice: float | None, seconds: float | None) -> None:
    found = wait(round, chance, 0.2, 5.0, advice)
    assert found == (None if seconds is None else pytest.approx(seconds))


@given(st.integers(0, 100_000), CHANCE, SECONDS, SECONDS, st.none() | SECONDS)
def test_never_earlier_than_advised_never_longer_than_allowed(
    round: int, chance: float, base: float, most: float, advice: float | None
) -> None:
    found = wait(round, chance, base, most, advice)
    if found is None:
        assert advice is not None and advice > most
    else:
        assert (advice or 0.0) <= found <= most


@given(st.integers(0, 20), SECONDS, SECONDS)
def test_the_whole_range_is_drawn_from(round: int, base: float, most: float) -> None:
    assert wait(round, 0.0, base, most) == 0.0
    assert wait(round, 1.0, base, most) == pytest.approx(min(most, base * 2**round))
