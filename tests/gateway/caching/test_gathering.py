"""Whoever asked first, streaming or not: the next is answered through the same encoders, as if by a provider."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw
from openai.lib.streaming._deltas import accumulate_delta

from adapters.chat import weight
from adapters.errors import ProviderError
from adapters.openai import OpenAI
from adapters.types import Call, Chat, Choice, Delta, Fields, Host, HttpResponse, Params, Prompts, Reply, Usage
from gateway.attempts import Echo
from gateway.caching.entry import Kept, pack, unpack
from gateway.caching.gathering import batches, sizes, whole
from gateway.choices import pieces
from gateway.merge import parts_of
from gateway.types import CompletionRequest, CompletionResponse, Leg, LegResult
from gateway.wire import chat, completions
from gateway.wire.openai import Note
from tests.adapters.recordings import Case, cases

ADAPTER = OpenAI(Host(base_url="http://p/v1"))
MESSAGES = Chat(Raw(b'[{"role":"user","content":"hi"}]'))
USAGE = Usage(3, 4, raw=Raw(b'{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7}'))


def dialect(call: Call) -> Any:
    return chat if isinstance(call.input, Chat) else completions


def request_of(call: Call) -> CompletionRequest:
    note = Note(usage=True, logprobs=call.params.logprobs is not None)
    return CompletionRequest(("m",), call.input, call.params, fields=call.fields, note=note)


def streamed(call: Call, reads: list[bytes]) -> Kept:
    """As a leg that streams keeps what it tells. Raises a ProviderError."""
    decoder = ADAPTER.decoder(call)
    told = [tuple(decoder.feed(read)) for read in reads]
    decoder.close()
    return kept_of(call, told, decoder.usage)


def kept_of(call: Call, told: list[tuple[Delta, ...]], usage: Usage | None) -> Kept:
    ends = {delta.index: delta.finish for deltas in told for delta in deltas if delta.finish}
    choices = tuple([Choice(index, "", ends[index]) for index in range(call.choices)])
    return Kept("p/m", 5.0, choices, usage or USAGE, None, None, tuple([(0, deltas) for deltas in told if deltas]))


def again(kept: Kept) -> Kept:
    """From the store."""
    found = unpack(pack(kept))
    assert found is not None
    return found


def replayed(call: Call, told: list[tuple[int, list[Delta]]], reply: Reply, sent: list[int]) -> bytes:
    """What a caller who streams reads."""
    leg = Leg("m", call, (), 0, ())
    encoder = dialect(call).chunks(request_of(call), "id", 1, (leg,))
    result = LegResult(leg, 0, reply, sent=sent, created=1)
    said = b"".join([encoder.texts(shift, deltas) for shift, deltas in told])
    said += b"".join([encoder.end(part) for part in parts_of(result)])
    return bytes(said + encoder.usage(reply.usage, 0))


def answered(call: Call, reply: Reply) -> Any:
    """What a caller who does not stream reads."""
    leg = Leg("m", call, (), 0, ())
    parts = tuple(parts_of(LegResult(leg, 0, reply, created=1)))
    response = CompletionResponse("id", 1, parts, reply.usage or USAGE, 0, 1, reply.raw)
    return json.loads(dialect(call).encode(request_of(call), response))


def chunks_of(told: bytes) -> list[Any]:
    return [json.loads(frame.removeprefix(b"data: ")) for frame in told.split(b"\n\n") if frame.startswith(b"data: {")]


def streams() -> list[tuple[Case, Call, Kept]]:
    found = []
    both: tuple[Fields | None, ...] = ({}, None)
    for case in cases("stream.*"):
        for fields in both:
            call = msgspec.structs.replace(case.call(), stream=True, fields=fields)
            decoder = case.adapter().decoder(call)
            try:
                told = [tuple(decoder.feed(case.stream()[at : at + 100])) for at in range(0, len(case.stream()), 100)]
                decoder.close()
                found.append((case, call, kept_of(call, told, decoder.usage)))
            except (ProviderError, KeyError):  # of failures nothing is kept
                continue
    return found


def named(value: Any) -> str:
    return value.name if isinstance(value, Case) else ""


@pytest.mark.parametrize(("case", "call", "kept"), streams(), ids=named)
def test_recorded_streams(case: Case, call: Call, kept: Kept) -> None:
    """Told again to the byte; gathered, they say what OpenAI's own client gathers of them."""
    before = [(shift, list(deltas)) for shift, deltas in kept.batches]
    sent = [0] * call.choices
    for _, deltas in before:
        for delta in deltas:
            sent[delta.index] += len(delta.text) or (weight(delta) if delta.raw is not None else 0)
    reply = Reply(kept.choices, kept.usage)
    found = again(kept)
    assert sizes(found) == sent
    original = replayed(call, before, reply, sent)
    assert replayed(call, batches(found, call.fields is not None), reply, sizes(found)) == original
    gathered = whole(found)
    assert [c.text for c in gathered.choices] == [
        "".join([d.text for _, deltas in before for d in deltas if d.index == i]) for i in range(call.choices)
    ]
    said = answered(call, gathered)
    assert [c["index"] for c in said["choices"]] == list(range(call.choices))
    if dialect(call) is chat:
        for choice, expected in zip(said["choices"], accumulated(original, call.choices), strict=True):
            assert tidy(choice["message"]) == tidy(expected["delta"])
            assert (choice.get("logprobs") or None) == (expected.get("logprobs") or None)
            assert choice["finish_reason"] == expected["finish_reason"]


