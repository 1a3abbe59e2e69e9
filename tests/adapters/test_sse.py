"""However the bytes of a stream are split, the same payloads come out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters import sse, stream
from adapters.errors import Garbled
from adapters.sse import Events
from adapters.stream import Lines

EVENTS = [
    pytest.param(b"data: a\n\n", [b"a"], id="one"),
    pytest.param(b"data: a\n\ndata: b\n\n", [b"a", b"b"], id="two"),
    pytest.param(b"data:a\n\n", [b"a"], id="no space"),
    pytest.param(b"data:  a\n\n", [b" a"], id="only the first space"),
    pytest.param(b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"], id="CR LF"),
    pytest.param(b"data: a\ndata: b\n\n", [b"a\nb"], id="two data lines"),
    pytest.param(b"event: e\r\ndata: a\r\ndata: b\r\n\r\n", [b"a\nb"], id="CR LF between data lines"),
    pytest.param(b"data\n\ndata:\n\n", [b""], id="no data and empty data"),
    pytest.param(b"event: x\nid: 7\nretry: 10\ndata: a\n\n", [b"a"], id="other fields"),
    pytest.param(b"event: ping\n\ndata: a\n\n", [b"a"], id="an event without data"),
    pytest.param(b": hello\n\n: PROCESSING\n\ndata: a\n\n", [b"a"], id="comments"),
    pytest.param(b": hello\ndata: a\n: more\n\n", [b"a"], id="comments inside"),
    pytest.param(b"\n\n\ndata: a\n\n\n\ndata: b\n\n", [b"a", b"b"], id="blank lines"),
    pytest.param(b"database: a\n\n", [], id="a field that begins alike"),
    pytest.param(b"data: a\n", [], id="unfinished"),
    pytest.param(b"", [], id="nothing"),
]


@pytest.mark.parametrize(("data", "payloads"), EVENTS)
def test_events(data: bytes, payloads: list[bytes]) -> None:
    assert Events().feed(data) == payloads
    one_by_one = Events()
    assert [p for byte in data for p in one_by_one.feed(bytes([byte]))] == payloads


@pytest.mark.parametrize(("data", "payloads"), EVENTS)
def test_events_in_three_pieces(data: bytes, payloads: list[bytes]) -> None:
    for first in range(len(data) + 1):
        for second in range(first, len(data) + 1):
            split = Events()
            pieces = data[:first], data[first:second], data[second:]
            assert [p for piece in pieces for p in split.feed(piece)] == payloads


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    at = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return [data[a:b] for a, b in zip(at, at[1:], strict=False)]


FRAGMENTS = st.sampled_from([b"data: ", b"data:", b": c", b"event: e", b"\n", b"\n\n", b"\r\n", b"{}", b"x", b"\xc3"])
CUTS = st.lists(st.integers(0, 2**16), max_size=8)


@given(st.lists(FRAGMENTS, max_size=40).map(b"".join), CUTS)
def test_any_split_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    try:
        whole = Events().feed(data)
    except Garbled:  # then it is so however it comes
        with pytest.raises(Garbled):
            fed(pieces_of(data, cuts))
    else:
        assert fed(pieces_of(data, cuts)) == whole


def fed(pieces: list[bytes]) -> list[bytes]:
    split = Events()
    return [payload for piece in pieces for payload in split.feed(piece)]


@given(st.lists(st.sampled_from([b'{"a":1}', b"\n", b"\r\n", b" ", b"x"]), max_size=40).map(b"".join), CUTS)
def test_any_split_gives_the_same_lines(data: bytes, cuts: list[int]) -> None:
    split = Lines()
    assert [p for piece in pieces_of(data, cuts) for p in split.feed(piece)] == Lines().feed(data)


@pytest.mark.parametrize(("module", "make"), [(sse, Events), (stream, Lines)])
def test_what_never_ends_is_given_up(
    module: object, make: type[Events | Lines], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_EVENT", 100)
    splitter = make()
    splitter.feed(b"data: " + b"x" * 90)
    with pytest.raises(Garbled, match="larger than 100 bytes"):
        splitter.feed(b"x" * 90)


def test_many_small_events_are_not_one_large_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "MAX_EVENT", 100)
    events = Events()
    assert sum(len(events.feed(b"data: x\n\nda" if n == 0 else b"ta: x\n\nda")) for n in range(1000)) == 1000


@pytest.mark.parametrize("make", [Events, Lines])
def test_a_large_event_in_small_pieces_is_cheap(make: type[Events | Lines]) -> None:
    """8 MB in pieces of 1 kB: were the pieces joined each time, this would take minutes."""
    splitter, payload = make(), b"x" * 1024
    for _ in range(8 * 1024):
        assert splitter.feed(payload) == []
    assert len(splitter.feed(b"\n\n") or [b""]) == 1


@pytest.mark.parametrize("place", range(5))
@pytest.mark.parametrize("before", [b"", b"data: a\n\n", b": a comment, \xc3\xa9\n\n"])
def test_a_damaged_field_is_no_unknown_one(place: int, before: bytes) -> None:
    """It would be skipped, and a piece of the answer with it."""
    damaged = bytearray(b"data: b\n\n")
    damaged[place] ^= 0x80
    with pytest.raises(Garbled):
        Events().feed(before + bytes(damaged) + b"data: c\n\n")
