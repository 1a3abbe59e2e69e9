"""Whatever bytes a provider sends, only ProviderErrors come out, and what is no error is well formed."""

from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.errors import ProviderError
from adapters.types import (
    Adapter,
    Call,
    Chat,
    Choice,
    Delta,
    Fields,
    Finish,
    HttpResponse,
    OneOf,
    Params,
    Reply,
    Usage,
)
from tests.adapters.recordings import Case, adapters, cases, split

ADAPTERS = adapters()
WHOLE = [case.response().body for case in cases("response.json")]
STREAMS = [case.stream() for case in cases("stream.*")]
DEEP = b'{"x":' + b"[" * 10_000 + b"]" * 10_000 + b"}"

each = pytest.mark.parametrize("name", ADAPTERS)


def mutated(recorded: list[bytes]) -> st.SearchStrategy[bytes]:
    """A recording with a piece of it replaced: by nothing, by noise, or by a piece of JSON."""
    junk = st.binary(max_size=6) | st.sampled_from(
        [b"null", b"-1", b"1e400", b"{}", b"[]", b'""', b"true", b"\n", b"\n\n", b'"\xff"', b'"\\ud800"', b"data: "]
    )

    def replace(drawn: tuple[bytes, int, int, bytes]) -> bytes:
        data, at, length, with_ = drawn
        at %= len(data) + 1
        return data[:at] + with_ + data[at + length :]

    return st.tuples(st.sampled_from(recorded), st.integers(0, 2**14), st.integers(0, 12), junk).map(replace)


WORDS = """
    choices message delta text content index finish_reason usage error code type prompt_tokens completion_tokens tokens
    input_tokens output_tokens cached_tokens stop stop_type timings cache_n truncated generated_text details token
    special error_type generated_tokens input_length response done done_reason prompt_eval_count eval_count
    tool_calls tool_plan function name arguments id thinking citations logprobs token_ids
"""
"""Field names that the wires use."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS.split()), inner, max_size=5),
    max_leaves=12,
)


BODIES = st.binary(max_size=40) | mutated(WHOLE) | JSON.map(msgspec.json.encode) | st.just(DEEP)


CHAT = Chat(msgspec.Raw(b'[{"role":"user","content":"hello"}]'))
WRITTEN: Fields = {"logprobs": msgspec.Raw(b"true"), "stop": msgspec.Raw(b'["x"]')}
CALLS = (
    Call("m", "hello", Params(stop=("x",))),
    Call("m", "hello", Params(stop=("x",), logprobs=0), fields=WRITTEN),
    Call("m", CHAT, Params(stop=("x",), logprobs=0), fields=WRITTEN),
    Call("m", CHAT, fields={}, constraint=OneOf(("a", "b"))),
)
"""Whose answers are read: of the words of each of these calls an adapter makes something else."""


def well_formed(value: Reply | Choice | Delta | Usage) -> None:
    """As the types say: a decoder that built a value past them, or gave as raw JSON what is none, would be found."""
    msgspec.json.decode(msgspec.json.encode(value))
    if isinstance(value, Reply):
        assert value.choices
        assert all(isinstance(choice, Choice) and choice.finish in get_args(Finish) for choice in value.choices)
        for choice in value.choices:
            well_formed(choice)
        if value.usage is not None:
            well_formed(value.usage)
        return
    bare = msgspec.structs.replace(value, **{name: None for name in ("raw", "more") if hasattr(value, name)})
    assert msgspec.convert(msgspec.to_builtins(bare), type(bare)) == bare


def decode(adapter: Adapter, response: HttpResponse) -> None:
    for call in CALLS:
        try:
            reply = adapter.decode(call, response)
        except ProviderError:
            continue
        assert response.status == 200
        well_formed(reply)


def read(adapter: Adapter, data: bytes, size: int) -> None:
    for call in CALLS:
        decoder = adapter.decoder(call)
        try:
            for piece in split(data, size):
                for delta in decoder.feed(piece):
                    well_formed(delta)
            decoder.close()
        except ProviderError:
            pass
        if decoder.usage is not None:
            well_formed(decoder.usage)


@each
@given(status=st.sampled_from([200, 200, 200, 204, 301, 400, 422, 429, 500, 599, 999]), body=BODIES)
def test_answers(name: str, status: int, body: bytes) -> None:
    headers = [(b"retry-after", body[:8]), (b"x-prompt-tokens", body[:4])]
    decode(ADAPTERS[name], HttpResponse(status, headers, body))


@each
@given(
    data=st.binary(max_size=80)
    | mutated(STREAMS)
    | st.lists(JSON, max_size=4).map(
        lambda events: b"".join(b"data: " + msgspec.json.encode(event) + b"\n\n" for event in events)
    )
    | st.lists(JSON, max_size=4).map(lambda lines: b"".join(msgspec.json.encode(line) + b"\n" for line in lines)),
    size=st.sampled_from([1, 3, 50, 2**20]),
)
def test_streams(name: str, data: bytes, size: int) -> None:
    read(ADAPTERS[name], data, size)


@each
@pytest.mark.parametrize(
    "body", [DEEP, b'{"error":' + DEEP + b"}", b'{"choices":[{"text":"\xff"}]}', b'"\xff"', b"", b"null"]
)
def test_bytes_that_broke_something(name: str, body: bytes) -> None:
    for status in (200, 400):
        decode(ADAPTERS[name], HttpResponse(status, [], body))
    read(ADAPTERS[name], b"data: " + body + b"\n\n" + body + b"\n", 2**20)


@pytest.mark.parametrize("case", cases("response.json"), ids=lambda case: case.name)
def test_every_answer_cut_short(case: Case) -> None:
    """The client refuses a body cut by its framing; one that came complete and is half JSON is Garbled here."""
    got = case.response()
    for end in range(0, len(got.body), 7):
        decode(case.adapter(), HttpResponse(got.status, got.headers, got.body[:end]))