def accumulated(told: bytes, n: int) -> list[Any]:
    """What OpenAI's client makes of the messages, and the tokens in their order."""
    found: list[Any] = [{"delta": {}, "logprobs": None, "finish_reason": None} for _ in range(n)]
    for chunk in chunks_of(told):
        for choice in chunk["choices"]:
            mine = found[choice["index"]]
            mine["delta"] = accumulate_delta(mine["delta"], choice["delta"])
            if choice.get("logprobs") is not None:
                before = mine["logprobs"] or {"content": []}
                mine["logprobs"] = {**choice["logprobs"], "content": before["content"] + choice["logprobs"]["content"]}
            mine["finish_reason"] = choice["finish_reason"] or mine["finish_reason"]
    return found


def tidy(message: Any) -> Any:
    """Without what is not said, and without what a stream alone says; the client joins roles that are said twice."""
    found = {name: value for name, value in message.items() if value not in (None, "", []) and name != "role"}
    for call in found.get("tool_calls", ()):
        call.pop("index", None)
    return found


def wholes() -> list[tuple[Case, Call, Reply]]:
    found = []
    both: tuple[Fields | None, ...] = ({}, None)
    for case in cases("response.json"):
        for fields in both:
            call = msgspec.structs.replace(case.call(), fields=fields)
            try:
                reply = case.adapter().decode(call, case.response())
            except ProviderError:
                continue
            if len(reply.choices) == call.choices:
                found.append((case, call, reply))
    return found


@pytest.mark.parametrize(("case", "call", "reply"), wholes(), ids=named)
def test_recorded_answers(case: Case, call: Call, reply: Reply) -> None:
    """Told again to the byte; in a stream, as one that a provider gives in one piece is told."""
    kept = Kept("p/m", 5.0, reply.choices, reply.usage, reply.raw)
    found = again(kept)
    assert whole(found) == reply
    assert answered(call, whole(found)) == answered(call, reply)
    rich = call.fields is not None
    before = [(0, pieces(c.index, c.text, c.raw if rich else None, reply.raw)) for c in reply.choices]
    sent = [len(c.text) or 1 for c in reply.choices]
    paid = Reply(reply.choices, reply.usage or USAGE, reply.raw)
    assert replayed(call, batches(found, rich), paid, sizes(found)) == replayed(call, before, paid, sent)


# ---------------------------------------------------------------------- the same answer, streamed and whole


def event(index: int, delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, "delta": delta, **more, "finish_reason": finish}


def text(index: int, said: str, finish: str | None = None, **more: Any) -> dict[str, Any]:
    return {"index": index, "text": said, **more, "finish_reason": finish}


def token(said: str) -> dict[str, Any]:
    return {"token": said, "logprob": -0.5, "bytes": list(said.encode()), "top_logprobs": []}


def called(index: int, arguments: str, **more: Any) -> dict[str, Any]:
    return {"index": index, **more, "function": {"arguments": arguments}}


