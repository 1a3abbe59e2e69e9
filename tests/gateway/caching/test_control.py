"""Cache-Control of requests."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.types import Call, Params
from gateway.caching.control import LONGEST, NONE, Directives, fresh, looks, read, wanted


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (None, NONE),
        (b"", NONE),
        (b" , ,, ", NONE),
        (b"no-cache", Directives(no_cache=True)),
        (b"No-Cache", Directives(no_cache=True)),
        (b'no-cache="set-cookie"', Directives(no_cache=True)),
        (b"no-store", Directives(no_store=True)),
        (b"max-age=60", Directives(max_age=60)),
        (b"MAX-AGE=060", Directives(max_age=60)),
        (b'  max-age = "60" ', Directives(max_age=60)),
        (b"max-age=0", Directives(no_cache=True, max_age=0)),
        (b"max-age", Directives(no_cache=True, max_age=0)),
        (b"max-age=", Directives(no_cache=True, max_age=0)),
        (b"max-age=-1", Directives(no_cache=True, max_age=0)),
        (b"max-age=1.5", Directives(no_cache=True, max_age=0)),
        (b"max-age=1 2", Directives(no_cache=True, max_age=0)),
        (b"max-age 60", Directives(no_cache=True, max_age=0)),
        (b"max-age=soon", Directives(no_cache=True, max_age=0)),
        (b'max-age="', Directives(no_cache=True, max_age=0)),
        (b"max-age=\xb2", Directives(no_cache=True, max_age=0)),
        (b"max-age=" + b"9" * 5000, Directives(max_age=LONGEST)),
        (b"max-age=4294967296", Directives(max_age=LONGEST)),
        (b"max-age=60, max-age=30", Directives(max_age=30)),
        (b"max-age=30, max-age=60", Directives(max_age=30)),
        (b"max-age=60, no-cache", Directives(no_cache=True, max_age=60)),
        (b"only-if-cached", Directives(only_if_cached=True)),
        (b"max-stale", Directives(max_stale=True)),
        (b"max-stale=5", Directives(max_stale=True)),
        (b"min-fresh=5", Directives(min_fresh=5)),
        (b"min-fresh=5,min-fresh=9", Directives(min_fresh=9)),
        (b"min-fresh=x", Directives(min_fresh=LONGEST)),
        (b"public, x-new=1;y, =, =5, no-transform", NONE),
        (b'x="no-store, no-cache", max-age=5', Directives(max_age=5)),
        (b'x="a\\"b", max-age=5, no-store', Directives(no_store=True, max_age=5)),
        (b'x="open, no-store', Directives(no_store=True)),
        (b"only-if-cached,max-age=5\t,\tno-store", Directives(no_store=True, max_age=5, only_if_cached=True)),
        (b"no-store; no-cache", NONE),
    ],
)
def test_directives(header: bytes | None, said: Directives) -> None:
    assert read(header) == said


@given(st.binary(max_size=60) | st.text(' ,="\\amx-ge0no-store', max_size=60).map(str.encode))
def test_any_header_is_read(header: bytes) -> None:
    found = read(header)
    assert found.max_age is None or 0 <= found.max_age <= LONGEST
    if not header.count(b'"'):
        assert read(header + b", no-store").no_store


@pytest.mark.parametrize(
    "header", [b" " * 60_000, b'"' * 60_000, b',"' * 30_000, b"max-age" * 9_000, b'a="b" ' * 9_000]
)
def test_a_long_header_takes_no_long_time(header: bytes) -> None:
    began = time.process_time()
    read(header)
    assert time.process_time() - began < 0.5


COLD, SEEDED, WARM, SILENT = Params(temperature=0), Params(seed=0), Params(temperature=0.7), Params()


@pytest.mark.parametrize(
    ("mode", "params", "header", "expected"),
    [
        ("auto", COLD, b"", True),
        ("auto", SEEDED, b"", True),
        ("auto", Params(temperature=1, seed=5), b"", True),
        ("auto", WARM, b"", False),
        ("auto", SILENT, b"", False),
        ("auto", WARM, b"max-age=60", True),
        ("auto", WARM, b"only-if-cached", True),
        ("auto", WARM, b"max-stale", True),
        ("auto", WARM, b"max-age=0", False),
        ("auto", WARM, b"no-cache", False),
        ("auto", WARM, b"min-fresh=5", False),
        ("auto", WARM, b"max-age=60, no-cache", False),
        ("auto", COLD, b"no-cache", True),
        ("auto", COLD, b"no-store", False),
        ("auto", WARM, b"max-age=60, no-store", False),
        ("always", WARM, b"", True),
        ("always", WARM, b"no-cache", True),
        ("always", COLD, b"no-store", False),
        ("never", COLD, b"max-age=60", False),
    ],
)
def test_what_is_looked_for_and_kept(mode: str, params: Params, header: bytes, expected: bool) -> None:
    assert wanted(mode, Call("m", "hi", params), read(header)) is expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("header", "age", "left", "expected"),
    [
        (b"", 0, 1, True),
        (b"", 5, 0, False),
        (b"max-age=5", 5, 10, True),
        (b"max-age=5", 5.5, 10, False),
        (b"max-age=0", 0, 10, False),
        (b"no-cache", 0, 10, False),
        (b"min-fresh=5", 1, 5, True),
        (b"min-fresh=5", 1, 4, False),
        (b"max-stale=100", 1, 0, False),
    ],
)
def test_whether_a_kept_answer_will_do(header: bytes, age: float, left: float, expected: bool) -> None:
    assert fresh(read(header), age, left) is expected


def test_who_wants_no_kept_answer() -> None:
    assert [looks(read(header)) for header in (b"", b"no-cache", b"max-age=0", b"max-age=1")] == [
        True,
        False,
        False,
        True,
    ]
