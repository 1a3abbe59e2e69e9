"""Streams of providers through a decoder and a dialect: nothing is lost or told twice, however it is written."""

import json
from typing import Any

import msgspec
import pytest

from adapters.openai import OpenAI
from adapters.types import Call, Chat, Host, Reply, Usage
from gateway.merge import parts_of
from gateway.types import Leg, LegResult
from gateway.wire import chat, completions
from gateway.wire.openai import Note

ADAPTER = OpenAI(Host(base_url="http://p/v1"))
MESSAGES = Chat(msgspec.Raw(b'[{"role":"user","content":"hi"}]'))
TOOL = {"index": 0, "id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def replay(
    events: list[dict[str, Any]], *, spaced: bool = False, text: bool = False, note: Note | None = None
) -> list[Any]:
    """What the caller gets, each choice's pieces in order."""
    call = Call("m", "hi" if text else MESSAGES, stream=True, fields={})
    leg = Leg("m", call, (), 0, ())
    note = note or Note()
    chunks = completions.TextChunks(True, note, "id", 1, (leg,)) if text else chat.ChatChunks(note, "id", 1, (leg,))
    separators = (", ", ": ") if spaced else (",", ":")
    data = b"".join([b"data: " + json.dumps(e, separators=separators).encode() + b"\n\n" for e in events])
    decoder = ADAPTER.decoder(call)
    deltas = decoder.feed(data + b"data: [DONE]\n\n")
    decoder.close()
    told = chunks.texts(0, deltas)
    finish = next(delta.finish for delta in deltas if delta.finish)
    from adapters.types import Choice

    result = LegResult(leg, 0, Reply((Choice(0, "", finish),), Usage(1, 2)), sent=[0])
    told += b"".join([chunks.end(part) for part in parts_of(result)])
    found = [msgspec.json.decode(frame.removeprefix(b"data: ")) for frame in told.split(b"\n\n") if frame]
    return [event["choices"][0] for event in found]


def piece(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"id": "x", "choices": [{"index": 0, "delta": delta, **more, "finish_reason": finish}]}


OPENING = piece({"role": "assistant", "content": ""})
both_ways = pytest.mark.parametrize("spaced", [False, True], ids=["compact", "spaced"])


@both_ways
@pytest.mark.parametrize(
    "last",
    [
        piece({"content": "", "tool_calls": [TOOL]}, "tool_calls"),
        piece({"role": "assistant", "content": "", "tool_calls": [TOOL]}, "tool_calls"),
        piece({"content": None, "tool_calls": [TOOL]}, "tool_calls"),
    ],
)
@pytest.mark.parametrize("opened", [True, False])
def test_a_call_on_the_last_piece_arrives_once(last: dict[str, Any], spaced: bool, opened: bool) -> None:
    told = replay([*([OPENING] if opened else []), last], spaced=spaced)
    assert [c["delta"]["tool_calls"] for c in told if c["delta"].get("tool_calls")] == [[TOOL]]
    assert [c["finish_reason"] for c in told if c["finish_reason"]] == ["tool_calls"]
    assert sum("role" in c["delta"] for c in told) == 1 + (opened and "role" in last["choices"][0]["delta"])


@both_ways
@pytest.mark.parametrize("opened", [True, False])
def test_a_text_on_the_last_piece_arrives_once(spaced: bool, opened: bool) -> None:
    logprobs = {"content": [{"token": "last", "logprob": -1}]}
    last = piece({"content": "last"}, "length", logprobs=logprobs, stop_reason=7)
    told = replay([*([OPENING] if opened else []), last], spaced=spaced)
    assert [c["delta"]["content"] for c in told if c["delta"].get("content")] == ["last"]
    assert [c["logprobs"] for c in told if c.get("logprobs")] == [logprobs]
    assert [c["stop_reason"] for c in told if "stop_reason" in c] == [7]
    assert told[-1]["finish_reason"] == "length" and told[-1]["delta"] == {}


@both_ways
def test_completions_tell_the_last_piece_once(spaced: bool) -> None:
    def legacy(text: str, finish: str | None, **more: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "text": text, "finish_reason": finish, **more}]}

    lists = {"tokens": ["b"], "token_logprobs": [-1.0], "top_logprobs": None, "text_offset": [1]}
    told = replay([legacy("a", None), legacy("b", "stop", logprobs=lists, token_ids=[5])], spaced=spaced, text=True,
                  note=Note(logprobs=True))  # fmt: skip
    assert "".join(c["text"] for c in told) == "ab"
    assert [c["logprobs"] for c in told if c.get("logprobs")] == [lists]
    assert [c["token_ids"] for c in told if c.get("token_ids")] == [[5]]
    told = replay([legacy("a", None), legacy("", "stop", logprobs=lists)], spaced=spaced, text=True,
                  note=Note(logprobs=True))  # fmt: skip
    assert told[-1]["logprobs"] == lists and told[-1]["finish_reason"] == "stop"


@both_ways
@pytest.mark.parametrize(
    "delta", [{"tool_calls": [TOOL]}, {"refusal": "no"}, {"reasoning_content": "hm"}, {"citations": [1]}]
)
def test_what_is_no_text_is_told_at_once(delta: dict[str, Any], spaced: bool) -> None:
    call = Call("m", MESSAGES, stream=True, fields={})
    chunks = chat.ChatChunks(Note(), "id", 1, (Leg("m", call, (), 0, ()),))
    separators = (", ", ": ") if spaced else (",", ":")
    decoder = ADAPTER.decoder(call)

    def fed(event: dict[str, Any]) -> bytes:
        return chunks.texts(0, decoder.feed(b"data: " + json.dumps(event, separators=separators).encode() + b"\n\n"))

    quiet = piece({"role": "assistant", "content": "", "reasoning_content": None, "refusal": None, "tool_calls": []})
    assert fed(quiet) == b""  # nothing is said yet: another target could still answer
    assert fed(piece(delta)).count(b"data: ") == 2


def test_who_begins_anew_opens_anew() -> None:
    call = Call("m", MESSAGES, stream=True, fields={})
    leg = Leg("m", call, (), 0, ())
    chunks = chat.ChatChunks(Note(), "id", 1, (leg,))

    def fed(decoder: Any, event: dict[str, Any]) -> bytes:
        return chunks.texts(0, decoder.feed(b"data: " + msgspec.json.encode(event) + b"\n\n"))

    assert fed(ADAPTER.decoder(call), OPENING | {"id": "first"}) == b""
    chunks.restart(leg)
    second = ADAPTER.decoder(call)
    fed(second, OPENING | {"id": "second"})
    told = fed(second, piece({"content": "x"}) | {"id": "second"})
    assert b"first" not in told and told.count(b'"role"') == 1 and told.count(b"second") == 2


def test_events_keep_their_own_surroundings() -> None:
    """A, another, and A again: the third is read as the first was, and says what the first said."""
    call = Call("m", MESSAGES, stream=True, fields={})
    decoder = ADAPTER.decoder(call)
    a, b = piece({"content": "1"}), {"id": "other", "x": 1, "choices": []}
    deltas = decoder.feed(b"".join([b"data: " + msgspec.json.encode(e) + b"\n\n" for e in (a, b, a)]))
    assert [delta.more and bytes(delta.more["id"]) for delta in deltas] == [b'"x"', b'"x"']
