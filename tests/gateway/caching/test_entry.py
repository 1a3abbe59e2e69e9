"""An entry's bytes, and what may be one."""

import zlib
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from adapters.errors import Invalid
from adapters.types import Choice, Delta, Fields, Finish, Reply, Usage
from gateway.caching.entry import FORM, HEAD, MOST, ZIPPED, ZIPPED_FROM, Kept, pack, storable, unpack

RAW = st.sampled_from([Raw(b"{}"), Raw(b'{"a": 1.50,"b":"\\u00e9"}'), Raw(b'"x"'), Raw(b"[null]"), Raw(b"1e400")])
FIELDS = st.none() | st.dictionaries(st.text(max_size=3), RAW | st.just(Raw(b"null")), max_size=3)
COUNT = st.integers(0, 2**40)
USAGE = st.none() | st.builds(
    Usage, COUNT, COUNT, st.none() | COUNT, st.none() | COUNT, st.none() | COUNT, st.booleans(), st.none() | RAW
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FINISH = st.sampled_from(["stop", "length", "filtered", "tool_calls", "other"])
CHOICE = st.builds(Choice, st.integers(0, 9), TEXT, FINISH, USAGE, FIELDS)
DELTA = st.builds(Delta, st.integers(0, 9), TEXT, st.none() | FINISH, st.none() | RAW, FIELDS)
BATCHES = st.lists(st.tuples(st.integers(0, 9), st.lists(DELTA, max_size=3).map(tuple)), max_size=5).map(tuple)
PATHS = st.sampled_from([None, "native", "guided", "json_mode", "prompted"])
KEPT = st.builds(Kept, TEXT, st.floats(0, 2e9), st.lists(CHOICE, max_size=3).map(tuple), USAGE, FIELDS, PATHS, BATCHES)
WHOLE = Kept("p/m", 1.5, (Choice(0, "hi", "stop", None, {"message": Raw(b'{"content": "hi"}')}),), Usage(1, 2))
LARGE = Kept("p/m", 1.5, (Choice(0, "hi" * 50_000, "stop"),), Usage(1, 2))


@given(KEPT)
def test_there_and_back(kept: Kept) -> None:
    assert unpack(pack(kept)) == kept


@given(KEPT, st.integers(3000, 5000))
def test_there_and_back_compressed(kept: Kept, size: int) -> None:
    large = msgspec.structs.replace(kept, target="x" * size)
    assert pack(large)[1:2] == ZIPPED
    assert unpack(pack(large)) == large


def test_large_values_are_compressed() -> None:
    assert len(pack(LARGE)) < 2000
    assert pack(WHOLE)[1:2] != ZIPPED
    assert len(pack(WHOLE)) < ZIPPED_FROM


def test_what_pieces_have_in_common_is_written_once_and_is_one() -> None:
    """Encoders of streams go by that it is the same object."""
    more = {"id": Raw(b'"' + b"x" * 100 + b'"')}
    told = tuple([(0, (Delta(0, "a", more=dict(more)),)) for _ in range(10)])
    data = pack(Kept("p/m", 1.0, (Choice(0, "", "stop"),), batches=told))
    assert data.count(b"x" * 100) == 1
    found = unpack(data)
    assert found is not None
    assert len({id(delta.more) for _, deltas in found.batches for delta in deltas}) == 1


@pytest.mark.parametrize("kept", [WHOLE, LARGE], ids=["plain", "compressed"])
def test_what_is_cut_or_changed_is_a_miss(kept: Kept) -> None:
    data = pack(kept)
    for size in range(len(data)):
        assert unpack(data[:size]) is None
    for place in range(0, len(data), 3):
        assert unpack(data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]) is None
    assert unpack(data + b" ") is None


@given(st.binary(max_size=100))
def test_garbage_is_a_miss(data: bytes) -> None:
    assert unpack(data) is None


def sealed(how: bytes, body: bytes, form: bytes = FORM) -> bytes:
    return form + how + zlib.crc32(body).to_bytes(4) + body


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b"null", b"[" * 100_000, b"\xff", b'["p",1,[],null,null,"x",[],[]]']
)
@pytest.mark.parametrize("how", [b"j", b"z", b"?"])
def test_another_content_is_a_miss(how: bytes, body: bytes) -> None:
    assert unpack(sealed(how, body)) is None
    assert unpack(sealed(how, zlib.compress(body))) is None


def test_a_piece_that_goes_by_what_is_not_there_is_a_miss() -> None:
    body = b'["p",1.0,[],null,null,null,[],[[0,[[0,"a",null,null,%d]]]]]'
    assert unpack(sealed(b"j", body % -1)) is not None
    assert unpack(sealed(b"j", body % 0)) is None


def test_another_version_is_a_miss() -> None:
    data = pack(WHOLE)
    assert unpack(sealed(data[1:2], data[HEAD:])) == WHOLE
    assert unpack(sealed(data[1:2], data[HEAD:], b"\x02")) is None


def test_a_bomb_is_a_miss() -> None:
    """A small value that would become a large one is not unpacked to its end."""
    zipper = zlib.compressobj(9)
    zeros = b"0" * (1 << 20)
    body = b"".join([zipper.compress(zeros) for _ in range((MOST >> 20) + 8)]) + zipper.flush()
    assert len(body) < 1 << 20
    assert unpack(sealed(ZIPPED, body)) is None


def said(**message: Any) -> Fields:
    return {"message": Raw(msgspec.json.encode({"role": "assistant", **message}))}


def reply(finish: Finish = "stop", raw: Fields | None = None) -> Reply:
    return Reply((Choice(0, "a", "stop"), Choice(1, "b", finish, None, raw)))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (reply(), True),
        (reply("tool_calls"), True),
        (reply("length"), False),
        (reply("filtered"), False),
        (reply("other"), False),
        (reply(raw=said(content="b", refusal=None)), True),
        (reply(raw=said(content="b", refusal="")), True),
        (reply(raw=said(content=None, refusal="I cannot")), False),
        (reply(raw={"message": Raw(b"null")}), True),
        (reply(raw={"text": Raw(b'"refusal"')}), True),
        (Reply(()), False),
    ],
)
def test_what_may_be_kept(answer: Reply, expected: bool) -> None:
    assert storable(answer) is expected
    assert storable(answer, {}) is expected


def test_what_breaks_its_type_is_not_kept() -> None:
    assert not storable(reply(), {1: Invalid("no")})


def test_refusals_in_a_stream_are_not_kept() -> None:
    opening = Delta(0, "", None, Raw(b'{"index":0,"delta":{"role":"assistant","content":"","refusal":null}}'))
    spoken = Delta(0, "refusal", None, Raw(b'{"index":0,"delta":{"content":"refusal"}}'))
    refused = Delta(0, "", None, Raw(b'{"index":0,"delta":{"refusal":"I"}}'))
    assert storable(reply(), None, ((0, (opening, spoken, Delta(0, "x"))),))
    assert not storable(reply(), None, ((0, (opening,)), (0, (spoken, refused))))
