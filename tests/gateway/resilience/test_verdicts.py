"""What each failure means for whoever is asked next, and for whoever has failed."""

import errno
from collections.abc import Iterator

import pytest

from adapters.errors import (
    CutOff,
    Filtered,
    Garbled,
    Invalid,
    NotConnected,
    ProviderError,
    Rejected,
    Throttled,
    TimedOut,
    TooLong,
    Unauthorized,
    Unavailable,
    Unknown,
    Withheld,
)
from gateway.gate import Overloaded
from gateway.metering import Unnoted
from gateway.resilience.verdicts import Verdict, verdict_of
from gateway.upstream.failures import meaning


def kinds(kind: type[ProviderError] = ProviderError) -> Iterator[type[ProviderError]]:
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (ProviderError, "elsewhere"),
        (Rejected, "alive"),
        (TooLong, "alive"),
        (Filtered, "alive"),
        (Unauthorized, "elsewhere key counts opens"),
        (Throttled, "elsewhere again key rests"),
        (Unavailable, "elsewhere again counts"),
        (Unknown, "elsewhere"),
        (Overloaded, "elsewhere"),
        (Unnoted, ""),
        (TimedOut, "elsewhere counts"),
        (NotConnected, "elsewhere again counts"),
        (Garbled, "elsewhere again counts"),
        (Invalid, "elsewhere alive"),
        (CutOff, "alive"),
        (Withheld, "elsewhere alive"),
    ],
)
def test_each_class_has_its_verdict(kind: type[ProviderError], words: str) -> None:
    assert verdict_of(kind("x")) == Verdict(**dict.fromkeys(words.split(), True))


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE])
def test_files_that_the_gateway_lacks_are_not_the_targets_failure(number: int) -> None:
    failure = meaning(OSError(number, "Too many open files"))
    assert isinstance(failure, Overloaded) and failure.retry_after == 1
    assert not verdict_of(failure).counts
    assert verdict_of(meaning(OSError(errno.EHOSTUNREACH, "No route to host"))).counts


def test_the_errors_own_word_on_falling_back_holds_for_all_of_them() -> None:
    found = list(kinds())
    assert len(found) >= 16
    for kind in found:
        verdict = verdict_of(kind("x"))
        assert verdict.elsewhere == kind.fall_back, kind
        assert verdict.elsewhere or not (verdict.again or verdict.key or verdict.counts), kind


def test_a_new_kind_is_judged_like_the_one_above_it() -> None:
    class Melted(Unavailable):
        pass

    class Impolite(Melted):
        fall_back = False

    assert verdict_of(Melted("x")) == verdict_of(Unavailable("x"))
    assert verdict_of(Impolite("x")) == Verdict()