def begins(index: int, id: str, name: str) -> dict[str, Any]:
    return {"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}}


def tool(id: str, name: str, arguments: str) -> dict[str, Any]:
    return {"id": id, "type": "function", "function": {"name": name, "arguments": arguments}}


def message(**said: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": None, "refusal": None, **said}


OPEN = {"role": "assistant", "content": "", "refusal": None}
LISTS: dict[str, list[Any]] = {
    "tokens": ["a"],
    "token_logprobs": [-1.0],
    "top_logprobs": [{"a": -1.0, "index": -2.0}],
    "text_offset": [0],
}
MORE: dict[str, list[Any]] = {
    "tokens": ["b"],
    "token_logprobs": [None],
    "top_logprobs": [{"b": -1.5}],
    "text_offset": [1],
}

SAME: dict[str, tuple[Call, list[dict[str, Any]], list[dict[str, Any]]]] = {
    "text": (
        Call("m", MESSAGES, fields={}),
        [event(0, OPEN), event(0, {"content": "Hel"}), event(0, {"content": "lo"}), event(0, {}, "stop")],
        [{"index": 0, "message": message(content="Hello"), "logprobs": None, "finish_reason": "stop"}],
    ),
    "empty": (
        Call("m", MESSAGES, fields={}),
        [event(0, OPEN), event(0, {}, "stop")],
        [{"index": 0, "message": message(content=""), "logprobs": None, "finish_reason": "stop"}],
    ),
    "tools": (
        Call("m", MESSAGES, fields={}),
        [
            event(0, {"role": "assistant", "content": None}),
            event(0, {"tool_calls": [begins(0, "c1", "f")]}),
            event(0, {"tool_calls": [called(0, '{"a"')]}),
            event(0, {"tool_calls": [called(0, ":1}"), begins(1, "c2", "g")]}),
            event(0, {"tool_calls": [called(1, "{}", id="c2", type="function")]}),
            event(0, {}, "tool_calls"),
        ],
        [
            {
                "index": 0,
                "message": message(tool_calls=[tool("c1", "f", '{"a":1}'), tool("c2", "g", "{}")]),
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
    ),
    "tools without an index": (
        Call("m", MESSAGES, fields={}),
        [
            event(0, {"role": "assistant", "tool_calls": [tool("c1", "f", "{}")]}),
            event(0, {"tool_calls": [tool("c2", "g", "[")]}),
            event(0, {"tool_calls": [{"function": {"arguments": "]"}}]}),
            event(0, {}, "tool_calls"),
        ],
        [
            {
                "index": 0,
                "message": message(tool_calls=[tool("c1", "f", "{}"), tool("c2", "g", "[]")]),
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
    ),
    "logprobs, and what nobody knows": (
        Call("m", MESSAGES, Params(n=2, logprobs=0), fields={}),
        [
            event(0, OPEN, logprobs={"content": [], "refusal": None}),
            event(1, OPEN),
            event(0, {"content": "a", "reasoning_content": "so"}, logprobs={"content": [token("a")], "refusal": None}),
            event(1, {"content": "x", "new": {"deep": ["1"]}}, token_ids=[7]),
            event(0, {"content": "b", "reasoning_content": " b"}, logprobs={"content": [token("b")], "refusal": None}),
            event(1, {"content": "y", "new": {"deep": ["2"], "t": "u"}}, token_ids=[8]),
            event(1, {}, "stop", stop_reason=5),
            event(0, {}, "stop"),
        ],
        [
            {
                "index": 0,
                "message": message(content="ab", reasoning_content="so b"),
                "logprobs": {"content": [token("a"), token("b")], "refusal": None},
                "finish_reason": "stop",
            },
            {
                "index": 1,
                "message": message(content="xy", new={"deep": ["1", "2"], "t": "u"}),
                "logprobs": None,
                "token_ids": [7, 8],
                "stop_reason": 5,
                "finish_reason": "stop",
            },
        ],
    ),
    "several prompts": (
        Call("m", Prompts(("p", "q")), Params(n=2, logprobs=1), fields={}),
        [
            *[text(i, "a", logprobs=LISTS) for i in (3, 0, 2, 1)],
            *[text(i, "b", "stop", logprobs=MORE) for i in (0, 1, 2, 3)],
        ],
        [
            text(i, "ab", "stop", logprobs={name: LISTS[name] + MORE[name] for name in LISTS}) for i in range(4)
        ],
    ),
}  # fmt: skip


def sse(events: list[dict[str, Any]]) -> list[bytes]:
    head = {"id": "x-1", "object": "any", "created": 9, "model": "own", "system_fingerprint": "f", "obfuscation": "zz"}
    return [b"data: " + json.dumps({**head, "choices": [one]}).encode() + b"\n\n" for one in events] + [
        b"data: [DONE]\n\n"
    ]


@pytest.mark.parametrize("name", SAME)
def test_streamed_first_and_whole_next(name: str) -> None:
    call, events, choices = SAME[name]
    body = {"id": "x-1", "object": "any", "created": 9, "model": "own", "system_fingerprint": "f", "choices": choices}
    expected = ADAPTER.decode(call, HttpResponse(200, [], json.dumps(body).encode()))
    found = whole(again(streamed(call, sse(events))))
    assert answered(call, found) == answered(call, Reply(expected.choices, found.usage, expected.raw))


@pytest.mark.parametrize("name", SAME)
def test_whole_first_and_streamed_next(name: str) -> None:
    """In fewer pieces, which come to the same."""
    call, events, choices = SAME[name]
    kept = streamed(call, sse(events))
    reply = whole(kept)
    again_whole = again(Kept("p/m", 5.0, reply.choices, reply.usage, reply.raw))
    told = replayed(call, batches(again_whole, True), reply, sizes(again_whole))
    if dialect(call) is chat:
        for expected, found in zip(choices, accumulated(told, call.choices), strict=True):
            assert tidy(found["delta"]) == tidy(expected["message"])
            assert found["finish_reason"] == expected["finish_reason"]
            assert found.get("logprobs") == expected["logprobs"]
    else:
        for expected in choices:
            said = [c for chunk in chunks_of(told) for c in chunk["choices"] if c["index"] == expected["index"]]
            assert "".join([c["text"] for c in said]) == expected["text"]
            assert [c["logprobs"] for c in said if c["logprobs"]] == [expected["logprobs"]]
    assert told.endswith(b"data: [DONE]\n\n")


def test_several_requests_of_one_leg() -> None:
    """Whose pieces begin at 0 each; some of their texts stand behind the prompt."""
    call = Call("m", "say", Params(n=2, echo=True), fields={})
    told: list[tuple[int, tuple[Delta, ...]]] = []
    for shift in (0, 1):
        echo, decoder = Echo("say "), ADAPTER.decoder(call)
        reads = sse([text(0, f"{shift}"), text(0, "!"), text(0, "", "stop")])
        told += [(shift, tuple([echo.of(delta) for delta in decoder.feed(read)])) for read in reads]
    usages = (Usage(1, 2), Usage(1, 3))
    choices = tuple([Choice(i, "", "stop", usages[i]) for i in (0, 1)])
    kept = again(Kept("p/m", 5.0, choices, Usage(2, 5), None, None, tuple(told)))
    assert [(c.index, c.text, c.usage) for c in whole(kept).choices] == [
        (0, "say 0!", usages[0]),
        (1, "say 1!", usages[1]),
    ]
    said = answered(call, whole(kept))
    assert [c["text"] for c in said["choices"]] == ["say 0!", "say 1!"]
    before = replayed(call, [(s, list(d)) for s, d in told], Reply(choices, Usage(2, 5)), sizes(kept))
    assert replayed(call, batches(kept, True), Reply(choices, Usage(2, 5)), sizes(kept)) == before


def test_texts_alone() -> None:
    """Of a dialect that wants no more, nothing more is kept or told."""
    call = Call("m", MESSAGES, stream=True)
    kept = again(streamed(call, sse(SAME["text"][1])))
    assert whole(kept) == Reply((Choice(0, "Hello", "stop"),), kept.usage)
    reply = whole(kept)
    assert batches(Kept("p/m", 5.0, reply.choices), False) == [(0, [Delta(0, "Hello")])]


def test_a_long_answer_is_gathered_in_time_that_grows_with_it() -> None:
    call = Call("m", MESSAGES, Params(logprobs=0), fields={})
    many = [event(0, {"content": "a"}, logprobs={"content": [token("a")], "refusal": None}) for _ in range(5000)]
    [choice] = whole(again(streamed(call, sse([*many, event(0, {}, "stop")])))).choices
    assert choice.text == "a" * 5000
    assert choice.raw is not None
    assert len(json.loads(bytes(choice.raw["logprobs"]))["content"]) == 5000
